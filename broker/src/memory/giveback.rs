//! Gives freed memory back to the system. glibc keeps what is freed for the next who ask, which after an attack is all of the
//! budget, for ever: nobody else on the machine has it meanwhile, and whoever looks at the process takes it for a leak. So a
//! vital task looks every two seconds; what has been free at two looks is given back.
//!
//! Cost: a look below 8 MiB of resident memory reads one file of `/proc`. Above, glibc visits every free piece under its
//! locks, for which others that allocate wait: half a millisecond for 100 MB in pieces of a kilobyte, and 50 ms when these go
//! back. Half a million pieces of 100 bytes, of which no page is free as a whole, cost 140 ms. So the next look comes later the
//! longer one takes, and what could not be given back is not tried again.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::allocator;
use crate::clock::{self, Clock, MachineClock};
use crate::metrics::anonymous_bytes;
use crate::tasks;

/// Less that is free stays with the process: somebody will need it soon.
const WORTH_BYTES: usize = 8 * 1024 * 1024;
/// Arenas of the allocator on a small machine. What is free at an arena's end cannot be asked back, only what is between pieces
/// that live: the 16 that two processors have otherwise kept 75 MB after batches of 100 MB were opened.
const ARENAS_MIN: usize = 4;
/// What may be free at the end of one.
const ARENA_END_BYTES: usize = 4 * 1024 * 1024;
/// Between two looks.
const LOOKS_APART: Duration = Duration::from_secs(2);
/// A look that took so long is followed by a pause so many times as long: two hundredths of the time at most.
const PAUSE_PER_LOOK: u32 = 50;

/// What is known from earlier looks.
#[derive(Debug, Default)]
struct Looks {
    /// Free at the look before this one.
    before: usize,
    /// What was left after the last time, or less since then: in pieces smaller than a page, or not the allocator's at all.
    kept: usize,
}

impl Looks {
    /// Whether so much may be free that it is worth asking the allocator.
    fn may_be_worth(&mut self, resident: usize) -> bool {
        let worth = resident > self.kept.saturating_add(WORTH_BYTES);
        if !worth {
            *self = Looks { before: 0, kept: self.kept.min(resident) };
        }
        worth
    }

    /// Whether what is free is given back now.
    fn is_due(&mut self, free: usize) -> bool {
        self.kept = self.kept.min(free);
        let both = free.min(std::mem::replace(&mut self.before, free));
        both > self.kept + WORTH_BYTES
    }

    fn gave_back(&mut self, free: usize) {
        *self = Looks { before: 0, kept: free };
    }
}

/// Looks until `stop` is cancelled.
pub(crate) async fn run(stop: CancellationToken) {
    let arenas = available_parallelism().map_or(1, NonZero::get).max(ARENAS_MIN);
    allocator::keep_at_most(arenas, ARENA_END_BYTES);
    let looking = async {
        let mut looks = Looks::default();
        let mut pause = LOOKS_APART;
        loop {
            clock::sleep(pause).await;
            let began = MachineClock.monotonic();
            let looked = tasks::blocking("memory-giveback", move || {
                look(&mut looks);
                looks
            });
            // A panic there is a bug that would come again: this task ends then, and the broker with it.
            let Ok(after) = looked.await else { return };
            looks = after;
            pause = LOOKS_APART.max(MachineClock.monotonic().saturating_duration_since(began) * PAUSE_PER_LOOK);
        }
    };
    let _cancelled: Option<()> = stop.run_until_cancelled(looking).await;
}

/// Blocking.
fn look(looks: &mut Looks) {
    let resident = anonymous_bytes();
    if !looks.may_be_worth(resident) || !looks.is_due(free_of(resident)) {
        return;
    }
    allocator::give_back();
    let after = anonymous_bytes();
    looks.gave_back(free_of(after));
    tracing::debug!("{} of {resident} bytes of memory given back to the system", resident.saturating_sub(after));
}

/// Bytes in RAM that are free. What was given back before is free too, but no longer in RAM, so the allocator's own number says
/// too much.
fn free_of(resident: usize) -> usize {
    let heap = allocator::heap();
    heap.free.min(resident.saturating_sub(heap.used))
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn looked(looks: &mut Looks, resident: usize, free: usize) -> bool {
        looks.may_be_worth(resident * MIB) && looks.is_due(free * MIB)
    }

    #[test]
    fn what_was_free_at_two_looks_is_given_back_and_what_is_used_again_is_not() {
        let mut looks = Looks::default();
        assert!(!looked(&mut looks, 100, 80), "it may be needed at once");
        assert!(looked(&mut looks, 100, 80));
        let mut busy = Looks::default();
        for _ in 0..10 {
            assert!(!looked(&mut busy, 100, 80) && !looked(&mut busy, 100, 8));
        }
        let mut small = Looks::default();
        assert!((0..10).all(|_| !looked(&mut small, 100, 8)), "as much stays with the process");
    }

    #[test]
    fn what_cannot_be_given_back_is_not_tried_again_until_there_is_more() {
        let mut looks = Looks::default();
        assert!(!looked(&mut looks, 100, 80) && looked(&mut looks, 100, 80));
        looks.gave_back(70 * MIB);
        assert!((0..10).all(|_| !looked(&mut looks, 100, 78)));
        assert!(!looked(&mut looks, 120, 90) && looked(&mut looks, 120, 90), "there is more");
        looks.gave_back(70 * MIB);
        // It was taken, and is free again.
        assert!(!looked(&mut looks, 100, 5) && !looked(&mut looks, 100, 60) && looked(&mut looks, 100, 60));
    }

    #[test]
    fn a_small_process_is_not_asked_for_what_is_free() {
        let mut looks = Looks::default();
        assert!(!looks.may_be_worth(8 * MIB) && looks.may_be_worth(9 * MIB));
        looks.gave_back(40 * MIB);
        assert!(!looks.may_be_worth(48 * MIB) && looks.may_be_worth(49 * MIB));
        assert!(!looks.may_be_worth(10 * MIB) && looks.may_be_worth(19 * MIB), "it has become smaller meanwhile");
    }

    /// Pieces that end up between others that live: without a word from the program, glibc keeps all of them.
    #[test]
    fn the_allocator_gives_back_what_is_asked_for() {
        // What other tests take and free at the same time would be counted too: this one runs in a process of its own.
        const ALONE: &str = "SLUICE_TEST_ALONE";
        const PIECES: usize = 64 * 1024;
        if std::env::var_os(ALONE).is_none() {
            let name = "memory::giveback::tests::the_allocator_gives_back_what_is_asked_for";
            let mut alone = std::process::Command::new(std::env::current_exe().expect("this test's program"));
            let output = alone.args(["--exact", name]).env(ALONE, "1").output().expect("it starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "the test has this name");
            return;
        }
        let mut pieces: Vec<Vec<u8>> = (0..PIECES).map(|_| vec![1; 1024]).collect();
        let mut number = 0;
        pieces.retain(|_| {
            number += 1;
            number % 64 == 0
        });
        let before = free_of(anonymous_bytes());
        assert!(before > PIECES * 512, "{before} bytes are free");
        allocator::give_back();
        let after = free_of(anonymous_bytes());
        assert!(after < before - PIECES * 256, "{before} bytes were free, {after} still are");
        assert!(pieces.iter().all(|piece| piece.len() == 1024 && piece.iter().all(|byte| *byte == 1)));
    }
}
