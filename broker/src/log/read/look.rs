//! Looks how much a reader would get, for long polls: who waits for several partitions and looks again at one that moved
//! must not read it again. Where the reader stands is remembered as a place in a file; behind it nothing but whole batches
//! is appended, so the high watermark's position says the rest. Never reads more than the headers that `locate` reads, and
//! nothing at all from a place that still holds.

use crate::ids::Offset;
use crate::log::error::LogError;
use crate::log::partition::Partition;
use crate::log::positions::Mark;
use crate::log::read::locate::Patience;

/// Where the batch that holds an offset begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Base offset of the segment.
    segment: Offset,
    position: u64,
}

/// What a reader would get now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Bytes.
    pub(crate) bytes: usize,
    /// To be given to the next look from the same offset.
    pub(crate) place: Option<Place>,
}

impl Partition {
    /// How many bytes a read of `max_bytes` from `from` on would get. `None` when that would have to wait for the disk and
    /// may not.
    ///
    /// # Errors
    /// As `locate`.
    pub(crate) fn look(
        &self,
        from: Offset,
        max_bytes: usize,
        place: Option<Place>,
        patience: Patience,
    ) -> Result<Option<Look>, LogError> {
        {
            let view = self.view();
            let offsets = view.readable_at(from)?;
            let Mark { segment, position: end, .. } = view.positions.hw();
            if from == offsets.hw {
                return Ok(Some(Look { bytes: 0, place: Some(Place { segment, position: end }) }));
            }
            // Only the segment that the high watermark is in grows, and only sealed ones are ever replaced.
            if let Some(known) = place.filter(|place| place.segment == segment)
                && let Ok(bytes) = usize::try_from(end.saturating_sub(known.position))
                && bytes <= max_bytes
            {
                return Ok(Some(Look { bytes, place }));
            }
        }
        let Some(located) = self.locate(from, max_bytes, patience)? else { return Ok(None) };
        let segment = located.segment;
        let place = located.slice.as_ref().map(|slice| Place { segment, position: slice.position() });
        Ok(Some(Look { bytes: located.slice.map_or(0, |slice| slice.len()), place }))
    }
}
