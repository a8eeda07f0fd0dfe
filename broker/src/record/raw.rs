//! Batches as they stand, valid or not: every number of the header, and the records without a checksum asked for. Only
//! for tools that show damaged files; what the broker serves comes from `check_stored`. Numbers wrap as Java's do.

use bytes::{Buf, Bytes};

use super::compression::Compression;
use super::error::{RecordError, corrupt};
use super::parse;
use crate::limits::BATCH_HEADER_BYTES;

/// "None" where the format has a number.
const NONE: i32 = -1;

/// The 61 bytes of a header, read and not judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawHeader {
    /// What the offsets of the records count from.
    pub(crate) base_offset: i64,
    /// Bytes after this field.
    pub(crate) length: i32,
    /// The term it was appended in.
    pub(crate) leader_epoch: i32,
    /// 2, or damage.
    pub(crate) magic: i8,
    /// CRC-32C of what follows it.
    pub(crate) crc: u32,
    /// Codec, timestamp type, transactional, control, delete horizon.
    pub(crate) attributes: u16,
    /// Last offset less the base offset.
    pub(crate) last_offset_delta: i32,
    /// What the timestamps of the records count from, or the delete horizon.
    pub(crate) base_timestamp: i64,
    /// The largest timestamp, or the append time.
    pub(crate) max_timestamp: i64,
    /// -1: no idempotent producer.
    pub(crate) producer_id: i64,
    /// The producer's incarnation.
    pub(crate) producer_epoch: i16,
    /// Sequence of the first record, -1 for none.
    pub(crate) base_sequence: i32,
    /// How many records it says it has.
    pub(crate) count: i32,
}

/// One record of a batch that nobody vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Base offset and delta.
    pub offset: i64,
    /// As a consumer would see it.
    pub(crate) timestamp: i64,
    /// -1 without a producer.
    pub(crate) sequence: i32,
    /// `None` for a record without a key.
    pub(crate) key: Option<Bytes>,
    /// `None` for a tombstone.
    pub(crate) value: Option<Bytes>,
    /// The keys of the headers, in order.
    pub(crate) header_keys: Vec<Bytes>,
}

impl RawHeader {
    /// The numbers of a header.
    #[must_use]
    pub fn read(bytes: &[u8; BATCH_HEADER_BYTES]) -> RawHeader {
        let mut head = &bytes[..];
        RawHeader {
            base_offset: head.get_i64(),
            length: head.get_i32(),
            leader_epoch: head.get_i32(),
            magic: head.get_i8(),
            crc: head.get_u32(),
            attributes: head.get_u16(),
            last_offset_delta: head.get_i32(),
            base_timestamp: head.get_i64(),
            max_timestamp: head.get_i64(),
            producer_id: head.get_i64(),
            producer_epoch: head.get_i16(),
            base_sequence: head.get_i32(),
            count: head.get_i32(),
        }
    }

    /// The offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    /// The sequence of the last record, -1 for none.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NONE { NONE } else { sequence_after(self.base_sequence, self.last_offset_delta) }
    }

    /// `true` when the max timestamp is every record's.
    #[must_use]
    pub(crate) fn log_append_time(&self) -> bool {
        self.attributes & 0x08 != 0
    }

    /// Part of a transaction.
    #[must_use]
    pub(crate) fn transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    /// Markers, not messages.
    #[must_use]
    pub(crate) fn control(&self) -> bool {
        self.attributes & 0x20 != 0
    }

    /// When compaction may remove its tombstones, in ms, if that has been set.
    #[must_use]
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & 0x40 != 0).then_some(self.base_timestamp)
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// `Compression` when there is no such codec.
    pub(crate) fn compression(&self) -> Result<Compression, RecordError> {
        Compression::from_attributes(self.attributes)
    }

    /// The records in `body`, which is what follows the header; opened now (bounded), read one by one.
    ///
    /// # Errors
    /// `Compression` when they cannot be opened, `Corrupt` for a negative count.
    pub fn records(&self, body: &Bytes) -> Result<RawRecords, RecordError> {
        if self.count < 0 {
            return Err(corrupt(format!("it counts {} records", self.count)));
        }
        let body = if self.count == 0 { Bytes::new() } else { self.compression()?.open(body)? };
        Ok(RawRecords { header: self.clone(), body, at: 0, read: 0 })
    }
}

