//! Doing: both ways out of damage, in steps that are durable one after the other and may be begun again anywhere.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};

use bytes::BufMut;

use super::{Choice, Damage, Repair, Repaired, Survey};
use crate::ids::{Offset, TopicPartition};
use crate::log::error::LogError;
use crate::log::io::{DiskFile, SharedFile};
use crate::log::layout::{CLEAN_SHUTDOWN, LOG_STARTS, RECOVERY_POINTS, SegmentFile, cut_file, segment_file, temporary};
use crate::log::recovery::progress::{Recovered, Recovery};
use crate::log::sync::checkpoint;
use crate::log::write::segment::SEGMENT_BYTES_MAX;

/// Bytes copied at once.
const PIECE_BYTES: usize = 1024 * 1024;
/// Kafka's default of `index.interval.bytes`: only for the time until the topic's own is known.
const INDEX_INTERVAL_BYTES: u64 = 4_096;
/// Attributes of a batch without a codec, with the producer's time.
const PLAIN: i16 = 0;

impl Repair {
    /// Does away with the damage that `survey` has found, durably. Nothing happens where there is none.
    ///
    /// # Errors
    /// `Io`: call it again. `Corrupt` when the partition is still damaged, or the hole is too large for one segment.
    pub fn apply(&mut self, partition: &TopicPartition, survey: &Survey, choice: Choice) -> Result<Repaired, LogError> {
        let Some(first) = survey.damages.first() else {
            return Ok(Repaired { end: survey.end, kept: Vec::new() });
        };
        self.forget_clean_stop()?;
        let mut kept = Vec::new();
        match choice {
            Choice::Cut => self.lower_recovery_point(partition, first.from)?,
            Choice::Skip => {
                for damages in survey.damages.chunk_by(|one, other| one.segment == other.segment) {
                    kept.extend(self.rewrite(&self.dir(partition), damages)?);
                }
            }
        }
        let recovered = self.recover(partition)?;
        kept.extend(recovered.cuts.into_iter().map(|cut| cut.kept));
        match recovered.damage {
            Some(damage) => Err(damage),
            None => Ok(Repaired { end: recovered.end.offset, kept }),
        }
    }

    fn forget_clean_stop(&self) -> Result<(), LogError> {
        let marker = self.root.join(CLEAN_SHUTDOWN);
        self.unlink(&marker)?;
        self.sync_dir(&self.root)
    }

    /// Above the recovery point the first bad batch ends the log: that is all that a cut needs.
    fn lower_recovery_point(&mut self, partition: &TopicPartition, to: Offset) -> Result<(), LogError> {
        self.lower_log_start(partition, to)?;
        self.points.insert(partition.clone(), to);
        checkpoint::replace_durably(&*self.disk, &self.root, RECOVERY_POINTS, &checkpoint::text(&self.points))
    }

    /// A log that is cut below its start begins there: what is below its start counts as durable too.
    fn lower_log_start(&self, partition: &TopicPartition, to: Offset) -> Result<(), LogError> {
        let text = checkpoint::read_text(&*self.disk, &self.root.join(LOG_STARTS))?;
        let Some(mut starts) = text.as_deref().and_then(checkpoint::parse) else { return Ok(()) };
        if starts.get(partition).is_none_or(|start| *start <= to) {
            return Ok(());
        }
        starts.insert(partition.clone(), to);
        checkpoint::replace_durably(&*self.disk, &self.root, LOG_STARTS, &checkpoint::text(&starts))
    }

    /// What a start does: cuts, rebuilds indexes, syncs.
    fn recover(&self, partition: &TopicPartition) -> Result<Recovered, LogError> {
        let dir = self.dir(partition);
        let recovery = Recovery {
            name: partition,
            disk: &*self.disk,
            dir: &dir,
            trusted: self.trusted(partition),
            // Nothing is removed here but damage.
            log_start: Offset::ZERO,
            clean: false,
            index_interval: INDEX_INTERVAL_BYTES,
            // Producers are not needed here: the next start builds them again.
            append_times: false,
            clock: &self.clock,
            changed: Cell::new(false),
        };
        recovery.run()
    }

