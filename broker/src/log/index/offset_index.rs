//! The offset index of a segment: where in the `.log` an offset is to be looked for. Kafka's `OffsetIndex`: entries of
//! 8 bytes, big-endian: the last offset of a batch relative to the segment's base (i32) and the batch's position
//! (i32), one about every `index.interval.bytes`. Only real entries are on disk, never room for later ones.

use crate::ids::Offset;

/// Bytes of an entry.
pub(in crate::log) const ENTRY_BYTES: usize = 8;

/// The batch that ends with `relative` begins at `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct IndexEntry {
    /// Last offset of the batch less the segment's base.
    pub(crate) relative: u32,
    /// Byte of the `.log` at which the batch begins.
    pub(crate) position: u32,
}

impl IndexEntry {
    /// As on disk.
    #[must_use]
    pub(in crate::log) fn encode(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..4].copy_from_slice(&self.relative.to_be_bytes());
        bytes[4..].copy_from_slice(&self.position.to_be_bytes());
        bytes
    }

    /// From disk.
    #[must_use]
    pub(in crate::log) fn decode(bytes: [u8; ENTRY_BYTES]) -> IndexEntry {
        let [a, b, c, d, e, f, g, h] = bytes;
        IndexEntry { relative: u32::from_be_bytes([a, b, c, d]), position: u32::from_be_bytes([e, f, g, h]) }
    }
}

/// `offset` relative to `base`, as indexes keep it; `None` when it does not fit an i32 (the segment must roll).
#[must_use]
pub(in crate::log) fn relative(base: Offset, offset: Offset) -> Option<u32> {
    let distance = offset.0.checked_sub(base.0)?;
    i32::try_from(distance).ok().and_then(|distance| u32::try_from(distance).ok())
}

/// The last of `entries` at or below what is wanted, as `read` gives it: one search for what is in memory and for bytes of a file.
pub(in crate::log) fn floor_by<S, E>(
    entries: &[S],
    read: impl Fn(&S) -> E,
    at_or_below: impl Fn(&E) -> bool,
) -> Option<E> {
    let above = entries.partition_point(|entry| at_or_below(&read(entry)));
    entries[..above].last().map(read)
}

/// Every entry of an index file's bytes; `None` when they are not whole entries.
pub(in crate::log) fn decode_all(bytes: &[u8]) -> Option<Vec<IndexEntry>> {
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    rest.is_empty().then(|| entries.iter().map(|entry| IndexEntry::decode(*entry)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_two_big_endian_numbers() {
        let entry = IndexEntry { relative: 0x0102_0304, position: 0x0506_0708 };
        assert_eq!(entry.encode(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(decode_all(&entry.encode()), Some(vec![entry]));
        assert_eq!(decode_all(&[0; 9]), None);
    }

    #[test]
    fn the_last_entry_at_or_below_is_found() {
        let offsets = [3u32, 7, 9];
        let floor = |wanted| floor_by(&offsets, |entry| *entry, |entry| *entry <= wanted);
        assert_eq!([floor(2), floor(3), floor(8), floor(100)], [None, Some(3), Some(7), Some(9)]);
    }

    #[test]
    fn an_offset_too_far_from_the_base_has_no_relative_form() {
        assert_eq!(relative(Offset(10), Offset(10 + i64::from(i32::MAX))), Some(i32::MAX as u32));
        assert_eq!(relative(Offset(10), Offset(11 + i64::from(i32::MAX))), None);
        assert_eq!(relative(Offset(10), Offset(9)), None);
    }
}
