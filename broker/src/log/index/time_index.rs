//! The time index of a segment: from which offset on timestamps may reach a time. Kafka's `TimeIndex`: entries of 12
//! bytes, big-endian: the largest timestamp so far (i64) and the last offset of the batch that has it, relative to the
//! segment's base (i32). Timestamps and offsets both rise strictly. The last entry of a sealed segment is its largest.

use crate::ids::{Offset, TimestampMs};

/// Bytes of an entry.
pub(in crate::log) const ENTRY_BYTES: usize = 12;

/// Up to `relative` no timestamp is larger than `timestamp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct TimeEntry {
    /// The largest so far.
    pub(crate) timestamp: TimestampMs,
    /// Last offset of the batch with that timestamp, less the segment's base.
    pub(crate) relative: u32,
}

impl TimeEntry {
    /// As on disk.
    #[must_use]
    pub(in crate::log) fn encode(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.timestamp.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.relative.to_be_bytes());
        bytes
    }

    /// From disk.
    #[must_use]
    pub(in crate::log) fn decode(bytes: [u8; ENTRY_BYTES]) -> TimeEntry {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        TimeEntry {
            timestamp: TimestampMs(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
            relative: u32::from_be_bytes([i, j, k, l]),
        }
    }

    /// With the offset that it means in the segment that begins at `base`.
    pub(in crate::log) fn absolute(self, base: Offset) -> Newest {
        Newest { timestamp: self.timestamp, last_offset: Offset(base.0.saturating_add(i64::from(self.relative))) }
    }
}

/// The largest timestamp of a stretch of log and the last offset of the first batch that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct Newest {
    /// The timestamp.
    pub(crate) timestamp: TimestampMs,
    /// The batch's last offset.
    pub(crate) last_offset: Offset,
}

impl Newest {
    /// The larger one; the earlier one of equals. Negative timestamps (none given) do not count.
    #[must_use]
    pub(in crate::log) fn or(current: Option<Newest>, timestamp: TimestampMs, last_offset: Offset) -> Option<Newest> {
        let floor = current.map_or(TimestampMs(-1), |newest| newest.timestamp);
        if timestamp > floor { Some(Newest { timestamp, last_offset }) } else { current }
    }
}

/// Every entry of a time index file's bytes; `None` when they are not whole entries.
pub(in crate::log) fn decode_all(bytes: &[u8]) -> Option<Vec<TimeEntry>> {
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    rest.is_empty().then(|| entries.iter().map(|entry| TimeEntry::decode(*entry)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_timestamp_and_an_offset() {
        let entry = TimeEntry { timestamp: TimestampMs(0x0102_0304_0506_0708), relative: 0x090a_0b0c };
        assert_eq!(entry.encode(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(decode_all(&entry.encode()), Some(vec![entry]));
        assert_eq!(decode_all(&[0; 13]), None);
    }

    #[test]
    fn the_first_of_equal_timestamps_is_the_newest() {
        let first = Newest::or(None, TimestampMs(5), Offset(1));
        assert_eq!(Newest::or(first, TimestampMs(5), Offset(2)), first);
        assert_eq!(Newest::or(None, TimestampMs(-1), Offset(2)), None);
        assert_eq!(Newest::or(first, TimestampMs(6), Offset(2)).map(|newest| newest.last_offset), Some(Offset(2)));
    }
}
