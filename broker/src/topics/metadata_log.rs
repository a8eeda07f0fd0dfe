//! The broker's own log of what exists: an ordinary partition, opened before every other, always synced. It reads all
//! records at start and appends new ones; nobody acts on a change, or answers for it, before `write` has returned.
//! It never interprets records (`metadata_state.rs` does). When there are many more records than things, it writes everything
//! anew as a snapshot, and begins there.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::RwLock;

use super::configs::TopicConfigs;
use super::error::{Refused, TopicError};
use super::metadata_fault::MetadataFault;
use super::metadata_record::MetadataRecord;
use super::metadata_state::MetadataState;
use crate::clock::SharedClock;
use crate::ids::{PartitionId, TopicId, TopicName};
use crate::limits;
use crate::log::{AppendError, Cleanup, LogConfig, LogDir, Origin, Partition, PartitionIdent, Replayed};
use crate::record::{Compression, Message, build};
use crate::tasks;

/// The name of the log's directory, before the partition number.
const NAME: &str = "__sluice_metadata";
/// The same in every data directory, unlike other topics' ids: it must be found before anything is known.
/// Kafka's reserved ids (0 and 1) are not used; the last bytes spell the name.
pub(super) const METADATA_TOPIC_ID: TopicId = TopicId(uuid::Uuid::from_u128(0x736c_7569_6365));

/// The open log.
#[derive(Debug)]
pub(super) struct MetadataLog {
    partition: Arc<Partition>,
    clock: SharedClock,
    /// Records since the last snapshot.
    records: AtomicU64,
    /// Held by whoever writes a snapshot, whose parts nothing may come between; shared by all others who write.
    parts: RwLock<()>,
}

impl MetadataLog {
    /// Opens the log, made anew only in a directory that holds no partitions at all, and replays it. Blocking.
    ///
    /// # Errors
    /// `Metadata` when there are partitions and no metadata (rule 17: data without its metadata is no first start, an empty
    /// log here would set all of it aside), or when a record cannot be understood; the log's.
    pub(super) fn open(dir: &LogDir, clock: SharedClock) -> Result<(MetadataLog, MetadataState), TopicError> {
        let ident =
            PartitionIdent { topic: TopicName::new(NAME)?, topic_id: METADATA_TOPIC_ID, partition: PartitionId(0) };
        let there = topic_ids(dir)?;
        let partition = if there.contains(&METADATA_TOPIC_ID) {
            dir.open_existing(ident, log_config())?
        } else if there.is_empty() {
            dir.create(ident, log_config())?
        } else {
            let (path, log) = (dir.path().to_path_buf(), ident.name().to_string());
            return Err(MetadataFault::Missing { path, log }.into());
        };
        let state = replay(&partition)?;
        let records = AtomicU64::new(state.records);
        Ok((MetadataLog { partition, clock, records, parts: RwLock::default() }, state))
    }

    /// Appends the records as one batch, all or none, and returns once they are durable.
    ///
    /// # Errors
    /// The log's. When a sync failed it is unknown whether the records survive, and the log takes no more until restart.
    pub(super) async fn write(&self, batch: &[MetadataRecord]) -> Result<(), TopicError> {
        let _between_snapshots = self.parts.read().await;
        self.records.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.append(batch).await
    }

    /// Records since the last snapshot.
    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Writes `everything` as a snapshot, and lets the log begin with it. A crash in between finds the old records, and a
    /// snapshot that is whole or stands for nothing. `everything` is asked when no record is on its way.
    ///
    /// # Errors
    /// As `write`; the log is as good as before.
    pub(super) async fn write_anew(&self, everything: impl FnOnce() -> Vec<MetadataRecord>) -> Result<(), TopicError> {
        let _alone = self.parts.write().await;
        // Whatever comes of it, the next try is not at once.
        self.records.store(0, Ordering::Relaxed);
        let partition = Arc::clone(&self.partition);
        let base = tasks::blocking("metadata-snapshot", move || partition.seal()).await??;
        let parts = in_parts(everything());
        let of = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        for (part, records) in (0..).zip(parts) {
            self.append(&[MetadataRecord::Snapshot { part, of, records }]).await?;
        }
        Ok(self.partition.forget_below(base).await?)
    }

    async fn append(&self, batch: &[MetadataRecord]) -> Result<(), TopicError> {
        let messages: Vec<Message> =
            batch.iter().map(|record| Message { value: Some(record.encode()), ..Message::default() }).collect();
        let too_large = |cause| TopicError::from(Refused::TooLarge { cause });
        let batch = build(&messages, self.clock.wall(), Compression::None, None).map_err(too_large)?;
        let appended = self.partition.append_async(batch, Origin::Broker, ()).await.durable().await;
        appended.map(|_| ()).map_err(|error| match error {
            AppendError::Log(cause) => TopicError::Log(cause),
            AppendError::Record(cause) => too_large(cause),
            // Sequences and producers: nothing that the broker writes here has them.
            other => TopicError::Internal { what: other.to_string() },
        })
    }

    /// `false` after a failed sync (rule 8): what was written last may or may not be there at the next start.
    pub(super) fn usable(&self) -> bool {
        self.partition.usable().is_ok()
    }
}

/// Each part fits a batch: half of one, since a record may have almost that much by itself. At least one part.
fn in_parts(records: Vec<MetadataRecord>) -> Vec<Vec<MetadataRecord>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for record in records {
        let size = record.encode().len();
        if bytes > 0 && bytes + size > limits::METADATA_BATCH_BYTES_MAX / 2 {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(part) = parts.last_mut() {
            part.push(record);
        }
    }
    parts
}

fn log_config() -> LogConfig {
    LogConfig {
        segment_ms: i64::MAX,
        message_bytes_max: limits::METADATA_BATCH_BYTES_MAX,
        // Nothing is removed by age or size, only what a snapshot stands for.
        cleanup: Cleanup::default(),
        ..TopicConfigs::default().log_config()
    }
}

/// The topics that have directories here. Sets nothing aside that says whose it is: every one is called known.
fn topic_ids(dir: &LogDir) -> Result<HashSet<TopicId>, TopicError> {
    let seen = RefCell::new(HashSet::new());
    dir.set_aside_strays(&|id, _| {
        seen.borrow_mut().insert(id);
        true
    })?;
    Ok(seen.into_inner())
}

fn replay(partition: &Partition) -> Result<MetadataState, TopicError> {
    let mut state = MetadataState::new();
    partition.replay::<TopicError>(|found| {
        let Replayed::Records { records, .. } = found else { return Ok(()) };
        for record in records {
            MetadataRecord::decode(record.value.as_deref().unwrap_or_default())
                .and_then(|known| state.apply(known))
                .map_err(|fault| MetadataFault::Record { offset: record.offset, fault })?;
        }
        Ok(())
    })?;
    Ok(state)
}
