//! Fetch with long poll: ranges of whole batches, as they are stored, below HW. Nothing here re-encodes a record. Where
//! the disk would have to be waited for, or many partitions are asked for, the pass moves to a blocking thread; for the Kafka
//! port records stay in their files.

mod poll;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Engine, EngineError};
use crate::auth::{Granted, Read};
use crate::context::Context;
use crate::ids::{LeaderEpoch, Offset, PartitionId, TopicRef};
use crate::limits::FETCH_LOOKS_AT_ONCE;
use crate::log::{FileSlice, Located, LogError, Offsets, Partition, Patience};
use crate::tasks;
use crate::topics::TopicError;

/// A fetch over several partitions.
#[derive(Debug)]
pub struct FetchRequest {
    /// How long to wait for `min_bytes`.
    pub max_wait: Duration,
    /// Answer as soon as this many bytes are there.
    pub min_bytes: usize,
    /// Bytes of the whole answer, the first batch excepted.
    pub max_bytes: usize,
    /// The partitions, topic by topic.
    pub topics: Vec<FetchTopic>,
    /// The form of the records.
    pub form: Form,
}

/// The part of a fetch that is about one topic.
#[derive(Debug)]
pub struct FetchTopic {
    /// The topic.
    pub topic: Granted<Read, TopicRef>,
    /// Its partitions.
    pub partitions: Vec<FetchPartition>,
}

/// How records are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As whole batches in memory.
    Copied,
    /// Where they are: for a caller that sends a file's pages without looking at them. The last batch may be cut short.
    Ranges,
}

/// The part of a fetch that is about one partition.
#[derive(Clone, Copy, Debug)]
pub struct FetchPartition {
    /// Its number.
    pub partition: PartitionId,
    /// The first offset to read.
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

/// What was read of one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// From the batch that holds the offset on.
    pub records: Records,
    /// The partition's offsets at the time of the read.
    pub(crate) offsets: Offsets,
}

/// One partition, found or not, with its part of the request.
#[derive(Clone, Debug)]
struct Part {
    partition: Result<Arc<Partition>, EngineError>,
    offset: Offset,
    max_bytes: usize,
}

/// What holds for the whole answer.
#[derive(Clone, Copy, Debug)]
struct Whole {
    max_bytes: usize,
    form: Form,
}

/// A pass over the partitions, and whether it is worth an answer.
struct Pass {
    outcomes: Vec<Result<Fetched, EngineError>>,
    bytes: usize,
    failed: bool,
}

impl Engine {
    /// One outcome a partition, in the order of the request. Returns when `min_bytes` are there, when a partition that exists
    /// has an error, when none exists, or when `max_wait` has passed. At least one batch in the whole answer, whatever the limits (KIP-74).
    pub async fn fetch(&self, ctx: &Context, request: FetchRequest) -> Vec<Result<Fetched, EngineError>> {
        let whole = Whole { max_bytes: request.max_bytes, form: request.form };
        let parts: Arc<[Part]> = request.topics.iter().flat_map(|topic| self.parts(topic)).collect();
        let max_wait = ctx.wait_at_most(request.max_wait, self.clock.monotonic());
        let first = self.pass(whole, &parts).await;
        let nothing_to_wait_for = parts.iter().all(|part| part.partition.is_err());
        if first.failed || first.bytes >= request.min_bytes || max_wait.is_zero() || nothing_to_wait_for {
            return first.outcomes;
        }
        drop(first);
        // As Kafka: an answer of `max_bytes` is not waited beyond.
        self.await_bytes(&parts, request.min_bytes.min(request.max_bytes), max_wait).await;
        self.pass(whole, &parts).await.outcomes
    }

    /// From memory where possible; else once more on a thread that may wait for the disk.
    async fn pass(&self, whole: Whole, parts: &Arc<[Part]>) -> Pass {
        let few = parts.len() <= FETCH_LOOKS_AT_ONCE;
        if few && let Some(pass) = read_all(whole, parts, Patience::Cached) {
            return pass;
        }
        let for_thread = Arc::clone(parts);
        let read = move || read_all(whole, &for_thread, Patience::Wait);
        let error = match tasks::blocking("fetch-read", read).await {
            Ok(Some(pass)) => return pass,
            Ok(None) => EngineError::internal("a read that may wait did not"),
            Err(failure) => failure.into(),
        };
        Pass { outcomes: vec![Err(error); parts.len()], bytes: 0, failed: true }
    }

    /// The partitions of one topic, which is looked up once.
    fn parts(&self, asked: &FetchTopic) -> Vec<Part> {
        let topic = self.resolve(asked.topic.resource());
        let find = |part: &FetchPartition| {
            let partition = topic.as_ref().map_err(EngineError::clone)?.partition(part.partition)?;
            partition.check_epoch(part.epoch)?;
            Ok(partition)
        };
        let part =
            |part: &FetchPartition| Part { partition: find(part), offset: part.offset, max_bytes: part.max_bytes };
        asked.partitions.iter().map(part).collect()
    }
}

/// `None`: the disk would have to be waited for.
fn read_all(whole: Whole, parts: &[Part], patience: Patience) -> Option<Pass> {
    let mut pass = Pass { outcomes: Vec::with_capacity(parts.len()), bytes: 0, failed: false };
    for part in parts {
        let limit = part.max_bytes.min(whole.max_bytes.saturating_sub(pass.bytes));
        let one = One { limit, first: pass.bytes == 0, form: whole.form, patience };
        let outcome = match &part.partition {
            Ok(partition) => one.read(part.offset, partition).transpose()?.map_err(Into::into),
            Err(error) => Err(error.clone()),
        };
        match &outcome {
            Ok(fetched) => pass.bytes += fetched.records.len(),
            Err(error) => pass.failed |= !is_unknown(error),
        }
        pass.outcomes.push(outcome);
    }
    Some(pass)
}

/// What Kafka answers before it reads anything (`KafkaApis.handleFetchRequest`, "erroneous"): a topic that is not there yet
/// must not turn the long poll of the others into a loop.
fn is_unknown(error: &EngineError) -> bool {
    match error {
        EngineError::Denied(_) => true,
        EngineError::Topic(error) => matches!(
            error,
            TopicError::NotFound { .. }
                | TopicError::IdNotFound { .. }
                | TopicError::NoPartition { .. }
                | TopicError::BadName(_)
        ),
        _ => false,
    }
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
    /// The log always returns at least one batch. When the answer has records already, a batch that does not fit is left
    /// for the next fetch. `None`: the disk would have to be waited for.
    fn read(&self, from: Offset, partition: &Partition) -> Result<Option<Fetched>, LogError> {
        let nothing = Records::Copied(Bytes::new());
        if !self.first && self.limit == 0 {
            partition.usable()?;
            return Ok(Some(Fetched { records: nothing, offsets: partition.offsets() }));
        }
        let Some(Located { slice, offsets, .. }) = partition.locate(from, self.limit, self.patience)? else {
            return Ok(None);
        };
        let fits = |len| self.first || len <= self.limit;
        let Some(slice) = slice.filter(|slice| fits(slice.len())) else {
            return Ok(Some(Fetched { records: nothing, offsets }));
        };
        let records = match self.form {
            Form::Copied => partition.read_located(&slice, self.patience)?.map(Records::Copied),
            Form::Ranges => Some(Records::Range(slice)),
        };
        Ok(records.map(|records| Fetched { records, offsets }))
    }
}
