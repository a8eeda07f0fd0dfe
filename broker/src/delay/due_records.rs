//! Reads a proxy partition: the records that are due from an offset on, and the records of a step again after a crash. Holds
//! at most one step in memory, and no more than the caller has leave for. On threads that may wait.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;

use super::schedule::{self, Due};
use crate::door::error::StorageFailure;
use crate::door::messages::Header;
use crate::door::reading::Followed;
use crate::door::{DoorError, ReadEnd, Reading};
use crate::ids::{Offset, TimestampMs};
use crate::limits;

/// A header beside its bytes.
const HEADER_BYTES: usize = size_of::<Header>();

/// What a proxy partition has at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// Nothing: the end of the log.
    End,
    /// The next record is due then.
    NotYet(TimestampMs),
    /// Due records (none where there are only holes), and the offset to continue at.
    Due { records: Vec<Followed>, until: Offset },
    /// The next record is due, and takes so much more memory than a step by itself: leave for so many steps is needed.
    Heavy(u32),
}

/// The records of a step that is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Records(Vec<Followed>),
    /// As `Head::Heavy`.
    Heavy(u32),
}

/// At most a step of what is due at `now`, from `from` on, with leave for `steps` steps.
pub(super) fn due(
    proxy: &mut Reading,
    (from, delay): (Offset, Duration),
    now: TimestampMs,
    steps: u32,
) -> Result<Head, ReadEnd> {
    let mut records = Vec::new();
    let (mut later, mut heavy) = (None, None);
    let mut room = Room { records: 0, bytes: 0 };
    let until = proxy.read(from, limits::DELAY_STEP_BYTES_MAX, &mut |found| {
        // Under LogAppendTime, which delay topics have, this is the broker's own time.
        let due_at = schedule::due_at(found.record.timestamp, delay);
        if schedule::due(due_at, now) != Due::Now {
            later = Some(due_at);
            return false;
        }
        let needed = steps_for(bytes_of(&found));
        if room.records == 0 && needed > steps {
            heavy = Some(needed);
            return false;
        }
        let fits = room.take(&found);
        if fits {
            records.push(found);
        }
        fits
    })?;
    Ok(match (later, heavy) {
        (_, Some(needed)) if until == from => Head::Heavy(needed),
        (Some(due_at), _) if until == from => Head::NotYet(due_at),
        (None, None) if until == from => Head::End,
        _ => Head::Due { records, until },
    })
}

/// The records of a step at these offsets, in order, as they were found when it was planned.
pub(super) fn again(proxy: &mut Reading, wanted: &BTreeSet<Offset>, steps: u32) -> Result<Again, ReadEnd> {
    let mut records: Vec<Followed> = Vec::with_capacity(wanted.len());
    let (mut from, mut bytes) = (Offset::ZERO, 0);
    while let Some(first) = wanted.range(from..).next().copied() {
        let before = records.len();
        proxy.read(first, limits::DELAY_STEP_BYTES_MAX, &mut |found| {
            if wanted.contains(&found.record.offset) {
                bytes += bytes_of(&found);
                records.push(found);
            }
            records.len() < wanted.len() && steps_for(bytes) <= steps
        })?;
        if steps_for(bytes) > steps {
            return Ok(Again::Heavy(steps_for(bytes)));
        }
        match records.get(before) {
            Some(found) if found.record.offset == first => {}
            _ => {
                let reason = format!("record {first} of a delay step under way is no longer in the delay topic");
                return Err(DoorError::from(StorageFailure::Broken { reason }).into());
            }
        }
        from = records.last().map_or(from, |found| found.record.offset.next());
    }
    Ok(Again::Records(records))
}

/// Memory of a record, its headers' structs among it: empty ones count.
fn bytes_of(found: &Followed) -> usize {
    let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let headers = found.record.headers.iter().map(|header| HEADER_BYTES + header.key.len() + length(&header.value));
    length(&found.record.key) + length(&found.record.value) + headers.sum::<usize>()
}

/// Steps of ordinary records that take as much memory; one record never needs more than there are.
fn steps_for(bytes: usize) -> u32 {
    let steps = bytes.div_ceil(limits::DELAY_STEP_BYTES_MAX).clamp(1, limits::DELAY_STEPS_AT_ONCE);
    u32::try_from(steps).unwrap_or(1)
}

/// The step's two limits; the first record always fits.
struct Room {
    records: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, found: &Followed) -> bool {
        let bytes = bytes_of(found);
        let fits = self.records < limits::DELAY_STEP_RECORDS_MAX && self.bytes + bytes <= limits::DELAY_STEP_BYTES_MAX;
        if self.records > 0 && !fits {
            return false;
        }
        self.records += 1;
        self.bytes += bytes;
        true
    }
}
