//! What is done to the logs of a data directory from time to time: retention, unlinking what it removed, forgetting idle
//! producers, compaction. One pass is one call (`LogDir::retain`, `LogDir::compact`), so that tests need no thread and no
//! clock; a broker has two threads that make them (`LogDir::begin_upkeep`). Appends and reads never wait for it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::ids::{Offset, TimestampMs};
use crate::limits;
use crate::log::partition::{Partition, Surroundings};
use crate::log::sync::checkpoint::CheckpointFile;
use crate::log::sync::registry::Registry;
use crate::log::upkeep::rewrite::{Ended, Pace};
use crate::tasks::{Pulse, VitalThread};

/// How often idle producers are looked for: Kafka's `producer.id.expiration.check.interval.ms`.
const PRODUCERS_CHECK: Duration = Duration::from_secs(600);

/// What an operator may set of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UpkeepSettings {
    /// How often segments are looked through (Kafka's `log.retention.check.interval.ms`).
    pub(crate) retention_check: Duration,
    /// A client's producer that has written nothing for this long is forgotten, in ms (`producer.id.expiration.ms`).
    pub(crate) producer_expiration_ms: i64,
}

/// The work and its thread.
#[derive(Debug)]
pub(in crate::log) struct Upkeep {
    around: Surroundings,
    registry: Arc<Registry>,
    /// Up to where compaction has come in each log, on disk.
    pub(in crate::log) cleaned: CheckpointFile,
    /// Renamed, to be unlinked.
    doomed: Mutex<Vec<Doomed>>,
    stopping: Mutex<bool>,
    wake: Condvar,
    pub(super) threads: Mutex<Vec<VitalThread>>,
}

#[derive(Debug)]
struct Doomed {
    path: PathBuf,
    due: Instant,
}

/// When something is done again.
#[derive(Debug)]
struct Every {
    interval: Duration,
    next: Instant,
}

impl Every {
    fn new(interval: Duration, now: Instant) -> Every {
        Every { interval, next: now + interval }
    }

    /// `true`: now. Never twice for one interval, and what was missed is not made up for.
    fn due(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + self.interval;
        }
        due
    }
}

impl Upkeep {
    pub(in crate::log) fn new(around: Surroundings, registry: Arc<Registry>, cleaned: CheckpointFile) -> Upkeep {
        Upkeep {
            around,
            registry,
            cleaned,
            doomed: Mutex::default(),
            stopping: Mutex::new(false),
            wake: Condvar::new(),
            threads: Mutex::default(),
        }
    }

    /// Ends the threads and waits for them: a pass under way comes to its end. While the flusher still works.
    pub(in crate::log) fn stop(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.iter().for_each(VitalThread::may_end);
        *self.stopping.lock() = true;
        threads.iter().for_each(VitalThread::end);
    }

    pub(super) fn wake(&self) {
        // Under the lock: a thread either waits already, or has yet to look.
        let _stopping = self.stopping.lock();
        self.wake.notify_all();
    }

    /// Unlinks everything that was renamed, due or not: there are no readers any more.
    pub(in crate::log) fn finish(&self) {
        let all = std::mem::take(&mut *self.doomed.lock());
        all.iter().for_each(|doomed| self.unlink(doomed));
    }

    pub(super) fn run(&self, settings: UpkeepSettings, pulse: &Pulse) {
        let clock = &self.around.clock;
        let mut retention = Every::new(settings.retention_check, clock.monotonic());
        let mut producers = Every::new(PRODUCERS_CHECK, clock.monotonic());
        loop {
            pulse.beat();
            {
                let mut stopping = self.stopping.lock();
                if *stopping {
                    return;
                }
                let next = self.next_unlink().into_iter().fold(retention.next.min(producers.next), Instant::min);
                let wait = next.saturating_duration_since(clock.monotonic());
                if !wait.is_zero() && !self.wake.wait_for(&mut stopping, wait).timed_out() {
                    continue;
                }
            }
            if retention.due(clock.monotonic()) {
                self.retain();
            }
            if producers.due(clock.monotonic()) {
                self.expire_producers(settings.producer_expiration_ms);
            }
            self.unlink_due();
        }
    }

    pub(super) fn run_cleaner(&self, pulse: &Pulse) {
        loop {
            pulse.beat();
            // As long as there is work it goes on, at its own pace.
            let more = self.compact(limits::CLEANER_KEYS_BYTES_MAX, Some(limits::CLEANER_BYTES_PER_S));
            let mut stopping = self.stopping.lock();
            if *stopping {
                return;
            }
            if !more {
                self.wake.wait_for(&mut stopping, limits::CLEANER_CHECK);
            }
        }
    }

