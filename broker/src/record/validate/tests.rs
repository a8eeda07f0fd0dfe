//! Each rule by itself, and what a recompressed batch keeps.

use bytes::Bytes;

use super::*;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use crate::record::{Header, Message, ProducerStamp, build, check_produced, check_stored, records as views};

const NOW: TimestampMs = TimestampMs(1_000_000_000);
const ALL: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn rules() -> AppendRules {
    AppendRules {
        validate_records: false,
        timestamp_type: TimestampType::CreateTime,
        before_max_ms: i64::MAX,
        after_max_ms: 3_600_000,
        compression: None,
        levels: Levels::default(),
        keys: false,
        size_max: usize::MAX,
    }
}

fn messages(times: &[i64]) -> Vec<Message> {
    let header = Header { key: "h".into(), value: Some(Bytes::from_static(b"v")) };
    let message = |at: &i64| Message {
        key: Some(Bytes::from_static(b"k")),
        value: Some(vec![b'x'; 500].into()),
        headers: vec![header.clone()],
        timestamp: Some(TimestampMs(*at)),
    };
    times.iter().map(message).collect()
}

fn produced(messages: &[Message], compression: Compression) -> ProducedBatch {
    let stamp = ProducerStamp { id: ProducerId(7), epoch: ProducerEpoch(2), first: Sequence(40) };
    let built = build(messages, NOW, compression, Some(stamp)).unwrap();
    check_produced(built.bytes().clone(), usize::MAX).unwrap()
}

