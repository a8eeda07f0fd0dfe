//! A log directory on the real disk: what is written is there after a clean stop, after a crash of the process, and
//! beside another opener.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::clock::{MachineClock, bounded_wait};
use crate::ids::{Offset, TopicName};
use crate::log::io::faulty::FaultyDisk;
use crate::log::write::producers::Origin;
use crate::record::{Compression, Message, ProducedBatch, build, check_stored, records};

pub(crate) fn ident(topic: &str) -> PartitionIdent {
    let topic_id = TopicId(uuid::Uuid::from_u128(7));
    PartitionIdent { topic: TopicName::new(topic).unwrap(), topic_id, partition: PartitionId(0) }
}

pub(crate) fn config() -> LogConfig {
    LogConfig::for_tests()
}

pub(crate) fn batch(values: &[&str]) -> ProducedBatch {
    let messages: Vec<Message> = values
        .iter()
        .map(|value| Message { value: Some(Bytes::copy_from_slice(value.as_bytes())), ..Message::default() })
        .collect();
    build(&messages, crate::ids::TimestampMs(1_000), Compression::None, None).unwrap()
}

/// Every value of the log, in order, with its offset.
pub(crate) fn values(partition: &Partition) -> Vec<(i64, String)> {
    let (mut values, mut at) = (Vec::new(), partition.offsets().log_start);
    loop {
        let mut slice = partition.read(at, 100).unwrap();
        if slice.is_empty() {
            return values;
        }
        while !slice.is_empty() {
            let stored = check_stored(slice.clone()).unwrap();
            for record in records(&stored).unwrap() {
                let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
                values.push((record.offset.0, value));
            }
            at = stored.header().next_offset();
            slice = slice.split_off(stored.header().size);
        }
    }
}

fn open(path: &Path) -> Arc<LogDir> {
    LogDir::open(LogDirSettings::new(path.to_path_buf()), Arc::new(MachineClock)).unwrap()
}

#[tokio::test]
async fn what_is_appended_is_read_back_also_after_a_clean_stop() {
    let folder = tempfile::tempdir().unwrap();
    {
        let dir = open(folder.path());
        assert!(!dir.was_unclean());
        let partition = dir.create(ident("t"), config()).unwrap();
        let first = partition.append(batch(&["a", "b"]), Origin::Client).placed().cloned().unwrap();
        let second = partition.append(batch(&["c"]), Origin::Client);
        assert_eq!((first.base_offset, first.last_offset), (Offset(0), Offset(1)));
        assert_eq!(bounded_wait(second.durable()).await.unwrap().base_offset, Offset(2));
        assert_eq!(values(&partition), [(0, "a".into()), (1, "b".into()), (2, "c".into())]);
        dir.close().unwrap();
        assert!(matches!(
            partition.append(batch(&["d"]), Origin::Client).placed().unwrap_err().clone(),
            crate::log::AppendError::Log(LogError::Offline { .. })
        ));
    }
    let dir = open(folder.path());
    assert!(!dir.was_unclean());
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    partition.usable().unwrap();
    assert_eq!(values(&partition), [(0, "a".into()), (1, "b".into()), (2, "c".into())]);
    assert_eq!(partition.append(batch(&["d"]), Origin::Client).placed().unwrap().base_offset, Offset(3));
}

#[tokio::test]
async fn a_crash_of_the_process_is_unclean_and_loses_nothing_durable() {
    let folder = tempfile::tempdir().unwrap();
    {
        let dir = open(folder.path());
        let partition = dir.create(ident("t"), config()).unwrap();
        for n in 0..100 {
            bounded_wait(partition.append(batch(&[&n.to_string()]), Origin::Client).durable()).await.unwrap();
        }
    }
    let dir = open(folder.path());
    assert!(dir.was_unclean());
    let partition = dir.open_existing(ident("t"), config()).unwrap();
    assert_eq!(values(&partition).len(), 100);
    assert!(dir.reports().is_empty());
}

