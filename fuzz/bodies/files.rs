//! A data directory that a broker has left, and what the fuzzer makes of it: edits of its files, one after the other.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sluice_broker::clock::{ManualClock, SharedClock};
use sluice_broker::ids::{
    LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId, TopicName,
    TopicPartition,
};
use sluice_broker::log::io::Disk;
use sluice_broker::log::io::faulty::FaultyDisk;
use sluice_broker::log::{LogConfig, LogDir, LogDirSettings, Origin, Partition, PartitionIdent};
use sluice_broker::record::{Compression, Header, Message, ProducerStamp, build};

/// Where the partition is.
pub const ROOT: &str = "/data";
const DIR: &str = "/data/t-0";
const RECOVERY_POINTS: &str = "/data/recovery-point-offset-checkpoint";
/// A file that only grows by edits stays smaller than this.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Before a batch's CRC, and behind it.
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;

/// The partition that is in there.
#[must_use]
pub fn ident() -> PartitionIdent {
    let topic = TopicName::new("t").expect("it is one");
    PartitionIdent { topic, topic_id: TopicId(uuid::Uuid::from_u128(77)), partition: PartitionId(0) }
}

/// Its name.
#[must_use]
pub fn name() -> TopicPartition {
    ident().name()
}

/// A clock that stands still.
#[must_use]
pub fn clock() -> SharedClock {
    Arc::new(ManualClock::at(1_000_000))
}

/// The directory on `disk`.
#[must_use]
pub fn settings(disk: &FaultyDisk) -> LogDirSettings {
    LogDirSettings { path: ROOT.into(), disk: Arc::new(disk.clone()) }
}

/// Segments of a few batches, every second one indexed.
#[must_use]
pub fn config() -> LogConfig {
    LogConfig { segment_bytes: 600, index_interval_bytes: 150, ..LogConfig::for_tests() }
}

/// One record, by an idempotent producer for every second batch.
pub fn append(partition: &Arc<Partition>, number: i32) -> bool {
    let message = Message {
        key: (number % 3 == 0).then(|| Bytes::from_static(b"key")),
        value: Some(Bytes::from(format!("{number} and some more"))),
        headers: vec![Header { key: "h".to_owned(), value: None }],
        timestamp: Some(TimestampMs(1_000 + i64::from(number))),
    };
    let codecs = [Compression::None, Compression::Lz4, Compression::Zstd, Compression::Gzip, Compression::Snappy];
    let stamp = ProducerStamp { id: ProducerId(5), epoch: ProducerEpoch(0), first: Sequence(number / 2) };
    let producer = (number % 2 == 0).then_some(stamp);
    let codec = codecs[number as usize % codecs.len()];
    let batch = build(&[message], TimestampMs(1_000), codec, producer).expect("a batch can be built");
    partition.append(batch, Origin::Client).placed().is_ok()
}

/// Every file that a broker leaves which stops in order.
fn left() -> &'static [(PathBuf, Vec<u8>)] {
    static LEFT: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    LEFT.get_or_init(|| {
        let disk = FaultyDisk::new();
        let dir = LogDir::open(settings(&disk), clock()).expect("an empty disk takes a directory");
        dir.begin_term(LeaderEpoch(3));
        let partition = dir.create(ident(), config()).expect("and a partition");
        assert!((0..16).all(|number| append(&partition, number)));
        dir.close().expect("it can be closed");
        let disk = disk.kill();
        let files = |dir: &str| {
            let names = disk.list(Path::new(dir)).expect("it is there").into_iter().filter(|entry| !entry.dir);
            names.map(|entry| Path::new(dir).join(entry.name)).collect::<Vec<_>>()
        };
        let paths = files(DIR).into_iter().chain(files(ROOT));
        paths.map(|path| (path.clone(), disk.bytes(&path).unwrap_or_default())).collect()
    })
}

/// The directory as `edits` leave it, and the recovery point in it, if that file is one.
#[must_use]
pub fn edited(edits: &[u8]) -> FaultyDisk {
    let mut files = left().to_vec();
    let mut rest = edits;
    while let Some(edit) = take::<6>(&mut rest) {
        let [what, file, high, low, count, mend] = edit;
        let at_file = usize::from(file) % files.len();
        let bytes = &mut files[at_file].1;
        let at = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
        let count = usize::from(count);
        let data = rest.get(..count.min(rest.len())).unwrap_or_default();
        match what % 8 {
            0 => {
                for (byte, new) in bytes[at..].iter_mut().zip(data) {
                    *byte ^= new;
                }
            }
            1 => bytes.truncate(at),
            2 if bytes.len() < FILE_BYTES_MAX => drop(bytes.splice(at..at, data.iter().copied())),
            3 => drop(bytes.drain(at..(at + count).min(bytes.len()))),
            4 => *bytes = data.to_vec(),
            5 if bytes.len() < FILE_BYTES_MAX => bytes.extend_from_within(at..(at + count).min(bytes.len())),
            6 => bytes.extend(std::iter::repeat_n(0, count)),
            7 => {
                // The file is gone, or another one stands in its place.
                let other = files[count % files.len()].1.clone();
                match mend % 2 {
                    0 => drop(files.remove(at_file)),
                    _ => files[at_file].1 = other,
                }
                if files.is_empty() {
                    break;
                }
                continue;
            }
            _ => {}
        }
        if matches!(what % 8, 0 | 2 | 4) {
            rest = &rest[data.len()..];
        }
        if mend % 2 == 0 {
            *bytes = mended(bytes);
        }
    }
    written(&files)
}

fn written(files: &[(PathBuf, Vec<u8>)]) -> FaultyDisk {
    let disk = FaultyDisk::new();
    disk.create_dir(Path::new(DIR)).expect("there is room");
    for (path, bytes) in files {
        disk.create(path).and_then(|file| file.write_at(bytes, &[], 0)).expect("there is room");
    }
    disk.sync_all_dirty(Path::new(ROOT)).expect("there is nothing to hinder it");
    disk.kill()
}

/// The recovery point of the partition; `None` when the file says nothing that one would believe.
#[must_use]
pub fn recovery_point(disk: &FaultyDisk) -> Option<Offset> {
    let Some(bytes) = disk.bytes(Path::new(RECOVERY_POINTS)) else { return Some(Offset(0)) };
    let text = String::from_utf8(bytes).ok()?;
    let mut points = text.lines().filter_map(|line| line.strip_prefix("t 0 "));
    match (points.next(), points.next()) {
        (Some(point), None) => point.trim().parse().ok().map(Offset),
        _ => None,
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}

/// The bytes with the CRC-32C of each batch made right, as long as there is one.
#[must_use]
pub fn mended(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 61) {
        if head[16] != 2 {
            break;
        }
        let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let end = at.saturating_add(length).saturating_add(12).clamp(at + 61, bytes.len());
        let crc = crc32c::crc32c(&bytes[at + ATTRIBUTES_AT..end]);
        bytes[at + CRC_AT..at + ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
        at = end;
    }
    bytes
}
