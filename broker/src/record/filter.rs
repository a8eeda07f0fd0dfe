//! What compaction leaves of a batch: the records that are kept, byte for byte, at their offsets; base offset, last
//! offset delta, producer and epoch stay as they were (log contract, rule 4). A batch whose tombstones are kept for the
//! first time gets its delete horizon: the base timestamp then says when they may go (KIP-534). Source: Kafka's
//! `MemoryRecords.filterTo`.

use bytes::Bytes;

use super::batch::StoredBatch;
use super::error::RecordError;
use super::header::{
    ATTRIBUTES_AT, CODEC_MASK, CRC_AT, DELETE_HORIZON_BIT, LENGTH_AT, MAX_TIMESTAMP_AT, TimestampType,
};
use super::records;
use crate::ids::{Offset, TimestampMs};
use crate::limits::BATCH_HEADER_BYTES;
use crate::varint;

const BASE_TIMESTAMP_AT: usize = 27;
const COUNT_AT: usize = 57;
/// Base timestamp of a batch without records (Kafka's `NO_TIMESTAMP`).
const NO_TIMESTAMP: i64 = -1;

/// A record, as far as compaction looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Keyed<'a> {
    /// Its place in the partition.
    pub offset: Offset,
    /// `None` for a record without a key.
    pub key: Option<&'a [u8]>,
    /// It has no value.
    pub tombstone: bool,
}

/// What is left of a batch.
#[derive(Clone, Debug)]
pub enum Filtered {
    /// All of it, as it is.
    Same,
    /// These bytes in its place.
    Other(Bytes),
    /// No record.
    Nothing,
}

