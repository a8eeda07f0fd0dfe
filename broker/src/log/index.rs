//! The offset index of a segment: where in the `.log` an offset is to be looked for. Kafka's `OffsetIndex`: entries of
//! 8 bytes, big-endian: the last offset of a batch relative to the segment's base (i32) and the batch's position
//! (i32), one about every `index.interval.bytes`. Only real entries are on disk, never room for later ones.

use std::io;

use super::io::DiskFile;
use crate::ids::Offset;

/// Bytes of an entry.
pub(super) const ENTRY_BYTES: usize = 8;

/// The batch that ends with `relative` begins at `position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    /// Last offset of the batch less the segment's base.
    pub relative: u32,
    /// Byte of the `.log` at which the batch begins.
    pub position: u32,
}

impl IndexEntry {
    /// As on disk.
    #[must_use]
    pub(super) fn encode(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..4].copy_from_slice(&self.relative.to_be_bytes());
        bytes[4..].copy_from_slice(&self.position.to_be_bytes());
        bytes
    }

    /// From disk.
    #[must_use]
    pub(super) fn decode(bytes: [u8; ENTRY_BYTES]) -> IndexEntry {
        let [a, b, c, d, e, f, g, h] = bytes;
        IndexEntry { relative: u32::from_be_bytes([a, b, c, d]), position: u32::from_be_bytes([e, f, g, h]) }
    }
}

/// `offset` relative to `base`, as indexes keep it; `None` when it does not fit an i32 (the segment must roll).
#[must_use]
pub(super) fn relative(base: Offset, offset: Offset) -> Option<u32> {
    let distance = offset.0.checked_sub(base.0)?;
    i32::try_from(distance).ok().and_then(|distance| u32::try_from(distance).ok())
}

/// The last of `entries` at or below `wanted`, of `count` entries that `entry` fetches: one search for memory and file.
pub(super) fn floor_by<E>(
    count: usize,
    entry: impl Fn(usize) -> io::Result<E>,
    at_or_below: impl Fn(&E) -> bool,
) -> io::Result<Option<E>> {
    let (mut low, mut high) = (0, count);
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let candidate = entry(middle)?;
        if at_or_below(&candidate) {
            found = Some(candidate);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(found)
}

/// Entry `at` of an index file.
pub(super) fn read_entry<const N: usize>(file: &dyn DiskFile, at: usize) -> io::Result<[u8; N]> {
    let mut bytes = Vec::with_capacity(N);
    file.read_at(&mut bytes, N, (at * N) as u64)?;
    bytes.try_into().map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "the index is shorter than it was"))
}

/// Every entry of an index file's bytes; `None` when they are not whole entries.
pub(super) fn decode_all(bytes: &[u8]) -> Option<Vec<IndexEntry>> {
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
        let floor = |wanted| floor_by(offsets.len(), |at| Ok(offsets[at]), |entry| *entry <= wanted).unwrap();
        assert_eq!([floor(2), floor(3), floor(8), floor(100)], [None, Some(3), Some(7), Some(9)]);
    }

    #[test]
    fn an_offset_too_far_from_the_base_has_no_relative_form() {
        assert_eq!(relative(Offset(10), Offset(10 + i64::from(i32::MAX))), Some(i32::MAX as u32));
        assert_eq!(relative(Offset(10), Offset(11 + i64::from(i32::MAX))), None);
        assert_eq!(relative(Offset(10), Offset(9)), None);
    }
}
