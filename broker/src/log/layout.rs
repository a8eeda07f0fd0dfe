//! The names of everything on disk, as Kafka has them; the only file where they are written and parsed.
//! A data directory holds `<topic>-<partition>/` with one `.log`, `.index` and `.timeindex` a segment, named by the
//! segment's base offset in 20 digits, and at its root the checkpoints, the lock and the clean-shutdown marker.

use std::path::{Path, PathBuf};

use crate::ids::{Offset, PartitionId, TopicId, TopicName, TopicPartition};

/// The broker's own log of what exists; it is opened before the term is known and stays at leader epoch 0.
pub(crate) const METADATA_TOPIC: &str = "__sluice_metadata";

const LOG: &str = ".log";
const INDEX: &str = ".index";
const TIME_INDEX: &str = ".timeindex";
const TXN_INDEX: &str = ".txnindex";
const SNAPSHOT: &str = ".snapshot";
/// Bytes of a file name (ext4, xfs, btrfs).
const NAME_BYTES_MAX: usize = 255;

/// The files at the root of a data directory.
pub(crate) const LOCK: &str = ".lock";
/// The version of the folder's formats, as a number in text.
pub const DATA_VERSION: &str = "sluice-version";
/// The version that this program writes; it reads the older ones too.
pub const CURRENT_VERSION: u32 = 1;
/// Present after a clean stop only (Kafka's `CleanShutdownFileHandler`).
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// Kafka's `OffsetCheckpointFile` of recovery points.
pub(crate) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// Kafka's `OffsetCheckpointFile` of log start offsets.
pub(crate) const LOG_STARTS: &str = "log-start-offset-checkpoint";
/// Kafka's `OffsetCheckpointFile` of the offsets up to which compaction has come.
pub(crate) const CLEANED_OFFSETS: &str = "cleaner-offset-checkpoint";
/// In a partition's directory: Kafka's `LeaderEpochCheckpointFile`.
pub(crate) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
/// In a partition's directory: Kafka's `PartitionMetadataFile`.
pub(crate) const PARTITION_METADATA: &str = "partition.metadata";
/// What a file is called while it is written, before it replaces the one it is for.
pub(crate) const TEMPORARY: &str = ".tmp";

/// What a segment's file is called once it is out of the log and waits to be unlinked.
const DELETED: &str = ".deleted";
/// While compaction writes it: not in force.
const CLEANED: &str = ".cleaned";
/// Written and synced: in force.
const SWAP: &str = ".swap";

/// A file of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentFile {
    /// The batches.
    Log,
    /// Offset to position.
    Index,
    /// Timestamp to offset.
    TimeIndex,
    /// Aborted transactions.
    TxnIndex,
    /// Producers as they were before the base offset.
    Snapshot,
}

/// The name of one file of the segment that begins at `base`; of a snapshot, the offset before which it was taken.
#[must_use]
pub(crate) fn segment_file(base: Offset, file: SegmentFile) -> String {
    let suffix = match file {
        SegmentFile::Log => LOG,
        SegmentFile::Index => INDEX,
        SegmentFile::TimeIndex => TIME_INDEX,
        SegmentFile::TxnIndex => TXN_INDEX,
        SegmentFile::Snapshot => SNAPSHOT,
    };
    format!("{:020}{suffix}", base.0)
}

/// The base offset and kind of a segment's file; `None` for any other name.
#[must_use]
pub(crate) fn parse_segment_file(name: &str) -> Option<(Offset, SegmentFile)> {
    let (digits, suffix) = name.split_at_checked(20)?;
    let file = match suffix {
        LOG => SegmentFile::Log,
        INDEX => SegmentFile::Index,
        TIME_INDEX => SegmentFile::TimeIndex,
        TXN_INDEX => SegmentFile::TxnIndex,
        SNAPSHOT => SegmentFile::Snapshot,
        _ => return None,
    };
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some((Offset(digits.parse().ok()?), file))
}