impl StoredBatch {
    /// Shows every record's key, in order. What the bytes hold beyond that is not looked at.
    ///
    /// # Errors
    /// `Compression` or `Corrupt` when the records cannot be opened.
    pub fn keys(&self, mut see: impl FnMut(Keyed<'_>)) -> Result<(), RecordError> {
        self.walk(|keyed, _, _| see(keyed)).map(drop)
    }

    /// Keeps what `keep` says. Tombstones that are kept in a batch without a delete horizon get this one.
    ///
    /// # Errors
    /// As `keys`; `Compression` also when what is left cannot be compressed again.
    pub(crate) fn filtered(
        &self,
        horizon: TimestampMs,
        mut keep: impl FnMut(Keyed<'_>) -> bool,
    ) -> Result<Filtered, RecordError> {
        let header = self.header();
        let mut kept = Vec::new();
        let (mut count, mut tombstones) = (0i32, false);
        let mut newest = i64::MIN;
        let body = self.walk(|keyed, at, time| {
            if keep(keyed) {
                count += 1;
                tombstones |= keyed.tombstone;
                newest = newest.max(time);
                kept.push(at);
            }
        })?;
        let new_horizon = (tombstones && !header.delete_horizon).then_some(horizon.0);
        if count == header.record_count && new_horizon.is_none() {
            return Ok(if count == 0 { Filtered::Nothing } else { Filtered::Same });
        }
        if count == 0 {
            return Ok(Filtered::Nothing);
        }
        let base = new_horizon.unwrap_or(header.base_timestamp.0);
        let mut records = Vec::with_capacity(body.len());
        for (start, end) in kept {
            copy_record(&mut records, &body[start..end], header.base_timestamp.0, base).ok_or_else(cut_short)?;
        }
        let newest = match header.timestamp_type {
            TimestampType::CreateTime => newest,
            TimestampType::LogAppendTime => header.max_timestamp.0,
        };
        let records = header.compression.close(&records)?;
        self.rebuilt(&records, count, base, newest, new_horizon.is_some() || header.delete_horizon).map(Filtered::Other)
    }

    /// The batch without a record: offsets, producer and sequence are still known by it.
    ///
    /// # Errors
    /// None that a whole batch can have.
    pub(crate) fn emptied(&self) -> Result<Bytes, RecordError> {
        // No largest timestamp either: look-ups by time would find a batch without records.
        self.rebuilt(&[], 0, NO_TIMESTAMP, NO_TIMESTAMP, false)
    }

    /// Shows each record, where it is in the opened records, and its timestamp; returns those.
    fn walk(&self, mut see: impl FnMut(Keyed<'_>, (usize, usize), i64)) -> Result<Bytes, RecordError> {
        let header = self.header();
        let body = header.compression.open(&self.bytes().slice(BATCH_HEADER_BYTES..))?;
        let mut at = 0;
        for index in 0..header.record_count {
            let corrupt = |what: String| RecordError::Corrupt { reason: format!("record {index}: {what}") };
            let record = records::parse(&body, at).map_err(|bad| corrupt(bad.to_string()))?;
            if !(0..=header.last_offset_delta).contains(&record.offset_delta) {
                return Err(corrupt(format!("its offset delta is {}", record.offset_delta)));
            }
            let keyed = Keyed {
                offset: Offset(header.base_offset.0 + i64::from(record.offset_delta)),
                key: record.key.clone().map(|key| &body[key]),
                tombstone: record.value.is_none(),
            };
            see(keyed, (at, record.end), header.base_timestamp.0.saturating_add(record.timestamp_delta));
            at = record.end;
        }
        Ok(body)
    }

    /// This batch's header over other records.
    fn rebuilt(&self, records: &[u8], count: i32, base: i64, newest: i64, horizon: bool) -> Result<Bytes, RecordError> {
        let mut batch = Vec::with_capacity(BATCH_HEADER_BYTES + records.len());
        batch.extend_from_slice(&self.bytes()[..BATCH_HEADER_BYTES]);
        batch.extend_from_slice(records);
        let length = i32::try_from(batch.len() - (LENGTH_AT + 4))
            .map_err(|_| RecordError::TooLarge { size: batch.len(), limit: i32::MAX as usize })?;
        let mut attributes = u16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]) & !DELETE_HORIZON_BIT;
        if count == 0 {
            // No bytes are no frame of any codec.
            attributes &= !CODEC_MASK;
        }
        if horizon {
            attributes |= DELETE_HORIZON_BIT;
        }
        batch[LENGTH_AT..][..4].copy_from_slice(&length.to_be_bytes());
        batch[ATTRIBUTES_AT..][..2].copy_from_slice(&attributes.to_be_bytes());
        batch[BASE_TIMESTAMP_AT..][..8].copy_from_slice(&base.to_be_bytes());
        batch[MAX_TIMESTAMP_AT..][..8].copy_from_slice(&newest.to_be_bytes());
        batch[COUNT_AT..][..4].copy_from_slice(&count.to_be_bytes());
        let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
        batch[CRC_AT..][..4].copy_from_slice(&crc.to_be_bytes());
        Ok(batch.into())
    }
}

/// Copies a record as it is, but for its timestamp delta where the base is another. Keys, values and headers are bytes.
fn copy_record(out: &mut Vec<u8>, record: &[u8], before: i64, after: i64) -> Option<()> {
    if before == after {
        out.extend_from_slice(record);
        return Some(());
    }
    let mut at = 0;
    varint::read_i32(record, &mut at)?;
    let attributes = *record.get(at)?;
    at += 1;
    let delta = varint::read_i64(record, &mut at)?;
    let delta = before.saturating_add(delta).saturating_sub(after);
    let rest = record.get(at..)?;
    varint::write(out, (1 + varint::size(delta) + rest.len()) as i64);
    out.push(attributes);
    varint::write(out, delta);
    out.extend_from_slice(rest);
    Some(())
}

fn cut_short() -> RecordError {
    RecordError::Corrupt { reason: "a record changed while it was looked at".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LeaderEpoch;
    use crate::record::{Compression, Header, Message, build, check_stored, records as open};

    const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn message(key: &str, value: Option<&str>, time: i64) -> Message {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let headers = vec![Header { key: "h".into(), value: Some(bytes("x")) }];
        Message { key: Some(bytes(key)), value: value.map(bytes), headers, timestamp: Some(TimestampMs(time)) }
    }

    fn stored(compression: Compression) -> StoredBatch {
        let messages = [message("a", Some("1"), 900), message("b", None, 1_200), message("c", Some("3"), 1_000)];
        let built = build(&messages, TimestampMs(0), compression, None).unwrap();
        let stamped = built.stamp(Offset(40), LeaderEpoch(3), None);
        check_stored([&stamped.head[..], &stamped.body[..]].concat().into()).unwrap()
    }

    fn other(filtered: Filtered) -> StoredBatch {
        match filtered {
            Filtered::Other(bytes) => check_stored(bytes).unwrap(),
            same => panic!("{same:?}"),
        }
    }

    #[test]
    fn rule_4_what_is_kept_is_unchanged_at_its_offset_and_the_last_offset_stays() {
        for compression in ALL {
            let before = stored(compression);
            let all = open(&before).unwrap();
            let after = other(before.filtered(TimestampMs(9_000), |record| record.offset != Offset(42)).unwrap());
            assert_eq!(open(&after).unwrap(), all[..2], "{compression:?}: with another base timestamp");
            assert_eq!(after.header().last_offset(), Offset(42));
            assert_eq!(after.header().max_timestamp, TimestampMs(1_200));
            assert_eq!(after.header().leader_epoch, LeaderEpoch(3));
            assert!(after.header().delete_horizon);
            assert_eq!(after.header().base_timestamp, TimestampMs(9_000), "KIP-534: when the tombstone may go");
            // The horizon that is there stays.
            let again = after.filtered(TimestampMs(77_000), |_| true).unwrap();
            assert!(matches!(again, Filtered::Same), "{again:?}");
            let later = other(after.filtered(TimestampMs(77_000), |record| record.tombstone).unwrap());
            assert_eq!(open(&later).unwrap(), all[1..2]);
            assert_eq!(later.header().base_timestamp, TimestampMs(9_000));
        }
    }

    #[test]
    fn without_tombstones_there_is_no_horizon_and_nothing_kept_is_nothing() {
        let before = stored(Compression::Zstd);
        let after = other(before.filtered(TimestampMs(9_000), |record| record.offset == Offset(40)).unwrap());
        assert!(!after.header().delete_horizon);
        assert_eq!(after.header().max_timestamp, TimestampMs(900), "of what is left");
        assert!(matches!(before.filtered(TimestampMs(0), |_| false).unwrap(), Filtered::Nothing));
        let empty = check_stored(before.emptied().unwrap()).unwrap();
        assert_eq!((empty.header().record_count, empty.header().last_offset()), (0, Offset(42)));
        assert!(open(&empty).unwrap().is_empty());
        assert!(matches!(empty.filtered(TimestampMs(0), |_| true).unwrap(), Filtered::Nothing));
    }

    #[test]
    fn keys_are_shown_in_order() {
        let mut seen = Vec::new();
        stored(Compression::Snappy).keys(|record| seen.push((record.offset.0, record.tombstone))).unwrap();
        assert_eq!(seen, [(40, false), (41, true), (42, false)]);
    }
}
