//! Makes a partition's directory, or opens the one that is there. A new one is built under a name that would be
//! removed at the next start, and gets its own when everything in it is durable.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use crate::ids::{Offset, TimestampMs};
use crate::log::config::LogConfig;
use crate::log::error::{LogError, Offline};
use crate::log::ident::PartitionIdent;
use crate::log::io::Disk;
use crate::log::layout::{self, PARTITION_METADATA};
use crate::log::partition::Partition;
use crate::log::positions::Positions;
use crate::log::recovery::log_dir::LogDir;
use crate::log::recovery::progress::{Recovered, Recovery};
use crate::log::state::{Pending, View, Writer};
use crate::log::sync::checkpoint;
use crate::log::write::epochs::Epochs;
use crate::log::write::producers::Producers;
use crate::log::write::segment::ActiveSegment;
use crate::record::TimestampType;

impl LogDir {
    pub(in crate::log) fn make(&self, ident: PartitionIdent, config: LogConfig) -> Result<Arc<Partition>, LogError> {
        let disk = &*self.around.disk;
        let dir = self.path.join(layout::partition_dir(&ident.topic, ident.partition));
        if disk.list(&dir).is_ok() {
            self.free_name(&ident, &dir)?;
        }
        self.forget(&[ident.name()])?;
        let building = self.path.join(layout::delete_dir(&ident.topic, ident.partition));
        let made = build(disk, &building, &dir, &ident, self.around.clock.wall())
            .and_then(|active| {
                disk.rename(&building, &dir)?;
                disk.sync_dir(&self.path)?;
                Ok(active)
            })
            .map_err(|error| LogError::io("cannot make the partition's directory", &dir, error));
        if made.is_err() {
            // Best effort: the name says what it is, the next start removes it. When it was the last sync that failed, the
            // directory has its own name already, which a later attempt needs; and nothing in it may go before that name
            // is durably removed: a power cut would leave an empty partition.
            if disk.rename(&dir, &building).is_err() || self.sync_root().is_ok() {
                let _ = self.unlinker.remove(building);
            }
        }
        let active = made?;
        let view = View { active: Some(Arc::clone(active.shared())), ..empty_view(None) };
        let writer =
            Writer { active: Some(active), producers: Producers::default(), last_append_time: None, snapshot_at: None };
        Ok(Partition::new(ident, dir, config, self.around.clone(), writer, view))
    }

    /// A directory that no partition has: the rest of a creation or deletion that failed earlier in this run (the start
    /// has set aside all others). Until it is out of the way nothing can be made under its name.
    fn free_name(&self, ident: &PartitionIdent, dir: &Path) -> Result<(), LogError> {
        if self.registry.knows(&ident.name()) {
            let exists = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(LogError::io("cannot make the partition's directory", dir, exists));
        }
        let stray = self.path.join(layout::stray_dir(&ident.topic, ident.partition));
        self.around.disk.rename(dir, &stray).map_err(|error| LogError::io("cannot rename", dir, error))?;
        tracing::warn!(stray = %stray.display(), "a directory that no partition has was set aside");
        self.sync_root()
    }

    /// Always a partition: what is wrong with it is its state.
    pub(in crate::log) fn recover(&self, ident: PartitionIdent, config: LogConfig) -> Arc<Partition> {
        let dir = self.path.join(layout::partition_dir(&ident.topic, ident.partition));
        // A log start is written when everything below it is synced.
        let start = self.around.starts.get(&ident.name()).unwrap_or_default();
        let name = ident.name();
        let recovery = Recovery {
            name: &name,
            disk: &*self.around.disk,
            dir: &dir,
            trusted: self.registry.point(&ident.name()).max(start),
            log_start: start,
            clean: !self.was_unclean(),
            index_interval: config.index_interval_bytes,
            append_times: config.timestamp_type == TimestampType::LogAppendTime,
            clock: &self.around.clock,
            changed: Cell::new(false),
        };
        let recovered = check_ident(&*self.around.disk, &dir, &ident).and_then(|()| recovery.run());
        match recovered {
            Ok(recovered) => self.open_recovered(ident, config, recovered),
            Err(error) => {
                let why = match error {
                    LogError::Offline { why, .. } => why,
                    other => Offline::Unreadable(Arc::new(other)),
                };
                let trouble = LogError::Offline { partition: ident.name().to_string(), why };
                tracing::error!(%trouble, "a partition cannot be opened");
                let writer =
                    Writer { active: None, producers: Producers::default(), last_append_time: None, snapshot_at: None };
                Partition::new(ident, dir, config, self.around.clone(), writer, empty_view(Some(trouble)))
            }
        }
    }