#[test]
fn a_folder_in_use_and_one_that_cannot_be_written_give_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let _held = open(folder.path());
    let second = LogDir::open(LogDirSettings::new(folder.path().to_path_buf()), Arc::new(MachineClock)).unwrap_err();
    assert!(matches!(second, LogError::InUse { .. }));
    assert_eq!(second.to_string().lines().count(), 1);
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let error = LogDir::open(LogDirSettings::new(blocked.join("data")), Arc::new(MachineClock)).unwrap_err();
    assert!(matches!(error, LogError::Io { .. }), "{error}");
    assert!(error.to_string().contains("data directory") && error.to_string().lines().count() == 1, "{error}");
}

/// Opens a folder on the test's disk.
fn open_on(disk: &FaultyDisk) -> Result<Arc<LogDir>, LogError> {
    let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk.clone()) };
    LogDir::open(settings, Arc::new(MachineClock))
}

fn version_on(disk: &FaultyDisk) -> Option<String> {
    disk.bytes(Path::new("/data/sluice-version")).map(|bytes| String::from_utf8(bytes).unwrap())
}

fn write(disk: &FaultyDisk, name: &str, text: &str) {
    checkpoint::replace_durably(disk, Path::new("/data"), name, text).unwrap();
}

#[test]
fn a_new_folder_has_the_version_of_this_program_before_anything_else() {
    let disk = FaultyDisk::new();
    let _dir = open_on(&disk).unwrap();
    assert_eq!(version_on(&disk.power_cut(1)).as_deref(), Some("1\n"));
}

#[test]
fn a_folder_without_a_version_gets_one_when_all_of_it_was_opened_and_not_before() {
    let (disk, dir) = outdated();
    assert_eq!(version_on(&disk), None);
    dir.confirm_version().unwrap();
    assert_eq!(version_on(&disk.power_cut(1)).as_deref(), Some("1\n"));
}

/// A folder of version 0, opened.
fn outdated() -> (FaultyDisk, Arc<LogDir>) {
    let disk = FaultyDisk::new();
    let dir = open_on(&disk).unwrap();
    dir.create(ident("t"), config()).unwrap();
    dir.close().unwrap();
    disk.unlink(Path::new("/data/sluice-version")).unwrap();
    let dir = open_on(&disk).unwrap();
    (disk, dir)
}

#[test]
fn a_folder_without_a_version_on_a_full_disk_opens_and_gets_one_at_a_stop_with_room() {
    let (disk, dir) = outdated();
    disk.set_space(Some(0));
    dir.confirm_version().expect("rule 8: a full disk is no reason not to start");
    assert_eq!(version_on(&disk), None);
    disk.set_space(None);
    dir.close().unwrap();
    assert_eq!(version_on(&disk.power_cut(1)).as_deref(), Some("1\n"));
}

#[test]
fn a_version_that_fails_for_another_reason_keeps_the_folder_from_opening() {
    let (disk, dir) = outdated();
    disk.fail_sync(1);
    assert!(matches!(dir.confirm_version(), Err(LogError::Io { .. })));
}

#[test]
fn a_folder_that_was_not_opened_as_a_whole_is_closed_with_its_old_version() {
    let (disk, dir) = outdated();
    dir.close().unwrap();
    assert_eq!(version_on(&disk), None);
}

#[test]
fn a_newer_or_unreadable_version_is_refused_and_nothing_is_changed() {
    let disk = FaultyDisk::new();
    open_on(&disk).unwrap().close().unwrap();
    for text in ["2\n", "4294967295\n", "", "one\n", "1.0\n", "-1\n", "01\n", "1 \n", "99999999999\n"] {
        write(&disk, "sluice-version", text);
        let refused = open_on(&disk).map(drop).unwrap_err();
        match text.trim().parse::<u32>() {
            Ok(found @ 2..) => assert!(matches!(refused, LogError::NewerVersion { found: f, .. } if f == found)),
            _ => assert!(matches!(refused, LogError::BadVersion { .. }), "{text:?}: {refused}"),
        }
        assert!(refused.to_string().contains("/data/sluice-version"), "{refused}");
        assert!(disk.bytes(&Path::new("/data").join(CLEAN_SHUTDOWN)).is_some(), "the stop was clean and still is");
        let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk.clone()) };
        let repair = crate::log::repair::Repair::open(settings, Arc::new(MachineClock));
        assert_eq!(repair.map(drop).unwrap_err().to_string(), refused.to_string());
    }
    write(&disk, "sluice-version", "1\n");
    open_on(&disk).unwrap().close().unwrap();
}
