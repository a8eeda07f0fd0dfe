//! One partition: what it is, where its log stands (LEO, HW, recovery point, log start, segments) and the verbs that
//! neither append (`append.rs`) nor read (`read.rs`, `find_time.rs`). The writer's lock is held during a write; the
//! view's only to look at or move positions, never during I/O, so that reads and appends do not wait for each other.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Notify;

use super::error::LogError;
use super::io::{Disk, SharedFile};
use super::layout;
use crate::clock::SharedClock;
use crate::ids::{
    LeaderEpoch, Offset, PartitionId, ProducerId, Sequence, TimestampMs, TopicId, TopicName, TopicPartition,
};
use crate::log::guarded::{Guard, Guarded, PoisonedByPanic};
use crate::log::index::maps::IndexMaps;
use crate::log::positions::{Offsets, Positions};
use crate::log::read::watch::{WatchGuard, Watchers};
use crate::log::sync::checkpoint::CheckpointFile;
use crate::log::sync::durability::Waits;
use crate::log::sync::failure::FirstFailure;
use crate::log::sync::flusher::FlushQueue;
use crate::log::turn::Turns;
use crate::log::upkeep::policy::Cleanup;
use crate::log::write::epochs::Epochs;
use crate::log::write::producers::Producers;
use crate::log::write::segment::{ActiveSegment, SealedSegment, Segment};
use crate::record::TimestampType;

/// Which partition a log belongs to; written to `partition.metadata` and checked at open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionIdent {
    /// The topic's name.
    pub topic: TopicName,
    /// The topic's identity, which a later topic of that name does not have.
    pub topic_id: TopicId,
    /// The partition's number.
    pub partition: PartitionId,
}

impl PartitionIdent {
    /// The partition by its topic's name.
    #[must_use]
    pub fn name(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition: self.partition }
    }
}

/// What the topic's configs mean for its logs; may change while the log is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment is sealed before it grows beyond so many bytes (`segment.bytes`).
    pub segment_bytes: u64,
    /// A segment is sealed when a batch is so many ms later than its first (`segment.ms`).
    pub segment_ms: i64,
    /// Bytes of log between index entries (`index.interval.bytes`).
    pub index_interval_bytes: u64,
    /// Bytes of the largest batch (`max.message.bytes`).
    pub message_bytes_max: usize,
    /// Whose time records carry (`message.timestamp.type`).
    pub timestamp_type: TimestampType,
    /// `true`: HW waits for the sync (the default). `false` is `sluice.flush=os`.
    pub sync: bool,
    /// When a log that does not wait for syncs gets one all the same.
    pub flush: FlushEvery,
    /// Keyless records are refused: `cleanup.policy` has `compact`.
    pub compacted: bool,
    /// What is removed, and when.
    pub cleanup: Cleanup,
}

/// How much of a `sluice.flush=os` log stays unsynced; a sync is asked for then, nobody waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushEvery {
    /// Messages (`flush.messages`).
    pub messages: i64,
    /// Milliseconds since the first of them (`flush.ms`).
    pub ms: i64,
}

impl FlushEvery {
    /// It is left to the system.
    pub const NEVER: FlushEvery = FlushEvery { messages: i64::MAX, ms: i64::MAX };
}

/// Who appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Over the Kafka port: reserved producer ids are refused.
    Client,
    /// The broker: coordinators and gateway batches without identity.
    Broker,
    /// A deduplicated append: the batch carries a reserved producer id; exactly last + 1, or a duplicate (rule 18).
    Stream,
}

/// Producer ids at and above this belong to internal streams (rule 19); ids below are given to clients.
pub const RESERVED_PRODUCER_IDS: ProducerId = ProducerId(1 << 62);

/// What an append did, or had done before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The first record's offset.
    pub base_offset: Offset,
    /// The last record's offset.
    pub last_offset: Offset,
    /// Under LogAppendTime.
    pub append_time: Option<TimestampMs>,
    /// The partition's first offset.
    pub log_start: Offset,
    /// The batch was there before (KIP-98).
    pub duplicate: bool,
}

/// What a read found.
#[derive(Clone, Debug)]
pub struct ReadSlice {
    /// Whole batches below HW, as stored; the first one holds the offset asked for. Empty at the end.
    pub records: Bytes,
    /// Where the log stood.
    pub offsets: Offsets,
}

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOffset {
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp.
    pub timestamp: TimestampMs,
    /// The epoch it was written in.
    pub epoch: LeaderEpoch,
}

/// The last thing that an internal stream wrote here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLast {
    /// The last record's sequence.
    pub sequence: Sequence,
    /// The last record's offset.
    pub offset: Offset,
}

/// What the one who appends owns.
#[derive(Debug)]
pub(in crate::log) struct Writer {
    /// `None`: read-only (damaged, offline).
    pub(in crate::log) active: Option<ActiveSegment>,
    pub(in crate::log) producers: Producers,
    /// LogAppendTime never goes back.
    pub(in crate::log) last_append_time: Option<TimestampMs>,
    /// The newest snapshot of the producers.
    pub(in crate::log) snapshot_at: Option<Offset>,
}

