//! OffsetCommit (8): answered when the commit is durable in `__consumer_offsets`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::wire;
use crate::coordinator::group::{Membership, OffsetToCommit};
use crate::ids::{Generation, Offset, PartitionId, TopicName, TopicPartition};
use crate::kafka::call::Call;
use crate::kafka::errors;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let generation = request.generation_id_or_member_epoch;
    let who = Membership {
        generation: (generation >= 0).then_some(Generation(generation)),
        member: request.member_id.to_string(),
        instance: wire::nonempty(request.group_instance_id.as_ref()),
    };
    let mut codes = Vec::new();
    let mut wanted = Vec::new();
    for topic in &request.topics {
        for part in &topic.partitions {
            match offset_to_commit(&topic.name, part) {
                Ok(offset) => {
                    codes.push(None);
                    wanted.push(offset);
                }
                Err(code) => codes.push(Some(code)),
            }
        }
    }
    let outcomes = call.engine.groups().commit(&call.ctx, &request.group_id, &who, wanted).await;
    // One code a partition, in the order of the request: what was refused here, or what the coordinator says of it.
    let mut outcomes = outcomes.map(Vec::into_iter);
    let mut next = || match &mut outcomes {
        Ok(each) => each.next().map_or(0, |one| one.map_or_else(|error| errors::code_of_group(&error), |()| 0)),
        Err(error) => errors::code_of_group(error),
    };
    let mut codes = codes.into_iter().map(|refused| refused.unwrap_or_else(&mut next));
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|part| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(part.partition_index)
                .with_error_code(codes.next().unwrap_or(0))
        });
        let name = wire::topic_name(topic.name.as_str());
        OffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn offset_to_commit(topic: &str, part: &OffsetCommitRequestPartition) -> Result<OffsetToCommit, i16> {
    let topic = TopicName::new(topic).map_err(|_| ResponseError::InvalidTopicException.code())?;
    // -1 would read back as "nothing committed".
    if part.committed_offset < 0 {
        return Err(ResponseError::InvalidRequest.code());
    }
    Ok(OffsetToCommit {
        target: TopicPartition { topic, partition: PartitionId(part.partition_index) },
        offset: Offset(part.committed_offset),
        epoch: wire::epoch(part.committed_leader_epoch),
        metadata: part.committed_metadata.as_ref().map(ToString::to_string),
    })
}
