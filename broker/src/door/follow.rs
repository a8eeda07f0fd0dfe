//! Follows one partition record by record, for a service that works through all of it: by topic id, so that a topic made
//! anew is another one, and without the wait of a long poll. A batch that cannot be opened (a client can compress anything)
//! is given as one record that holds its bytes, at the same offset every time: it must not stop whoever follows.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::{Door, DoorError, RecordView};
use crate::ids::{Offset, PartitionId, TopicId, TopicRef};
use crate::log::Partition;
use crate::log::WatchGuard;
use crate::record::{self, RecordError, StoredBatch};

/// A partition that is being worked through.
#[derive(Clone, Debug)]
pub struct Follower {
    partition: Arc<Partition>,
}

/// One record of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The record; of a batch that cannot be opened, its bytes as the value.
    pub record: RecordView,
    /// It stands for the rest of a batch that cannot be opened, and why.
    pub unreadable: Option<String>,
    /// Where to go on behind it.
    pub next: Offset,
}

impl Door {
    /// That partition of that very topic.
    ///
    /// # Errors
    /// `IdNotFound`, `NoPartition`.
    pub fn follow(&self, topic: TopicId, partition: PartitionId) -> Result<Follower, DoorError> {
        Ok(Follower { partition: self.engine.resolve(&TopicRef::Id(topic))?.partition(partition)? })
    }
}

impl Follower {
    /// What is before it has been removed.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.partition.offsets().log_start
    }

    /// What is at and above is still needed here: nothing removes it.
    pub fn hold(&self, from: Offset) {
        self.partition.hold(from);
    }

    /// Gives the records from `from` on to `take`, in order, until it says `false` or about `bytes_max` bytes of whole
    /// batches are through. Returns where to go on: behind the last record taken and the holes after it; `from` at the end.
    ///
    /// # Errors
    /// The log's; stored bytes that are no batch, which is damage and no client's doing.
    pub fn read(
        &self,
        from: Offset,
        bytes_max: usize,
        take: &mut dyn FnMut(Followed) -> bool,
    ) -> Result<Offset, DoorError> {
        let mut next = from;
        let mut bytes = self.partition.read(from, bytes_max)?.records;
        while !bytes.is_empty() {
            let batch = record::check_stored(bytes.clone())?;
            let _ = bytes.split_to(batch.header().size);
            let mut take_from = |found: Followed| {
                let behind = found.next;
                let goes_on = found.record.offset < from || take(found);
                if goes_on {
                    next = next.max(behind);
                }
                goes_on
            };
            if !batch.header().control && !scan(&batch, &mut take_from) {
                break;
            }
            next = next.max(batch.header().next_offset());
        }
        Ok(next)
    }

    /// `notify` is told of new records, and of the partition's end.
    pub fn watch(&self, notify: &Arc<Notify>) -> WatchGuard {
        self.partition.watch(notify)
    }
}

/// Whether the batch was gone through to its end.
fn scan(batch: &StoredBatch, take: &mut dyn FnMut(Followed) -> bool) -> bool {
    let mut at = batch.header().base_offset;
    let records = match batch.iter() {
        Ok(records) => records,
        Err(error) => return take(unreadable(batch, at, &error)),
    };
    for record in records {
        let found = match record {
            Ok(record) => Followed { next: record.offset.next(), record, unreadable: None },
            Err(error) => return take(unreadable(batch, at, &error)),
        };
        at = found.next;
        if !take(found) {
            return false;
        }
    }
    true
}

fn unreadable(batch: &StoredBatch, offset: Offset, error: &RecordError) -> Followed {
    let header = batch.header();
    let record = RecordView {
        offset,
        timestamp: header.max_timestamp,
        client_timestamp: header.base_timestamp,
        key: None,
        value: Some(Bytes::clone(batch.bytes())),
        headers: Vec::new(),
    };
    let reason = format!("the batch at offset {} cannot be opened, this is all of it: {error}", header.base_offset);
    Followed { record, unreadable: Some(reason), next: header.next_offset() }
}
