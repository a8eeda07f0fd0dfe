//! Build, check, read back: whatever the messages, whatever the compression; and no mutated byte makes anything panic.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use crate::record::{Header, check_produced, check_stored, records};

fn bytes() -> impl Strategy<Value = Option<Bytes>> {
    prop_oneof![
        Just(None),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|bytes| Some(bytes.into())),
        (any::<u8>(), 0..3_000usize).prop_map(|(byte, count)| Some(vec![byte; count].into())),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let header = (".{0,12}", bytes()).prop_map(|(key, value)| Header { key, value });
    let timestamp = prop::option::of((0..=i64::MAX).prop_map(TimestampMs));
    (bytes(), bytes(), prop::collection::vec(header, 0..4), timestamp)
        .prop_map(|(key, value, headers, timestamp)| Message { key, value, headers, timestamp })
}

fn codec() -> impl Strategy<Value = Compression> {
    use Compression::{Gzip, Lz4, None, Snappy, Zstd};
    prop::sample::select(vec![None, Gzip, Snappy, Lz4, Zstd])
}

/// Writes a produced batch as a log does and reads it back.
fn stored(batch: ProducedBatch, base: Offset) -> Bytes {
    let stamped = batch.stamp(base, LeaderEpoch(3), None);
    [&stamped.head[..], &stamped.body[..]].concat().into()
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(messages in prop::collection::vec(message(), 1..30), codec in codec(), base in 0..1i64 << 50) {
        let now = TimestampMs(1_700_000_000_000);
        let producer = ProducerStamp { id: ProducerId(9), epoch: ProducerEpoch(0), first: Sequence(i32::MAX) };
        let batch = build(&messages, now, codec, Some(producer)).unwrap();
        let checked = check_produced(batch.bytes().clone(), usize::MAX).unwrap();
        checked.check_records().unwrap();
        prop_assert_eq!(batch.header(), checked.header());
        prop_assert_eq!(batch.header().producer, Some(producer));
        let times = messages.iter().map(|message| message.timestamp.unwrap_or(now));
        prop_assert_eq!(Some(batch.header().max_timestamp), times.max());
        let read = records(&check_stored(stored(batch, Offset(base))).unwrap()).unwrap();
        prop_assert_eq!(read.len(), messages.len());
        for (index, (record, message)) in read.into_iter().zip(&messages).enumerate() {
            prop_assert_eq!(record.offset, Offset(base + index as i64));
            prop_assert_eq!(record.timestamp, message.timestamp.unwrap_or(now));
            prop_assert_eq!((&record.key, &record.value, &record.headers), (&message.key, &message.value, &message.headers));
        }
    }

    /// With the CRC made right again: what is behind it must hold by itself.
    #[test]
    fn no_mutated_byte_makes_a_check_or_a_read_panic(
        messages in prop::collection::vec(message(), 1..6),
        codec in codec(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        mend in any::<bool>(),
    ) {
        let batch = build(&messages, TimestampMs(0), codec, None).unwrap();
        let mut bytes = batch.bytes().to_vec();
        for (at, byte) in mutations {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if mend {
            let crc = crc32c::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let changed = bytes[21..] != batch.bytes()[21..];
        let bytes = Bytes::from(bytes);
        let produced = check_produced(bytes.clone(), usize::MAX);
        if changed && !mend {
            prop_assert!(produced.is_err(), "the CRC catches it");
        }
        if let Ok(produced) = produced {
            let opened = produced.check_records();
            let written = check_stored(stored(produced, Offset(0))).unwrap();
            if opened.is_ok() {
                prop_assert_eq!(records(&written).unwrap().len(), written.header().record_count as usize);
            }
        }
        if let Ok(stored) = check_stored(bytes) {
            drop(records(&stored));
        }
    }
}

#[test]
fn a_batch_has_at_least_one_message_and_no_time_before_1970() {
    let refused = |messages: &[Message]| build(messages, TimestampMs(5), Compression::None, None).unwrap_err();
    assert!(matches!(refused(&[]), RecordError::Invalid { .. }));
    let early = Message { timestamp: Some(TimestampMs(-1)), ..Message::default() };
    assert!(matches!(refused(&[early]), RecordError::Invalid { .. }));
}

#[test]
fn a_message_without_a_timestamp_has_the_time_of_the_append() {
    let batch = build(&[Message::default()], TimestampMs(77), Compression::None, None).unwrap();
    assert_eq!(batch.header().base_timestamp, TimestampMs(77));
    assert_eq!(batch.iter().unwrap().next().unwrap().unwrap().timestamp, TimestampMs(77));
}

#[test]
fn the_bound_of_a_message_is_no_smaller_than_its_record_and_hardly_larger() {
    for bytes in [0, 1, 63, 64, 8_191, 8_192, 100_000] {
        let blob: Option<Bytes> = Some(vec![b'x'; bytes].into());
        let headers = vec![Header { key: "h".repeat(bytes), value: None }];
        let message = Message { key: blob.clone(), value: blob, headers, timestamp: None };
        let bound = size_bound(&message).unwrap();
        let batch = build(&[message], TimestampMs(0), Compression::None, None).unwrap();
        let size = batch.header().size - BATCH_HEADER_BYTES;
        assert!(size <= bound && bound <= size + 16, "{size} {bound}");
    }
}
