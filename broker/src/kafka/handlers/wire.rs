//! The wire's spellings of absence, turned into `Option` and back, and text into the codec's.

use std::collections::HashMap;
use std::hash::Hash;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::ids::{LeaderEpoch, TopicId, TopicRef};
use crate::limits;

/// A code with its text.
pub(in crate::kafka::handlers) type Refused = (i16, String);

/// Owned text for a response.
pub(in crate::kafka::handlers) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// A topic's name for a response.
pub(in crate::kafka::handlers) fn topic_name(name: impl Into<String>) -> TopicName {
    TopicName(text(name))
}

/// How a request names a topic: by id from the version on that has no names (KIP-516).
pub(in crate::kafka::handlers) fn topic_ref(by_id: bool, name: &TopicName, id: Uuid) -> TopicRef {
    if by_id { TopicRef::Id(TopicId(id)) } else { TopicRef::name(name) }
}

/// How often a request names each of its resources.
pub(in crate::kafka::handlers) fn times<T: Eq + Hash>(named: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut times = HashMap::new();
    for name in named {
        *times.entry(name).or_default() += 1;
    }
    times
}

/// Kafka answers a resource that is there twice once, and changes nothing of it (`ControllerApis`). `times` is what a request
/// has left of it, `what` its kind. `None`: it is answered.
pub(in crate::kafka::handlers) fn once(times: Option<usize>, what: &str) -> Option<Result<(), Refused>> {
    match times? {
        1 => Some(Ok(())),
        _ => Some(Err((ResponseError::InvalidRequest.code(), format!("the request names this {what} twice")))),
    }
}

/// How many errors of an answer are told in words (`limits::ERRORS_TOLD_MAX`).
#[derive(Debug, Default)]
pub(in crate::kafka::handlers) struct Told(usize);

impl Told {
    /// Whether one more may be.
    pub(in crate::kafka::handlers) fn one_more(&mut self) -> bool {
        self.0 += 1;
        self.0 <= limits::ERRORS_TOLD_MAX
    }
}

/// -1: not known, not checked.
pub(in crate::kafka::handlers) fn epoch(wire: i32) -> Option<LeaderEpoch> {
    (wire >= 0).then_some(LeaderEpoch(wire))
}

/// The other way.
pub(in crate::kafka::handlers) fn epoch_or_none(epoch: Option<LeaderEpoch>) -> i32 {
    epoch.map_or(-1, |epoch| epoch.0)
}

/// Null and the empty string both mean: none.
pub(in crate::kafka::handlers) fn nonempty(wire: Option<&StrBytes>) -> Option<String> {
    wire.filter(|text| !text.is_empty()).map(ToString::to_string)
}

/// A copy that does not keep the request's frame in memory.
pub(in crate::kafka::handlers) fn detached(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