/// Indices that were rejected for their timestamps.
fn rejected(rules: AppendRules, batch: ProducedBatch) -> Vec<i32> {
    match rules.apply(batch, NOW) {
        Ok(_) => Vec::new(),
        Err(RecordError::Rejected { why: Rejection::Timestamp { .. }, records, count, .. }) => {
            assert_eq!(records.len(), count);
            records
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn records_too_new_or_too_old_are_rejected_by_their_place_in_the_batch() {
    let (late, early) = (NOW.0 + 3_600_001, NOW.0 - 10_001);
    for compression in ALL {
        let batch = |times: &[i64]| produced(&messages(times), compression);
        assert_eq!(rejected(rules(), batch(&[0, NOW.0, late - 1])), Vec::<i32>::new());
        assert_eq!(rejected(rules(), batch(&[NOW.0, late, 0, late])), [1, 3]);
        let bounded = AppendRules { before_max_ms: 10_000, ..rules() };
        // The base timestamp is in order: only the records say that one is old.
        assert_eq!(rejected(bounded, batch(&[NOW.0, early, early + 1])), [1]);
        let append_time = AppendRules { timestamp_type: TimestampType::LogAppendTime, ..bounded };
        assert_eq!(rejected(append_time, batch(&[late, early])), Vec::<i32>::new());
    }
}

#[test]
fn a_compressed_batch_is_opened_only_where_its_header_cannot_decide() {
    let batch = |times: &[i64]| produced(&messages(times), Compression::Lz4);
    let fine = batch(&[NOW.0]);
    assert!(!rules().is_heavy(&fine, NOW));
    assert!(rules().is_heavy(&batch(&[NOW.0 + 3_600_001]), NOW), "which record it is stands inside");
    assert!(AppendRules { before_max_ms: 1, ..rules() }.is_heavy(&fine, NOW));
    assert!(AppendRules { validate_records: true, ..rules() }.is_heavy(&fine, NOW));
    assert!(AppendRules { keys: true, ..rules() }.is_heavy(&fine, NOW));
    assert!(AppendRules { compression: Some(Compression::Zstd), ..rules() }.is_heavy(&fine, NOW));
    assert!(!AppendRules { compression: Some(Compression::Lz4), ..rules() }.is_heavy(&fine, NOW));
}

#[test]
fn records_without_a_key_are_rejected_where_keys_are_needed() {
    for compression in ALL {
        let mut some = messages(&[NOW.0; 3]);
        some[2].key = None;
        let batch = produced(&some, compression);
        rules().apply(batch.clone(), NOW).unwrap();
        let refused = AppendRules { keys: true, ..rules() }.apply(batch, NOW).unwrap_err();
        assert!(matches!(&refused, RecordError::Rejected { why: Rejection::NoKey, records, .. } if records == &[2]));
        assert!(refused.to_string().contains("key"), "{refused}");
        assert_eq!(AppendRules { keys: true, ..rules() }.check_keys(&some), Err(refused));
        rules().check_keys(&some).unwrap();
    }
}

#[test]
fn compressed_nonsense_passes_a_header_check_and_not_a_check_of_records() {
    let mut bytes = produced(&messages(&[NOW.0]), Compression::Zstd).bytes().to_vec();
    let last = bytes.len() - 1;
    bytes[last - 20..last].fill(0x5a);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let batch = check_produced(bytes.into(), usize::MAX).unwrap();
    rules().apply(batch.clone(), NOW).unwrap();
    let refused = AppendRules { validate_records: true, ..rules() }.apply(batch, NOW);
    assert!(matches!(refused, Err(RecordError::Compression { .. } | RecordError::Invalid { .. })), "{refused:?}");
}

#[test]
fn a_recompressed_batch_keeps_everything_but_its_compression() {
    let some = messages(&[NOW.0 - 5, NOW.0 + 7, NOW.0]);
    for from in ALL {
        for to in ALL {
            let rules = AppendRules { compression: Some(to), ..rules() };
            let before = produced(&some, from);
            let after = rules.apply(before.clone(), NOW).unwrap();
            assert_eq!(after.header().compression, to);
            // What producers may send and what logs hold: both checks let it in.
            check_produced(after.bytes().clone(), usize::MAX).unwrap();
            let stamped = after.stamp(Offset(50), LeaderEpoch(3), None);
            let stored = [&stamped.head[..], &stamped.body[..]].concat();
            let stored = check_stored(stored.into()).unwrap();
            let (was, is) = (before.header(), stored.header());
            assert_eq!((is.base_offset, is.last_offset_delta), (Offset(50), was.last_offset_delta));
            assert_eq!(
                (is.producer, is.max_timestamp, is.base_timestamp),
                (was.producer, was.max_timestamp, was.base_timestamp)
            );
            let found: Vec<_> = views(&stored).unwrap();
            for (at, (view, message)) in found.iter().zip(&some).enumerate() {
                assert_eq!(view.offset, Offset(50 + at as i64));
                assert_eq!((&view.key, &view.value, &view.headers), (&message.key, &message.value, &message.headers));
                assert_eq!(Some(view.timestamp), message.timestamp);
            }
            assert_eq!(found.len(), some.len());
        }
    }
}

/// A refusal would be repeated by the producer for ever: the same batch needs the same memory the next time.
#[test]
fn a_level_that_needs_more_memory_than_there_is_gives_way_and_what_was_opened_first_is_counted_once() {
    let some = vec![Message { value: Some(vec![7; 900_000].into()), ..Message::default() }];
    let batch = produced(&some, Compression::Snappy);
    let levels = Levels { zstd: 19, ..Levels::default() };
    let rules = AppendRules { compression: Some(Compression::Zstd), levels, ..rules() };
    let within = |limit: usize| {
        let mut held = 0;
        let mut admit = |bytes: usize| {
            let fits = held + bytes <= limit;
            held += if fits { bytes } else { 0 };
            fits
        };
        rules.apply_within(batch.clone(), NOW, &mut Means::new(&mut admit, usize::MAX))
    };
    assert_eq!(within(19 << 20).unwrap().header().compression, Compression::Zstd);
    assert_eq!(within(6 << 20).unwrap().header().compression, Compression::Zstd);
    assert!(matches!(within(1 << 20), Err(Stop::NoMemory(_))));
}

#[test]
fn levels_are_heard() {
    let text: Vec<u8> = (0..60_000u32).flat_map(|n| (n * 7 % 1_013).to_string().into_bytes()).collect();
    let one = [Message { value: Some(text.into()), timestamp: Some(NOW), ..Message::default() }];
    let size = |compression, levels| {
        let rules = AppendRules { compression: Some(compression), levels, ..rules() };
        rules.apply(produced(&one, Compression::None), NOW).unwrap().header().size
    };
    let (low, high) = (Levels { gzip: 1, zstd: -50 }, Levels { gzip: 9, zstd: 19 });
    assert!(size(Compression::Gzip, high) < size(Compression::Gzip, low));
    assert!(size(Compression::Zstd, high) < size(Compression::Zstd, low));
}