/// What a file of a segment is by the end of its name alone, and the base offset that its name begins with, for tools
/// that are shown files of any name.
#[must_use]
pub(crate) fn segment_file_by_suffix(name: &str) -> Option<(SegmentFile, Option<Offset>)> {
    let kind = match &name[name.rfind('.')?..] {
        LOG => SegmentFile::Log,
        INDEX => SegmentFile::Index,
        TIME_INDEX => SegmentFile::TimeIndex,
        TXN_INDEX => SegmentFile::TxnIndex,
        SNAPSHOT => SegmentFile::Snapshot,
        _ => return None,
    };
    Some((kind, name.split('.').next().and_then(|digits| digits.parse().ok()).map(Offset)))
}

/// The file of another kind of the segment that the file `name` belongs to.
#[must_use]
pub(crate) fn sibling(name: &str, kind: SegmentFile) -> String {
    let stem = name.split('.').next().unwrap_or_default();
    format!("{stem}{}", &segment_file(Offset::ZERO, kind)[20..])
}

/// `path` once its segment is out of the log (Kafka's `LogFileUtils.DELETED_FILE_SUFFIX`).
#[must_use]
pub(crate) fn deleted_file(path: &Path) -> PathBuf {
    with_suffix(path, DELETED)
}

/// `true` for files that are out of the log and may have outlived their removal.
#[must_use]
pub(crate) fn is_deleted_file(name: &str) -> bool {
    name.strip_suffix(DELETED).is_some_and(|name| parse_segment_file(name).is_some())
}

/// `path` while compaction writes it (Kafka's `LogFileUtils.CLEANED_FILE_SUFFIX`).
#[must_use]
pub(crate) fn cleaned_file(path: &Path) -> PathBuf {
    with_suffix(path, CLEANED)
}

/// `path` when it is to take the place of old segments (Kafka's `LogFileUtils.SWAP_FILE_SUFFIX`).
#[must_use]
pub(crate) fn swap_file(path: &Path) -> PathBuf {
    with_suffix(path, SWAP)
}

/// How far a compacted segment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interim {
    /// It is being written.
    Cleaned,
    /// It is whole.
    Swap,
}

/// What a file of an interrupted compaction is; `None` for any other name.
#[must_use]
pub(crate) fn parse_interim_file(name: &str) -> Option<(Interim, Offset, SegmentFile)> {
    let cleaned = name.strip_suffix(CLEANED).map(|of| (Interim::Cleaned, of));
    let (state, of) = cleaned.or_else(|| name.strip_suffix(SWAP).map(|of| (Interim::Swap, of)))?;
    parse_segment_file(of).map(|(base, file)| (state, base, file))
}

/// Where the `number`th cut of a segment keeps its bytes (rule 10).
#[must_use]
pub(crate) fn cut_file(base: Offset, number: u32) -> String {
    format!("{:020}.cut-{number}", base.0)
}

/// A partition's directory.
#[must_use]
pub(crate) fn partition_dir(topic: &TopicName, partition: PartitionId) -> String {
    format!("{topic}-{partition}")
}

/// The topic and partition of a directory's name; `None` for any other (`-delete` and `-stray` too).
#[must_use]
pub(crate) fn parse_partition_dir(name: &str) -> Option<TopicPartition> {
    let (topic, number) = name.rsplit_once('-')?;
    if number.is_empty() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let partition = PartitionId(number.parse().ok()?);
    // "a-01" is no partition's directory: a name must print as it was parsed.
    (partition.to_string() == number).then_some(())?;
    Some(TopicPartition { topic: TopicName::new(topic).ok()?, partition })
}

/// The name of a deleted partition's directory until it is unlinked (Kafka's `LocalLog.logDeleteDirName`).
#[must_use]
pub(crate) fn delete_dir(topic: &TopicName, partition: PartitionId) -> String {
    set_aside(topic, partition, "-delete")
}

/// The name of a directory that belongs to no known topic (Kafka's `LocalLog.logStrayDirName`).
#[must_use]
pub(crate) fn stray_dir(topic: &TopicName, partition: PartitionId) -> String {
    set_aside(topic, partition, "-stray")
}

/// `true` for directories whose removal was decided and may have been interrupted.
#[must_use]
pub(crate) fn is_delete_dir(name: &str) -> bool {
    name.strip_suffix("-delete").and_then(|rest| rest.rsplit_once('.')).is_some_and(|(_, id)| id.len() == 32)
}

