//! One partition: its parts, its locks, its waits, and the verbs that belong to no room. Appends are in
//! `log/write/append.rs`, reads in `log/read/batches.rs`. The writer's lock is held during a write; the view's only to look
//! at or move positions, never during I/O, so that reads and appends do not wait for each other.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::clock::SharedClock;
use crate::ids::{LeaderEpoch, Offset};
use crate::log::config::{FlushEvery, LogConfig};
use crate::log::error::LogError;
use crate::log::guarded::{Guard, Guarded, PoisonedByPanic};
use crate::log::ident::PartitionIdent;
use crate::log::index::files::OpenIndexes;
use crate::log::io::Disk;
use crate::log::layout;
use crate::log::positions::Offsets;
use crate::log::read::watch::{Moved, WatchGuard, Watcher, Watchers};
use crate::log::state::{UpkeepState, View, Writer};
use crate::log::sync::checkpoint::CheckpointFile;
use crate::log::sync::durability::Waits;
use crate::log::sync::failure::FirstFailure;
use crate::log::sync::queue::FlushQueue;
use crate::log::turn::Turns;
use crate::log::write::producers::AllProducers;

/// What every partition of a data directory shares with it.
#[derive(Clone, Debug)]
pub(in crate::log) struct Surroundings {
    pub(in crate::log) disk: Arc<dyn Disk>,
    pub(in crate::log) indexes: Arc<OpenIndexes>,
    pub(in crate::log) clock: SharedClock,
    pub(in crate::log) queue: Arc<FlushQueue<Partition>>,
    pub(in crate::log) term: Arc<AtomicI32>,
    /// Where each log begins, on disk.
    pub(in crate::log) starts: Arc<CheckpointFile>,
    pub(in crate::log) failure: Arc<FirstFailure>,
    pub(in crate::log) producers: AllProducers,
}

/// One partition's log. Verbs may be called from any thread.
#[derive(Debug)]
pub struct Partition {
    me: Weak<Partition>,
    ident: PartitionIdent,
    pub(in crate::log) dir: PathBuf,
    pub(in crate::log) around: Surroundings,
    pub(in crate::log) config: ArcSwap<LogConfig>,
    writer: Guarded<Writer>,
    view: Guarded<View>,
    /// In the flusher's queue.
    queued: AtomicBool,
    /// `flush.ms` runs.
    timed: AtomicBool,
    /// Waits for HW, and for the `.log`'s sync.
    pub(in crate::log) shown: Waits,
    pub(in crate::log) synced: Waits,
    pub(in crate::log) watchers: Arc<Watchers>,
    /// Records at and above this offset are not removed, even if the configs allow it.
    pub(in crate::log) held: AtomicI64,
    /// Held while segments are taken out or replaced. Taken before `writer` and `view`.
    upkeep: Guarded<UpkeepState>,
    /// The queue in front of the append (rule 7).
    turns: Arc<Turns>,
}

impl Partition {
    pub(in crate::log) fn new(
        ident: PartitionIdent,
        dir: PathBuf,
        config: LogConfig,
        around: Surroundings,
        mut writer: Writer,
        view: View,
    ) -> Arc<Partition> {
        writer.producers.count_with(&around.producers);
        let trouble = view.trouble.clone();
        let partition = Arc::new_cyclic(|me| Partition {
            me: Weak::clone(me),
            ident,
            dir,
            around,
            config: ArcSwap::from_pointee(config),
            shown: Waits::new(view.positions.hw().offset),
            synced: Waits::new(view.positions.synced()),
            writer: Guarded::new(writer),
            view: Guarded::new(view),
            queued: AtomicBool::new(false),
            timed: AtomicBool::new(false),
            watchers: Arc::default(),
            held: AtomicI64::new(i64::MAX),
            upkeep: Guarded::default(),
            turns: Arc::default(),
        });
        if let Some(trouble) = trouble {
            partition.end(trouble);
        }
        partition
    }

    /// Which partition this is.
    #[must_use]
    pub fn ident(&self) -> &PartitionIdent {
        &self.ident
    }

    /// The queue of those who are to append, for a caller that has to wait between a request and its append (rule 7).
    #[must_use]
    pub(crate) fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// Returns when HW >= `until`.
    ///
    /// # Errors
    /// `Poisoned` or `Deleted` when that will not happen any more; `Offline` when the log was closed.
    pub(crate) async fn durable(&self, until: Offset) -> Result<(), LogError> {
        self.shown.until(until).await
    }

