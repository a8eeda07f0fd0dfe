//! Replays a partition into a machine at load, batch by batch: the same `replay` as for live records, and for control
//! batches the end of a transaction. Blocking. A partition that cannot be read to its end is an error: its shard must
//! never answer as if it had nothing.

use super::error::{BadRecord, ShardError};
use super::machine::Machine;
use crate::ids::Offset;
use crate::limits;
use crate::log::{LogError, Partition};
use crate::record::{self, RecordError};

/// Why a replay stopped; it ends as an error of the partition.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Batch(#[from] RecordError),
    #[error("at offset {offset}: {cause}")]
    Record { offset: Offset, cause: BadRecord },
}

/// Replays everything below the high watermark, and returns that.
pub(super) fn replay<M: Machine>(partition: &Partition, machine: &mut M) -> Result<Offset, ShardError> {
    partition.usable()?;
    let damaged = |reason: String| LogError::Offline { partition: partition.ident().name().to_string(), reason };
    let offsets = partition.offsets();
    let mut from = offsets.log_start;
    while from < offsets.hw {
        let slice = partition.read(from, limits::REPLAY_READ_BYTES)?;
        let next = replay_batches(slice.records, from, machine).map_err(|reason| damaged(reason.to_string()))?;
        if next <= from {
            return Err(damaged(format!("nothing can be read at offset {from} below {}", offsets.hw)).into());
        }
        from = next;
    }
    Ok(offsets.hw)
}

fn replay_batches<M: Machine>(
    mut bytes: bytes::Bytes,
    mut next: Offset,
    machine: &mut M,
) -> Result<Offset, Unreadable> {
    while !bytes.is_empty() {
        let batch = record::check_stored(bytes.clone())?;
        bytes = bytes.slice(batch.header().size..);
        next = batch.header().next_offset();
        if batch.header().control {
            continue;
        }
        let producer = batch.header().producer.filter(|_| batch.header().transactional).map(|producer| producer.id);
        for view in record::records(&batch)? {
            let offset = view.offset;
            let parsed = M::parse(&view).map_err(|cause| Unreadable::Record { offset, cause })?;
            if let Some(record) = parsed {
                machine.replay(offset, producer, record);
            }
        }
        machine.durable(next);
    }
    Ok(next)
}
