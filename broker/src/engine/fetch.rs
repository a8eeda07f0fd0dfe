//! Fetch with long poll: ranges of whole batches, as they are stored, below HW. Nothing here re-encodes a record. Where
//! the disk would have to be waited for, the pass moves to a blocking thread; large answers stay in their files.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::{Engine, EngineError};
use crate::clock;
use crate::context::Context;
use crate::ids::{LeaderEpoch, Offset, PartitionId, TopicRef};
use crate::limits::FETCH_COPIED_BYTES_MAX;
use crate::log::{FileSlice, Located, LogError, Offsets, Partition, Patience};
use crate::memory::{MemoryBudget, hold};
use crate::tasks;

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
    /// In which form.
    pub form: Form,
}

/// How records are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As whole batches in memory.
    Copied,
    /// Where they are, if they are many: for whoever sends a file's pages without looking at them. The last batch may be
    /// cut short.
    Ranges,
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

/// Records of one partition.
#[derive(Clone, Debug)]
pub enum Records {
    /// Whole batches; empty at the end of the log.
    Copied(Bytes),
    /// At least one whole batch, in its file.
    Range(FileSlice),
}

impl Records {
    /// Bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Records::Copied(bytes) => bytes.len(),
            Records::Range(slice) => slice.len(),
        }
    }

    /// `true` at the end of the log.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What one partition has to give.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// From the batch that holds the offset on.
    pub records: Records,
    /// The partition's offsets at the time of the read.
    pub offsets: Offsets,
}

type Partitions = Vec<Result<Arc<Partition>, EngineError>>;

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
        let partitions: Partitions = request.partitions.iter().map(|part| self.fetchable(part)).collect();
        let first = self.pass(request, &partitions).await;
        if first.failed || first.bytes >= request.min_bytes || request.max_wait.is_zero() {
            return first.outcomes;
        }
        let wake = Arc::new(Notify::new());
        // Registered before the next read, and a notification is kept until it is awaited: no move of HW is missed.
        let _watches: Vec<_> = partitions.iter().flatten().map(|partition| partition.watch(&wake)).collect();
        let deadline = clock::sleep(request.max_wait);
        tokio::pin!(deadline);
        loop {
            let pass = self.pass(request, &partitions).await;
            if pass.failed || pass.bytes >= request.min_bytes {
                return pass.outcomes;
            }
            tokio::select! {
                () = wake.notified() => {}
                () = &mut deadline => return self.pass(request, &partitions).await.outcomes,
                () = self.stopping.cancelled() => return pass.outcomes,
            }
        }
    }

    /// From memory where possible; else once more on a thread that may wait for the disk.
    async fn pass(&self, request: &FetchRequest, partitions: &Partitions) -> Pass {
        if let Some(pass) = read_all(request, partitions, Patience::Cached, &self.memory) {
            return pass;
        }
        let (request, partitions, memory) = (request.clone(), partitions.clone(), self.memory.clone());
        let count = partitions.len();
        let read = move || read_all(&request, &partitions, Patience::Wait, &memory);
        let error = match tasks::blocking("fetch-read", read).await {
            Ok(Some(pass)) => return pass,
            Ok(None) => EngineError::Internal { what: "a read that may wait did not".to_owned() },
            Err(failure) => failure.into(),
        };
        Pass { outcomes: vec![Err(error); count], bytes: 0, failed: true }
    }

    fn fetchable(&self, part: &FetchPartition) -> Result<Arc<Partition>, EngineError> {
        let partition = self.resolve(&part.topic)?.partition(part.partition)?;
        partition.check_epoch(part.epoch)?;
        Ok(partition)
    }
}

/// `None`: the disk would have to be waited for.
fn read_all(
    request: &FetchRequest,
    partitions: &Partitions,
    patience: Patience,
    memory: &MemoryBudget,
) -> Option<Pass> {
    let mut pass = Pass { outcomes: Vec::with_capacity(partitions.len()), bytes: 0, failed: false };
    for (part, partition) in request.partitions.iter().zip(partitions) {
        let limit = part.max_bytes.min(request.max_bytes.saturating_sub(pass.bytes));
        let one = One { limit, first: pass.bytes == 0, form: request.form, patience };
        let outcome = match partition {
            Ok(partition) => one.read(part.offset, partition, memory).transpose()?.map_err(Into::into),
            Err(error) => Err(error.clone()),
        };
        match &outcome {
            Ok(fetched) => pass.bytes += fetched.records.len(),
            Err(_) => pass.failed = true,
        }
        pass.outcomes.push(outcome);
    }
    Some(pass)
}

/// How one partition's part is read.
struct One {
    limit: usize,
    /// The answer has no records yet.
    first: bool,
    form: Form,
    patience: Patience,
}

impl One {
    /// The log always gives at least one batch; when the answer has records already, one that does not fit is left for the
    /// next fetch. `None`: the disk would have to be waited for.
    fn read(&self, from: Offset, partition: &Partition, memory: &MemoryBudget) -> Result<Option<Fetched>, LogError> {
        let nothing = Records::Copied(Bytes::new());
        if !self.first && self.limit == 0 {
            partition.usable()?;
            return Ok(Some(Fetched { records: nothing, offsets: partition.offsets() }));
        }
        let Some(Located { slice, offsets }) = partition.locate(from, self.limit, self.patience)? else {
            return Ok(None);
        };
        let fits = |len| self.first || len <= self.limit;
        let Some(slice) = slice.filter(|slice| fits(slice.len())) else {
            return Ok(Some(Fetched { records: nothing, offsets }));
        };
        let records = match self.form {
            Form::Copied => partition.read_located(&slice, self.patience)?.map(Records::Copied),
            Form::Ranges => self.copy_if_small(slice, partition, memory)?,
        };
        Ok(records.map(|records| Fetched { records, offsets }))
    }

    /// A few bytes cost less to copy than to send from a file, if there is memory for them.
    fn copy_if_small(
        &self,
        slice: FileSlice,
        partition: &Partition,
        memory: &MemoryBudget,
    ) -> Result<Option<Records>, LogError> {
        let small = slice.len() <= FETCH_COPIED_BYTES_MAX;
        let Some(share) = small.then(|| memory.try_take(slice.len())).flatten() else {
            return Ok(Some(Records::Range(slice)));
        };
        let bytes = partition.read_located(&slice, self.patience)?;
        Ok(bytes.map(|bytes| Records::Copied(hold(bytes, share))))
    }
}
