//! The data directory: its lock, the clean-shutdown marker, the term, the flusher, and the verbs that make, open,
//! close and remove partitions. Owns the flusher's thread and the one that unlinks. Never decides which partitions
//! there should be: that is the metadata log's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::clock::SharedClock;
use crate::ids::{LeaderEpoch, PartitionId, TopicId, TopicPartition};
use crate::log::config::LogConfig;
use crate::log::error::{LogError, Offline};
use crate::log::ident::PartitionIdent;
use crate::log::index::files::OpenIndexes;
use crate::log::io::{BufferedDisk, DirLock, Disk, OpenFiles};
use crate::log::layout::{self, CLEAN_SHUTDOWN, CLEANED_OFFSETS, LOCK, LOG_STARTS, RECOVERY_POINTS};
use crate::log::partition::{Partition, Surroundings};
use crate::log::recovery::progress::CutReport;
use crate::log::recovery::version;
use crate::log::sync::checkpoint::{self, CheckpointFile};
use crate::log::sync::flusher::Flusher;
use crate::log::sync::queue::FlushQueue;
use crate::log::sync::registry::{Points, Registry};
use crate::log::upkeep::passes::Upkeep;
use crate::log::upkeep::unlinker::Unlinker;
use crate::metrics::{Page, Section};
use crate::tasks::Tasks;

/// The marker's text, as Kafka 4 writes it; that it is there is all that counts.
const CLEAN_SHUTDOWN_TEXT: &str = "{\"version\":0,\"brokerEpoch\":-1}";

/// Where a log directory is and what it stands on.
#[derive(Clone, Debug)]
pub struct LogDirSettings {
    /// The folder; made where it is missing.
    pub path: PathBuf,
    /// The disk under it.
    pub disk: Arc<dyn Disk>,
}

impl LogDirSettings {
    /// The folder, on the machine's disk.
    #[must_use]
    pub fn new(path: PathBuf) -> LogDirSettings {
        LogDirSettings { path, disk: Arc::new(BufferedDisk::default()) }
    }
}

/// An open data directory. Dropping it without `close` is a crash: nothing more is synced.
#[derive(Debug)]
pub struct LogDir {
    pub(in crate::log) path: PathBuf,
    pub(in crate::log) around: Surroundings,
    pub(in crate::log) registry: Arc<Registry>,
    pub(in crate::log) unlinker: Unlinker,
    pub(in crate::log) upkeep: Arc<Upkeep>,
    pub(in crate::log) reports: Mutex<Vec<CutReport>>,
    pub(in crate::log) tasks: Tasks,
    flusher: Flusher,
    unclean: bool,
    version: Mutex<FolderVersion>,
    /// `None` once closed.
    lock: Mutex<Option<Box<dyn DirLock>>>,
}

/// Whether the folder has the number of this program's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FolderVersion {
    Current,
    /// Not yet: something in it may not have been opened.
    Outdated,
    /// Everything in it was opened, and the disk had no room for the number.
    Unwritten,
}

impl Section for LogDir {
    fn show(&self, page: &mut Page<'_>) {
        self.flusher.counts().show(page);
        page.gauges("sluice_log_sync_queue_partitions", "Partitions that wait for the next group commit.", |rows| {
            rows.number(&[], i64::try_from(self.around.queue.waiting()).unwrap_or(i64::MAX));
        });
    }
}

impl LogDir {
    /// Creates the folder where needed, takes the lock, reads and removes the clean-shutdown marker (durably, before
    /// anything is appended), reads the recovery points, starts the flusher thread.
    ///
    /// # Errors
    /// `InUse` when another process has the lock; `NewerVersion` or `BadVersion`, with nothing changed; `Io` when the folder
    /// cannot be made, read or written.
    pub fn open(settings: LogDirSettings, clock: SharedClock) -> Result<Arc<LogDir>, LogError> {
        LogDir::open_for(settings, clock, Tasks::new())
    }

