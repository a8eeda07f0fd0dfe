//! Who holds bytes of a pool, connection by connection, and which of them are ended when others have waited too long: for
//! each waiter one, and more the longer that does not help; those first that hold most among those whose peer is slow. Pure;
//! part of `pool.rs`. Never ends a connection for which the broker itself is at work, nor anybody while nobody waits.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::class::{CLASSES, Class};
use super::line::{Line, Phase};

/// Who has waited for so long is a reason to end a slow holder. Everybody is to be answered within a second: the other half is
/// for those who end, and for the answer.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// A peer that moves so many bytes a second is not slow.
pub(super) const SLOW_BYTES_PER_S: u64 = 256 * 1024;
/// How long a peer is watched for that, from the first look on: no longer than a waiter is patient.
const WATCHED: Duration = PATIENCE;
/// Between two looks: each costs a visit to every holder.
pub(super) const LOOKS_APART: Duration = Duration::from_millis(100);
/// Nobody has looked for so long, so nobody waited. A waiter looks when it comes, and after its patience (late on a busy
/// machine): that has to be less.
const FORGOTTEN: Duration = PATIENCE.saturating_mul(3);
/// A connection that was ended and still holds bytes after that time does not keep the next from being ended.
const ENDING_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Holder {
    line: Line,
    bytes: [usize; CLASSES],
    window: Option<Window>,
    slow: bool,
    ended: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    moved: u64,
    phase: Phase,
}

/// Those who hold bytes of one pool.
#[derive(Debug, Default)]
pub(super) struct Lines {
    holders: HashMap<usize, Holder>,
    last_look: Option<Instant>,
    ended: u64,
}

impl Lines {
    pub(super) fn add(&mut self, line: &Line, class: Class, bytes: usize) {
        let holder = self.holders.entry(line.id()).or_insert_with(|| Holder {
            line: line.clone(),
            bytes: [0; CLASSES],
            window: None,
            slow: false,
            ended: None,
        });
        holder.bytes[class as usize] += bytes;
    }

    pub(super) fn remove(&mut self, line: &Line, class: Class, bytes: usize) {
        let Some(holder) = self.holders.get_mut(&line.id()) else { return };
        holder.bytes[class as usize] -= bytes;
        if holder.bytes.iter().all(|bytes| *bytes == 0) {
            self.holders.remove(&line.id());
        }
    }

    pub(super) fn is_time(&self, now: Instant) -> bool {
        self.last_look.is_none_or(|last| now.saturating_duration_since(last) >= LOOKS_APART)
    }

    pub(super) fn ended(&self) -> u64 {
        self.ended
    }

    /// `waiting`: how many of each class may be ended at once for those that have waited too long. `beyond`: classes
    /// that hold some of what is common.
    pub(super) fn check(&mut self, now: Instant, waiting: [usize; CLASSES], beyond: [bool; CLASSES]) -> Vec<Line> {
        // Nobody waited for a while: what was seen then says nothing about now.
        let stale = self.last_look.is_none_or(|last| now.saturating_duration_since(last) > FORGOTTEN);
        self.last_look = Some(now);
        for holder in self.holders.values_mut() {
            holder.look(now, stale);
        }
        let mut ends = Vec::new();
        for class in Class::ALL.into_iter().filter(|class| waiting[*class as usize] > 0) {
            let helps = |holder: &Holder| holder.helps(class, beyond);
            let ending = |one: &&Holder| {
                one.ended.is_some_and(|at| now.saturating_duration_since(at) < ENDING_MAX) && helps(one) > 0
            };
            let under_way = self.holders.values().filter(ending).count();
            let candidates = self.holders.values_mut().filter(|one| one.slow && one.ended.is_none() && helps(one) > 0);
            let mut candidates: Vec<&mut Holder> = candidates.collect();
            candidates.sort_unstable_by_key(|holder| std::cmp::Reverse(helps(holder)));
            for largest in candidates.into_iter().take(waiting[class as usize].saturating_sub(under_way)) {
                largest.ended = Some(now);
                self.ended += 1;
                ends.push(largest.line.clone());
            }
        }
        ends
    }
}

impl Holder {
    /// Measures the peer over windows of `WATCHED`, in which the broker waits for it without a pause.
    fn look(&mut self, now: Instant, stale: bool) {
        let (phase, moved) = (self.line.phase(), self.line.bytes_moved());
        let fresh = Window { since: now, moved, phase };
        let window = match self.window {
            Some(window) if !stale && window.phase == phase && phase.at_peer => window,
            _ => {
                (self.window, self.slow) = (Some(fresh), false);
                return;
            }
        };
        let passed = now.saturating_duration_since(window.since);
        if passed < WATCHED {
            return;
        }
        let enough = SLOW_BYTES_PER_S.saturating_mul(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)) / 1_000;
        self.slow = moved.saturating_sub(window.moved) < enough;
        self.window = Some(fresh);
    }

    /// Bytes that a waiter of `class` could use if this holder were gone.
    fn helps(&self, class: Class, beyond: [bool; CLASSES]) -> usize {
        let useful = |one: &Class| *one == class || beyond[*one as usize];
        Class::ALL.iter().filter(|one| useful(one)).map(|one| self.bytes[*one as usize]).sum()
    }
}
