//! Looks through the logs of a stopped broker for damage below what was durable (rule 10), and removes it
//! in one of two ways when it is asked to. Behind `sluice log check` and `sluice log repair`; holds the folder's lock.
//!
//! ```text
//! survey: batch after batch, every checksum ─ what is damaged, what stands behind it
//! apply:  cut   the recovery point is lowered to the damage; recovery then cuts there, as it would at a start
//!         skip  the segment is written anew without the damage; an empty batch stands for the offsets that are lost
//! ```
//!
//! Both keep every damaged byte in `<segment>.cut-N`, can be interrupted anywhere and begun again, and leave no marker
//! of a clean stop, so that the next start looks at everything and raises the term.

mod apply;
mod survey;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::SharedClock;
use crate::ids::{LeaderEpoch, Offset, TopicPartition};
use crate::log::error::LogError;
use crate::log::io::{DirLock, Disk};
use crate::log::layout::{self, LOCK, LOG_STARTS, RECOVERY_POINTS};
use crate::log::recovery::log_dir::LogDirSettings;
use crate::log::recovery::version;
use crate::log::sync::checkpoint::{self, Checkpoint};

/// What is done about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The log ends where the damage begins.
    Cut,
    /// What is whole behind the damage stays, at its offsets.
    Skip,
}

/// One place of a log that is no batch, or where batches are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// The offset that the file begins with.
    pub(crate) segment: Offset,
    /// Where the damage begins.
    pub position: u64,
    /// Bytes up to the next whole batch, or to the end of the file.
    pub bytes: u64,
    /// The first offset that cannot be read.
    pub from: Offset,
    /// The first one behind it that can, or where the log has to go on.
    pub to: Offset,
    /// The term of the batch before it: terms never go back within a log.
    pub(crate) leader_epoch: LeaderEpoch,
    /// What was found.
    pub reason: String,
}

/// What the log of a partition holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The first offset.
    pub log_start: Offset,
    /// Behind the last whole batch.
    pub end: Offset,
    /// Whole batches.
    pub batches: u64,
    /// Those of them behind the first damage.
    pub batches_behind: u64,
    /// Bytes looked at.
    pub(crate) bytes: u64,
    /// Below what was durable, in order.
    pub damages: Vec<Damage>,
    /// Bytes that were never synced and are no whole batches: the next start cuts them, which is no damage.
    pub torn_bytes: u64,
    /// The term of the last whole batch.
    pub(crate) leader_epoch: LeaderEpoch,
}

/// What was done to a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Behind the last batch now.
    pub end: Offset,
    /// Files that keep what was taken out.
    pub kept: Vec<PathBuf>,
}

/// The folder of a stopped broker.
#[derive(Debug)]
pub struct Repair {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    clock: SharedClock,
    points: Checkpoint,
    _lock: Box<dyn DirLock>,
}

impl Repair {
    /// Takes the folder's lock.
    ///
    /// # Errors
    /// `InUse` when a broker runs on it; `NewerVersion` or `BadVersion` when this program does not know its formats; `Io` when there is no such folder; `Corrupt` when the recovery points or the log
    /// starts cannot be read.
    pub fn open(settings: LogDirSettings, clock: SharedClock) -> Result<Repair, LogError> {
        let LogDirSettings { path: root, disk } = settings;
        disk.list(&root).map_err(|error| LogError::io("cannot read the data directory", &root, error))?;
        let lock = disk.lock(&root.join(LOCK)).map_err(|error| LogError::io("cannot lock", &root, error))?;
        let Some(lock) = lock else { return Err(LogError::InUse { path: root }) };
        version::read(&*disk, &root)?;
        let points = checkpoint::read(&*disk, &root, RECOVERY_POINTS)?;
        // A broker would not start with it either.
        checkpoint::read(&*disk, &root, LOG_STARTS)?;
        Ok(Repair { disk, root, clock, points, _lock: lock })
    }

    /// Every partition that has a directory, in order of names.
    ///
    /// # Errors
    /// `Io`.
    pub fn partitions(&self) -> Result<Vec<TopicPartition>, LogError> {
        let names = self.disk.list(&self.root).map_err(|error| LogError::io("cannot read", &self.root, error))?;
        let dirs = names.iter().filter(|entry| entry.dir);
        Ok(dirs.filter_map(|entry| layout::parse_partition_dir(&entry.name)).collect())
    }

    fn dir(&self, partition: &TopicPartition) -> PathBuf {
        self.root.join(layout::partition_dir(&partition.topic, partition.partition))
    }

    fn trusted(&self, partition: &TopicPartition) -> Offset {
        self.points.get(partition).copied().unwrap_or_default()
    }
}
