//! STUB to be replaced. The data directory: lock, clean-shutdown marker, checkpoints, the flusher, every open partition.
#![allow(missing_docs)]
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::LogError;
use super::partition::{LogConfig, Partition, PartitionIdent};
use crate::clock::SharedClock;
use crate::ids::{LeaderEpoch, PartitionId, TopicId};

#[derive(Clone, Debug)]
pub struct LogDirSettings {
    pub path: PathBuf,
}

impl LogDirSettings {
    /// The folder, on the machine's disk.
    pub fn new(path: PathBuf) -> LogDirSettings {
        LogDirSettings { path }
    }
}

#[derive(Debug)]
pub struct LogDir {}

impl LogDir {
    /// Creates the folder where needed, takes the lock (`InUse`), reads and removes the clean-shutdown marker (durably, before
    /// anything is appended), reads `recovery-point-offset-checkpoint`, starts the flusher thread.
    pub fn open(_settings: LogDirSettings, _clock: SharedClock) -> Result<Arc<LogDir>, LogError> {
        todo!()
    }
    pub fn path(&self) -> &Path {
        todo!()
    }
    /// The last stop left no marker (and the folder was not new).
    pub fn was_unclean(&self) -> bool {
        todo!()
    }
    /// Every later append carries this epoch; called once, before the first client append (the metadata log itself uses epoch 0).
    pub fn begin_term(&self, _term: LeaderEpoch) {
        todo!()
    }
    /// A new, empty log; its directory entries are synced before this returns.
    pub fn create(&self, _ident: PartitionIdent, _config: LogConfig) -> Result<Arc<Partition>, LogError> {
        todo!()
    }
    /// An existing log: recovered as rules 9, 10, 14 say (blocking; call on a blocking thread). A directory that is missing,
    /// or has another topic id, gives an offline partition (every verb answers `Offline`), never a new empty log (rule 17).
    pub fn open_existing(&self, _ident: PartitionIdent, _config: LogConfig) -> Result<Arc<Partition>, LogError> {
        todo!()
    }
    /// Rule 16: marks it deleted (waiters end with `Deleted`), renames the directory to `<name>.<uuid>-delete`, unlinks it on a thread of its own.
    pub fn remove(&self, _partition: &Partition) -> Result<(), LogError> {
        todo!()
    }
    /// Rule 17: renames partition directories that `known` refuses to `-stray` and returns them; finishes interrupted `-delete`s.
    pub fn set_aside_strays(&self, _known: &dyn Fn(TopicId, PartitionId) -> bool) -> Result<Vec<PathBuf>, LogError> {
        todo!()
    }
    /// What recovery cut, for the log and for `sluice`'s start banner: (partition, offset, bytes, file kept).
    pub fn first_failure(&self) -> Option<String> {
        todo!()
    }
    /// Flushes everything, writes checkpoints and the clean-shutdown marker (not when poisoned), releases the lock. Blocking.
    pub fn close(&self) -> Result<(), LogError> {
        todo!()
    }
}
