//! The last offset of each key in a stretch of log, in bounded memory: when it is full, the stretch ends there and the
//! next pass goes on. Keys are kept as they are, not as hashes: no collision can remove a record.

use std::collections::HashMap;

use crate::ids::Offset;

/// What an entry costs beside its key: the slot of the table, the allocation, the offset.
const ENTRY_BYTES: usize = 64;

/// Keys and their last offsets.
#[derive(Debug)]
pub(in crate::log) struct Latest {
    offsets: HashMap<Box<[u8]>, Offset>,
    bytes: usize,
    bytes_max: usize,
    /// Every key below is in here.
    until: Offset,
    full: bool,
}

impl Latest {
    pub(in crate::log) fn new(from: Offset, bytes_max: usize) -> Latest {
        Latest { offsets: HashMap::new(), bytes: 0, bytes_max, until: from, full: false }
    }

    /// Takes note of the next record; one that does not fit any more ends the stretch. The first key is always taken.
    pub(in crate::log) fn see(&mut self, offset: Offset, key: Option<&[u8]>) {
        if self.full || offset < self.until {
            return;
        }
        if let Some(key) = key {
            match self.offsets.get_mut(key) {
                Some(last) => *last = offset,
                None => {
                    let cost = key.len() + ENTRY_BYTES;
                    if !self.offsets.is_empty() && self.bytes + cost > self.bytes_max {
                        self.full = true;
                        return;
                    }
                    self.bytes += cost;
                    self.offsets.insert(key.into(), offset);
                }
            }
        }
        self.until = offset.next();
    }

    /// Offsets up to here had no records that count.
    pub(in crate::log) fn pass(&mut self, until: Offset) {
        if !self.full {
            self.until = self.until.max(until);
        }
    }

    /// Nothing more is taken.
    pub(in crate::log) fn full(&self) -> bool {
        self.full
    }

    /// The end of the stretch.
    pub(in crate::log) fn until(&self) -> Offset {
        self.until
    }

    /// Whether a record has to stay, as far as its key says. One without a key stays only above the stretch.
    pub(in crate::log) fn keeps(&self, offset: Offset, key: Option<&[u8]>) -> bool {
        offset >= self.until || key.is_some_and(|key| self.offsets.get(key).is_none_or(|last| offset >= *last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_key_stays_and_others_do_not() {
        let mut latest = Latest::new(Offset(10), 1_000);
        for (offset, key) in [(10, "a"), (11, "b"), (12, "a")] {
            latest.see(Offset(offset), Some(key.as_bytes()));
        }
        latest.see(Offset(13), None);
        assert_eq!(latest.until(), Offset(14));
        for (offset, key, stays) in [
            (3, Some("a"), false),
            (3, Some("z"), true),
            (10, Some("a"), false),
            (11, Some("b"), true),
            (12, Some("a"), true),
            (13, None, false),
            (14, None, true),
            (14, Some("a"), true),
        ] {
            assert_eq!(latest.keeps(Offset(offset), key.map(str::as_bytes)), stays, "{offset} {key:?}");
        }
    }

    #[test]
    fn a_full_map_ends_its_stretch_and_forgets_nothing_of_it() {
        let mut latest = Latest::new(Offset(0), 2 * (ENTRY_BYTES + 1));
        for (offset, key) in [(0, "a"), (1, "b"), (2, "a"), (3, "c"), (4, "a")] {
            latest.see(Offset(offset), Some(key.as_bytes()));
        }
        assert!(latest.full());
        assert_eq!(latest.until(), Offset(3));
        latest.pass(Offset(5));
        assert_eq!(latest.until(), Offset(3));
        assert!(latest.keeps(Offset(2), Some(b"a")) && !latest.keeps(Offset(0), Some(b"a")));
        assert!(latest.keeps(Offset(3), Some(b"c")));
        let mut huge = Latest::new(Offset(0), 1);
        huge.see(Offset(0), Some(&[7; 5_000]));
        assert_eq!(huge.until(), Offset(1), "a pass always moves on");
    }
}
