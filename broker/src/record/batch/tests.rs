//! Batches that Java's `MemoryRecordsBuilder` (kafka-clients 4.3.1) wrote, and everything that must be refused.

use bytes::Bytes;

use super::*;
use crate::ids::{ProducerEpoch, ProducerId, Sequence};
use crate::record::ProducerStamp;
use crate::record::header::TRANSACTIONAL_BIT;
use crate::record::{ControlType, Header, Message, ProducerIdent, build};

const JAVA_NONE: &str = "000000000000000000000094ffffffff023565dc4b0000000000020000018bcfe568000000018bcfe568070000000000000fa100030000001100000003160000000a6b65792d3001006a000e020a6b65792d313276616c75652076616c75652076616c75652076616c75652031040a747261636506742d310a656d707479014000b30f04013276616c75652076616c75652076616c75652076616c7565203200";
const JAVA_GZIP: &str = "00000000000000000000007effffffff023084312c0001000000020000018bcfe568000000018bcfe56807ffffffffffffffffffffffffffff000000031f8b08000000000000ff13636060e0ca4eadd4356064c862e06302b30d8dca12734a531530494316ae92a2c4e454b6125d43aed4dc82924a460786cdfc2c8c3875183100008102d1ad63000000";
const JAVA_SNAPPY: &str = "000000000000000000000085ffffffff023e4e48f40002000000020000018bcfe568000000018bcfe56807ffffffffffffffffffffffffffff0000000382534e4150505900000000010000000100000040633c160000000a6b65792d3001006a000e02050c1c313276616c7565204606006031040a747261636506742d310a656d707479014000b30f0401623200043200";
const JAVA_LZ4: &str = "000000000000000000000083ffffffff024f8f345f0003000000020000018bcfe568000000018bcfe56807ffffffffffffffffffffffffffff0000000304224d1860408243000000f101160000000a6b65792d3001006a000e020c008e313276616c7565200600ff0a31040a747261636506742d310a656d707479014000b30f040132000350756520320000000000";
const JAVA_ZSTD: &str = "00000000000000000000007cffffffff0208cd35d30004000000020000018bcfe568000000018bcfe56807ffffffffffffffffffffffffffff0000000328b52ffd0058fc01003403160000000a6b65792d3001006a000e02313276616c75652031040a747261636506742d310a656d707479014000b30f04013200030055b58c148fde1630010000";
const JAVA_LOG_APPEND_TIME: &str = "000000000000000000000094ffffffff02b2f084010008000000020000018bcfe568000000018bcfe58b28ffffffffffffffffffffffffffff00000003160000000a6b65792d3001006a000e020a6b65792d313276616c75652076616c75652076616c75652076616c75652031040a747261636506742d310a656d707479014000b30f04013276616c75652076616c75652076616c75652076616c7565203200";
const JAVA_COMMIT_MARKER: &str = "000000000000002a0000004200000005026c5979ba0030000000000000018bcfe568000000018bcfe568000000000000000fa10003ffffffff000000012000000008000000010c00000000000700";
/// What compaction leaves of a producer's last batch: no record, the sequences and offsets 100 to 104.
const JAVA_EMPTY: &str = "00000000000000640000003100000005026aacd933000000000004ffffffffffffffff0000018bcfe568000000000000000fa100030000001100000000";
/// Compacted: record 1 is gone, the delete horizon is set.
const JAVA_DELETE_HORIZON: &str = "00000000000000000000005fffffffff02675a7f8c0040000000020000018bcfe57f700000018bcfe56800ffffffffffffffffffffffffffff000000021800df5d000a6b65792d3001004000936d04013276616c75652076616c75652076616c75652076616c7565203200";
const JAVA_FORMAT_1: &str = "0000000000000000000000187fdc1dec01000000000000000005000000016b0000000176";

const BASE: i64 = 1_700_000_000_000;

/// Where, and what stands there instead.
type Patch<'a> = (usize, &'a [u8]);

fn unhex(hex: &str) -> Bytes {
    let nibble = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len() / 2).map(|index| nibble(2 * index)).collect::<Vec<u8>>().into()
}

/// Sets bytes and makes the CRC right again, so that what is tested is behind it.
fn with(hex: &str, patches: &[Patch]) -> Bytes {
    let mut bytes = unhex(hex).to_vec();
    for (at, patch) in patches {
        bytes[*at..][..patch.len()].copy_from_slice(patch);
    }
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn java_records() -> Vec<RecordView> {
    let value = |n: u8| Some(Bytes::from(format!("value value value value {n}")));
    let view = |offset: i64, ms: i64, key: Option<&'static str>, value: Option<Bytes>| RecordView {
        offset: Offset(offset),
        timestamp: TimestampMs(BASE + ms),
        client_timestamp: TimestampMs(BASE + ms),
        key: key.map(Bytes::from),
        value,
        headers: Vec::new(),
    };
    let mut all =
        vec![view(0, 0, Some("key-0"), None), view(1, 7, Some("key-1"), value(1)), view(2, -986, None, value(2))];
    all[1].headers = vec![
        Header { key: "trace".into(), value: Some(Bytes::from("t-1")) },
        Header { key: "empty".into(), value: None },
    ];
    all
}

