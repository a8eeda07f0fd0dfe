//! The log as its callers see it, rule by rule, on a disk that can be made to fail.

mod appending;
mod compaction;
mod damage;
mod failing;
mod flushing;
mod full;
mod lookup;
mod names;
mod replaying;
mod retention;
mod starting;
mod threads;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::{Cleanup, LogDir, LogDirSettings, Ticket};
use crate::clock::{ManualClock, SharedClock, bounded_wait};
use crate::ids::{
    LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId, TopicName,
};
use crate::log::config::{FlushEvery, LogConfig};
use crate::log::ident::PartitionIdent;
use crate::log::io::faulty::FaultyDisk;
use crate::log::partition::Partition;
use crate::log::ticket::Appended;
use crate::log::write::producers::Origin;
use crate::record::{Compression, Message, ProducedBatch, ProducerStamp, TimestampType, build, check_stored, records};

/// One disk and the clock on the wall.
struct Bench {
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Bench {
        Bench { disk: FaultyDisk::new(), clock: Arc::new(ManualClock::at(1_000_000)) }
    }

    fn open(&self) -> Arc<LogDir> {
        let clock: SharedClock = Arc::<ManualClock>::clone(&self.clock);
        LogDir::open(LogDirSettings { path: "/data".into(), disk: Arc::new(self.disk.clone()) }, clock).unwrap()
    }

    /// The process dies, the machine does not.
    fn kill(&mut self) {
        self.disk = self.disk.kill();
    }

    fn names(&self, dir: &str) -> Vec<String> {
        use crate::log::io::Disk;
        self.disk.list(&PathBuf::from(dir)).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    fn text(&self, path: &str) -> String {
        String::from_utf8(self.disk.bytes(&PathBuf::from(path)).unwrap()).unwrap()
    }

    fn len(&self, path: &str) -> usize {
        self.disk.bytes(&PathBuf::from(path)).unwrap().len()
    }
}

fn ident(topic: &str) -> PartitionIdent {
    let id = topic.bytes().fold(7u128, |sum, byte| sum * 31 + u128::from(byte));
    let topic_id = TopicId(uuid::Uuid::from_u128(id));
    PartitionIdent { topic: TopicName::new(topic).unwrap(), topic_id, partition: PartitionId(0) }
}

fn config() -> LogConfig {
    LogConfig::for_tests()
}

/// Segments of about three batches of one record each, every second batch indexed.
fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 300, index_interval_bytes: 100, ..config() }
}

fn message(value: &str, timestamp: i64) -> Message {
    let value = Some(Bytes::copy_from_slice(value.as_bytes()));
    Message { value, timestamp: Some(TimestampMs(timestamp)), ..Message::default() }
}

fn batch_at(values: &[(&str, i64)]) -> ProducedBatch {
    let messages: Vec<Message> = values.iter().map(|(value, timestamp)| message(value, *timestamp)).collect();
    build(&messages, TimestampMs(0), Compression::None, None).unwrap()
}

fn batch(value: &str) -> ProducedBatch {
    batch_at(&[(value, 1_000)])
}

fn stamped(value: &str, id: i64, first: i32) -> ProducedBatch {
    let stamp = ProducerStamp { id: ProducerId(id), epoch: ProducerEpoch(0), first: Sequence(first) };
    build(&[message(value, 1_000)], TimestampMs(0), Compression::None, Some(stamp)).unwrap()
}

fn append(partition: &Arc<Partition>, value: &str) -> Ticket {
    let ticket = partition.append(batch(value), Origin::Client);
    ticket.placed().unwrap();
    ticket
}

/// Appends; nobody waits for it.
fn add(partition: &Arc<Partition>, value: &str) {
    append(partition, value).forget();
}

/// Appends and waits until it is durable.
async fn settle(partition: &Arc<Partition>, value: &str) -> Appended {
    bounded_wait(append(partition, value).durable()).await.unwrap()
}

/// Everything below HW: offset, leader epoch and value, read in pieces of `max_bytes`.
fn read_all(partition: &Partition, max_bytes: usize) -> Vec<(i64, i32, String)> {
    let (mut values, mut at) = (Vec::new(), partition.offsets().log_start);
    loop {
        let mut slice = partition.read(at, max_bytes).unwrap();
        if slice.is_empty() {
            return values;
        }
        while !slice.is_empty() {
            let stored = check_stored(slice.clone()).unwrap();
            for record in records(&stored).unwrap() {
                let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
                values.push((record.offset.0, stored.header().leader_epoch.0, value));
            }
            at = stored.header().next_offset();
            slice = slice.split_off(stored.header().size);
        }
    }
}

fn values(partition: &Partition) -> Vec<String> {
    read_all(partition, 100).into_iter().map(|(_, _, value)| value).collect()
}
