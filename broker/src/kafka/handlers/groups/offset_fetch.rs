//! OffsetFetch (9): what groups have committed; one group up to version 7, several from version 8 on (KIP-709).
//! A group, topic or partition that is named again is answered once, where Kafka repeats itself: four bytes of a request
//! would fetch four kilobytes of metadata each time, and clients look their partitions up by name.

use std::collections::{BTreeMap, HashMap, HashSet};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestTopic, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse};

use crate::auth::{Describe, Group};
use crate::coordinator::group::{CommittedOffset, GroupError, StableOffset};
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

/// One topic of an answer.
struct Found {
    name: String,
    partitions: Vec<Committed>,
}

/// One partition of an answer.
struct Committed {
    index: i32,
    commit: Option<CommittedOffset>,
    code: i16,
}

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let stable = request.require_stable;
    if call.version < BATCHED_SINCE {
        let asked = request.topics.map(|topics| once_each(topics.into_iter().map(of_topic)));
        return single(call, &request.group_id, asked, stable).await;
    }
    let (mut groups, mut named) = (Vec::with_capacity(request.groups.len()), HashSet::new());
    for group in request.groups {
        if !named.insert(group.group_id.clone()) {
            continue;
        }
        let asked = group.topics.map(|topics| once_each(topics.into_iter().map(of_topics)));
        let answer = match committed(call, &group.group_id, asked, stable).await {
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

/// Each topic once, with each of its partitions once, in the order in which they were named first.
fn once_each(asked: impl Iterator<Item = Asked>) -> Vec<Asked> {
    let mut topics: Vec<(Asked, HashSet<i32>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (name, partitions) in asked {
        let place = *places.entry(name).or_insert_with_key(|name| {
            topics.push(((name.clone(), Vec::new()), HashSet::new()));
            topics.len() - 1
        });
        if let Some(((_, indexes), named)) = topics.get_mut(place) {
            indexes.extend(partitions.into_iter().filter(|index| named.insert(*index)));
        }
    }
    topics.into_iter().map(|(topic, _)| topic).collect()
}

/// What the group has for what is asked (`None`: everything), topic by topic. What is no topic name has no commits.
async fn committed(call: &Call<'_>, group: &str, asked: Option<Vec<Asked>>, stable: bool) -> Result<Vec<Found>, i16> {
    let group = call.ask(Group::named(group)).map_err(|denied| errors::code_of_denied(&denied))?;
    let failed = |error: GroupError| errors::code_of_group(&error);
    let Some(asked) = asked else {
        let mut topics: BTreeMap<String, Vec<Committed>> = BTreeMap::new();
        let all = if stable {
            call.engine.stable_offsets(&call.ctx, &group, None).await.map_err(failed)?
        } else {
            let all = call.engine.all_committed_offsets(&call.ctx, &group).await.map_err(failed)?;
            all.into_iter().map(|(target, commit)| (target, StableOffset::Is(commit))).collect()
        };
        for (target, offset) in all {
            let partitions = topics.entry(target.topic.to_string()).or_default();
            partitions.push(of_partition(target.partition.0, offset));
        }
        return Ok(topics.into_iter().map(|(name, partitions)| Found { name, partitions }).collect());
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
    let mut found: HashMap<TopicPartition, StableOffset> = if stable {
        let found = call.engine.stable_offsets(&call.ctx, &group, Some(&permitted)).await.map_err(failed)?;
        found.into_iter().collect()
    } else {
        let found = call.engine.committed_offsets(&group, &permitted).await.map_err(failed)?;
        found.into_iter().map(|(target, commit)| (target, StableOffset::Is(commit))).collect()
    };
    let topics = asked.into_iter().zip(codes).map(|((name, partitions), code)| {
        let topic = TopicName::new(&name).ok();
        let mut look_up = |index: i32| {
            let target = TopicPartition { topic: topic.clone()?, partition: PartitionId(index) };
            found.remove(&target)
        };
        let partitions = partitions.into_iter().map(|index| match look_up(index) {
            Some(offset) => of_partition(index, offset),
            None => Committed { index, commit: None, code },
        });
        Found { partitions: partitions.collect(), name }
    });
    Ok(topics.collect())
}

fn of_partition(index: i32, offset: StableOffset) -> Committed {
    match offset {
        StableOffset::Is(commit) => Committed { index, commit, code: 0 },
        StableOffset::Unstable => Committed { index, commit: None, code: ResponseError::UnstableOffsetCommit.code() },
    }
}

async fn single(call: &Call<'_>, group: &GroupId, asked: Option<Vec<Asked>>, stable: bool) -> OffsetFetchResponse {
    let names: Vec<Asked> = asked.clone().unwrap_or_default();
    match committed(call, group, asked, stable).await {
        Ok(topics) => {
            let topics = topics.into_iter().map(|Found { name, partitions }| {
                let partitions = partitions.into_iter().map(|committed| partition(call.version, committed));
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
                let failed = |index| partition(call.version, Committed { index, commit: None, code });
                let partitions = partitions.into_iter().map(failed);
                OffsetFetchResponseTopic::default()
                    .with_name(wire::topic_name(name))
                    .with_partitions(partitions.collect())
            });
            OffsetFetchResponse::default().with_topics(topics.collect())
        }
    }
}

fn partition(version: i16, committed: Committed) -> OffsetFetchResponsePartition {
    let Committed { index, commit, code } = committed;
    let epoch = commit.as_ref().and_then(|commit| commit.epoch).filter(|_| version >= EPOCH_SINCE);
    OffsetFetchResponsePartition::default()
        .with_partition_index(index)
        .with_committed_offset(commit.as_ref().map_or(-1, |commit| commit.offset.0))
        .with_committed_leader_epoch(wire::epoch_or_none(epoch))
        .with_metadata(Some(wire::text(commit.map_or_else(String::new, |commit| commit.metadata))))
        .with_error_code(code)
}

fn batched(Found { name, partitions }: Found) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|Committed { index, commit, code }| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(commit.as_ref().map_or(-1, |commit| commit.offset.0))
            .with_committed_leader_epoch(wire::epoch_or_none(commit.as_ref().and_then(|commit| commit.epoch)))
            .with_metadata(Some(wire::text(commit.map_or_else(String::new, |commit| commit.metadata))))
            .with_error_code(code)
    });
    OffsetFetchResponseTopics::default().with_name(wire::topic_name(name)).with_partitions(partitions.collect())
}