    /// One segment without its damages, in place of the one that has them. Its indexes go first: they name positions
    /// of the old file, and missing ones are rebuilt.
    fn rewrite(&self, dir: &Path, damages: &[Damage]) -> Result<Vec<PathBuf>, LogError> {
        let Some(Damage { path, segment, .. }) = damages.first() else { return Ok(Vec::new()) };
        let failed = |error| LogError::io("cannot rewrite", path, error);
        let old = self.disk.open(path).map_err(failed)?;
        let mut kept = Vec::new();
        for damage in damages.iter().filter(|damage| damage.bytes > 0) {
            kept.push(self.keep(dir, &old, damage)?);
        }
        self.sync_dir(dir)?;
        let aside = temporary(path);
        self.unlink(&aside)?;
        let new = self.disk.create(&aside).map_err(failed)?;
        write_without(&*old, &*new, damages, *segment).map_err(failed)?;
        for file in [SegmentFile::Index, SegmentFile::TimeIndex] {
            self.unlink(&dir.join(segment_file(*segment, file)))?;
        }
        self.sync_dir(dir)?;
        self.disk.rename(&aside, path).map_err(failed)?;
        self.sync_dir(dir)?;
        Ok(kept)
    }

    /// The damaged bytes in a file of their own, synced; the name is once the directory is.
    fn keep(&self, dir: &Path, old: &SharedFile, damage: &Damage) -> Result<PathBuf, LogError> {
        let names = self.disk.list(dir).map_err(|error| LogError::io("cannot list", dir, error))?;
        let mut free = (1..).map(|number| cut_file(damage.segment, number));
        let name = free.find(|name| names.iter().all(|entry| entry.name != *name)).unwrap_or_default();
        let kept = dir.join(name);
        let write = || {
            let copy = self.disk.create(&kept)?;
            copy_range(&**old, (damage.position, damage.position + damage.bytes), &*copy, 0)?;
            copy.sync_data()
        };
        write().map_err(|error| LogError::io("cannot keep what is taken out of the log in", &kept, error))?;
        Ok(kept)
    }

    fn unlink(&self, path: &Path) -> Result<(), LogError> {
        match self.disk.unlink(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LogError::io("cannot remove", path, error)),
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), LogError> {
        self.disk.sync_dir(dir).map_err(|error| LogError::io("cannot sync", dir, error))
    }
}

/// What is whole of `old`, and an empty batch for the offsets that each damage has cost.
fn write_without(old: &dyn DiskFile, new: &dyn DiskFile, damages: &[Damage], segment: Offset) -> io::Result<()> {
    let (mut from, mut at) = (0, 0);
    for damage in damages {
        at = copy_range(old, (from, damage.position), new, at)?;
        from = damage.position + damage.bytes;
        if damage.to > damage.from {
            let filler = empty_batch(damage, segment)?;
            new.write_at(&filler, &[], at)?;
            at += filler.len() as u64;
        }
    }
    at = copy_range(old, (from, old.len()?), new, at)?;
    if at > SEGMENT_BYTES_MAX {
        return Err(io::Error::other(format!("the segment would grow to {at} bytes")));
    }
    new.sync_data()
}

/// Copies to `at` and returns where it ended.
fn copy_range(old: &dyn DiskFile, (mut from, to): (u64, u64), new: &dyn DiskFile, mut at: u64) -> io::Result<u64> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    while from < to {
        piece.clear();
        let count = usize::try_from(to - from).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        if old.read_at(&mut piece, count, from)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was"));
        }
        new.write_at(&piece, &[], at)?;
        from += piece.len() as u64;
        at += piece.len() as u64;
    }
    Ok(at)
}

/// Kafka's `DefaultRecordBatch.writeEmptyHeader`: no record, but the offsets from one to before the other are taken.
fn empty_batch(damage: &Damage, segment: Offset) -> io::Result<Vec<u8>> {
    let (from, to) = (damage.from, damage.to);
    let fits = |offset: i64, base: Offset| i32::try_from(offset - base.0);
    let (Ok(delta), Ok(_)) = (fits(to.0 - 1, from), fits(to.0 - 1, segment)) else {
        return Err(io::Error::other(format!(
            "offsets {from} to {to} are too many for one segment: only a cut can help"
        )));
    };
    let mut covered = Vec::with_capacity(40);
    covered.put_i16(PLAIN);
    covered.put_i32(delta);
    // No timestamp, no producer, no sequence, no records.
    covered.put_i64(-1);
    covered.put_i64(-1);
    covered.put_i64(-1);
    covered.put_i16(-1);
    covered.put_i32(-1);
    covered.put_i32(0);
    let mut batch = Vec::with_capacity(21 + covered.len());
    batch.put_i64(from.0);
    // What follows the length field, in a batch of 61 bytes.
    batch.put_i32(49);
    batch.put_i32(damage.leader_epoch.0);
    batch.put_u8(2);
    batch.put_u32(crc32c::crc32c(&covered));
    batch.extend_from_slice(&covered);
    Ok(batch)
}