#[test]
fn batches_written_by_java_are_read_whatever_their_compression() {
    for hex in [JAVA_NONE, JAVA_GZIP, JAVA_SNAPPY, JAVA_LZ4, JAVA_ZSTD] {
        let produced = check_produced(unhex(hex), 1_000).unwrap();
        produced.check_records().unwrap();
        let stored = check_stored(unhex(hex)).unwrap();
        assert_eq!(records(&stored).unwrap(), java_records(), "{:?}", stored.header().compression);
    }
}

#[test]
fn a_header_written_by_java_says_who_produced_what() {
    let header = check_produced(unhex(JAVA_NONE), 1_000).unwrap().header().clone();
    let producer = ProducerStamp { id: ProducerId(4001), epoch: ProducerEpoch(3), first: Sequence(17) };
    assert_eq!(header.producer, Some(producer));
    assert_eq!(header.last_sequence(), Some(Sequence(19)));
    assert_eq!((header.record_count, header.last_offset()), (3, Offset(2)));
    assert_eq!((header.base_timestamp, header.max_timestamp), (TimestampMs(BASE), TimestampMs(BASE + 7)));
}

#[test]
fn what_only_a_log_may_hold_is_read_as_stored_and_refused_as_produced() {
    let stored = |hex| check_stored(unhex(hex)).unwrap();
    let appended = records(&stored(JAVA_LOG_APPEND_TIME)).unwrap();
    assert!(appended.iter().all(|record| record.timestamp == TimestampMs(BASE + 9_000)));
    assert_eq!(appended[2].client_timestamp, TimestampMs(BASE - 986));

    let marker = stored(JAVA_COMMIT_MARKER);
    assert!(marker.header().control && marker.header().transactional && marker.header().producer.is_none());
    let record = records(&marker).unwrap().remove(0);
    assert_eq!(record.offset, Offset(42));
    assert_eq!(ControlType::of_key(&record.key.unwrap()), Ok(ControlType::Commit));
    let producer = ProducerIdent { id: ProducerId(4001), epoch: ProducerEpoch(3) };
    assert_eq!(ProducerIdent::of(&marker), Some(producer), "a marker has a producer without a sequence");

    let empty = stored(JAVA_EMPTY);
    assert_eq!((empty.header().record_count, empty.header().next_offset()), (0, Offset(105)));
    assert_eq!(empty.header().last_sequence(), Some(Sequence(21)));
    assert!(records(&empty).unwrap().is_empty(), "rule 4: a count of 0 is allowed");

    let compacted = stored(JAVA_DELETE_HORIZON);
    assert!(compacted.header().delete_horizon);
    let left = records(&compacted).unwrap();
    assert_eq!(left, [java_records()[0].clone(), java_records()[2].clone()], "rule 4: holes are allowed");

    for hex in [JAVA_LOG_APPEND_TIME, JAVA_COMMIT_MARKER, JAVA_EMPTY, JAVA_DELETE_HORIZON] {
        assert!(matches!(check_produced(unhex(hex), 1_000), Err(RecordError::Invalid { .. })), "rule 4: {hex}");
    }
}

#[test]
fn old_message_formats_are_named() {
    let refused = RecordError::Magic { magic: 1 };
    assert_eq!(check_produced(unhex(JAVA_FORMAT_1), 1_000).unwrap_err(), refused);
    assert_eq!(check_stored(unhex(JAVA_FORMAT_1)).unwrap_err(), refused);
}

#[test]
fn a_produced_batch_that_contradicts_itself_is_refused() {
    let refused = |patches: &[Patch]| check_produced(with(JAVA_NONE, patches), 1_000).unwrap_err();
    let invalid: [(&str, &[Patch]); 9] = [
        ("a base offset", &[(7, &[1])]),
        ("a count above the delta", &[(60, &[4])]),
        ("count and delta too large", &[(26, &[3]), (60, &[4])]),
        ("count and delta too small", &[(26, &[1]), (60, &[2])]),
        ("no records", &[(57, &(-1i32).to_be_bytes())]),
        ("a wrong record length", &[(61, &[0x18])]),
        ("a wrong offset delta", &[(64, &[2])]),
        ("a sequence of -1 with a producer", &[(53, &(-1i32).to_be_bytes())]),
        ("an epoch of -1 with a producer", &[(51, &(-1i16).to_be_bytes())]),
    ];
    for (what, patches) in invalid {
        assert!(matches!(refused(patches), RecordError::Invalid { .. }), "{what}: {:?}", refused(patches));
    }
    assert!(matches!(refused(&[(22, &[5])]), RecordError::Compression { .. }), "codec 5");
    assert!(matches!(refused(&[(8, &[0xff])]), RecordError::Corrupt { .. }), "a negative length");
    assert!(matches!(refused(&[(23, &[0xff])]), RecordError::Corrupt { .. }), "a negative offset delta");
}

