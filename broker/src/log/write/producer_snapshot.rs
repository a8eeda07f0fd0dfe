//! Kafka's `.snapshot`: what a partition knows of its idempotent producers, so that a start need not read whole logs.
//! One entry a batch that is remembered, oldest first: Kafka writes the newest only, and a reader of its that meets a
//! producer again keeps the later entry, so it reads ours as its own. Between `producers` and the flusher; pure bytes.
//! Big-endian: version i16 (1), CRC-32C u32 of all that follows, count i32, entries of 46 bytes (`ProducerStateManager`).

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};

/// The version that is written and read.
const VERSION: i16 = 1;
/// Version and CRC, which the CRC does not cover.
const UNCHECKED_BYTES: usize = 6;
/// Version, CRC and count.
const HEADER_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;
/// "None" where the format has a number.
const NONE: i64 = -1;

/// A batch of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotEntry {
    /// The producer.
    pub(crate) producer: ProducerId,
    /// Its epoch.
    pub(crate) epoch: ProducerEpoch,
    /// The last record's sequence; -1 in files of Kafka when only a marker was written.
    pub(crate) last_sequence: Sequence,
    /// The last record's offset.
    pub(crate) last_offset: Offset,
    /// Offset of the last record less that of the first.
    pub(crate) offset_delta: i32,
    /// The time of its last batch.
    pub(crate) timestamp: TimestampMs,
    /// Of the coordinator that ended its last transaction; -1 for none.
    pub(crate) coordinator_epoch: LeaderEpoch,
    /// Where its open transaction begins.
    pub(crate) transaction_from: Option<Offset>,
}

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// Fewer bytes than entries, or bytes left over.
    #[error("a producer snapshot of {len} bytes cannot hold what it says")]
    Length {
        /// Bytes there are.
        len: usize,
    },
    /// Not version 1.
    #[error("a producer snapshot of version {version}; only version {VERSION} is known")]
    Version {
        /// As found.
        version: i16,
    },
    /// The bytes have changed.
    #[error("a producer snapshot is damaged: its checksum is {found:#010x} and should be {stored:#010x}")]
    Checksum {
        /// In the file.
        stored: u32,
        /// Of the bytes.
        found: u32,
    },
}

/// The bytes of the file.
pub(in crate::log) fn encode(entries: &[SnapshotEntry]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + entries.len() * ENTRY_BYTES);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    let count = i32::try_from(entries.len()).unwrap_or(i32::MAX);
    bytes.extend_from_slice(&count.to_be_bytes());
    for entry in &entries[..usize::try_from(count).unwrap_or(0)] {
        bytes.extend_from_slice(&entry.producer.0.to_be_bytes());
        bytes.extend_from_slice(&entry.epoch.0.to_be_bytes());
        bytes.extend_from_slice(&entry.last_sequence.0.to_be_bytes());
        bytes.extend_from_slice(&entry.last_offset.0.to_be_bytes());
        bytes.extend_from_slice(&entry.offset_delta.to_be_bytes());
        bytes.extend_from_slice(&entry.timestamp.0.to_be_bytes());
        bytes.extend_from_slice(&entry.coordinator_epoch.0.to_be_bytes());
        bytes.extend_from_slice(&entry.transaction_from.map_or(NONE, |offset| offset.0).to_be_bytes());
    }
    let crc = crc32c::crc32c(&bytes[UNCHECKED_BYTES..]);
    bytes[2..UNCHECKED_BYTES].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Reads the bytes of a file, Kafka's or ours.
///
/// # Errors
/// `SnapshotError`: no part of the file is used.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<SnapshotEntry>, SnapshotError> {
    let wrong_length = SnapshotError::Length { len: bytes.len() };
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Err(wrong_length) };
    let [v0, v1, c0, c1, c2, c3, n0, n1, n2, n3] = *header;
    let version = i16::from_be_bytes([v0, v1]);
    if version != VERSION {
        return Err(SnapshotError::Version { version });
    }
    let (stored, found) = (u32::from_be_bytes([c0, c1, c2, c3]), crc32c::crc32c(&bytes[UNCHECKED_BYTES..]));
    if stored != found {
        return Err(SnapshotError::Checksum { stored, found });
    }
    let (entries, rest) = body.as_chunks::<ENTRY_BYTES>();
    let count = usize::try_from(i32::from_be_bytes([n0, n1, n2, n3])).ok();
    if count != Some(entries.len()) || !rest.is_empty() {
        return Err(wrong_length);
    }
    Ok(entries.iter().map(entry).collect())
}

fn entry(bytes: &[u8; ENTRY_BYTES]) -> SnapshotEntry {
    let mut at = 0;
    let transaction_from = |offset| (offset != NONE).then_some(Offset(offset));
    SnapshotEntry {
        producer: ProducerId(i64::from_be_bytes(take(bytes, &mut at))),
        epoch: ProducerEpoch(i16::from_be_bytes(take(bytes, &mut at))),
        last_sequence: Sequence(i32::from_be_bytes(take(bytes, &mut at))),
        last_offset: Offset(i64::from_be_bytes(take(bytes, &mut at))),
        offset_delta: i32::from_be_bytes(take(bytes, &mut at)),
        timestamp: TimestampMs(i64::from_be_bytes(take(bytes, &mut at))),
        coordinator_epoch: LeaderEpoch(i32::from_be_bytes(take(bytes, &mut at))),
        transaction_from: transaction_from(i64::from_be_bytes(take(bytes, &mut at))),
    }
}

/// The next `N` bytes; the fields of an entry are `ENTRY_BYTES` together.
fn take<const N: usize>(bytes: &[u8; ENTRY_BYTES], at: &mut usize) -> [u8; N] {
    let mut taken = [0; N];
    taken.copy_from_slice(&bytes[*at..*at + N]);
    *at += N;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry_of(producer: i64) -> SnapshotEntry {
        SnapshotEntry {
            producer: ProducerId(producer),
            epoch: ProducerEpoch(3),
            last_sequence: Sequence(41),
            last_offset: Offset(1 << 40),
            offset_delta: 7,
            timestamp: TimestampMs(1_700_000_000_000),
            coordinator_epoch: LeaderEpoch(-1),
            transaction_from: (producer == 2).then_some(Offset(9)),
        }
    }

    #[test]
    fn entries_are_read_back_and_laid_out_as_kafka_does() {
        let entries = [entry_of(1), entry_of(2)];
        let bytes = encode(&entries);
        assert_eq!(decode(&bytes).unwrap(), entries);
        assert_eq!(bytes.len(), 10 + 2 * 46);
        assert_eq!(bytes[..2], [0, 1]);
        assert_eq!(bytes[6..10], [0, 0, 0, 2]);
        assert_eq!(bytes[10..20], [0, 0, 0, 0, 0, 0, 0, 1, 0, 3], "producer id and epoch come first");
        assert_eq!(bytes[48..56], [0xff; 8], "no open transaction is -1");
        assert_eq!(decode(&encode(&[])).unwrap(), []);
    }

    #[test]
    fn what_is_cut_short_or_changed_is_refused() {
        let bytes = encode(&[entry_of(1)]);
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(decode(&changed).is_err(), "byte {at}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(decode(&longer).is_err());
    }
}
