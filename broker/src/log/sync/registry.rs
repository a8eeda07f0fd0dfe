//! Every open partition of a data directory, the recovery points on disk, and the first thing that went wrong.
//! The recovery point of a partition that is damaged or offline stays in the file: without it, the damage would look like
//! a torn tail and be cut (rule 10).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ids::{Offset, TopicPartition};
use crate::log::error::{LogError, Offline};
use crate::log::layout::{SegmentFile, segment_file};
use crate::log::partition::Partition;
use crate::log::sync::checkpoint::CheckpointFile;
use crate::log::sync::failure::FirstFailure;

/// Whose recovery points are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) enum Points {
    /// Of every open partition.
    All,
    /// Of those that have sealed a segment since theirs was written.
    Rolled,
}

/// The open partitions and their recovery points on disk.
#[derive(Debug)]
pub(in crate::log) struct Registry {
    open: Mutex<BTreeMap<TopicPartition, Arc<Partition>>>,
    points: CheckpointFile,
    /// Removed, and perhaps still in the file of recovery points.
    gone: Mutex<BTreeSet<TopicPartition>>,
    failure: Arc<FirstFailure>,
    /// Why nothing can be synced any more.
    poisoned: Mutex<Option<String>>,
}

impl Registry {
    pub(in crate::log) fn new(points: CheckpointFile, failure: Arc<FirstFailure>) -> Registry {
        Registry { open: Mutex::default(), points, gone: Mutex::default(), failure, poisoned: Mutex::default() }
    }

    pub(in crate::log) fn add(&self, partition: &Arc<Partition>) {
        self.open.lock().insert(partition.ident().name(), Arc::clone(partition));
        let poisoned = self.poisoned.lock().clone();
        if let Some(cause) = poisoned {
            self.poison(partition, &cause);
        }
    }

    /// Nothing is synced any more: all waits and later verbs of every partition, and of those opened later, end with it.
    pub(in crate::log) fn poison_all(&self, cause: &str) {
        // Before the open ones are looked at: one that is added meanwhile sees it.
        *self.poisoned.lock() = Some(cause.to_owned());
        self.open().iter().for_each(|partition| self.poison(partition, cause));
    }

    /// Rule 8: nothing of this partition is trusted until the next start.
    pub(in crate::log) fn poison(&self, partition: &Partition, cause: &str) {
        let error = LogError::Poisoned { partition: partition.label(), cause: cause.to_owned() };
        tracing::error!(%error, "a sync failed");
        self.failed(&error);
        partition.end(error);
    }

    /// Open, with a log: its directory must not be touched.
    pub(in crate::log) fn in_use(&self, name: &TopicPartition) -> bool {
        self.open.lock().get(name).is_some_and(|partition| partition.has_log())
    }

    /// Open, in any state.
    pub(in crate::log) fn knows(&self, name: &TopicPartition) -> bool {
        self.open.lock().contains_key(name)
    }

    /// No longer open; its recovery point goes with the next checkpoint.
    pub(in crate::log) fn remove(&self, partition: &Partition) {
        let name = partition.ident().name();
        let mut open = self.open.lock();
        if open.get(&name).is_some_and(|there| std::ptr::eq(Arc::as_ptr(there), partition)) {
            open.remove(&name);
            self.gone.lock().insert(name);
        }
    }

    pub(in crate::log) fn open(&self) -> Vec<Arc<Partition>> {
        self.open.lock().values().cloned().collect()
    }

    /// The recovery point on disk: everything below was durable once.
    pub(in crate::log) fn point(&self, name: &TopicPartition) -> Offset {
        self.points.get(name).unwrap_or_default()
    }

    /// Makes sure that no recovery point of an earlier log with one of these names is on disk: a new log would look
    /// damaged below it.
    pub(in crate::log) fn forget(&self, names: &[TopicPartition]) -> Result<(), LogError> {
        self.points.forget(names)
    }

    /// Writes the recovery points, durably, if any has moved.
    pub(in crate::log) fn write_recovery_points(&self, of: Points) -> Result<(), LogError> {
        // Before the open ones are looked at: a name may be in use again.
        let gone = self.gone.lock().clone();
        let mut open = self.open();
        open.retain(|partition| std::mem::take(&mut partition.view().rolled) || of == Points::All);
        self.points.update(|points| {
            points.retain(|name, _| !gone.contains(name));
            for partition in &open {
                if let Some(point) = partition.recovery_point_to_write() {
                    points.insert(partition.ident().name(), point);
                }
            }
        })?;
        self.gone.lock().retain(|name| !gone.contains(name));
        open.iter().for_each(|partition| partition.drop_obsolete_snapshot(self.point(&partition.ident().name())));
        Ok(())
    }

    pub(in crate::log) fn failed(&self, error: &LogError) {
        self.failure.note(error);
    }

    pub(in crate::log) fn first_failure(&self) -> Option<String> {
        self.failure.text()
    }
}

impl Partition {
    fn has_log(&self) -> bool {
        let view = self.view();
        view.active.is_some() || !view.sealed.is_empty()
    }

    /// Once the recovery point on disk has reached the newer snapshot, a start uses that one: the older is removed.
    fn drop_obsolete_snapshot(&self, point: Offset) {
        let older = self.view().obsolete.take_if(|(_, newer)| *newer <= point);
        if let Some((older, _)) = older {
            // What stays is removed by the next start that recovers.
            let _ = self.around.disk.unlink(&self.dir.join(segment_file(older, SegmentFile::Snapshot)));
        }
    }

    /// `None` when what is on disk must stay.
    fn recovery_point_to_write(&self) -> Option<Offset> {
        let view = self.view();
        match &view.trouble {
            Some(LogError::Corrupt { .. } | LogError::Deleted { .. } | LogError::Panicked { .. }) => None,
            Some(LogError::Offline { why, .. }) if !matches!(why, Offline::Closed) => None,
            _ => Some(view.positions.recovery_point()),
        }
    }
}
