//! What compaction leaves of a batch: the records that are kept, byte for byte, at their offsets; base offset, last
//! offset delta, producer and epoch stay as they were (log contract, rule 4). A batch whose tombstones are kept for the
//! first time gets its delete horizon: the base timestamp then says when they may go (KIP-534). Source: Kafka's
//! `MemoryRecords.filterTo`.

use bytes::Bytes;

use super::batch::StoredBatch;
use super::compression::{Closer, Levels};
use super::error::{RecordError, corrupt};
use super::header::{
    ATTRIBUTES_AT, CODEC_MASK, CRC_AT, DELETE_HORIZON_BIT, LENGTH_AT, MAX_TIMESTAMP_AT, TimestampType,
};
use super::records::Walk;
use super::stream::{Bounds, Fault, Means, Shape, Stop, Unopened};
use crate::ids::{Offset, TimestampMs};
use crate::limits::BATCH_HEADER_BYTES;
use crate::varint;

const BASE_TIMESTAMP_AT: usize = 27;
const COUNT_AT: usize = 57;
/// The longest varint of 64 bits.
const TIMESTAMP_BYTES_MAX: usize = 10;
/// Base timestamp of a batch without records (Kafka's `NO_TIMESTAMP`).
const NO_TIMESTAMP: i64 = -1;

/// A record, as far as compaction looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keyed<'a> {
    /// Its place in the partition.
    pub(crate) offset: Offset,
    /// `None` for a record without a key.
    pub(crate) key: Option<&'a [u8]>,
    /// It has no value.
    pub(crate) tombstone: bool,
}

/// What is left of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Filtered {
    /// All of it, as it is.
    Same,
    /// These bytes in its place.
    Other(Bytes),
    /// No record.
    Nothing,
}

/// What is known of a batch once its records have been asked for.
struct Kept {
    /// One bit a record.
    bits: Vec<u8>,
    count: i32,
    /// Bytes of what is kept.
    bytes: usize,
    tombstones: bool,
    newest: i64,
}

