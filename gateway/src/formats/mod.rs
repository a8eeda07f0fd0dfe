//! Bytes of requests to messages, and records to bytes of answers. Pure: no door, no clock.

pub(crate) mod base64;
pub(crate) mod fetched;
pub(crate) mod raw;
pub(crate) mod v2;

use sluice_broker::door::Message;

use crate::problem::Problem;

/// Bytes of a message: key, value and headers together.
pub(crate) fn size(message: &Message) -> usize {
    let of = |bytes: &Option<::bytes::Bytes>| bytes.as_ref().map_or(0, ::bytes::Bytes::len);
    let headers: usize = message.headers.iter().map(|header| header.key.len() + of(&header.value)).sum();
    of(&message.key) + of(&message.value) + headers
}

/// Bytes that a message takes in memory.
pub(crate) fn cost(message: &Message) -> usize {
    size_of::<Message>() + size_of_val(message.headers.as_slice()) + size(message)
}

/// Refuses a message over the limit.
pub(crate) fn check_size(message: &Message, limit: usize) -> Result<(), Problem> {
    if size(message) > limit {
        return Err(Problem::too_large("a record", limit));
    }
    Ok(())
}
