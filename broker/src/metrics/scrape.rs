//! Who asks for the page gets it: it is written on a blocking thread, once for all who ask meanwhile, and for at most a fifth of
//! the time, so that asking often costs the broker a fifth of one core and no more. Never writes on a network thread, and keeps
//! no page: what is returned was begun after the last answer, or is being written for somebody else already.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::page::{self, Bounds, Section, Written};
use crate::clock::{self, SharedClock};
use crate::tasks::{self, Changes, TaskFailure, Tasks};

/// After a page nothing is written for so many times as long as it took.
const REST_FACTOR: u32 = 4;
/// The longest rest: whoever scrapes waits ten seconds by default.
const REST_MAX: Duration = Duration::from_secs(5);

/// Why there is no page.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the metrics could not be collected: {reason}")]
pub struct NoPage {
    reason: String,
}

impl From<TaskFailure> for NoPage {
    fn from(failure: TaskFailure) -> NoPage {
        NoPage { reason: failure.to_string() }
    }
}

type Outcome = Result<Written, NoPage>;

/// What one broker shows of itself. Clones share it.
#[derive(Clone, Debug)]
pub struct Metrics {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sections: RwLock<Vec<Arc<dyn Section>>>,
    clock: SharedClock,
    writing: Mutex<Writing>,
    writers: Changes,
}

/// The page that is being written, and when the next one may begin.
#[derive(Debug, Default)]
struct Writing {
    page: Option<watch::Receiver<Option<Outcome>>>,
    rest_until: Option<Instant>,
}

impl Metrics {
    /// Nothing to show yet.
    #[must_use]
    pub fn new(tasks: &Tasks, clock: SharedClock) -> Metrics {
        let writers = tasks.changes("metrics");
        Metrics { shared: Arc::new(Shared { sections: RwLock::default(), clock, writing: Mutex::default(), writers }) }
    }

    /// Shows one more section, behind those that are there.
    pub fn add(&self, section: Arc<dyn Section>) {
        self.shared.sections.write().push(section);
    }

    /// The page. Everybody who asks while one is written gets that one, with the bounds of who asked first.
    ///
    /// # Errors
    /// A section panicked: a bug.
    pub async fn page(&self, bounds: Bounds) -> Result<Written, NoPage> {
        let mut page = self.written(bounds);
        let ended = page.wait_for(Option::is_some).await;
        let ended = ended.map_err(|_| NoPage { reason: "the broker stops".to_owned() })?;
        ended.clone().unwrap_or_else(|| Err(NoPage { reason: "the broker stops".to_owned() }))
    }

    /// Waits for a page that is being written, when the broker stops.
    pub(crate) async fn closed(&self) {
        self.shared.writers.closed().await;
    }

    fn written(&self, bounds: Bounds) -> watch::Receiver<Option<Outcome>> {
        let mut writing = self.shared.writing.lock();
        if let Some(page) = &writing.page {
            return page.clone();
        }
        let (told, page) = watch::channel(None);
        writing.page = Some(page.clone());
        let rest = writing.rest_until.map(|until| until.saturating_duration_since(self.shared.clock.monotonic()));
        let shared = Arc::clone(&self.shared);
        // A task of its own, so that it comes to its end when the first who asked has gone.
        self.shared.writers.spawn(async move {
            clock::sleep(rest.unwrap_or_default()).await;
            let outcome = shared.write(bounds).await;
            told.send_replace(Some(outcome));
        });
        page
    }
}