    /// Returns when the partition fails for good: poisoned, deleted or closed. For whoever serves from a state that its
    /// records make.
    pub(crate) async fn failed(&self) -> LogError {
        loop {
            // No offset is as high: only the end of all progress ends this wait.
            if let Err(error) = self.shown.until(Offset(i64::MAX)).await {
                return error;
            }
        }
    }

    /// Syncs the log at least up to `until` and returns when that is done, in `sluice.flush=os` topics too (rule 18).
    ///
    /// # Errors
    /// As `durable`.
    pub(in crate::log) async fn sync_until(&self, until: Offset) -> Result<(), LogError> {
        self.view().positions.want(until);
        self.mark_dirty();
        self.synced.until(until).await
    }

    /// Returns when everything that the log holds now is synced, in `sluice.flush=os` topics too.
    ///
    /// # Errors
    /// As `durable`.
    pub(crate) async fn sync_all(&self) -> Result<(), LogError> {
        self.sync_until(self.offsets().leo).await
    }

    /// Where the log stands.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.view().positions.offsets()
    }

    /// Bytes of its segments' `.log` files, as far as they are written; and how many segments there are.
    #[must_use]
    pub(crate) fn size(&self) -> (u64, usize) {
        let view = self.view();
        let sealed: u64 = view.sealed.iter().map(|sealed| sealed.size).sum();
        let active = view.active.as_ref().map_or(0, |_| view.positions.leo().position);
        (sealed + active, view.sealed.len() + usize::from(view.active.is_some()))
    }

    /// Retention and DeleteRecords remove nothing at or above `from`, until a later call: a service of the broker still
    /// needs these records.
    pub(crate) fn hold(&self, from: Offset) {
        self.held.store(from.0, Ordering::Release);
    }

    /// `notify.notify_one()` is called whenever HW moves, and when the partition is deleted or poisoned.
    pub(crate) fn watch(&self, notify: &Arc<Notify>) -> WatchGuard {
        self.watchers.watch(Watcher::One(Arc::clone(notify)))
    }

    /// As `watch`, for one who waits for several partitions, of which this is `which`.
    pub(crate) fn watch_as(&self, which: usize, moved: &Arc<Moved>) -> WatchGuard {
        self.watchers.watch(Watcher::OneOf(Arc::clone(moved), which))
    }

    /// OffsetForLeaderEpoch: the largest epoch <= `epoch` known and where it ends (HW for the current one). `None`: unknown.
    #[must_use]
    pub(crate) fn epoch_end(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let view = self.view();
        view.epochs.end_of(epoch, self.epoch_now(&view), view.positions.leo().offset, view.positions.hw().offset)
    }

    /// The epoch that the record at `offset` was written in, for ListOffsets and OffsetCommit answers; of the log's end,
    /// the current one.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let view = self.view();
        view.epochs.at(offset, self.epoch_now(&view), view.positions.leo().offset)
    }

    /// The epoch that the next append will carry: the broker's term.
    #[must_use]
    pub fn current_epoch(&self) -> LeaderEpoch {
        self.epoch_now(&self.view())
    }

    /// Rule 5: `None` is not checked.
    ///
    /// # Errors
    /// `FencedEpoch` below the current epoch, `UnknownEpoch` above.
    pub(crate) fn check_epoch(&self, asked: Option<LeaderEpoch>) -> Result<(), LogError> {
        let current = self.current_epoch();
        match asked {
            Some(asked) if asked < current => Err(LogError::FencedEpoch { asked, current }),
            Some(asked) if asked > current => Err(LogError::UnknownEpoch { asked, current }),
            _ => Ok(()),
        }
    }

    /// Puts changed topic configs in force, from the next append on.
    pub(crate) fn reconfigure(&self, config: LogConfig) {
        let (sync, flush) = (config.sync, config.flush);
        self.config.store(Arc::new(config));
        if sync {
            self.mark_dirty();
        } else {
            self.show_everything();
            // The timer that runs may be for the `flush.ms` of before.
            self.timed.store(false, Ordering::Release);
            self.flush_in_time(flush);
        }
    }

    /// `Err` when poisoned, damaged, deleted, offline or closed.
    ///
    /// # Errors
    /// The reason.
    pub fn usable(&self) -> Result<(), LogError> {
        self.view().trouble.clone().map_or(Ok(()), Err)
    }

    /// Held during a write. Taken after `upkeep`.
    pub(in crate::log) fn writer(&self) -> Guard<'_, Writer> {
        self.writer.lock(self)
    }

    /// Held only to look at or move positions. Taken last.
    pub(in crate::log) fn view(&self) -> Guard<'_, View> {
        self.view.lock(self)
    }

    /// Held while segments are taken out or replaced. Taken first.
    pub(in crate::log) fn upkeep(&self) -> Guard<'_, UpkeepState> {
        self.upkeep.lock(self)
    }

    /// As `upkeep`; `None` while another thread works on the segments.
    pub(in crate::log) fn try_upkeep(&self) -> Option<Guard<'_, UpkeepState>> {
        self.upkeep.try_lock(self)
    }

    /// Itself, to be handed to a task; `None` while it is being dropped.
    pub(in crate::log) fn me(&self) -> Option<Arc<Partition>> {
        self.me.upgrade()
    }

    /// `topic-partition`, for errors.
    pub(in crate::log) fn label(&self) -> String {
        self.ident.name().to_string()
    }

    pub(in crate::log) fn epoch_now(&self, view: &View) -> LeaderEpoch {
        let term = match self.ident.topic.as_str() {
            layout::METADATA_TOPIC => 0,
            _ => self.around.term.load(Ordering::Acquire),
        };
        view.epochs.last().unwrap_or_default().max(LeaderEpoch(term))
    }

    /// Hands the partition to the flusher, once until it is taken.
    pub(in crate::log) fn mark_dirty(&self) {
        if !self.queued.swap(true, Ordering::AcqRel)
            && let Some(me) = self.me.upgrade()
        {
            self.around.queue.push(me);
        }
    }

    /// The flusher has it: what becomes dirty from now on is for the next group.
    pub(in crate::log) fn taken(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// After an append to a log that does not wait for syncs: `flush.messages` and `flush.ms`.
    pub(in crate::log) fn flush_in_time(&self, every: FlushEvery) {
        let unsynced = {
            let view = self.view();
            view.positions.leo().offset.0 - view.positions.synced().0
        };
        if unsynced >= every.messages {
            self.flush_now();
        } else if every.ms != i64::MAX && !self.timed.swap(true, Ordering::AcqRel) {
            let wait = Duration::from_millis(every.ms.unsigned_abs());
            let at = self.around.clock.monotonic().checked_add(wait);
            if let Some(at) = at {
                self.around.queue.push_at(at, Weak::clone(&self.me));
            }
        }
    }

    /// `flush.ms` is over. One timer runs at a time, even if there are syncs meanwhile.
    pub(in crate::log) fn flush_timed(&self) {
        self.timed.store(false, Ordering::Release);
        self.flush_now();
    }

    /// Asks for a sync of everything that is there.
    fn flush_now(&self) {
        self.view().positions.want_all();
        self.mark_dirty();
    }

    /// HW = LEO, in topics that do not wait for syncs. An append that began in one and ends after it has become another
    /// is not shown: the config is read under the view's lock.
    pub(in crate::log) fn show_everything(&self) {
        let hw = {
            let mut view = self.view();
            if self.config.load().sync {
                drop(view);
                return self.mark_dirty();
            }
            if view.trouble.is_some() {
                return;
            }
            view.positions.show_all();
            view.positions.hw().offset
        };
        self.shown.reach(hw);
        self.watchers.wake();
    }

    /// Rule 16: no append is under way when this returns, and none will succeed.
    pub(in crate::log) fn delete(&self) {
        let _writer = self.writer();
        self.end(LogError::Deleted { partition: self.label() });
    }

    /// Ends all waits with `error`, and every later verb. The first error stays, except that a deletion replaces it.
    pub(in crate::log) fn end(&self, error: LogError) {
        {
            let mut view = self.view();
            if view.trouble.is_none() || matches!(error, LogError::Deleted { .. }) {
                view.trouble = Some(error.clone());
            }
        }
        self.shown.end(&error);
        self.synced.end(&error);
        self.watchers.wake();
    }
}

impl PoisonedByPanic for Partition {
    fn panicked(&self) {
        let error = LogError::Panicked { partition: self.label() };
        tracing::error!(%error, "a panic interrupted a change of the log");
        self.around.failure.note(&error);
        self.end(error);
    }
}