#[test]
fn sizes_are_checked_before_anything_else_of_the_batch() {
    let whole = unhex(JAVA_NONE);
    let too_large = RecordError::TooLarge { size: whole.len(), limit: whole.len() - 1 };
    assert_eq!(check_produced(whole.clone(), whole.len() - 1).unwrap_err(), too_large);
    assert!(check_produced(whole.clone(), whole.len()).is_ok());

    let mut twice = whole.to_vec();
    twice.extend_from_slice(&whole);
    assert!(matches!(check_produced(twice.clone().into(), 1_000), Err(RecordError::Invalid { .. })));
    assert_eq!(check_stored(twice.into()).unwrap().bytes(), &whole, "a log holds one batch after the other");

    for cut in 0..whole.len() {
        assert!(matches!(check_produced(whole.slice(..cut), 1_000), Err(RecordError::Corrupt { .. })), "{cut}");
        assert!(matches!(check_stored(whole.slice(..cut)), Err(RecordError::Corrupt { .. })), "{cut}");
    }
}

#[test]
fn a_stored_batch_may_not_count_more_records_than_it_has_offsets() {
    let stored = |count: i32| check_stored(with(JAVA_NONE, &[(57, &count.to_be_bytes())]));
    for count in [-1, 4, i32::MAX] {
        assert!(matches!(stored(count), Err(RecordError::Corrupt { .. })), "rule 4: {count}");
    }
    let short = stored(2).unwrap();
    assert!(records(&short).is_err(), "the third record is not counted");
}

#[test]
fn stamping_leaves_the_crc_alone_and_gives_a_stored_batch() {
    let produced = check_produced(unhex(JAVA_ZSTD), 1_000).unwrap();
    let crc = produced.header().crc;
    let stamped = produced.stamp(Offset(1 << 40), LeaderEpoch(7), None);
    let stored = check_stored([&stamped.head[..], &stamped.body[..]].concat().into()).unwrap();
    assert_eq!(stored.header(), &stamped.header);
    assert_eq!((stored.header().crc, stored.header().leader_epoch), (crc, LeaderEpoch(7)));
    let offsets: Vec<i64> = records(&stored).unwrap().iter().map(|record| record.offset.0).collect();
    assert_eq!(offsets, [1 << 40, (1 << 40) + 1, (1 << 40) + 2]);
}

#[test]
fn stamping_with_append_time_keeps_what_the_client_said_as_base_and_delta() {
    for hex in [JAVA_NONE, JAVA_LZ4] {
        let now = TimestampMs(BASE + 123_456);
        let stamped = check_produced(unhex(hex), 1_000).unwrap().stamp(Offset(5), LeaderEpoch(1), Some(now));
        let stored = check_stored([&stamped.head[..], &stamped.body[..]].concat().into()).unwrap();
        assert_eq!(stored.header(), &stamped.header);
        assert_eq!(stored.header().timestamp_type, TimestampType::LogAppendTime);
        let read = records(&stored).unwrap();
        assert!(read.iter().all(|record| record.timestamp == now));
        assert_eq!(read[1].client_timestamp, TimestampMs(BASE + 7));
    }
}

#[test]
fn a_max_timestamp_that_no_record_has_is_corrected() {
    let wrong = with(JAVA_NONE, &[(MAX_TIMESTAMP_AT, &i64::MAX.to_be_bytes())]);
    let produced = check_produced(wrong, 1_000).unwrap();
    assert_eq!(produced.header().max_timestamp, TimestampMs(BASE + 7));
    let stamped = produced.stamp(Offset(0), LeaderEpoch(0), None);
    let stored = check_stored([&stamped.head[..], &stamped.body[..]].concat().into()).unwrap();
    assert_eq!(stored.header().max_timestamp, TimestampMs(BASE + 7));
}

#[test]
fn the_transactional_bit_is_left_for_the_engine_to_refuse() {
    let produced = check_produced(with(JAVA_NONE, &[(22, &[TRANSACTIONAL_BIT as u8])]), 1_000).unwrap();
    assert!(produced.header().transactional);
}

#[test]
fn a_header_key_that_is_not_utf8_is_shown_with_the_replacement_character() {
    let message = Message { headers: vec![Header { key: "xy".into(), value: Some("v".into()) }], ..Message::default() };
    let built = build(&[message], TimestampMs(1), Compression::None, None).unwrap();
    let at = built.bytes().windows(2).position(|pair| pair == b"xy").unwrap();
    let mut bytes = built.bytes().to_vec();
    bytes[at] = 0xff;
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
    assert!(check_produced(bytes.clone().into(), 1_000).is_ok(), "Kafka takes it as well");
    let read = records(&check_stored(bytes.into()).unwrap()).unwrap();
    assert_eq!(read[0].headers[0].key, "\u{fffd}y");
}
