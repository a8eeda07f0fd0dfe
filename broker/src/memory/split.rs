//! The one table of how `memory_max_bytes` is divided. The pools never lend to each other, so that one of them may be full
//! while all others work.
//!
//! In 64ths of `memory_max_bytes`, which is one MiB each at the smallest budget (64 MiB) and four at the default (256 MiB):
//!
//! | pool | Kafka port | HTTP | the broker's own | what it holds |
//! |---|---|---|---|---|
//! | IN | 4 | 2 | | frames and bodies while they arrive, and until they are appended or decoded |
//! | IN, completion reserve | 1 + 14 | 1 + 8 | | the oldest frame up to 1 MiB and the oldest larger one, when IN is full |
//! | WORK | 7 | 6 | 2 | decoded requests, opened batches, answers being built |
//! | OUT | 5 | 4 | | answers that their clients have not yet taken; ranges of files cost nothing |
//! | STATE | | | 10 | what stays: waiting polls and joins, group metadata, producers |
//!
//! So the largest frame has 14/64 of the budget (56 MiB at the default, 14 MiB at the smallest; Kafka's own bound of 100 MiB
//! is met from 460 MiB on), and the largest HTTP body 8/64.

use super::class::{CLASSES, MIDDLE_BYTES_MAX};
use super::pool::Shares;
use crate::limits;

/// The smallest budget with which every request of a default client can be served.
pub const MEMORY_BYTES_MIN: u64 = 64 * 1024 * 1024;
const PARTS: usize = 64;
const KAFKA: Parts = Parts { input: 4, largest: 14, work: 7, output: 5 };
const HTTP: Parts = Parts { input: 2, largest: 8, work: 6, output: 4 };
const OWN_WORK: usize = 2;
const STATE: usize = 10;
/// Of the middle class in each door's IN: its largest request is a MiB, which is a part of the smallest budget.
const MIDDLE: usize = 1;

const _: () =
    assert!(KAFKA.total() + HTTP.total() + OWN_WORK + STATE == PARTS, "the pools are the budget, no more and no less");
const _: () = assert!(MEMORY_BYTES_MIN as usize / PARTS * MIDDLE >= MIDDLE_BYTES_MAX);

/// One door, in 64ths.
#[derive(Clone, Copy)]
struct Parts {
    input: usize,
    largest: usize,
    work: usize,
    output: usize,
}

impl Parts {
    const fn total(self) -> usize {
        self.input + MIDDLE + self.largest + self.work + self.output
    }
}

/// The pools of one door, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DoorSplit {
    pub(crate) input: Shares,
    pub(crate) work: Shares,
    pub(crate) output: Shares,
}

/// All pools, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub(crate) kafka: DoorSplit,
    pub(crate) http: DoorSplit,
    pub(crate) own_work: Shares,
    pub(crate) state: usize,
}

impl Split {
    pub(super) fn of(budget: usize) -> Split {
        let part = (budget / PARTS).max(1);
        let door = |parts: Parts| DoorSplit {
            input: Shares {
                completion: [0, MIDDLE * part, (parts.largest * part).min(limits::FRAME_BYTES_MAX)],
                ..shares(parts.input * part, [4, 4, 4])
            },
            work: shares(parts.work * part, [2, 3, 8]),
            output: shares(parts.output * part, [3, 5, 7]),
        };
        Split {
            kafka: door(KAFKA),
            http: door(HTTP),
            own_work: shares(OWN_WORK * part, [1, 2, 8]),
            state: STATE * part,
        }
    }
}

/// `reserved`: sixteenths of the pool; the rest is common.
fn shares(pool: usize, reserved: [usize; CLASSES]) -> Shares {
    let reserved = reserved.map(|sixteenths| pool * sixteenths / 16);
    Shares { reserved, common: pool - reserved.iter().sum::<usize>(), completion: [0; CLASSES] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::class::SMALL_BYTES_MAX;

    #[test]
    fn the_pools_together_are_the_budget() {
        for budget in [MEMORY_BYTES_MIN as usize, 256 << 20] {
            let split = Split::of(budget);
            let door = |door: DoorSplit| door.input.total() + door.work.total() + door.output.total();
            let all = door(split.kafka) + door(split.http) + split.own_work.total() + split.state;
            assert_eq!(all, budget);
        }
    }

    #[test]
    fn the_smallest_budget_serves_every_default_client() {
        let split = Split::of(MEMORY_BYTES_MIN as usize);
        for door in [split.kafka, split.http] {
            // max.request.size of producers and message.max.bytes of topics are a megabyte.
            assert!(door.input.completion[2] >= 4 * limits::MESSAGE_BYTES_MAX);
            // Steps: each class goes on by its own share.
            assert!(door.input.reserved.iter().all(|share| *share >= SMALL_BYTES_MAX));
            for pool in [door.output, door.work] {
                assert!(pool.reserved[0] >= SMALL_BYTES_MAX && pool.reserved[1] >= MIDDLE_BYTES_MAX, "{pool:?}");
                assert!(pool.reserved[2] >= MIDDLE_BYTES_MAX, "{pool:?}");
            }
        }
    }

    #[test]
    fn a_large_budget_still_bounds_a_frame_by_kafkas_own_limit() {
        assert_eq!(Split::of(8 << 30).kafka.input.completion[2], limits::FRAME_BYTES_MAX);
    }
}
