//! The queue in front of a partition (log contract, rule 7): a Produce takes its place, may then wait for a plugin or for a
//! thread that opens its batch, and appends in its turn. Between the engine's `intercept` and `append`. Knows no batch and no
//! clock; never decides whether an append is right: the log checks that again, under the writer's lock.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// The places of one partition, first come first served.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    queue: Mutex<Queue>,
    /// The queue has places. Written under the lock; read without it on the way of every batch that need not wait.
    busy: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    /// The number of the place in front.
    front: u64,
    places: VecDeque<Place>,
}

/// A place between the front and the end of the queue.
#[derive(Debug)]
enum Place {
    /// Somebody holds it; the waker is there once its holder waits.
    Held(Option<Waker>),
    /// Its holder has left before its turn.
    Left,
}

/// A place in the queue, held until this is dropped: after the append, or when the request is given up.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

impl Turns {
    /// Nobody holds a place. Whoever asks here before an append, and has no earlier request that is still under way, keeps its
    /// order without a place. Costs one load.
    #[must_use]
    pub(crate) fn free(&self) -> bool {
        !self.busy.load(Ordering::Acquire)
    }

    /// The next place, at once.
    #[must_use]
    pub(crate) fn take(self: &Arc<Self>) -> Turn {
        let mut queue = self.queue.lock();
        let number = queue.front + queue.places.len() as u64;
        queue.places.push_back(Place::Held(None));
        self.busy.store(true, Ordering::Release);
        Turn { turns: Arc::clone(self), number }
    }
}

impl Queue {
    fn place(&mut self, number: u64) -> Option<&mut Place> {
        let at = usize::try_from(number.checked_sub(self.front)?).ok()?;
        self.places.get_mut(at)
    }

    /// Gives a place up; the waker of the one whose turn begins by that.
    fn leave(&mut self, number: u64) -> Option<Waker> {
        let was_front = number == self.front;
        if let Some(place) = self.place(number) {
            *place = Place::Left;
        }
        while let Some(Place::Left) = self.places.front() {
            self.places.pop_front();
            self.front += 1;
        }
        match self.places.front_mut() {
            Some(Place::Held(waker)) if was_front => waker.take(),
            _ => None,
        }
    }
}

impl Turn {
    /// Returns when every earlier place has been given up.
    pub(crate) fn begins(&self) -> impl Future<Output = ()> + '_ {
        Begins { turn: self }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut queue = self.turns.queue.lock();
            let next = queue.leave(self.number);
            if queue.places.is_empty() {
                self.turns.busy.store(false, Ordering::Release);
            }
            next
        };
        if let Some(next) = next {
            next.wake();
        }
    }
}

struct Begins<'a> {
    turn: &'a Turn,
}

impl Future for Begins<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.turn.turns.queue.lock();
        if queue.front == self.turn.number {
            return Poll::Ready(());
        }
        if let Some(Place::Held(waker)) = queue.place(self.turn.number) {
            match waker {
                Some(known) if known.will_wake(cx.waker()) => {}
                _ => *waker = Some(cx.waker().clone()),
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use futures::poll;
    use proptest::prelude::*;

    use super::*;

    /// Notes that it was woken.
    #[derive(Debug, Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn turns_begin_in_the_order_in_which_places_were_taken() {
        let turns = Arc::new(Turns::default());
        assert!(turns.free());
        let (first, second) = (turns.take(), turns.take());
        assert!(!turns.free());
        assert!(poll!(std::pin::pin!(second.begins())).is_pending());
        first.begins().await;
        drop(first);
        second.begins().await;
        drop(second);
        assert!(turns.free());
    }

    #[tokio::test]
    async fn a_place_that_is_given_up_in_the_queue_lets_nobody_pass_the_front() {
        let turns = Arc::new(Turns::default());
        let (first, second, third) = (turns.take(), turns.take(), turns.take());
        drop(second);
        assert!(poll!(std::pin::pin!(third.begins())).is_pending());
        drop(first);
        third.begins().await;
    }

    #[tokio::test]
    async fn a_holder_that_panics_gives_its_place_up() {
        let turns = Arc::new(Turns::default());
        let (first, second) = (turns.take(), turns.take());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = first;
            panic!("injected");
        }));
        assert!(panicked.is_err());
        second.begins().await;
    }

    #[tokio::test]
    async fn the_next_holder_is_woken_when_it_waits_already() {
        let turns = Arc::new(Turns::default());
        let (first, second) = (turns.take(), turns.take());
        let waiting = tokio::spawn(async move { second.begins().await });
        tokio::task::yield_now().await;
        drop(first);
        waiting.await.unwrap();
        assert!(turns.free());
    }

    proptest! {
        /// Any sequence of taking, polling, finishing and giving up: a turn has begun exactly for the oldest place that is held,
        /// and whoever becomes the oldest while it waits is woken.
        #[test]
        fn exactly_the_oldest_place_has_its_turn(steps in proptest::collection::vec((0_u8..3, any::<prop::sample::Index>()), 1..80)) {
            let turns = Arc::new(Turns::default());
            let mut held: Vec<(Turn, Option<Arc<Woken>>)> = Vec::new();
            for (step, which) in steps {
                match step {
                    0 => held.push((turns.take(), None)),
                    _ if held.is_empty() => {}
                    1 => {
                        let at = which.index(held.len());
                        let woken = Arc::new(Woken::default());
                        let waker = Waker::from(Arc::clone(&woken));
                        let ready = Pin::new(&mut Begins { turn: &held[at].0 }).poll(&mut Context::from_waker(&waker)).is_ready();
                        prop_assert_eq!(ready, at == 0);
                        held[at].1 = (!ready).then_some(woken);
                    }
                    _ => {
                        let at = which.index(held.len());
                        drop(held.remove(at));
                        if at == 0 && let Some((_, Some(woken))) = held.first() {
                            prop_assert!(woken.0.load(Ordering::SeqCst), "the new front waits and was not woken");
                        }
                    }
                }
                prop_assert_eq!(turns.free(), held.is_empty());
            }
        }
    }
}