    fn open_recovered(&self, ident: PartitionIdent, config: LogConfig, mut recovered: Recovered) -> Arc<Partition> {
        for cut in &mut recovered.cuts {
            cut.partition = Some(ident.name());
            let kept = cut.kept.display();
            tracing::warn!(partition = %ident.name(), offset = %cut.offset, bytes = cut.bytes, %kept, "recovery cut a torn tail");
        }
        self.reports.lock().append(&mut recovered.cuts);
        if let Some(damage) = &recovered.damage {
            tracing::error!(%damage, "a partition is read-only");
        }
        let view = View {
            positions: Positions::recovered(recovered.log_start, recovered.end, recovered.unindexed_from),
            sealed: recovered.sealed,
            active: recovered.active.as_ref().map(|active| Arc::clone(active.shared())),
            epochs: recovered.epochs,
            obsolete: None,
            pending: Pending::default(),
            flushing: false,
            epochs_failed: None,
            rolled: false,
            roll_asked: false,
            trouble: recovered.damage,
        };
        let writer = Writer {
            active: recovered.active,
            producers: recovered.producers,
            last_append_time: recovered.last_append_time,
            snapshot_at: recovered.snapshot_at,
        };
        let dir = self.path.join(layout::partition_dir(&ident.topic, ident.partition));
        Partition::new(ident, dir, config, self.around.clone(), writer, view)
    }
}

/// Everything of a new partition but its name, durable. The files are opened under the name they will have.
fn build(
    disk: &dyn Disk,
    building: &Path,
    dir: &Path,
    ident: &PartitionIdent,
    now: TimestampMs,
) -> std::io::Result<ActiveSegment> {
    disk.create_dir(building)?;
    let metadata = disk.create(&building.join(PARTITION_METADATA))?;
    metadata.write_at(layout::partition_metadata(ident.topic_id).as_bytes(), &[], 0)?;
    metadata.sync_data()?;
    let active = ActiveSegment::create(disk, building, dir, Offset::ZERO, now)?;
    disk.sync_dir(building)?;
    Ok(active)
}

/// Rule 17: the directory must be there and say that it is this partition's.
fn check_ident(disk: &dyn Disk, dir: &Path, ident: &PartitionIdent) -> Result<(), LogError> {
    let why = match checkpoint::read_text(disk, &dir.join(PARTITION_METADATA))? {
        None => Offline::Missing { dir: dir.to_path_buf() },
        Some(text) => match layout::parse_partition_metadata(&text) {
            Some(id) if id == ident.topic_id => return Ok(()),
            Some(found) => Offline::OtherTopic { dir: dir.to_path_buf(), found, wanted: ident.topic_id },
            None => Offline::NoIdentity { dir: dir.to_path_buf() },
        },
    };
    Err(LogError::Offline { partition: ident.name().to_string(), why })
}

fn empty_view(trouble: Option<LogError>) -> View {
    View {
        positions: Positions::empty(),
        sealed: Vec::new(),
        active: None,
        epochs: Epochs::default(),
        obsolete: None,
        pending: Pending::default(),
        flushing: false,
        epochs_failed: None,
        rolled: false,
        roll_asked: false,
        trouble,
    }
}