    /// A pass over every log that is due; `true`: there was one.
    pub(super) fn compact(&self, keys_bytes: usize, bytes_per_s: Option<u64>) -> bool {
        let compacted = |partition: &Arc<Partition>| partition.config.load().cleanup.compact.is_some();
        let open: Vec<Arc<Partition>> = self.registry.open().into_iter().filter(compacted).collect();
        let mut any = false;
        for partition in open {
            let point = self.registry.point(&partition.ident().name());
            let mut pace = Paced { upkeep: self, bytes_per_s, spent: 0 };
            match partition.compact(&self.cleaned, point, keys_bytes, &mut pace) {
                Ok(done) => any |= done,
                Err(Ended::Stopped) if *self.stopping.lock() => return false,
                Err(Ended::Stopped) => {}
                Err(Ended::Failed(error)) => {
                    tracing::error!(partition = %partition.label(), %error, "not compacted until the next start");
                }
            }
        }
        any
    }

    pub(super) fn retain(&self) {
        let now = self.around.clock.wall();
        let open = self.registry.open();
        self.roll_expired(&open, now);
        let due: Vec<(&Arc<Partition>, Offset)> =
            open.iter().filter_map(|partition| Some((partition, partition.due_start(now)?))).collect();
        // All of them in one write; nothing goes before it is durable.
        let written = self.around.starts.update(|starts| {
            for (partition, to) in &due {
                if let Some(name) = partition.name_if_usable() {
                    let start = starts.entry(name).or_insert(*to);
                    *start = (*to).max(*start);
                }
            }
        });
        match written {
            Ok(()) => due.iter().for_each(|(partition, to)| partition.begin_at(*to)),
            Err(error) => tracing::warn!(%error, "nothing is removed: the log starts were not written"),
        }
        for partition in &open {
            if partition.view().below_start() > 0 {
                self.drop_below_start(partition);
            }
        }
        self.unlink_due();
    }

    fn drop_below_start(&self, partition: &Partition) {
        if futures::executor::block_on(partition.flushed()).is_err() {
            return;
        }
        let point = self.registry.point(&partition.ident().name());
        let delay = partition.config.load().cleanup.file_delete_delay_ms;
        self.doom(partition.drop_below_start(point), delay);
    }

    /// Active segments whose time has come are sealed and settled, so that this pass can remove them.
    fn roll_expired(&self, open: &[Arc<Partition>], now: TimestampMs) {
        let mut rolled = Vec::new();
        for partition in open {
            match partition.roll_expired(now) {
                Ok(Some(until)) => rolled.push((partition, until)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "an expired segment was not sealed"),
            }
        }
        for (partition, until) in rolled {
            if let Err(error) = futures::executor::block_on(partition.settle(until)) {
                tracing::warn!(%error, "an expired segment stays");
            }
        }
    }

    fn doom(&self, paths: Vec<PathBuf>, delay_ms: u64) {
        let now = self.around.clock.monotonic();
        // Beyond the end of the clock: never.
        let Some(due) = now.checked_add(Duration::from_millis(delay_ms)) else { return };
        self.doomed.lock().extend(paths.into_iter().map(|path| Doomed { path, due }));
    }

    fn next_unlink(&self) -> Option<Instant> {
        self.doomed.lock().iter().map(|doomed| doomed.due).min()
    }

    fn unlink_due(&self) {
        let now = self.around.clock.monotonic();
        let due: Vec<Doomed> = self.doomed.lock().extract_if(.., |doomed| doomed.due <= now).collect();
        due.iter().for_each(|doomed| self.unlink(doomed));
    }

    fn unlink(&self, doomed: &Doomed) {
        match self.around.disk.unlink(&doomed.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(file = %doomed.path.display(), %error, "a removed segment's file stays until the next start");
            }
            _ => {}
        }
    }

    pub(super) fn expire_producers(&self, expiration_ms: i64) {
        let now = self.around.clock.wall();
        for partition in self.registry.open() {
            partition.writer().producers.expire(now, expiration_ms);
        }
    }
}

/// So many bytes a second, read and written; ends when the upkeep does.
struct Paced<'a> {
    upkeep: &'a Upkeep,
    bytes_per_s: Option<u64>,
    spent: u64,
}

impl Pace for Paced<'_> {
    fn spend(&mut self, bytes: u64) -> bool {
        self.spent += bytes;
        let mut stopping = self.upkeep.stopping.lock();
        if let Some(per_s) = self.bytes_per_s
            && self.spent >= per_s / 10
            && !*stopping
        {
            let wait = Duration::from_millis(self.spent * 1_000 / per_s);
            self.upkeep.wake.wait_for(&mut stopping, wait);
            self.spent = 0;
        }
        !*stopping
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[test]
    fn what_is_due_is_due_once_and_what_was_missed_is_not_made_up_for() {
        let clock = ManualClock::at(0);
        let mut every = Every::new(Duration::from_millis(10), clock.monotonic());
        assert!(!every.due(clock.monotonic()));
        clock.advance_ms(35);
        assert!(every.due(clock.monotonic()));
        assert!(!every.due(clock.monotonic()));
        clock.advance_ms(9);
        assert!(!every.due(clock.monotonic()));
        clock.advance_ms(1);
        assert!(every.due(clock.monotonic()));
    }
}
