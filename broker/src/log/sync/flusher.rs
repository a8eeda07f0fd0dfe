//! The one thread of a data directory that syncs. Takes every dirty partition, makes all of them durable in the way
//! that `commit` says, then moves their HW and recovery points and ends the waits. After a failed sync it poisons
//! (rule 8) and never trusts a later success for the same pages. Never called from an append: that only queues.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use parking_lot::MutexGuard;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::ids::Offset;
use crate::log::error::{LogError, Offline};
use crate::log::io::{Disk, SharedFile};
use crate::log::layout::{SegmentFile, segment_file};
use crate::log::partition::Partition;
use crate::log::positions::Reach;
use crate::log::state::{Pending, View, Writer};
use crate::log::sync::commit::{Step, Way};
use crate::log::sync::counts::SyncCounts;
use crate::log::sync::queue::FlushQueue;
use crate::log::sync::registry::{Points, Registry};
use crate::tasks::{Pulse, Tasks, Vital, VitalThread};

/// What one partition has to sync, taken at one moment.
#[derive(Debug)]
pub(super) struct Dirt {
    files: Vec<SharedFile>,
    snapshots: Vec<(Offset, Vec<u8>)>,
    /// What the file of leader epochs is to say.
    pub(super) epochs: Option<String>,
    pub(super) dir: bool,
    pub(super) reach: Reach,
    sealed: bool,
}

/// The thread and what it works with.
#[derive(Debug)]
pub(in crate::log) struct Flusher {
    queue: Arc<FlushQueue<Partition>>,
    counts: Arc<SyncCounts>,
    thread: VitalThread,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) queue: Arc<FlushQueue<Partition>>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) root: PathBuf,
    registry: Arc<Registry>,
    clock: SharedClock,
    counts: Arc<SyncCounts>,
}

impl Flusher {
    /// Starts the thread. When it fails, every partition is poisoned: nothing would ever be synced.
    pub(in crate::log) fn start(
        tasks: &Tasks,
        queue: Arc<FlushQueue<Partition>>,
        disk: Arc<dyn Disk>,
        root: PathBuf,
        registry: Arc<Registry>,
        clock: SharedClock,
    ) -> std::io::Result<Flusher> {
        let (abandoned, poisoned, woken) = (Arc::clone(&queue), Arc::clone(&registry), Arc::clone(&queue));
        let vital = Vital::new("log-flusher", CancellationToken::new()).poisons(move |failure| {
            abandoned.abandon();
            poisoned.poison_all(&failure.to_string());
        });
        let counts = Arc::default();
        let worker = Worker { queue: Arc::clone(&queue), disk, root, registry, clock, counts: Arc::clone(&counts) };
        let thread = tasks.vital_thread(vital, move || woken.wake(), move |pulse| worker.run(pulse))?;
        Ok(Flusher { queue, counts, thread })
    }

    /// What it has synced, for `/metrics`.
    pub(in crate::log) fn counts(&self) -> &SyncCounts {
        &self.counts
    }

    /// Syncs what is queued, then ends the thread and waits for it.
    pub(in crate::log) fn finish(&self) {
        self.thread.may_end();
        self.queue.state.lock().commit.stop();
        self.thread.end();
        self.queue.state.lock().abandoned = true;
    }

    /// Ends the thread without syncing anything more, as a crash would.
    pub(in crate::log) fn abandon(&self) {
        self.thread.may_end();
        self.queue.state.lock().abandoned = true;
        self.thread.end();
        self.queue.abandon();
    }
}

impl Worker {
    fn run(&self, pulse: &Pulse) {
        loop {
            match self.next(pulse) {
                Step::Sync(group) => {
                    group.iter().for_each(|partition| partition.taken());
                    self.sync(group);
                }
                Step::Checkpoint => self.checkpoint(),
                Step::RecoveryPoints => self.write_recovery_points(Points::Rolled),
                Step::Wait(_) => {}
                Step::Stop => return,
            }
        }
    }

