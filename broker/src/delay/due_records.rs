//! Reads a proxy partition: the records that are due from an offset on, and the records of a step again after a crash. Holds
//! at most one step in memory.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::schedule::{self, Due};
use crate::door::error::StorageFailure;
use crate::door::reading::Followed;
use crate::door::{DoorError, Follower};
use crate::ids::{Offset, TimestampMs};
use crate::limits;

/// What a proxy partition has at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Nothing: the end of the log.
    End,
    /// The next record is due then.
    NotYet(TimestampMs),
    /// Due records (none where there are only holes), and the offset to continue at.
    Due { records: Vec<Followed>, until: Offset },
}

/// At most a step of what is due at `now`, from `from` on.
pub(super) fn due(proxy: &Follower, from: Offset, delay: Duration, now: TimestampMs) -> Result<Head, DoorError> {
    let mut records = Vec::new();
    let mut later = None;
    let mut room = Room { records: 0, bytes: 0 };
    let until = proxy.read(from, limits::DELAY_STEP_BYTES_MAX, &mut |found| {
        // Under LogAppendTime, which delay topics have, this is the broker's own time.
        let due_at = schedule::due_at(found.record.timestamp, delay);
        if schedule::due(due_at, now) != Due::Now {
            later = Some(due_at);
            return false;
        }
        let fits = room.take(&found);
        if fits {
            records.push(found);
        }
        fits
    })?;
    Ok(match later {
        Some(due_at) if until == from => Head::NotYet(due_at),
        None if until == from => Head::End,
        _ => Head::Due { records, until },
    })
}

/// The records of a step at these offsets, in order, as they were found when it was planned.
pub(super) fn again(proxy: &Follower, wanted: &BTreeSet<Offset>) -> Result<Vec<Followed>, DoorError> {
    let mut records: Vec<Followed> = Vec::with_capacity(wanted.len());
    let mut from = Offset::ZERO;
    while let Some(first) = wanted.range(from..).next().copied() {
        let before = records.len();
        proxy.read(first, limits::DELAY_STEP_BYTES_MAX, &mut |found| {
            if wanted.contains(&found.record.offset) {
                records.push(found);
            }
            records.len() < wanted.len()
        })?;
        match records.get(before) {
            Some(found) if found.record.offset == first => {}
            _ => {
                let reason = format!("record {first} of a delay step under way is no longer in the delay topic");
                return Err(StorageFailure::Broken { reason }.into());
            }
        }
        from = records.last().map_or(from, |found| found.record.offset.next());
    }
    Ok(records)
}

/// The step's two limits; the first record always fits.
struct Room {
    records: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, found: &Followed) -> bool {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers = found.record.headers.iter().map(|header| header.key.len() + length(&header.value));
        let bytes = length(&found.record.key) + length(&found.record.value) + headers.sum::<usize>();
        let fits = self.records < limits::DELAY_STEP_RECORDS_MAX && self.bytes + bytes <= limits::DELAY_STEP_BYTES_MAX;
        if self.records > 0 && !fits {
            return false;
        }
        self.records += 1;
        self.bytes += bytes;
        true
    }
}
