//! Bytes of requests to messages, and records to bytes of answers. Pure: no door, no clock.

pub(crate) mod base64;
pub(crate) mod fetched;
pub(crate) mod raw;
pub(crate) mod v2;

use sluice_broker::door::Message;

use crate::problem::Problem;

/// Refuses a message over the limit: key, value and headers together.
pub(crate) fn check_size(message: &Message, limit: usize) -> Result<(), Problem> {
    let of = |bytes: &Option<::bytes::Bytes>| bytes.as_ref().map_or(0, ::bytes::Bytes::len);
    let headers: usize = message.headers.iter().map(|header| header.key.len() + of(&header.value)).sum();
    if of(&message.key) + of(&message.value) + headers > limit {
        return Err(Problem::too_large("a record", limit));
    }
    Ok(())
}