    /// As `open`; its threads are spawned by the broker's `tasks`.
    ///
    /// # Errors
    /// As `open`.
    pub(crate) fn open_for(
        settings: LogDirSettings,
        clock: SharedClock,
        tasks: Tasks,
    ) -> Result<Arc<LogDir>, LogError> {
        let LogDirSettings { path, disk } = settings;
        make_dir(&*disk, &path).map_err(|error| LogError::io("cannot make the data directory", &path, error))?;
        let lock_path = path.join(LOCK);
        let lock =
            disk.lock(&lock_path).map_err(|error| LogError::io("cannot write to the data directory", &path, error))?;
        let Some(lock) = lock else { return Err(LogError::InUse { path }) };

        let names = disk.list(&path).map_err(|error| LogError::io("cannot read the data directory", &path, error))?;
        let found = version::read(&*disk, &path)?;
        let clean = names.iter().any(|entry| entry.name == CLEAN_SHUTDOWN);
        let used = names.iter().any(|entry| {
            entry.name == RECOVERY_POINTS || (entry.dir && layout::parse_partition_dir(&entry.name).is_some())
        });
        if clean {
            let marker = path.join(CLEAN_SHUTDOWN);
            disk.unlink(&marker).map_err(|error| LogError::io("cannot remove", &marker, error))?;
        }
        disk.sync_dir(&path).map_err(|error| LogError::io("cannot sync the data directory", &path, error))?;
        let mut version = FolderVersion::Current;
        if found < layout::CURRENT_VERSION {
            if used {
                version = FolderVersion::Outdated;
            } else {
                version::write(&*disk, &path)?;
            }
        }

        // Without either all damage would pass for a torn tail: better not to start than to cut what was durable.
        let points = CheckpointFile::open(Arc::clone(&disk), path.clone(), RECOVERY_POINTS)?;
        let starts = Arc::new(CheckpointFile::open(Arc::clone(&disk), path.clone(), LOG_STARTS)?);
        // Before the flusher's thread begins, which would outlive a failure here and the lock.
        let cleaned = CheckpointFile::open(Arc::clone(&disk), path.clone(), CLEANED_OFFSETS)?;
        let failure = Arc::default();
        let registry = Arc::new(Registry::new(points, Arc::clone(&failure)));
        let queue = Arc::new(FlushQueue::new());
        let flusher = Flusher::start(
            &tasks,
            Arc::clone(&queue),
            Arc::clone(&disk),
            path.clone(),
            Arc::clone(&registry),
            Arc::clone(&clock),
        )
        .map_err(|error| LogError::io("cannot start the flusher of", &path, error))?;
        let indexes = Arc::new(OpenIndexes::new(Arc::clone(&disk)));
        let (term, producers) = Default::default();
        let around = Surroundings { disk: Arc::clone(&disk), indexes, clock, queue, term, starts, failure, producers };
        let upkeep = Arc::new(Upkeep::new(around.clone(), Arc::clone(&registry), cleaned));
        Ok(Arc::new(LogDir {
            path,
            around,
            registry,
            unlinker: Unlinker::new(disk, tasks.clone()),
            tasks,
            upkeep,
            reports: Mutex::default(),
            flusher,
            unclean: used && !clean,
            version: Mutex::new(version),
            lock: Mutex::new(Some(lock)),
        }))
    }

    /// The folder.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The files that the process has open and may have; `None` where they cost nothing. Blocking: looks at each.
    pub(crate) fn open_files(&self) -> Option<OpenFiles> {
        self.around.disk.open_files()
    }

    /// Who owns the broker's tasks.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The last stop left no marker (and the folder was not new).
    #[must_use]
    pub fn was_unclean(&self) -> bool {
        self.unclean
    }

