//! Kafka's `OffsetCheckpointFile` (recovery points, log starts, what the cleaner has seen) and the way in which every small file is replaced:
//! written aside, synced, renamed over the old one, the directory synced. A reader sees the old text or the new one.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ids::{Offset, PartitionId, TopicName, TopicPartition};
use crate::log::error::LogError;
use crate::log::io::{Disk, SharedFile};
use crate::log::layout;

/// One offset a partition.
pub(in crate::log) type Checkpoint = BTreeMap<TopicPartition, Offset>;

/// Bytes of a small file; what is larger is none of ours.
const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// One checkpoint file at the root of a data directory, and what is known to be in it.
#[derive(Debug)]
pub(in crate::log) struct CheckpointFile {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    name: &'static str,
    /// Held while the file is written.
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    written: Checkpoint,
    /// A write of others failed half way: they may be on disk all the same, now or after the next sync of the folder.
    unsure: bool,
}

impl CheckpointFile {
    /// Reads the file; a missing one is empty.
    ///
    /// # Errors
    /// `Corrupt` when it is no checkpoint.
    pub(in crate::log) fn open(
        disk: Arc<dyn Disk>,
        root: PathBuf,
        name: &'static str,
    ) -> Result<CheckpointFile, LogError> {
        let written = read(&*disk, &root, name)?;
        Ok(CheckpointFile { disk, root, name, kept: Mutex::new(Kept { written, unsure: false }) })
    }

    /// What is on disk of a partition.
    pub(in crate::log) fn get(&self, of: &TopicPartition) -> Option<Offset> {
        self.kept.lock().written.get(of).copied()
    }

    /// Makes sure that nothing of an earlier log with one of these names is on disk.
    pub(in crate::log) fn forget(&self, names: &[TopicPartition]) -> Result<(), LogError> {
        self.update(|entries| entries.retain(|name, _| !names.contains(name)))
    }

    /// Writes what `change` makes of the entries, durably, if that is not what is there. `change` sees no other's.
    pub(in crate::log) fn update(&self, change: impl FnOnce(&mut Checkpoint)) -> Result<(), LogError> {
        let mut kept = self.kept.lock();
        let mut new = kept.written.clone();
        change(&mut new);
        if kept.unsure || new != kept.written { self.write(&mut kept, new) } else { Ok(()) }
    }

    /// Writes the file even if nothing has changed.
    pub(in crate::log) fn rewrite(&self) -> Result<(), LogError> {
        let mut kept = self.kept.lock();
        let same = kept.written.clone();
        self.write(&mut kept, same)
    }

    fn write(&self, kept: &mut Kept, new: Checkpoint) -> Result<(), LogError> {
        kept.unsure = true;
        replace_durably(&*self.disk, &self.root, self.name, &text(&new))?;
        *kept = Kept { written: new, unsure: false };
        Ok(())
    }
}

/// What the checkpoint `name` holds; nothing where there is none.
///
/// # Errors
/// `Corrupt` when it is no checkpoint.
pub(in crate::log) fn read(disk: &dyn Disk, root: &Path, name: &str) -> Result<Checkpoint, LogError> {
    let path = root.join(name);
    let Some(text) = read_text(disk, &path)? else { return Ok(Checkpoint::new()) };
    parse(&text).ok_or_else(|| LogError::Corrupt { path, position: 0, reason: "it is no offset checkpoint".to_owned() })
}

/// The text of a checkpoint.
pub(in crate::log) fn text(checkpoint: &Checkpoint) -> String {
    let mut text = format!("0\n{}\n", checkpoint.len());
    for (of, offset) in checkpoint {
        text.push_str(&format!("{} {} {offset}\n", of.topic, of.partition));
    }
    text
}

/// Reads a checkpoint's text; `None` when it is not one.
pub(in crate::log) fn parse(text: &str) -> Option<Checkpoint> {
    let mut lines = text.lines();
    if lines.next()?.trim() != "0" {
        return None;
    }
    let count: usize = lines.next()?.trim().parse().ok()?;
    let mut checkpoint = Checkpoint::new();
    for line in lines {
        let mut words = line.split_ascii_whitespace();
        let topic = TopicName::new(words.next()?).ok()?;
        let partition = PartitionId(words.next()?.parse().ok()?);
        checkpoint.insert(TopicPartition { topic, partition }, Offset(words.next()?.parse().ok()?));
    }
    (checkpoint.len() == count).then_some(checkpoint)
}

/// A small text file; `None` when there is none.
pub(in crate::log) fn read_text(disk: &dyn Disk, path: &Path) -> Result<Option<String>, LogError> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LogError::io("cannot open", path, error)),
    };
    let read = || {
        let len = file.len()?;
        if len > SMALL_FILE_BYTES_MAX {
            return Err(io::Error::other(format!("{len} bytes are too many for such a file")));
        }
        let mut bytes = Vec::new();
        file.read_at(&mut bytes, usize::try_from(len).unwrap_or(0), 0)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| LogError::io("cannot read", path, error))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Replaces a small file; its bytes are durable, the name is once the directory is synced. The old file stays whole
/// when this fails.
pub(in crate::log) fn replace(disk: &dyn Disk, path: &Path, text: &str) -> Result<(), LogError> {
    let write = || {
        write_aside(disk, path, text)?.sync_data()?;
        put_in_place(disk, path)
    };
    write().map_err(|error| LogError::io("cannot write", path, error))
}

/// The first half of `replace`: the new file is to be synced, then put in place.
pub(in crate::log) fn write_aside(disk: &dyn Disk, path: &Path, text: &str) -> io::Result<SharedFile> {
    let aside = layout::temporary(path);
    // What a crash left behind may still owe the report of a failed write-back.
    match disk.unlink(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&aside)?;
    file.write_at(text.as_bytes(), &[], 0)?;
    Ok(file)
}

/// The second half of `replace`, once the new file is synced.
pub(in crate::log) fn put_in_place(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.rename(&layout::temporary(path), path)
}

/// Replaces a small file in `dir`, durably.
pub(in crate::log) fn replace_durably(disk: &dyn Disk, dir: &Path, name: &str, text: &str) -> Result<(), LogError> {
    replace(disk, &dir.join(name), text)?;
    disk.sync_dir(dir).map_err(|error| LogError::io("cannot sync", dir, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_kafkas_text_and_is_read_back() {
        let of = |name: &str, partition| TopicPartition {
            topic: TopicName::new(name).unwrap(),
            partition: PartitionId(partition),
        };
        let checkpoint = Checkpoint::from([(of("a", 0), Offset(7)), (of("b-1", 12), Offset(0))]);
        assert_eq!(text(&checkpoint), "0\n2\na 0 7\nb-1 12 0\n");
        assert_eq!(parse(&text(&checkpoint)), Some(checkpoint));
        for damaged in ["", "1\n0\n", "0\n1\n", "0\n1\na 0\n", "0\n1\na b 0\n", "0\n1\na/b 0 0\n"] {
            assert_eq!(parse(damaged), None, "{damaged:?}");
        }
    }
}
