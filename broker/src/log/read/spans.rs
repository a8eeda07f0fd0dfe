//! Which segments hold something that may be read, and how far: the step between an offset and a place in a file. Looks at
//! the view only, under its lock; never reads a byte.

use std::sync::Arc;

use crate::ids::Offset;
use crate::log::error::LogError;
use crate::log::positions::Offsets;
use crate::log::state::View;
use crate::log::write::segment::Segment;

/// A segment and how far it may be read.
#[derive(Clone, Debug)]
pub(in crate::log) struct Span {
    pub(in crate::log) segment: Arc<Segment>,
    /// Bytes below HW.
    pub(in crate::log) limit: u64,
    /// Where the next segment begins, or HW.
    pub(in crate::log) end: Offset,
}

impl View {
    /// Where the log stands, if `from` can be read (or is its end).
    pub(in crate::log) fn readable_at(&self, from: Offset) -> Result<Offsets, LogError> {
        self.readable()?;
        let offsets = self.positions.offsets();
        if from >= offsets.hw
            && let Some(damage @ LogError::Corrupt { .. }) = &self.trouble
        {
            // Not "out of range": a consumer would jump elsewhere and think that it had read everything.
            return Err(damage.clone());
        }
        if from < offsets.log_start || from > offsets.hw {
            return Err(LogError::OutOfRange { asked: from, log_start: offsets.log_start, end: offsets.hw });
        }
        Ok(offsets)
    }

    /// The segments with something below HW, in order; from the one that holds `from` on.
    pub(in crate::log) fn spans(&self, from: Option<Offset>) -> impl Iterator<Item = Span> {
        let hw = self.positions.hw();
        // The active segment's size is never asked for: HW is in it, or before it.
        let active = self.active.iter().map(|active| (active, 0));
        let first = match (from, &self.active) {
            (None, _) => 0,
            (Some(from), Some(active)) if active.base <= from => self.sealed.len(),
            (Some(from), _) => self.sealed.partition_point(|sealed| sealed.segment.base <= from).saturating_sub(1),
        };
        let sealed = self.sealed[first..].iter().map(|sealed| (&sealed.segment, sealed.size));
        let behind = self.sealed[first..].iter().map(|sealed| &sealed.segment).chain(&self.active).skip(1);
        let ends = behind.map(|next| next.base).chain([hw.offset]);
        let some = from.is_none_or(|from| from < hw.offset);
        sealed.chain(active).zip(ends).take_while(move |((segment, _), _)| some && segment.base <= hw.segment).map(
            move |((segment, size), end)| Span {
                segment: Arc::clone(segment),
                limit: if segment.base == hw.segment { hw.position } else { size },
                end: end.min(hw.offset),
            },
        )
    }
}