impl StoredBatch {
    /// Shows every record's key, in order. What the bytes hold beyond that is not looked at.
    ///
    /// # Errors
    /// `Compression` or `Corrupt` when the records cannot be opened.
    pub(crate) fn keys(&self, mut see: impl FnMut(Keyed<'_>)) -> Result<(), RecordError> {
        self.each_key(|keyed, _, _| see(keyed))
    }

    /// Keeps what `keep` says. Tombstones that are kept in a batch without a delete horizon get this one. Opens the records
    /// twice, to decide and to copy: neither holds them.
    ///
    /// # Errors
    /// As `keys`; `Compression` also when what is left cannot be compressed again.
    pub(crate) fn filtered(
        &self,
        horizon: TimestampMs,
        mut keep: impl FnMut(Keyed<'_>) -> bool,
    ) -> Result<Filtered, RecordError> {
        let header = self.header();
        let mut kept = Kept { bits: Vec::new(), count: 0, bytes: 0, tombstones: false, newest: i64::MIN };
        let mut index = 0;
        self.each_key(|keyed, shape, time| {
            if index % 8 == 0 {
                kept.bits.push(0);
            }
            if keep(keyed) {
                kept.bits[index / 8] |= 1 << (index % 8);
                kept.count += 1;
                kept.bytes += shape.size;
                kept.tombstones |= keyed.tombstone;
                kept.newest = kept.newest.max(time);
            }
            index += 1;
        })?;
        let new_horizon = (kept.tombstones && !header.delete_horizon).then_some(horizon.0);
        if kept.count == header.record_count && new_horizon.is_none() {
            return Ok(if kept.count == 0 { Filtered::Nothing } else { Filtered::Same });
        }
        if kept.count == 0 {
            return Ok(Filtered::Nothing);
        }
        let base = new_horizon.unwrap_or(header.base_timestamp.0);
        let newest = match header.timestamp_type {
            TimestampType::CreateTime => kept.newest,
            TimestampType::LogAppendTime => header.max_timestamp.0,
        };
        let records = Means::unlimited(|means| self.copied(&kept, base, means)).map_err(Stop::into_record)?;
        let horizon = new_horizon.is_some() || header.delete_horizon;
        self.rebuilt(&records, kept.count, base, newest, horizon).map(Filtered::Other)
    }

    /// The kept records in the batch's compression, their timestamps counted from `base`.
    fn copied(&self, kept: &Kept, base: i64, means: &mut Means<'_>) -> Result<Vec<u8>, Stop> {
        let (header, mut stream) = Unopened::from(self).open(Bounds::default())?;
        let moved = base != header.base_timestamp.0;
        // Where timestamps change, so do the sizes: nobody knows them before.
        let size = if moved { None } else { Some(kept.bytes) };
        let mut closer = Closer::new(header.compression, Levels::default(), size, (Vec::new(), i32::MAX as usize))?;
        for index in 0..usize::try_from(header.record_count).unwrap_or(0) {
            let (length, prefix) = stream.length(means).map_err(changed)?;
            let size = length.saturating_add(prefix);
            let keep = kept.bits.get(index / 8).is_some_and(|bits| bits & (1 << (index % 8)) != 0);
            let mut left = size;
            if keep && moved {
                // Attributes, and the longest delta; short records have less.
                stream.fill(size.min(prefix + 1 + TIMESTAMP_BYTES_MAX), means)?;
                let mut head = Vec::with_capacity(24);
                let read = copy_head(&mut head, stream.rest(), length, header.base_timestamp.0, base);
                let read = read.ok_or_else(cut_short)?;
                closer.write(&head)?;
                stream.pass(read);
                left = size.saturating_sub(read);
            }
            let whole = stream.each_piece(left, means, |piece| if keep { Ok(closer.write(piece)?) } else { Ok(()) });
            if !whole? {
                return Err(cut_short().into());
            }
        }
        Ok(closer.finish()?)
    }

    /// The batch without a record: offsets, producer and sequence are still known by it.
    ///
    /// # Errors
    /// None that a whole batch can have.
    pub(crate) fn emptied(&self) -> Result<Bytes, RecordError> {
        // No largest timestamp either: look-ups by time would find a batch without records.
        self.rebuilt(&[], 0, NO_TIMESTAMP, NO_TIMESTAMP, false)
    }

    /// Shows each record with its timestamp.
    fn each_key(&self, mut see: impl FnMut(Keyed<'_>, &Shape, i64)) -> Result<(), RecordError> {
        let header = self.header();
        let mut walk = Walk::open(self.into(), Bounds::default())?;
        let mut each = |means: &mut Means<'_>| -> Result<(), Stop> {
            while let Some((record, key)) = walk.next_keyed(means, corrupt)? {
                if !(0..=header.last_offset_delta).contains(&record.offset_delta) {
                    return Err(corrupt(format!("the offset delta of a record is {}", record.offset_delta)).into());
                }
                let offset = Offset(header.base_offset.0 + i64::from(record.offset_delta));
                let keyed = Keyed { offset, key, tombstone: record.tombstone };
                see(keyed, &record, header.base_timestamp.0.saturating_add(record.timestamp_delta));
            }
            Ok(())
        };
        Means::unlimited(|means| each(means)).map_err(Stop::into_record)
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

/// Writes what comes before the offset delta of a record, with the timestamp delta that the other base asks for. Returns the
/// bytes that stood there. Offset delta, key, value and headers are bytes.
fn copy_head(out: &mut Vec<u8>, record: &[u8], length: usize, before: i64, after: i64) -> Option<usize> {
    let mut at = 0;
    varint::read_i32(record, &mut at)?;
    let attributes = *record.get(at)?;
    at += 1;
    let begin = at;
    let delta = varint::read_i64(record, &mut at)?;
    let moved = before.saturating_add(delta).saturating_sub(after);
    let length = length.checked_sub(at - begin)? + varint::size(moved);
    varint::write(out, i64::try_from(length).ok()?);
    out.push(attributes);
    varint::write(out, moved);
    Some(at)
}

fn changed(_: Fault) -> Stop {
    cut_short().into()
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
