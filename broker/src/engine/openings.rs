//! Where batches are opened, looked through and compressed: threads that may take long, a few at a time, in queues of their
//! own for produce, for reads and for look-ups by time, so that none of them holds up another. What turns out to be long
//! begins again among the long ones, so nobody short waits behind it. A queue's place belongs to the queue, never to the
//! request: a peer that stalls keeps none, and work that nobody waits for any more is not begun. It must never hold memory
//! while it waits.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::EngineError;
use crate::limits::{BATCHES_OPENED_AT_ONCE, OPENINGS_WAITING_MAX, SHORT_OPENING_BYTES};
use crate::tasks;

/// More has to be opened than a short piece of work may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// The queues.
#[derive(Debug)]
pub(crate) struct Openings {
    /// For producers: what their topics ask of batches, and batches that are built here.
    pub(crate) produce: Queue,
    /// For readers of records.
    pub(crate) reads: Queue,
    /// For look-ups by time.
    pub(crate) lookups: Queue,
    /// For the delay service.
    pub(crate) delays: Queue,
}

impl Openings {
    pub(super) fn new() -> Openings {
        Openings {
            produce: Queue::new("batch-rules", BATCHES_OPENED_AT_ONCE),
            reads: Queue::new("record-read", BATCHES_OPENED_AT_ONCE),
            lookups: Queue::new("offset-lookup", BATCHES_OPENED_AT_ONCE),
            // What is opened for delays is bounded by constants, not by a pool: one at a time of each length.
            delays: Queue::new("delay-read", 1),
        }
    }
}

/// One queue: short work, and long work at half its pace.
#[derive(Debug)]
pub(crate) struct Queue {
    shared: Arc<Shared>,
}

type Job = Box<dyn FnOnce() + Send>;

struct Shared {
    name: &'static str,
    short: Mutex<Line>,
    long: Mutex<Line>,
}

struct Line {
    at_once: usize,
    running: usize,
    waiting: VecDeque<Job>,
}

#[derive(Clone, Copy)]
enum Length {
    Short,
    Long,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Queue {
    fn new(name: &'static str, at_once: usize) -> Queue {
        let line = |at_once| Mutex::new(Line { at_once, running: 0, waiting: VecDeque::new() });
        let (short, long) = (line(at_once), line(at_once.div_ceil(2)));
        Queue { shared: Arc::new(Shared { name, short, long }) }
    }

    /// Does `work` on a thread that may take long, with the number of bytes that it may open. It is called again, among the
    /// long ones and without that bound, where it says `TooLong`; it must not have changed anything by then.
    ///
    /// # Errors
    /// `Busy` when too many wait; a panic of `work`.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        mut work: impl FnMut(usize) -> Result<T, TooLong> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (answer, answered) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let short = move || {
            if answer.is_closed() {
                return;
            }
            match work(SHORT_OPENING_BYTES) {
                Ok(done) => drop(answer.send(Ok(done))),
                Err(TooLong) => {
                    let full = || EngineError::busy("too many batches wait to be opened");
                    let place = shared.long.lock().waiting.len() < OPENINGS_WAITING_MAX;
                    if !place {
                        drop(answer.send(Err(full())));
                        return;
                    }
                    shared.submit(
                        Length::Long,
                        Box::new(move || {
                            if !answer.is_closed() {
                                let endless = |TooLong| EngineError::internal("work without a bound was too long");
                                drop(answer.send(work(usize::MAX).map_err(endless)));
                            }
                        }),
                    );
                }
            }
        };
        if self.shared.short.lock().waiting.len() >= OPENINGS_WAITING_MAX {
            return Err(EngineError::busy("too many batches wait to be opened"));
        }
        self.shared.submit(Length::Short, Box::new(short));
        let name = self.shared.name;
        answered.await.map_err(|_| EngineError::Internal { what: format!("{name} ended abnormally") })?
    }
}

impl Shared {
    fn line(&self, length: Length) -> &Mutex<Line> {
        match length {
            Length::Short => &self.short,
            Length::Long => &self.long,
        }
    }

    fn submit(self: &Arc<Shared>, length: Length, job: Job) {
        let now = {
            let mut line = self.line(length).lock();
            if line.running < line.at_once {
                line.running += 1;
                Some(job)
            } else {
                line.waiting.push_back(job);
                None
            }
        };
        if let Some(job) = now {
            self.start(length, job);
        }
    }

