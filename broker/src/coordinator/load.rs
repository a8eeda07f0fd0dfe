//! Replays a partition into a machine at load: the same `replay` as for live records, and for a transaction's marker its
//! end. Blocking. A partition that cannot be read to its end is an error: its shard must never answer as if it had
//! nothing.

use super::error::{BadRecord, ShardError};
use super::machine::Machine;
use crate::ids::Offset;
use crate::log::{LogError, Partition, ReplayFault, Replayed};
use crate::record::RecordView;

/// Replays everything below the high watermark, and returns that.
pub(super) fn replay<M: Machine>(partition: &Partition, machine: &mut M) -> Result<Offset, ShardError> {
    let hw = partition.replay::<LogError>(|found| match found {
        Replayed::Marker { producer, commit, offset } => {
            machine.end_transaction(offset, producer.id, commit);
            machine.durable(offset.next());
            Ok(())
        }
        Replayed::Records { transaction, records } => {
            let end = records.last().map(|record| record.offset.next());
            for record in records {
                let parsed = parse::<M>(partition, &record)?;
                if let Some(parsed) = parsed {
                    machine.replay(record.offset, transaction.map(|producer| producer.id), parsed);
                }
            }
            end.into_iter().for_each(|end| machine.durable(end));
            Ok(())
        }
    })?;
    Ok(hw)
}

fn parse<M: Machine>(partition: &Partition, record: &RecordView) -> Result<Option<M::Record>, LogError> {
    M::parse(record).map_err(|BadRecord { reason }| LogError::NotReplayable {
        partition: partition.ident().name().to_string(),
        offset: record.offset,
        fault: ReplayFault::Schema { what: reason },
    })
}