fn set_aside(topic: &TopicName, partition: PartitionId, suffix: &str) -> String {
    let end = format!("-{partition}.{}{suffix}", uuid::Uuid::new_v4().simple());
    let kept = topic.as_str().len().min(NAME_BYTES_MAX - end.len());
    format!("{}{end}", &topic.as_str()[..kept])
}

/// `path` while it is being written.
#[must_use]
pub(crate) fn temporary(path: &Path) -> PathBuf {
    with_suffix(path, TEMPORARY)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The text of `partition.metadata`.
#[must_use]
pub(crate) fn partition_metadata(id: TopicId) -> String {
    format!("version: 0\ntopic_id: {id}\n")
}

/// The topic id in a `partition.metadata`; `None` when it is not one.
#[must_use]
pub(crate) fn parse_partition_metadata(text: &str) -> Option<TopicId> {
    let mut lines = text.lines();
    if lines.next()?.trim() != "version: 0" {
        return None;
    }
    parse_topic_id(lines.next()?.trim().strip_prefix("topic_id: ")?)
}

/// Kafka's text form of an id back to the id: 22 characters of unpadded URL-safe base64.
fn parse_topic_id(text: &str) -> Option<TopicId> {
    if text.len() != 22 {
        return None;
    }
    let mut bits: u128 = 0;
    for (at, symbol) in text.bytes().enumerate() {
        let six = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        // 22 symbols are 132 bits: the last one carries two bits and four zeros.
        bits = if at < 21 { bits << 6 | u128::from(six) } else { bits << 2 | u128::from(six >> 4) };
    }
    let id = TopicId(uuid::Uuid::from_u128(bits));
    (id.to_string() == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    #[test]
    fn segment_names_parse_back_and_others_do_not() {
        let kinds = [SegmentFile::Log, SegmentFile::Index, SegmentFile::TimeIndex];
        for file in kinds.into_iter().chain([SegmentFile::TxnIndex, SegmentFile::Snapshot]) {
            let name = segment_file(Offset(170_210), file);
            assert_eq!(parse_segment_file(&name), Some((Offset(170_210), file)));
        }
        assert_eq!(segment_file(Offset(0), SegmentFile::Log), "00000000000000000000.log");
        for other in ["", "0.log", "00000000000000000000.cut-1", "0000000000000000000x.log", "+0000000000000000001.log"]
        {
            assert_eq!(parse_segment_file(other), None, "{other}");
        }
    }

    #[test]
    fn partition_directories_parse_back_and_others_do_not() {
        let parsed = parse_partition_dir("my-topic-1-12").unwrap();
        assert_eq!((parsed.topic.as_str(), parsed.partition), ("my-topic-1", PartitionId(12)));
        for other in ["a", "a-", "-1", "a-01", "a-x", "a-99999999999", "a b-1"] {
            assert_eq!(parse_partition_dir(other), None, "{other}");
        }
        for aside in [delete_dir(&topic("a"), PartitionId(0)), stray_dir(&topic("a"), PartitionId(0))] {
            assert_eq!(parse_partition_dir(&aside), None);
        }
        assert!(is_delete_dir(&delete_dir(&topic("a"), PartitionId(7))));
        assert!(!is_delete_dir("not-delete"));
    }

    #[test]
    fn the_longest_topic_name_still_fits_when_set_aside() {
        let name = topic(&"x".repeat(249));
        assert_eq!(delete_dir(&name, PartitionId(i32::MAX)).len(), 255);
        assert!(is_delete_dir(&delete_dir(&name, PartitionId(0))));
    }

    #[test]
    fn partition_metadata_keeps_the_topic_id() {
        for _ in 0..200 {
            let id = TopicId::random();
            assert_eq!(parse_partition_metadata(&partition_metadata(id)), Some(id));
        }
        assert_eq!(parse_partition_metadata("version: 1\ntopic_id: AAECAwQFBgcICQoLDA0ODw\n"), None);
        assert_eq!(parse_partition_metadata("version: 0\ntopic_id: short\n"), None);
        assert_eq!(parse_partition_metadata(""), None);
    }
}