impl Shared {
    async fn write(self: Arc<Shared>, bounds: Bounds) -> Outcome {
        let began = self.clock.monotonic();
        let sections = self.sections.read().clone();
        let written = tasks::blocking("metrics", move || page::write(sections, bounds)).await;
        let ended = self.clock.monotonic();
        {
            let mut writing = self.writing.lock();
            writing.page = None;
            let rest = (ended.saturating_duration_since(began) * REST_FACTOR).min(REST_MAX);
            writing.rest_until = Some(ended + rest);
        }
        match written? {
            Ok(page) => Ok(page),
            Err(error) => Err(NoPage { reason: error.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::page::Page;
    use super::*;
    use crate::clock::{Clock, MachineClock, ManualClock};

    const BOUNDS: Bounds = Bounds { partitions_max: 1, groups_max: 1 };

    /// Counts how often it was asked; begins and ends when the test does.
    #[derive(Debug)]
    struct Asked {
        times: AtomicU64,
        begun: Barrier,
        may_end: Barrier,
    }

    impl Section for Asked {
        fn show(&self, page: &mut Page<'_>) {
            let times = self.times.fetch_add(1, Ordering::SeqCst) + 1;
            self.begun.wait();
            self.may_end.wait();
            page.counters("sluice_asked", "Times.", |rows| rows.count(&[], times));
        }
    }

    async fn at_barrier(asked: &Arc<Asked>, which: impl FnOnce(&Asked) -> &Barrier + Send + 'static) {
        let asked = Arc::clone(asked);
        tokio::task::spawn_blocking(move || {
            which(&asked).wait();
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn all_who_ask_while_a_page_is_written_get_that_one() {
        let metrics = Metrics::new(&Tasks::new(), Arc::new(MachineClock));
        let asked = Arc::new(Asked { times: AtomicU64::new(0), begun: Barrier::new(2), may_end: Barrier::new(2) });
        metrics.add(Arc::clone(&asked) as Arc<dyn Section>);
        let first = metrics.written(BOUNDS);
        at_barrier(&asked, |asked| &asked.begun).await;
        let second = metrics.written(BOUNDS);
        drop(first);
        at_barrier(&asked, |asked| &asked.may_end).await;
        let mut second = second;
        let page = second.wait_for(Option::is_some).await.unwrap().clone().unwrap().unwrap();
        assert!(std::str::from_utf8(&page.open_metrics).unwrap().contains("sluice_asked_total 1\n"));
        assert_eq!(asked.times.load(Ordering::SeqCst), 1);
        let third = tokio::spawn(async move { metrics.page(BOUNDS).await.unwrap() });
        at_barrier(&asked, |asked| &asked.begun).await;
        at_barrier(&asked, |asked| &asked.may_end).await;
        let page = third.await.unwrap();
        assert!(
            std::str::from_utf8(&page.open_metrics).unwrap().contains("sluice_asked_total 2\n"),
            "a later one is written anew"
        );
    }

    #[derive(Debug)]
    struct Slow(Arc<ManualClock>);

    impl Section for Slow {
        fn show(&self, _page: &mut Page<'_>) {
            self.0.advance_ms(200);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_page_that_took_long_the_next_one_waits_in_proportion() {
        let clock = Arc::new(ManualClock::at(0));
        let metrics = Metrics::new(&Tasks::new(), Arc::clone(&clock) as SharedClock);
        metrics.add(Arc::new(Slow(Arc::clone(&clock))));
        metrics.page(BOUNDS).await.unwrap();
        let rest = metrics.shared.writing.lock().rest_until.unwrap() - clock.monotonic();
        assert_eq!(rest, Duration::from_millis(800));
        let before = tokio::time::Instant::now();
        metrics.page(BOUNDS).await.unwrap();
        assert!(before.elapsed() >= rest, "it rests before it writes");
    }

    #[derive(Debug)]
    struct Broken;

    impl Section for Broken {
        fn show(&self, _page: &mut Page<'_>) {
            panic!("a bug");
        }
    }

    #[tokio::test]
    async fn a_section_that_panics_is_an_error_for_who_asks_and_the_next_may_ask_again() {
        let metrics = Metrics::new(&Tasks::new(), Arc::new(MachineClock));
        metrics.add(Arc::new(Broken));
        for _ in 0..2 {
            let error = metrics.page(BOUNDS).await.unwrap_err();
            assert!(error.to_string().contains("a bug"), "{error}");
        }
    }
}
