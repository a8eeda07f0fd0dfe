//! Writes the files of leader epochs that a group's partitions have begun (rule 5), before the group itself is synced. After a
//! start with a new term every partition has one to write: they are synced together. A file that cannot be written keeps its
//! partition's recovery point where it is, and nothing else: above that point a start reads the epochs from the batches.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::checkpoint;
use super::commit::Way;
use super::flusher::{Dirt, Worker};
use crate::log::error::LogError;
use crate::log::layout::LEADER_EPOCHS;
use crate::log::partition::Partition;

impl Worker {
    /// Brings the files in place; their names are synced with the group.
    ///
    /// # Errors
    /// A sync of the whole file system failed: nothing that is unsynced can be trusted any more (rule 8).
    pub(super) fn write_epochs(&self, dirty: &mut [(Arc<Partition>, Dirt)]) -> io::Result<()> {
        let mut written = Vec::new();
        for (partition, dirt) in dirty {
            let Some(text) = dirt.epochs.take() else { continue };
            match owned(partition, || checkpoint::write_aside(&*self.disk, &path(partition), &text)) {
                Ok(file) => written.push((partition, dirt, file)),
                Err(error) => not_written(partition, dirt, error),
            }
        }
        let together = written.len() > 1 && self.queue.state.lock().commit.way(written.len()) == Way::FileSystem;
        if together {
            self.disk.sync_all_dirty(&self.root)?;
        }
        for (partition, dirt, file) in written {
            let synced = if together { Ok(()) } else { file.sync_data() };
            let put = || checkpoint::put_in_place(&*self.disk, &path(partition));
            match synced.and_then(|()| owned(partition, put)) {
                Ok(()) => {
                    dirt.dir = true;
                    partition.view().epochs_failed = None;
                }
                Err(error) => not_written(partition, dirt, error),
            }
        }
        Ok(())
    }
}

/// Changes a name in the partition's directory while the directory is certainly this partition's: after a deletion a new
/// topic may have one of the same name.
fn owned<T>(partition: &Partition, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(_directory) = partition.try_upkeep() else { return Err(io::ErrorKind::ResourceBusy.into()) };
    if partition.deleted() {
        return Err(io::ErrorKind::NotFound.into());
    }
    change()
}

fn path(partition: &Partition) -> PathBuf {
    partition.dir.join(LEADER_EPOCHS)
}

/// The next sync tries again.
fn not_written(partition: &Partition, dirt: &mut Dirt, error: io::Error) {
    dirt.reach.keep_recovery_point();
    let error = LogError::io("cannot write", &path(partition), error);
    let mut view = partition.view();
    view.pending.epochs = true;
    if view.epochs_failed.is_none() && !matches!(view.trouble, Some(LogError::Deleted { .. })) {
        tracing::warn!(%error, "leader epochs were not written, the recovery point stays");
    }
    view.epochs_failed = Some(error);
}
