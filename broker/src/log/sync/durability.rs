//! Waits until an offset is durable (rule 2). Each is woken once, when its own offset is reached. Pure bookkeeping: the
//! flusher reports progress, or the error that ends it.

use std::collections::BinaryHeap;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::ids::Offset;
use crate::log::error::LogError;

/// With this many entries, waits that were given up are removed.
const SWEEP_AT: usize = 1024;

/// All waits for one kind of progress of one partition.
#[derive(Debug)]
pub(in crate::log) struct Waits {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    reached: Offset,
    waiting: BinaryHeap<Wait>,
    sweep_at: usize,
    ended: Option<LogError>,
}

#[derive(Debug)]
struct Wait {
    until: Offset,
    done: oneshot::Sender<Result<(), LogError>>,
}

// The heap's greatest is the smallest offset.
impl Ord for Wait {
    fn cmp(&self, other: &Wait) -> std::cmp::Ordering {
        other.until.cmp(&self.until)
    }
}

impl PartialOrd for Wait {
    fn partial_cmp(&self, other: &Wait) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Wait {
    fn eq(&self, other: &Wait) -> bool {
        self.until == other.until
    }
}

impl Eq for Wait {}

impl Waits {
    pub(in crate::log) fn new(reached: Offset) -> Waits {
        Waits { state: Mutex::new(State { reached, waiting: BinaryHeap::new(), sweep_at: SWEEP_AT, ended: None }) }
    }

    /// Returns when `until` is reached, or with the error that ended the progress.
    pub(in crate::log) async fn until(&self, until: Offset) -> Result<(), LogError> {
        let wait = {
            let mut state = self.state.lock();
            if state.reached >= until {
                return Ok(());
            }
            if let Some(error) = &state.ended {
                return Err(error.clone());
            }
            if state.waiting.len() >= state.sweep_at {
                state.waiting.retain(|wait| !wait.done.is_closed());
                state.sweep_at = SWEEP_AT.max(state.waiting.len() * 2);
            }
            let (done, wait) = oneshot::channel();
            state.waiting.push(Wait { until, done });
            wait
        };
        // The sender is only dropped unsent when the partition is, which outlives whoever waits.
        wait.await.unwrap_or_else(|_| Err(LogError::Internal { what: "a wait outlived its partition".to_owned() }))
    }

    /// Progress: answers everyone at or below. Going back is ignored.
    pub(in crate::log) fn reach(&self, reached: Offset) {
        let mut answered = Vec::new();
        {
            let mut state = self.state.lock();
            if reached <= state.reached {
                return;
            }
            state.reached = reached;
            while state.waiting.peek().is_some_and(|wait| wait.until <= reached) {
                answered.extend(state.waiting.pop());
            }
        }
        for wait in answered {
            // An error means that the wait was given up.
            let _ = wait.done.send(Ok(()));
        }
    }

    /// There will be no further progress: answers everyone with `error`. The first error stays.
    pub(in crate::log) fn end(&self, error: &LogError) {
        let ended = {
            let mut state = self.state.lock();
            state.ended.get_or_insert_with(|| error.clone());
            std::mem::take(&mut state.waiting)
        };
        for wait in ended {
            let _ = wait.done.send(Err(error.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn deleted() -> LogError {
        LogError::Deleted { partition: "t-0".to_owned() }
    }

    #[tokio::test]
    async fn each_wait_ends_when_its_own_offset_is_reached() {
        let waits = Waits::new(Offset(10));
        assert!(waits.until(Offset(10)).now_or_never().unwrap().is_ok());
        let (mut early, mut late) = (Box::pin(waits.until(Offset(11))), Box::pin(waits.until(Offset(20))));
        assert!(early.as_mut().now_or_never().is_none());
        assert!(late.as_mut().now_or_never().is_none());
        waits.reach(Offset(15));
        assert!(early.now_or_never().unwrap().is_ok());
        assert!(late.as_mut().now_or_never().is_none());
        waits.reach(Offset(12));
        waits.reach(Offset(20));
        assert!(late.now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn the_end_reaches_those_who_wait_and_those_who_come_but_not_what_is_done() {
        let waits = Waits::new(Offset(10));
        let mut waiting = Box::pin(waits.until(Offset(11)));
        assert!(waiting.as_mut().now_or_never().is_none());
        waits.end(&deleted());
        assert!(matches!(waiting.await, Err(LogError::Deleted { .. })));
        assert!(matches!(waits.until(Offset(12)).await, Err(LogError::Deleted { .. })));
        assert!(waits.until(Offset(9)).await.is_ok());
    }

    #[tokio::test]
    async fn waits_given_up_do_not_pile_up() {
        let waits = Waits::new(Offset(0));
        for _ in 0..10 * SWEEP_AT {
            assert!(waits.until(Offset(1)).now_or_never().is_none());
        }
        assert!(waits.state.lock().waiting.len() <= SWEEP_AT);
    }
}
