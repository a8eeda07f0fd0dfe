//! Kafka's `OffsetCheckpointFile` (recovery points, log starts) and the way in which every small file is replaced:
//! written aside, synced, renamed over the old one, the directory synced. A reader sees the old text or the new one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::error::LogError;
use super::io::Disk;
use super::layout;
use crate::ids::{Offset, PartitionId, TopicName, TopicPartition};

/// One offset a partition.
pub(super) type Checkpoint = BTreeMap<TopicPartition, Offset>;

/// Bytes of a small file; what is larger is none of ours.
const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The text of a checkpoint.
pub(super) fn text(checkpoint: &Checkpoint) -> String {
    let mut text = format!("0\n{}\n", checkpoint.len());
    for (of, offset) in checkpoint {
        text.push_str(&format!("{} {} {offset}\n", of.topic, of.partition));
    }
    text
}

/// Reads a checkpoint's text; `None` when it is not one.
pub(super) fn parse(text: &str) -> Option<Checkpoint> {
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
pub(super) fn read_text(disk: &dyn Disk, path: &Path) -> Result<Option<String>, LogError> {
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
pub(super) fn replace(disk: &dyn Disk, path: &Path, text: &str) -> Result<(), LogError> {
    let aside = layout::temporary(path);
    let write = || {
        // What a crash left behind may still owe the report of a failed write-back.
        match disk.unlink(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&aside)?;
        file.write_at(text.as_bytes(), &[], 0)?;
        file.sync_data()?;
        disk.rename(&aside, path)
    };
    write().map_err(|error| LogError::io("cannot write", path, error))
}

/// Replaces a small file in `dir`, durably.
pub(super) fn replace_durably(disk: &dyn Disk, dir: &Path, name: &str, text: &str) -> Result<(), LogError> {
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
