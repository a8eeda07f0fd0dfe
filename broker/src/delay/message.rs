//! What a delayed record looks like when it is delivered, pure: key, value and headers as they were, our own headers last.
//! A client's headers with our names are removed, so that a client cannot forge ours; nothing else changes.

use bytes::Bytes;

use crate::door::messages::{Header, Message};
use crate::door::reading::{Followed, RecordView};
use crate::ids::PartitionId;

/// The client's timestamp in ms, as decimal text: the delivered record itself carries the time of its delivery.
pub(super) const ORIGIN_TIMESTAMP: &str = "sluice-origin-timestamp";
/// Headers of dead letters: the reason, and where the record comes from.
pub(super) const REASON: &str = "sluice-dead-letter-reason";
const ORIGIN_TOPIC: &str = "sluice-origin-topic";
const ORIGIN_PARTITION: &str = "sluice-origin-partition";
const ORIGIN_OFFSET: &str = "sluice-origin-offset";

/// The record for its target. `keep_time` is for a target that is a delay topic itself: the next hop takes the first client's
/// timestamp from there, and no consumer sees it.
pub(super) fn delivered(record: &RecordView, keep_time: bool) -> Message {
    let mut message = stripped(record, &[ORIGIN_TIMESTAMP]);
    message.headers.push(text(ORIGIN_TIMESTAMP, origin_ms(record)));
    message.timestamp = Some(record.client_timestamp).filter(|at| keep_time && at.0 >= 0);
    message
}

/// The record as a dead letter.
pub(super) fn dead_letter(found: &Followed, reason: &str, topic: &str, partition: PartitionId) -> Message {
    let ours = [ORIGIN_TIMESTAMP, REASON, ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET];
    let mut message = stripped(&found.record, &ours);
    message.headers.extend([
        text(REASON, reason),
        text(ORIGIN_TOPIC, topic),
        text(ORIGIN_PARTITION, partition),
        text(ORIGIN_OFFSET, found.record.offset),
        text(ORIGIN_TIMESTAMP, origin_ms(&found.record)),
    ]);
    message
}

/// As the client sent it, without headers of these names.
pub(super) fn stripped(record: &RecordView, names: &[&str]) -> Message {
    let foreign = |header: &&Header| !names.contains(&header.key.as_str());
    Message {
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.iter().filter(foreign).cloned().collect(),
        timestamp: None,
    }
}

/// The client's timestamp; where it sent none (-1), that of the append.
fn origin_ms(record: &RecordView) -> i64 {
    if record.client_timestamp.0 >= 0 { record.client_timestamp.0 } else { record.timestamp.0 }
}

fn text(key: &str, value: impl ToString) -> Header {
    Header { key: key.to_owned(), value: Some(Bytes::from(value.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Offset, TimestampMs};

    fn header(key: &str, value: &'static str) -> Header {
        Header { key: key.into(), value: Some(Bytes::from_static(value.as_bytes())) }
    }

    fn record(headers: Vec<Header>) -> RecordView {
        RecordView {
            offset: Offset(4),
            timestamp: TimestampMs(2_000),
            client_timestamp: TimestampMs(1_000),
            key: Some(Bytes::from_static(b"k")),
            value: None,
            headers,
        }
    }

    #[test]
    fn key_value_and_headers_stay_and_the_clients_time_becomes_a_header() {
        let message = delivered(&record(vec![header("a", "1"), header("a", "2")]), false);
        assert_eq!((message.key.as_deref(), message.value, message.timestamp), (Some(&b"k"[..]), None, None));
        assert_eq!(message.headers, vec![header("a", "1"), header("a", "2"), header(ORIGIN_TIMESTAMP, "1000")]);
    }

    #[test]
    fn a_client_cannot_forge_our_header() {
        let message = delivered(&record(vec![header(ORIGIN_TIMESTAMP, "7"), header("x", "y")]), false);
        assert_eq!(message.headers, vec![header("x", "y"), header(ORIGIN_TIMESTAMP, "1000")]);
        let found = Followed { record: record(vec![header(REASON, "lies")]), unreadable: None, next: Offset(5) };
        let letter = dead_letter(&found, "truth", "t.delay.5s", PartitionId(2));
        let reasons: Vec<_> = letter.headers.iter().filter(|header| header.key == REASON).collect();
        assert_eq!(reasons, vec![&header(REASON, "truth")]);
        assert!(letter.headers.contains(&header(ORIGIN_OFFSET, "4")));
        assert!(letter.headers.contains(&header(ORIGIN_PARTITION, "2")));
    }

    #[test]
    fn a_record_without_a_client_time_has_that_of_its_append() {
        let none = RecordView { client_timestamp: TimestampMs(-1), ..record(Vec::new()) };
        let message = delivered(&none, true);
        assert_eq!((message.headers, message.timestamp), (vec![header(ORIGIN_TIMESTAMP, "2000")], None));
    }

    #[test]
    fn the_first_clients_time_survives_two_hops() {
        let hop = delivered(&record(Vec::new()), true);
        assert_eq!(hop.timestamp, Some(TimestampMs(1_000)));
    }
}
