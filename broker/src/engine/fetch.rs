//! Fetch with long poll: ranges of whole batches, as they are stored, below HW. Nothing here re-encodes a record.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::produce::TopicRef;
use super::{Engine, EngineError};
use crate::clock;
use crate::config::Context;
use crate::ids::{LeaderEpoch, Offset, PartitionId};
use crate::log::{Offsets, Partition};

/// A fetch over several partitions.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// How long to wait for `min_bytes`.
    pub max_wait: Duration,
    /// Answer as soon as so many bytes are there.
    pub min_bytes: usize,
    /// Bytes of the whole answer, the first batch excepted.
    pub max_bytes: usize,
    /// What is asked for.
    pub partitions: Vec<FetchPartition>,
}

/// The part of a fetch that is about one partition.
#[derive(Clone, Debug)]
pub struct FetchPartition {
    /// Its topic.
    pub topic: TopicRef,
    /// Its number.
    pub partition: PartitionId,
    /// The first record wanted.
    pub offset: Offset,
    /// Bytes of this partition's part, the answer's first batch excepted.
    pub max_bytes: usize,
    /// The leader epoch that the client knows; checked by rule 5.
    pub epoch: Option<LeaderEpoch>,
}

/// What one partition has to give.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Whole batches; empty at the end of the log.
    pub records: Bytes,
    /// The partition's offsets at the time of the read.
    pub offsets: Offsets,
}

/// A pass over the partitions, and whether it is worth an answer.
struct Pass {
    outcomes: Vec<Result<Fetched, EngineError>>,
    bytes: usize,
    failed: bool,
}

impl Engine {
    /// One outcome a partition, in the order of the request. Returns when `min_bytes` are there, when a partition has an error,
    /// or when `max_wait` has passed. At least one batch in the whole answer, whatever the limits (KIP-74).
    pub async fn fetch(&self, _ctx: &Context, request: &FetchRequest) -> Vec<Result<Fetched, EngineError>> {
        let partitions: Vec<_> = request.partitions.iter().map(|part| self.fetchable(part)).collect();
        let first = read_all(request, &partitions);
        if first.failed || first.bytes >= request.min_bytes || request.max_wait.is_zero() {
            return first.outcomes;
        }
        let wake = Arc::new(Notify::new());
        // Registered before the next read, and a notification is kept until it is awaited: no move of HW is missed.
        let _watches: Vec<_> = partitions.iter().flatten().map(|partition| partition.watch(&wake)).collect();
        let deadline = clock::sleep(request.max_wait);
        tokio::pin!(deadline);
        loop {
            let pass = read_all(request, &partitions);
            if pass.failed || pass.bytes >= request.min_bytes {
                return pass.outcomes;
            }
            tokio::select! {
                () = wake.notified() => {}
                () = &mut deadline => return read_all(request, &partitions).outcomes,
                () = self.stopping.cancelled() => return pass.outcomes,
            }
        }
    }

    fn fetchable(&self, part: &FetchPartition) -> Result<Arc<Partition>, EngineError> {
        let partition = self.resolve(&part.topic)?.partition(part.partition)?;
        partition.check_epoch(part.epoch)?;
        Ok(partition)
    }
}

fn read_all(request: &FetchRequest, partitions: &[Result<Arc<Partition>, EngineError>]) -> Pass {
    let mut pass = Pass { outcomes: Vec::with_capacity(partitions.len()), bytes: 0, failed: false };
    for (part, partition) in request.partitions.iter().zip(partitions) {
        let room = request.max_bytes.saturating_sub(pass.bytes);
        let outcome = partition
            .clone()
            .and_then(|partition| read_one(part, &partition, room, pass.bytes == 0).map_err(Into::into));
        match &outcome {
            Ok(fetched) => pass.bytes += fetched.records.len(),
            Err(_) => pass.failed = true,
        }
        pass.outcomes.push(outcome);
    }
    pass
}

/// One partition's part. The log always gives at least one batch; when the answer has records already, one that does not fit
/// is left for the next fetch.
fn read_one(
    part: &FetchPartition,
    partition: &Partition,
    room: usize,
    first: bool,
) -> Result<Fetched, crate::log::LogError> {
    let limit = part.max_bytes.min(room);
    if !first && limit == 0 {
        partition.usable()?;
        return Ok(Fetched { records: Bytes::new(), offsets: partition.offsets() });
    }
    let slice = partition.read(part.offset, limit)?;
    let records = if first || slice.records.len() <= limit { slice.records } else { Bytes::new() };
    Ok(Fetched { records, offsets: slice.offsets })
}
