//! Reads `__consumer_offsets` at start: every group as its last record has it, and its offsets. Blocking.
//! A partition that cannot be read is reported, and its groups answer that error: never as if they had no offsets.

use std::collections::HashMap;

use super::error::GroupError;
use super::offsets::GroupOffsets;
use super::records::{self, GroupMetadata, Key};
use crate::ids::{Offset, PartitionId};
use crate::limits;
use crate::log::{LogError, Partition};
use crate::record::{self, RecordView};
use crate::topics::Topic;

/// What one group has left in the log.
#[derive(Debug, Default)]
pub(super) struct Remains {
    pub(super) metadata: Option<GroupMetadata>,
    pub(super) offsets: GroupOffsets,
}

/// The whole topic.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) groups: HashMap<String, Remains>,
    pub(super) unreadable: HashMap<PartitionId, GroupError>,
}

/// Replays all partitions.
pub(super) fn load(topic: &Topic) -> Loaded {
    let mut loaded = Loaded::default();
    for partition in topic.partitions().iter() {
        if let Err(error) = load_partition(partition, &mut loaded.groups) {
            let ident = partition.ident();
            tracing::error!(partition = %ident.partition, "the groups of {} are unavailable: {error}", ident.topic);
            loaded.unreadable.insert(ident.partition, error.into());
        }
    }
    loaded
}

fn load_partition(partition: &Partition, groups: &mut HashMap<String, Remains>) -> Result<(), LogError> {
    partition.usable()?;
    let damaged = |reason: String| LogError::Offline {
        partition: format!("{}-{}", partition.ident().topic, partition.ident().partition),
        reason,
    };
    let offsets = partition.offsets();
    let mut from = offsets.log_start;
    while from < offsets.hw {
        let slice = partition.read(from, limits::REPLAY_READ_BYTES)?;
        let next = replay_batches(slice.records, from, groups).map_err(|reason| damaged(reason.to_string()))?;
        if next <= from {
            return Err(damaged(format!("nothing can be read at offset {from} below {}", offsets.hw)));
        }
        from = next;
    }
    Ok(())
}

/// Why a replay stopped; the text is all that is needed, it ends in an error of the partition.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Batch(#[from] record::RecordError),
    #[error("at offset {offset}: {cause}")]
    Record { offset: Offset, cause: records::BadRecord },
}

fn replay_batches(
    mut bytes: bytes::Bytes,
    mut next: Offset,
    groups: &mut HashMap<String, Remains>,
) -> Result<Offset, Unreadable> {
    while !bytes.is_empty() {
        let batch = record::check_stored(bytes.clone())?;
        bytes = bytes.slice(batch.header().size..);
        next = batch.header().next_offset();
        if batch.header().control {
            continue;
        }
        for view in record::records(&batch)? {
            let offset = view.offset;
            replay(view, groups).map_err(|cause| Unreadable::Record { offset, cause })?;
        }
    }
    Ok(next)
}

fn replay(view: RecordView, groups: &mut HashMap<String, Remains>) -> Result<(), records::BadRecord> {
    let key = view.key.ok_or(records::BadRecord { reason: "it has no key" })?;
    match records::parse_key(&key)? {
        Key::Offset { group, target } => {
            let value = view.value.as_ref().map(records::parse_offset).transpose()?;
            groups.entry(group).or_default().offsets.apply((target, value));
        }
        Key::Group { group } => {
            let value = view.value.as_ref().map(records::parse_group).transpose()?;
            groups.entry(group).or_default().metadata = value;
        }
        Key::Later { version } => tracing::debug!(version, "a record of a later group protocol is left alone"),
    }
    Ok(())
}
