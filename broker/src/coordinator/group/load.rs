//! Reads `__consumer_offsets` at start: every group as its last record has it, and its offsets. Blocking.
//! A partition that cannot be read is reported, and its groups answer that error: never as if they had no offsets.

use std::collections::HashMap;

use super::error::GroupError;
use super::offsets::GroupOffsets;
use super::records::{self, GroupMetadata, Key};
use crate::ids::{Offset, PartitionId};
use crate::log::{LogError, Partition, Replayed};
use crate::record::RecordView;
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
    let damaged = |offset: Offset, cause: records::BadRecord| LogError::Offline {
        partition: format!("{}-{}", partition.ident().topic, partition.ident().partition),
        reason: format!("at offset {offset}: {cause}"),
    };
    partition.replay::<LogError>(|found| {
        let Replayed::Records { records, .. } = found else { return Ok(()) };
        for view in records {
            let offset = view.offset;
            replay(view, groups).map_err(|cause| damaged(offset, cause))?;
        }
        Ok(())
    })?;
    Ok(())
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
