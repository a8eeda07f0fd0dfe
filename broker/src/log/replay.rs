//! Replays a partition's log from its start to HW, batch by batch, for state that lives in a log: the metadata log, keyed
//! logs, coordinators. Stands on `read/`, below the owners of the state. It never returns a part of a log as if it
//! were all of it, and never interprets a record.

use super::error::{LogError, ReplayFault};
use super::partition::Partition;
use crate::ids::Offset;
use crate::limits;
use crate::record::{ControlType, ProducerIdent, RecordView, StoredBatch, check_stored, records};

/// What a replay finds, in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Replayed {
    /// The records of one batch; compaction may have removed some of them.
    Records {
        /// `Some`: they do not count before this producer's marker, and only if it is a commit.
        transaction: Option<ProducerIdent>,
        /// In the order of their offsets.
        records: Vec<RecordView>,
    },
    /// The end of a producer's transaction.
    Marker {
        /// Whose transaction it is.
        producer: ProducerIdent,
        /// `false`: the transaction was aborted.
        commit: bool,
        /// The marker's own offset.
        offset: Offset,
    },
}

impl Partition {
    /// Hands everything below HW to `each`, then returns the HW that it has reached. Reads
    /// `limits::REPLAY_READ_BYTES` at once, or one batch where that is larger. Blocking.
    ///
    /// # Errors
    /// Those of `each`; the log's, `NotReplayable` among them, where not everything below HW can be read.
    pub(crate) fn replay<E: From<LogError>>(
        &self,
        mut each: impl FnMut(Replayed) -> Result<(), E>,
    ) -> Result<Offset, E> {
        self.usable()?;
        let offsets = self.offsets();
        let mut from = offsets.log_start;
        while from < offsets.hw {
            let mut bytes = self.read(from, limits::REPLAY_READ_BYTES)?;
            if bytes.is_empty() {
                return Err(self.not_replayable(from, ReplayFault::Empty { hw: offsets.hw }).into());
            }
            while !bytes.is_empty() {
                let batch = check_stored(bytes.clone()).map_err(|cause| self.not_replayable(from, cause.into()))?;
                let _ = bytes.split_to(batch.header().size);
                for found in parse(&batch).map_err(|fault| self.not_replayable(from, fault))? {
                    each(found)?;
                }
                from = batch.header().next_offset();
            }
        }
        Ok(offsets.hw)
    }

    fn not_replayable(&self, offset: Offset, fault: ReplayFault) -> LogError {
        LogError::NotReplayable { partition: self.label(), offset, fault }
    }
}

fn parse(batch: &StoredBatch) -> Result<Vec<Replayed>, ReplayFault> {
    let header = batch.header();
    let producer = ProducerIdent::of(batch);
    let records = records(batch)?;
    if !header.control {
        if header.transactional && producer.is_none() {
            return Err(ReplayFault::NoProducer);
        }
        let transaction = producer.filter(|_| header.transactional);
        return Ok(vec![Replayed::Records { transaction, records }]);
    }
    let mut markers = Vec::with_capacity(records.len());
    for record in records {
        let commit = match ControlType::of_key(record.key.as_deref().unwrap_or_default())? {
            ControlType::Abort => false,
            ControlType::Commit => true,
            ControlType::Other(_) => continue,
        };
        let producer = producer.ok_or(ReplayFault::NoProducer)?;
        markers.push(Replayed::Marker { producer, commit, offset: record.offset });
    }
    Ok(markers)
}
