//! Follows one partition record by record, for a service that works through all of it: by topic id, so that a topic which
//! was deleted and recreated is another one, and without the wait of a long poll. A client can compress anything, so a batch
//! may be impossible to open: it is returned as one record that holds its bytes, at the same offset every time, and does not
//! stop the service.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use super::super::error::DoorError;
use super::super::reading::{Followed, RecordView};
use super::Door;
use crate::context::Context;
use crate::engine::follow;
use crate::ids::{Offset, PartitionId, TopicId, TopicRef};
use crate::log::WatchGuard;
use crate::record::{RecordError, StoredBatch};

/// A partition that a service works through.
#[derive(Clone, Debug)]
pub struct Follower {
    partition: follow::Follower,
}

/// Wakes a `Notify` until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Watch {
    _guard: WatchGuard,
}

impl Door {
    /// That partition of the topic with this id.
    ///
    /// # Errors
    /// `IdNotFound`, `NoPartition`.
    pub fn follow(&self, ctx: &Context, topic: TopicId, partition: PartitionId) -> Result<Follower, DoorError> {
        let topic = self.engine.auth().ask(ctx, TopicRef::Id(topic))?;
        Ok(Follower { partition: self.engine.follow(&topic, partition)? })
    }
}

impl Follower {
    /// The first offset that the partition has.
    #[must_use]
    pub fn beginning(&self) -> Offset {
        self.partition.log_start()
    }

    /// The offset behind the last record that can be read.
    #[must_use]
    pub(crate) fn end(&self) -> Offset {
        self.partition.high_watermark()
    }

    /// Records at and above `from` are still needed: nothing removes them.
    pub fn hold(&self, from: Offset) {
        self.partition.hold(from);
    }

    /// Passes the records from `from` on to `take`, in order, until `take` returns `false` or about `bytes_max` bytes of whole
    /// batches have been read. Returns the offset to continue at: behind the last record taken and the holes after it; `from`
    /// at the end of the log.
    ///
    /// # Errors
    /// A storage failure; a damaged batch.
    pub fn read(
        &self,
        from: Offset,
        bytes_max: usize,
        take: &mut dyn FnMut(Followed) -> bool,
    ) -> Result<Offset, DoorError> {
        let mut next = from;
        for batch in self.partition.read(from, bytes_max)? {
            let batch = batch?;
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

    /// Wakes `notify` on new records and on the partition's end, until the answer is dropped.
    pub(crate) fn watch(&self, notify: &Arc<Notify>) -> Watch {
        Watch { _guard: self.partition.watch(notify) }
    }
}

/// `true` when every record of the batch was taken.
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
