//! The hand-made answer against the codec's.

use kafka_protocol::messages::fetch_response::FetchableTopicResponse;
use uuid::Uuid;

use super::*;
use crate::ids::TopicId;
use crate::kafka::throttle::Throttle;
use crate::kafka::write::Reply;
use crate::log::Offsets;
use crate::topics::TopicError;

fn fetched(records: &'static [u8]) -> Result<Fetched, EngineError> {
    let at = |offset| Offset(offset);
    let offsets = Offsets { log_start: at(3), recovery_point: at(4), hw: at(9), lso: at(8), leo: at(12) };
    Ok(Fetched { records: Records::Copied(Bytes::from_static(records)), offsets })
}

fn missing() -> Result<Fetched, EngineError> {
    Err(TopicError::NotFound { name: "gone".into() }.into())
}

fn codec(version: i16, committed: bool, named: &[TopicRef]) -> FetchResponse {
    let part = |index: i32, records: &'static [u8]| {
        PartitionData::default()
            .with_partition_index(index)
            .with_high_watermark(9)
            .with_last_stable_offset(8)
            .with_log_start_offset(3)
            .with_aborted_transactions(committed.then(Vec::new))
            .with_records(Some(Bytes::from_static(records)))
    };
    let failed = PartitionData::default()
        .with_partition_index(7)
        .with_error_code(3)
        .with_high_watermark(-1)
        .with_records(Some(Bytes::new()));
    let topic = |named: &TopicRef, partitions| {
        let topic = FetchableTopicResponse::default().with_partitions(partitions);
        match named {
            TopicRef::Name(name) => topic.with_topic(wire::topic_name(&**name)),
            TopicRef::Id(id) => topic.with_topic_id(id.0),
        }
    };
    let _ = version;
    FetchResponse::default()
        .with_throttle_time_ms(40)
        .with_responses(vec![topic(&named[0], vec![part(0, &[7; 300]), part(4, b"")]), topic(&named[1], vec![failed])])
}

#[test]
fn an_answer_has_the_codecs_bytes_in_every_version_and_its_records_are_never_null() {
    for version in 4..=18 {
        for committed in [false, true] {
            let named = if version >= BY_ID_SINCE {
                [TopicRef::Id(TopicId(Uuid::from_u128(5))), TopicRef::Id(TopicId(Uuid::from_u128(6)))]
            } else {
                [TopicRef::name("a"), TopicRef::name("gone")]
            };
            let asked = [
                Asked { topic: named[0].clone(), partitions: vec![0, 4], denied: None },
                Asked { topic: named[1].clone(), partitions: vec![7], denied: None },
            ];
            let outcomes = vec![fetched(&[7; 300]), fetched(b""), missing()];
            let throttle = Throttle::of(Duration::from_millis(40));
            let ours = encode(Envelope { correlation: 11, version, throttle }, committed, &asked, outcomes).unwrap();
            let theirs = Reply::of(11, version, codec(version, committed, &named)).unwrap();
            assert_eq!(ours.concat(), theirs.concat(), "version {version}");
        }
    }
}

#[test]
fn limits_of_a_request_are_cut_to_ours_and_negative_ones_to_nothing() {
    let request = FetchRequest::default().with_max_wait_ms(-5).with_min_bytes(-1).with_max_bytes(i32::MAX);
    let fetch = limited(&request, Vec::new());
    assert_eq!((fetch.max_wait, fetch.min_bytes, fetch.max_bytes), (Duration::ZERO, 0, limits::FETCH_BYTES_MAX));
}
