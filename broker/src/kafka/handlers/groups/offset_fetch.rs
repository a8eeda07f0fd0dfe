//! OffsetFetch (9): what groups have committed; one group up to version 7, several from version 8 on (KIP-709).

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestTopic, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse};

use crate::auth::{Describe, Group};
use crate::coordinator::group::{CommittedOffset, GroupError};
use crate::ids::{PartitionId, TopicName, TopicPartition};
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;

/// Several groups at once.
const BATCHED_SINCE: i16 = 8;
/// An error code for the whole group; before, each partition repeats it.
const GROUP_ERROR_SINCE: i16 = 2;
/// Leader epochs are known (KIP-320).
const EPOCH_SINCE: i16 = 5;

/// One topic of a request: its name and the partitions asked for.
type Asked = (String, Vec<i32>);
/// One partition of an answer.
type Committed = (i32, Option<CommittedOffset>);

/// One topic of an answer.
struct Found {
    name: String,
    partitions: Vec<Committed>,
    /// Of each partition.
    code: i16,
}

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if call.version < BATCHED_SINCE {
        let asked = request.topics.map(|topics| topics.into_iter().map(of_topic).collect());
        return single(call, &request.group_id, asked).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        let asked: Option<Vec<Asked>> = group.topics.map(|topics| topics.into_iter().map(of_topics).collect());
        let answer = match committed(call, &group.group_id, asked).await {
            Ok(topics) => OffsetFetchResponseGroup::default().with_topics(topics.into_iter().map(batched).collect()),
            Err(code) => OffsetFetchResponseGroup::default().with_error_code(code),
        };
        groups.push(answer.with_group_id(GroupId(wire::text(group.group_id.as_str()))));
    }
    OffsetFetchResponse::default().with_groups(groups)
}

fn of_topic(topic: OffsetFetchRequestTopic) -> Asked {
    (topic.name.to_string(), topic.partition_indexes)
}

fn of_topics(topic: OffsetFetchRequestTopics) -> Asked {
    (topic.name.to_string(), topic.partition_indexes)
}

/// What the group has for what is asked (`None`: everything), topic by topic. What is no topic name has no commits.
async fn committed(call: &Call<'_>, group: &str, asked: Option<Vec<Asked>>) -> Result<Vec<Found>, i16> {
    let group = call.ask(Group::named(group)).map_err(|denied| errors::code_of_denied(&denied))?;
    let failed = |error: GroupError| errors::code_of_group(&error);
    let Some(asked) = asked else {
        let mut topics: BTreeMap<String, Vec<Committed>> = BTreeMap::new();
        for (target, commit) in call.engine.all_committed_offsets(&call.ctx, &group).await.map_err(failed)? {
            topics.entry(target.topic.to_string()).or_default().push((target.partition.0, commit));
        }
        return Ok(topics.into_iter().map(|(name, partitions)| Found { name, partitions, code: 0 }).collect());
    };
    let mut permitted = Vec::with_capacity(asked.len());
    let mut codes = Vec::with_capacity(asked.len());
    for (name, partitions) in &asked {
        let topic = TopicName::new(name).ok().map(|topic| call.ask::<Describe, _>(topic)).transpose();
        codes.push(topic.as_ref().err().map_or(0, errors::code_of_denied));
        if let Ok(Some(topic)) = topic {
            permitted.push((topic, partitions.iter().map(|index| PartitionId(*index)).collect()));
        }
    }
    let found = call.engine.committed_offsets(&group, &permitted).await.map_err(failed)?;
    let found: BTreeMap<TopicPartition, _> = found.into_iter().collect();
    let look_up = |name: &str, index: i32| {
        let topic = TopicName::new(name).ok()?;
        found.get(&TopicPartition { topic, partition: PartitionId(index) }).cloned().flatten()
    };
    let topics = asked.into_iter().zip(codes).map(|((name, partitions), code)| {
        let partitions = partitions.iter().map(|index| (*index, look_up(&name, *index))).collect();
        Found { name, partitions, code }
    });
    Ok(topics.collect())
}

async fn single(call: &Call<'_>, group: &GroupId, asked: Option<Vec<Asked>>) -> OffsetFetchResponse {
    let names: Vec<Asked> = asked.clone().unwrap_or_default();
    match committed(call, group, asked).await {
        Ok(topics) => {
            let topics = topics.into_iter().map(|Found { name, partitions, code }| {
                let partitions =
                    partitions.into_iter().map(|(index, commit)| partition(call.version, index, commit, code));
                OffsetFetchResponseTopic::default()
                    .with_name(wire::topic_name(name))
                    .with_partitions(partitions.collect())
            });
            OffsetFetchResponse::default().with_topics(topics.collect())
        }
        Err(code) => {
            if call.version >= GROUP_ERROR_SINCE {
                return OffsetFetchResponse::default().with_error_code(code);
            }
            let topics = names.into_iter().map(|(name, partitions)| {
                let partitions = partitions.into_iter().map(|index| partition(call.version, index, None, code));
                OffsetFetchResponseTopic::default()
                    .with_name(wire::topic_name(name))
                    .with_partitions(partitions.collect())
            });
            OffsetFetchResponse::default().with_topics(topics.collect())
        }
    }
}

fn partition(version: i16, index: i32, commit: Option<CommittedOffset>, code: i16) -> OffsetFetchResponsePartition {
    let epoch = commit.as_ref().and_then(|commit| commit.epoch).filter(|_| version >= EPOCH_SINCE);
    OffsetFetchResponsePartition::default()
        .with_partition_index(index)
        .with_committed_offset(commit.as_ref().map_or(-1, |commit| commit.offset.0))
        .with_committed_leader_epoch(wire::epoch_or_none(epoch))
        .with_metadata(Some(wire::text(commit.map_or_else(String::new, |commit| commit.metadata))))
        .with_error_code(code)
}

fn batched(Found { name, partitions, code }: Found) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|(index, commit)| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(commit.as_ref().map_or(-1, |commit| commit.offset.0))
            .with_committed_leader_epoch(wire::epoch_or_none(commit.as_ref().and_then(|commit| commit.epoch)))
            .with_metadata(Some(wire::text(commit.map_or_else(String::new, |commit| commit.metadata))))
            .with_error_code(code)
    });
    OffsetFetchResponseTopics::default().with_name(wire::topic_name(name)).with_partitions(partitions.collect())
}