    /// Gives a folder of an older version the number of this one, durably. Called when everything in it has been opened: a
    /// crash before that finds the old number and begins again. A full disk keeps the old number until the folder is closed
    /// (rule 8: what is there is served, and retention can make room). Blocking.
    ///
    /// # Errors
    /// `Io`, but for want of room.
    pub(crate) fn confirm_version(&self) -> Result<(), LogError> {
        let mut version = self.version.lock();
        if *version == FolderVersion::Current {
            return Ok(());
        }
        match version::write(&*self.around.disk, &self.path) {
            Ok(()) => *version = FolderVersion::Current,
            Err(error) if error.is_no_space() => {
                tracing::warn!("the data folder keeps the number of its old version for now: {error}");
                *version = FolderVersion::Unwritten;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Every later append carries this epoch; called once, before the first client append. The metadata log, which is
    /// opened before the term is known, stays at epoch 0.
    pub fn begin_term(&self, term: LeaderEpoch) {
        self.around.term.store(term.0, Ordering::Release);
    }

    /// A new, empty log; it and its names are durable before this returns. A crash leaves all of it or nothing. Blocking.
    ///
    /// # Errors
    /// `Io`, also when a directory of that name exists already.
    pub fn create(&self, ident: PartitionIdent, config: LogConfig) -> Result<Arc<Partition>, LogError> {
        let partition = self.make(ident, config)?;
        self.registry.add(&partition);
        Ok(partition)
    }

    /// An existing log, recovered as rules 9, 10 and 14 say (blocking; call on a blocking thread). A directory that is
    /// missing, cannot be read, or has another topic id, gives an offline partition (every verb answers `Offline`),
    /// never a new empty log (rule 17).
    ///
    /// # Errors
    /// None today: what is wrong with a log is the partition's own state (`Partition::usable`).
    pub fn open_existing(&self, ident: PartitionIdent, config: LogConfig) -> Result<Arc<Partition>, LogError> {
        let partition = self.recover(ident, config);
        if let Err(trouble) = partition.usable() {
            self.registry.failed(&trouble);
        }
        self.registry.add(&partition);
        Ok(partition)
    }

    /// Rule 16: marks it deleted (waiters end with `Deleted`), renames the directory, durably, and leaves the unlinking
    /// to a thread. The caller has made the topic's delete record durable.
    ///
    /// # Errors
    /// `Io`; the partition is deleted in memory all the same.
    pub fn remove(&self, partition: &Partition) -> Result<(), LogError> {
        let ident = partition.ident();
        partition.delete();
        self.registry.remove(partition);
        // Upkeep removes segments by their names, which the next log of this name will have too.
        let _upkeep = partition.upkeep();
        let aside = self.path.join(layout::delete_dir(&ident.topic, ident.partition));
        match self.around.disk.rename(&partition.dir, &aside) {
            Ok(()) => {}
            // An offline partition may have no directory.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(LogError::io("cannot rename", &partition.dir, error)),
        }
        self.sync_root()?;
        self.unlinker.remove(aside)
    }

    /// Rule 17: renames partition directories that `known` refuses to `-stray` and returns their new names; finishes
    /// interrupted deletions. A directory without a readable `partition.metadata` has no topic id and is refused too.
    ///
    /// # Errors
    /// `Io`.
    pub fn set_aside_strays(&self, known: &dyn Fn(TopicId, PartitionId) -> bool) -> Result<Vec<PathBuf>, LogError> {
        let disk = &*self.around.disk;
        let names = disk.list(&self.path).map_err(|error| LogError::io("cannot read", &self.path, error))?;
        let mut strays = Vec::new();
        for entry in names.into_iter().filter(|entry| entry.dir) {
            let from = self.path.join(&entry.name);
            if layout::is_delete_dir(&entry.name) {
                self.unlinker.remove(from)?;
                continue;
            }
            let Some(name) = layout::parse_partition_dir(&entry.name) else { continue };
            let text = checkpoint::read_text(disk, &from.join(layout::PARTITION_METADATA))?;
            let id = text.as_deref().and_then(layout::parse_partition_metadata);
            if id.is_some_and(|id| known(id, name.partition)) || self.registry.in_use(&name) {
                continue;
            }
            let to = self.path.join(layout::stray_dir(&name.topic, name.partition));
            disk.rename(&from, &to).map_err(|error| LogError::io("cannot rename", &from, error))?;
            tracing::warn!(stray = %to.display(), "a directory of an unknown topic was set aside");
            self.forget(&[name])?;
            strays.push(to);
        }
        if !strays.is_empty() {
            self.sync_root()?;
        }
        Ok(strays)
    }

    /// The first thing that made a partition unusable, for readiness.
    #[must_use]
    pub fn first_failure(&self) -> Option<String> {
        self.registry.first_failure()
    }

    /// What recovery has cut since the directory was opened.
    #[must_use]
    pub fn reports(&self) -> Vec<CutReport> {
        self.reports.lock().clone()
    }

    /// Takes no more appends, syncs everything, writes the checkpoints and the clean-shutdown marker (not when
    /// something is poisoned), gives the lock back. Blocking. A second call does nothing.
    ///
    /// # Errors
    /// `Io` or `Poisoned` when something could not be written or synced: the next start will recover.
    pub fn close(&self) -> Result<(), LogError> {
        let Some(lock) = self.lock.lock().take() else { return Ok(()) };
        self.upkeep.stop();
        let open = self.registry.open();
        let mut outcome = Ok(());
        for partition in &open {
            outcome = outcome.and(partition.close_writes());
        }
        self.flusher.finish();
        self.unlinker.finish();
        self.upkeep.finish();
        outcome = outcome
            .and_then(|()| self.registry.write_recovery_points(Points::All))
            .and_then(|()| self.around.starts.rewrite());
        if let Some(unsettled) = open.iter().find(|partition| !partition.settled()) {
            let cause = self.registry.first_failure().unwrap_or_else(|| "it was not synced".to_owned());
            outcome = outcome.and(Err(LogError::Poisoned { partition: unsettled.label(), cause }));
        }
        if *self.version.lock() == FolderVersion::Unwritten {
            outcome = outcome.and(self.confirm_version());
        }
        if outcome.is_ok() {
            let marker = (CLEAN_SHUTDOWN, CLEAN_SHUTDOWN_TEXT);
            outcome = checkpoint::replace_durably(&*self.around.disk, &self.path, marker.0, marker.1);
        }
        self.abandon_waits();
        drop(lock);
        outcome
    }

    pub(in crate::log) fn sync_root(&self) -> Result<(), LogError> {
        self.around.disk.sync_dir(&self.path).map_err(|error| LogError::io("cannot sync", &self.path, error))
    }

    /// Makes sure that nothing of earlier logs with these names is in the checkpoints.
    pub(in crate::log) fn forget(&self, names: &[TopicPartition]) -> Result<(), LogError> {
        self.registry.forget(names)?;
        self.upkeep.cleaned.forget(names)?;
        self.around.starts.forget(names)
    }

    fn abandon_waits(&self) {
        for partition in self.registry.open() {
            partition.end(LogError::Offline { partition: partition.label(), why: Offline::Closed });
        }
    }
}

impl Drop for LogDir {
    fn drop(&mut self) {
        if self.lock.get_mut().is_some() {
            self.upkeep.stop();
            self.flusher.abandon();
            self.unlinker.finish();
            self.abandon_waits();
        }
    }
}

/// The folder and its missing parents; their names are durable, or a power cut would take everything in them.
fn make_dir(disk: &dyn Disk, path: &Path) -> std::io::Result<()> {
    let named = path.ancestors().filter(|ancestor| !ancestor.as_os_str().is_empty());
    let missing: Vec<&Path> = named.take_while(|ancestor| disk.list(ancestor).is_err()).collect();
    disk.create_dir(path)?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        disk.sync_dir(parent.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
