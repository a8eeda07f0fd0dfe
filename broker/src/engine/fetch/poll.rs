//! The wait of a long poll: until its partitions hold enough, one of them fails, or its time is over. It holds places in
//! files, never records: those are read once, when there is an answer. Only a partition that moved is looked at again, and
//! one whose place still holds without reading anything.

use std::sync::Arc;
use std::time::Duration;

use super::Part;
use crate::clock;
use crate::engine::Engine;
use crate::limits::FETCH_LOOKS_AT_ONCE;
use crate::log::{LogError, Look, Moved, Patience, Place};
use crate::tasks;

/// What was seen of one partition.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    bytes: usize,
    place: Option<Place>,
}

/// A look at a partition that is in memory nowhere: for a thread that may wait for the disk.
type Cold = (usize, Seen);

impl Engine {
    /// Returns when the partitions hold `enough` bytes, when one of them has an error, when `max_wait` has passed, or when
    /// the broker stops. Partitions that were not found are passed over.
    pub(super) async fn await_bytes(&self, parts: &Arc<[Part]>, enough: usize, max_wait: Duration) {
        let moved = Moved::of(parts.len());
        // Registered before the first look: no move of HW is missed.
        let _watches: Vec<_> = parts
            .iter()
            .enumerate()
            .filter_map(|(which, part)| Some(part.partition.as_ref().ok()?.watch_as(which, &moved)))
            .collect();
        let deadline = clock::sleep(max_wait);
        tokio::pin!(deadline);
        let mut seen = vec![Seen::default(); parts.len()];
        let mut bytes: usize = 0;
        let mut due: Vec<usize> = (0..parts.len()).collect();
        loop {
            let Ok(looks) = look_at(parts, &due, &seen).await else { return };
            for (which, look) in looks {
                bytes = bytes - seen[which].bytes + look.bytes;
                seen[which] = Seen { bytes: look.bytes, place: look.place };
            }
            if bytes >= enough {
                return;
            }
            due = tokio::select! {
                moved = moved.next() => moved,
                () = &mut deadline => return,
                () = self.stopping.cancelled() => return,
            };
        }
    }
}

/// Looks at these partitions, from memory where possible. `Err`: one of them cannot be read, which the read will say.
async fn look_at(parts: &Arc<[Part]>, which: &[usize], seen: &[Seen]) -> Result<Vec<(usize, Look)>, ()> {
    let mut looks = Vec::with_capacity(which.len());
    let mut cold: Vec<Cold> = Vec::new();
    for (round, some) in which.chunks(FETCH_LOOKS_AT_ONCE).enumerate() {
        if round > 0 {
            // Others on this thread get their turn.
            tokio::task::yield_now().await;
        }
        for at in some {
            match look(&parts[*at], seen[*at], Patience::Cached).map_err(drop)? {
                Some(look) => looks.push((*at, look)),
                None => cold.push((*at, seen[*at])),
            }
        }
    }
    if !cold.is_empty() {
        let parts = Arc::clone(parts);
        let wait = move || {
            let one = |(at, seen): &Cold| Ok::<_, LogError>((*at, look(&parts[*at], *seen, Patience::Wait)?));
            cold.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        let found = tasks::blocking("fetch-look", wait).await.map_err(drop)?.map_err(drop)?;
        looks.extend(found.into_iter().filter_map(|(at, look)| Some((at, look?))));
    }
    Ok(looks)
}

fn look(part: &Part, seen: Seen, patience: Patience) -> Result<Option<Look>, LogError> {
    match &part.partition {
        Ok(partition) => partition.look(part.offset, part.max_bytes, seen.place, patience),
        Err(_) => Ok(Some(Look { bytes: 0, place: None })),
    }
}