    /// Waits for something to do.
    fn next(&self, pulse: &Pulse) -> Step<Arc<Partition>> {
        let mut state = self.queue.state.lock();
        loop {
            if state.abandoned {
                return Step::Stop;
            }
            pulse.beat();
            let now = self.clock.monotonic();
            let due = state.due(now);
            if !due.is_empty() {
                // They come back through `push`.
                MutexGuard::unlocked(&mut state, || {
                    due.iter().filter_map(Weak::upgrade).for_each(|partition| partition.flush_timed());
                });
                continue;
            }
            let timed = state.timed.first_key_value().map(|((at, _), _)| at.saturating_duration_since(now));
            match (state.commit.next(now), timed) {
                (Step::Wait(None), None) => self.queue.wake.wait(&mut state),
                (Step::Wait(wait), timed) => {
                    let wait = wait.into_iter().chain(timed).min().unwrap_or_default();
                    self.queue.wake.wait_for(&mut state, wait);
                }
                (step, _) => return step,
            }
        }
    }

    fn sync(&self, group: Vec<Arc<Partition>>) {
        let mut dirty: Vec<(Arc<Partition>, Dirt)> = group
            .into_iter()
            .filter_map(|partition| {
                let mut dirt = partition.take_dirt()?;
                self.write_snapshots(&partition, &mut dirt);
                Some((partition, dirt))
            })
            .collect();
        if dirty.is_empty() {
            return;
        }
        let (partitions, began) = (dirty.len(), self.clock.monotonic());
        let noted = self.write_epochs(&mut dirty);
        let files = dirty.iter().map(|(_, dirt)| dirt.files.len() + usize::from(dirt.dir)).sum();
        let way = self.queue.state.lock().commit.way(files);
        let whole = noted.and_then(|()| match way {
            Way::FileSystem => self.disk.sync_all_dirty(&self.root),
            Way::Nothing | Way::OneFile | Way::EachFile => Ok(()),
        });
        // A failed syncfs concerns every partition, even if those in the group are deleted by now.
        let mut failed = whole.as_ref().err().map(ToString::to_string);
        let (mut moved, mut sealed) = (false, false);
        for (partition, dirt) in dirty {
            let outcome = match (&whole, way) {
                (Err(error), _) => Err(error.to_string()),
                (Ok(()), Way::FileSystem) => Ok(()),
                (Ok(()), _) => self.sync_each(&partition, &dirt).map_err(|error| error.to_string()),
            };
            match outcome {
                Ok(()) => {
                    (moved, sealed) = (true, sealed || dirt.sealed);
                    partition.advance(&dirt);
                }
                // Its directory was removed during the sync: its waits have ended.
                Err(_) if partition.deleted() => {}
                Err(cause) => {
                    self.registry.poison(&partition, &cause);
                    failed = Some(cause);
                }
            }
        }
        let took = self.clock.monotonic().saturating_duration_since(began);
        self.counts.group(way, partitions, took, failed.is_some());
        if let Some(cause) = failed {
            self.queue.state.lock().commit.failed();
            if whole.is_err() {
                // The lost page may belong to what became dirty since, and the next sync would not report it.
                self.registry
                    .open()
                    .iter()
                    .filter(|other| other.unsynced())
                    .for_each(|other| self.registry.poison(other, &cause));
            }
        }
        if moved {
            self.queue.state.lock().commit.moved(self.clock.monotonic(), sealed);
        }
    }

    /// Snapshots of producers only make the next start faster: without one it walks the log.
    fn write_snapshots(&self, partition: &Partition, dirt: &mut Dirt) {
        let path = |at| partition.dir.join(segment_file(at, SegmentFile::Snapshot));
        for (at, bytes) in std::mem::take(&mut dirt.snapshots) {
            let written = self.disk.create(&path(at)).and_then(|file| file.write_at(&bytes, &[], 0).map(|()| file));
            match written {
                Ok(file) => dirt.files.push(file),
                Err(error) => {
                    partition.view().obsolete = None;
                    tracing::warn!(%error, partition = %partition.label(), "a producer snapshot was not written");
                }
            }
            dirt.dir = true;
        }
    }

    fn sync_each(&self, partition: &Partition, dirt: &Dirt) -> std::io::Result<()> {
        for file in &dirt.files {
            file.sync_data()?;
        }
        if dirt.dir { self.disk.sync_dir(&partition.dir) } else { Ok(()) }
    }