    fn start(self: &Arc<Shared>, length: Length, job: Job) {
        // Behind the job however it ends: a panic ends its own work only.
        let next = Next { shared: Arc::clone(self), length };
        tasks::detached(self.name, move || {
            let _next = next;
            job();
        });
    }
}

/// Begins the next piece of work when it is dropped.
struct Next {
    shared: Arc<Shared>,
    length: Length,
}

impl Drop for Next {
    fn drop(&mut self) {
        let next = {
            let mut line = self.shared.line(self.length).lock();
            let next = line.waiting.pop_front();
            if next.is_none() {
                line.running -= 1;
            }
            next
        };
        if let Some(job) = next {
            self.shared.start(self.length, job);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::FutureExt;

    use super::*;

    fn blocked(queue: &Arc<Queue>, length: Length) -> (mpsc::SyncSender<()>, tokio::task::JoinHandle<()>) {
        let (release, released) = mpsc::sync_channel::<()>(1);
        let queue = Arc::clone(queue);
        let work = async move {
            let waits = move |left| match (length, left) {
                (Length::Long, SHORT_OPENING_BYTES) => Err(TooLong),
                _ => Ok(released.recv()),
            };
            queue.run(waits).await.expect("it ends").expect("it is released");
        };
        (release, tokio::spawn(work))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn long_work_does_not_hold_up_short_work() {
        let queue = Arc::new(Queue::new("test", BATCHES_OPENED_AT_ONCE));
        let long: Vec<_> = (0..10).map(|_| blocked(&queue, Length::Long)).collect();
        for n in 0..10 {
            assert_eq!(queue.run(move |_| Ok(n)).await.unwrap(), n);
        }
        for (release, ended) in long {
            release.send(()).expect("it waits");
            ended.await.expect("no panic");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_that_stalls_keeps_no_place_and_one_that_is_gone_is_not_begun() {
        let queue = Arc::new(Queue::new("test", BATCHES_OPENED_AT_ONCE));
        let busy: Vec<_> = (0..BATCHES_OPENED_AT_ONCE).map(|_| blocked(&queue, Length::Short)).collect();
        // Until both are under way, which the line's number tells.
        while queue.shared.short.lock().running < BATCHES_OPENED_AT_ONCE {
            tokio::task::yield_now().await;
        }
        let mut stalled = Box::pin(queue.run(|_| Ok("stalled")));
        assert!((&mut stalled).now_or_never().is_none());
        let mut gone = Box::pin(queue.run(|_| -> Result<(), TooLong> { panic!("nobody waits for it") }));
        assert!((&mut gone).now_or_never().is_none());
        drop(gone);
        for (release, ended) in busy {
            release.send(()).expect("it waits");
            ended.await.expect("no panic");
        }
        // `stalled` is not polled; others are served.
        assert_eq!(queue.run(|_| Ok(1)).await.unwrap(), 1);
        assert_eq!(stalled.await.unwrap(), "stalled");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_ends_its_own_work_only() {
        let queue = Queue::new("test", BATCHES_OPENED_AT_ONCE);
        for _ in 0..2 * BATCHES_OPENED_AT_ONCE {
            let ended = queue.run(|_| -> Result<(), TooLong> { panic!("a bug") }).await;
            assert!(matches!(ended, Err(EngineError::Internal { .. })));
        }
        assert_eq!(queue.run(|_| Ok(1)).await.unwrap(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn more_than_may_wait_are_refused_at_once() {
        let queue = Arc::new(Queue::new("test", BATCHES_OPENED_AT_ONCE));
        let busy: Vec<_> = (0..BATCHES_OPENED_AT_ONCE).map(|_| blocked(&queue, Length::Short)).collect();
        while queue.shared.short.lock().running < BATCHES_OPENED_AT_ONCE {
            tokio::task::yield_now().await;
        }
        let mut waiting: Vec<_> = (0..OPENINGS_WAITING_MAX).map(|_| Box::pin(queue.run(|_| Ok(())))).collect();
        assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
        assert!(matches!(queue.run(|_| Ok(())).await, Err(EngineError::Busy { .. })));
        for (release, ended) in busy {
            release.send(()).expect("it waits");
            ended.await.expect("no panic");
        }
    }
}