/// The records of an opened batch. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RawRecords {
    header: RawHeader,
    body: Bytes,
    at: usize,
    read: i32,
}

impl RawRecords {
    fn step(&mut self) -> Result<RawRecord, RecordError> {
        let (header, at) = (&self.header, self.at);
        let bad = |what: String| corrupt(format!("record {} of it: {what}", self.read));
        let record = parse::parse(&self.body, at).map_err(|error| bad(error.to_string()))?;
        // Kafka holds the last record back as well when something follows it.
        if self.read == header.count - 1 && record.end != self.body.len() {
            return Err(bad(format!("{} bytes follow the last record", self.body.len() - record.end)));
        }
        let mut header_keys = Vec::new();
        let mut headers_at = record.headers_at;
        for _ in 0..record.header_count {
            let (key, _) =
                parse::header(&self.body[..record.end], &mut headers_at).map_err(|error| bad(error.to_string()))?;
            header_keys.push(self.body.slice(key));
        }
        self.at = record.end;
        self.read += 1;
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        let has_sequence = header.base_sequence >= 0;
        Ok(RawRecord {
            offset: header.base_offset.wrapping_add(i64::from(record.offset_delta)),
            timestamp: if header.log_append_time() { header.max_timestamp } else { timestamp },
            sequence: if has_sequence { sequence_after(header.base_sequence, record.offset_delta) } else { NONE },
            key: record.key.map(|key| self.body.slice(key)),
            value: record.value.map(|value| self.body.slice(value)),
            header_keys,
        })
    }
}

impl Iterator for RawRecords {
    type Item = Result<RawRecord, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read >= self.header.count {
            return None;
        }
        let record = self.step();
        if record.is_err() {
            self.read = self.header.count;
        }
        Some(record)
    }
}

/// Kafka's `DefaultRecordBatch.incrementSequence`: after the largest number comes 0.
fn sequence_after(sequence: i32, increment: i32) -> i32 {
    if sequence > i32::MAX.wrapping_sub(increment) {
        return increment.wrapping_sub(i32::MAX.wrapping_sub(sequence)).wrapping_sub(1);
    }
    sequence.wrapping_add(increment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TimestampMs;
    use crate::record::{Message, build};

    #[test]
    fn sequences_wrap_as_kafkas_do() {
        assert_eq!(sequence_after(5, 3), 8);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
    }

    #[test]
    fn a_batch_with_a_wrong_checksum_still_shows_its_records() {
        let message = |value: &'static str| Message {
            key: None,
            value: Some(Bytes::from_static(value.as_bytes())),
            ..Message::default()
        };
        let batch = build(&[message("a"), message("b")], TimestampMs(5), Compression::None, None).unwrap();
        let mut bytes = batch.bytes().to_vec();
        bytes[17] ^= 1;
        let head: [u8; BATCH_HEADER_BYTES] = bytes[..BATCH_HEADER_BYTES].try_into().unwrap();
        let header = RawHeader::read(&head);
        assert_eq!((header.magic, header.count, header.last_offset()), (2, 2, 1));
        let body = Bytes::copy_from_slice(&bytes[BATCH_HEADER_BYTES..]);
        let values: Vec<Bytes> = header.records(&body).unwrap().map(|record| record.unwrap().value.unwrap()).collect();
        assert_eq!(values, ["a", "b"]);
        // A byte behind the last record: the one before it is shown, the last is not.
        let longer = Bytes::from([&body[..], &[0]].concat());
        let found: Vec<bool> = header.records(&longer).unwrap().map(|record| record.is_ok()).collect();
        assert_eq!(found, [true, false]);
    }
}