/// Where the log stands.
#[derive(Debug)]
pub(in crate::log) struct View {
    pub(in crate::log) positions: Positions,
    pub(in crate::log) sealed: Vec<SealedSegment>,
    pub(in crate::log) active: Option<Arc<Segment>>,
    pub(in crate::log) epochs: Epochs,
    /// What the next sync has to take besides the active `.log`.
    pub(in crate::log) pending: Pending,
    /// The flusher has taken something and is not done with it.
    pub(in crate::log) flushing: bool,
    /// A snapshot that is of no use once the recovery point on disk has reached the newer one, which comes second.
    pub(in crate::log) obsolete: Option<(Offset, Offset)>,
    /// Why this partition takes no appends, or does not even read.
    pub(in crate::log) trouble: Option<LogError>,
}

/// Files and names that were changed since the last sync.
#[derive(Debug, Default)]
pub(in crate::log) struct Pending {
    pub(in crate::log) files: Vec<SharedFile>,
    /// To be written first: producers as they were before an offset.
    pub(in crate::log) snapshots: Vec<(Offset, Vec<u8>)>,
    pub(in crate::log) dir: bool,
    /// A segment was sealed: the recovery points are worth writing.
    pub(in crate::log) sealed: bool,
}

/// What is known of the work on a partition's segments.
#[derive(Debug, Default)]
pub(in crate::log) struct UpkeepState {
    /// A compaction ended half way, and what is on disk is for the next start to put in order.
    pub(in crate::log) failed: bool,
}

/// What every partition of a data directory shares with it.
#[derive(Clone, Debug)]
pub(in crate::log) struct Surroundings {
    pub(in crate::log) disk: Arc<dyn Disk>,
    pub(in crate::log) maps: Arc<IndexMaps>,
    pub(in crate::log) clock: SharedClock,
    pub(in crate::log) queue: Arc<FlushQueue>,
    pub(in crate::log) term: Arc<AtomicI32>,
    /// Where each log begins, on disk.
    pub(in crate::log) starts: Arc<CheckpointFile>,
    pub(in crate::log) failure: Arc<FirstFailure>,
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
    /// What is at and above it is not removed, whatever the configs say.
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
        writer: Writer,
        view: View,
    ) -> Arc<Partition> {
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
    pub fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// Returns when HW >= `until`.
    ///
    /// # Errors
    /// `Poisoned` or `Deleted` when that will not happen any more; `Offline` when the log was closed.
    pub(crate) async fn durable(&self, until: Offset) -> Result<(), LogError> {
        self.shown.until(until).await
    }

    /// Syncs the log at least up to `until` and returns when that is done, in `sluice.flush=os` topics too (rule 18).
    ///
    /// # Errors
    /// As `durable`.
    pub async fn sync_now(&self, until: Offset) -> Result<(), LogError> {
        self.view().positions.want(until);
        self.mark_dirty();
        self.synced.until(until).await
    }

    /// Where the log stands.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.view().positions.offsets()
    }

    /// Nothing at or above `from` is removed by retention or DeleteRecords, until a later call says otherwise: somebody
    /// of the broker's own has not worked through it yet.
    pub fn hold(&self, from: Offset) {
        self.held.store(from.0, Ordering::Release);
    }

    /// `notify.notify_one()` is called whenever HW moves, and when the partition is deleted or poisoned.
    pub fn watch(&self, notify: &Arc<Notify>) -> WatchGuard {
        self.watchers.watch(notify)
    }

    /// OffsetForLeaderEpoch: the largest epoch <= `epoch` known and where it ends (HW for the current one). `None`: unknown.
    #[must_use]
    pub fn epoch_end(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
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
    pub fn check_epoch(&self, asked: Option<LeaderEpoch>) -> Result<(), LogError> {
        let current = self.current_epoch();
        match asked {
            Some(asked) if asked < current => Err(LogError::FencedEpoch { asked, current }),
            Some(asked) if asked > current => Err(LogError::UnknownEpoch { asked, current }),
            _ => Ok(()),
        }
    }

    /// Puts changed topic configs in force, from the next append on.
    pub fn reconfigure(&self, config: LogConfig) {
        let (sync, flush) = (config.sync, config.flush);
        self.config.store(Arc::new(config));
        if sync {
            self.mark_dirty();
        } else {
            self.show_everything();
            // The time that runs may be another one's by now.
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

    /// As `upkeep`; `None` while somebody else works on the segments.
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

    /// `flush.ms` is over. Until it is, no second one is begun, however often there is a sync meanwhile.
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
    /// is not shown: the config is looked at under the view's lock, so whoever changed it finds all that was shown in LEO.
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

    /// There will be no more progress; the first reason stays, except that a deletion overrides all.
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

impl View {
    /// `Err` when nothing may be read either.
    pub(in crate::log) fn readable(&self) -> Result<(), LogError> {
        match &self.trouble {
            Some(error @ (LogError::Deleted { .. } | LogError::Offline { .. } | LogError::Panicked { .. })) => {
                Err(error.clone())
            }
            _ => Ok(()),
        }
    }
}