    fn checkpoint(&self) {
        let began = self.clock.monotonic();
        let open = self.registry.open();
        for partition in &open {
            if let Err(error) = partition.write_out_indexes() {
                // The recovery point stays below what is not indexed; the next checkpoint tries again.
                tracing::warn!(%error, "indexes were not written");
            }
        }
        self.sync(open);
        self.write_recovery_points(Points::All);
        self.counts.checkpoint(self.clock.monotonic().saturating_duration_since(began));
    }

    fn write_recovery_points(&self, of: Points) {
        if let Err(error) = self.registry.write_recovery_points(of) {
            tracing::warn!(%error, "recovery points were not written");
        }
    }
}

impl Partition {
    /// What there is to sync now; `None` also for a partition that must not be synced any more.
    fn take_dirt(&self) -> Option<Dirt> {
        let sync = self.config.load().sync;
        let mut view = self.view();
        let closing = matches!(view.trouble, Some(LogError::Offline { why: Offline::Closed, .. }));
        if view.trouble.is_some() && !closing {
            return None;
        }
        let mut pending = std::mem::take(&mut view.pending);
        let mut files = std::mem::take(&mut pending.files);
        let active = view.active.as_ref()?;
        let reach = view.positions.reach(sync, active.base);
        if reach.takes_active {
            files.push(Arc::clone(&active.log));
        }
        let epochs = pending.epochs.then(|| view.epochs.text());
        let Pending { snapshots, dir, sealed, .. } = pending;
        let dirt = Dirt { files, snapshots, epochs, dir, reach, sealed };
        let any =
            reach.moves || dirt.dir || !dirt.files.is_empty() || !dirt.snapshots.is_empty() || dirt.epochs.is_some();
        view.flushing = any;
        any.then_some(dirt)
    }

    /// The sync of `dirt` is done.
    fn advance(&self, dirt: &Dirt) {
        let (synced, hw) = {
            let mut view = self.view();
            view.positions.sync_completed(dirt.reach);
            view.flushing = false;
            view.rolled |= dirt.sealed;
            (view.positions.synced(), view.positions.hw().offset)
        };
        self.synced.reach(synced);
        self.shown.reach(hw);
        self.watchers.wake();
    }

    fn unsynced(&self) -> bool {
        let view = self.view();
        view.positions.leo().offset > view.positions.synced() && !matches!(view.trouble, Some(LogError::Corrupt { .. }))
    }

    pub(super) fn deleted(&self) -> bool {
        matches!(self.view().trouble, Some(LogError::Deleted { .. }))
    }

    /// Brings the active segment's index files up to date; they are synced with the next group.
    pub(in crate::log) fn write_out_indexes(&self) -> Result<(), LogError> {
        self.write_out(&mut self.writer())
    }

    fn write_out(&self, writer: &mut Writer) -> Result<(), LogError> {
        if matches!(self.view().trouble, Some(LogError::Panicked { .. })) {
            // What the writer has in memory may be half changed.
            return Ok(());
        }
        let Some(active) = writer.active.as_mut() else { return Ok(()) };
        let mut written = Vec::new();
        let outcome = active.write_out(&mut written);
        let mut view = self.view();
        view.pending.files.append(&mut written);
        outcome.map_err(|error| LogError::io("cannot write the indexes in", &self.dir, error))?;
        view.positions.indexed();
        Ok(())
    }

    /// Ends appends. The flusher syncs everything once more, in `sluice.flush=os` topics too.
    pub(in crate::log) fn close_writes(&self) -> Result<(), LogError> {
        let mut writer = self.writer();
        {
            let mut view = self.view();
            view.trouble.get_or_insert(LogError::Offline { partition: self.label(), why: Offline::Closed });
            view.positions.want_all();
        }
        let written = self.write_out(&mut writer);
        let leo = self.view().positions.leo().offset;
        if writer.active.is_some() && leo > writer.snapshot_at.unwrap_or_default() {
            self.queue_snapshot(&mut writer, leo);
        }
        self.mark_dirty();
        written
    }

    /// Everything that was appended is synced, with its indexes.
    pub(in crate::log) fn settled(&self) -> bool {
        let view: &View = &self.view();
        let distrusted = matches!(view.trouble, Some(LogError::Poisoned { .. } | LogError::Panicked { .. }));
        view.positions.recovery_point() == view.positions.leo().offset && !distrusted
    }
}
