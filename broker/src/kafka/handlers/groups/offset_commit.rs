//! OffsetCommit (8): answered when the commit is durable in `__consumer_offsets`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use crate::auth::{Granted, Group, Read};
use crate::coordinator::group::Membership;
use crate::engine::groups::{CommitPartition, CommitTopic};
use crate::ids::{Generation, Offset, PartitionId, TopicName};
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;

pub(in crate::kafka) async fn handle(call: &Call<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let generation = request.generation_id_or_member_epoch;
    let who = Membership {
        generation: (generation >= 0).then_some(Generation(generation)),
        member: request.member_id.to_string(),
        instance: wire::nonempty(request.group_instance_id.as_ref()),
    };
    let (mut asked, mut answers) = (Vec::with_capacity(request.topics.len()), Vec::with_capacity(request.topics.len()));
    for topic in &request.topics {
        let permit = permit(call, &topic.name);
        let code = permit.as_ref().err().copied().unwrap_or(0);
        let answer = |part: &OffsetCommitRequestPartition| {
            OffsetCommitResponsePartition::default().with_partition_index(part.partition_index).with_error_code(code)
        };
        let name = wire::topic_name(topic.name.as_str());
        let partitions = topic.partitions.iter().map(answer).collect();
        answers.push(OffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions));
        if let Ok(topic_permit) = permit {
            let partitions = topic.partitions.iter().map(offset_to_commit).collect();
            asked.push(CommitTopic { topic: topic_permit, partitions });
        }
    }
    let group = request.group_id.to_string();
    // The wait for the disk does not hold the frame.
    drop(request);
    let mut codes = commit(call, &group, &who, asked).await;
    // What has been refused here already, the coordinator has not been asked about.
    let open = answers.iter_mut().flat_map(|topic| &mut topic.partitions).filter(|part| part.error_code == 0);
    open.for_each(|part| part.error_code = codes());
    OffsetCommitResponse::default().with_topics(answers)
}

/// What the coordinator says of each partition, as a code, one a call.
async fn commit(call: &Call<'_>, group: &str, who: &Membership, topics: Vec<CommitTopic>) -> impl FnMut() -> i16 {
    let mut outcomes = match call.ask(Group::named(group)) {
        Ok(group) => {
            let outcomes = call.engine.commit_offsets(&call.ctx, &group, who, topics).await;
            outcomes.map(Vec::into_iter).map_err(|error| errors::code_of_commit(call.version, &error))
        }
        Err(denied) => Err(errors::code_of_denied(&denied)),
    };
    move || match &mut outcomes {
        Ok(each) => each.next().map_or(0, |one| one.map_or_else(|error| errors::code_of_group(&error), |()| 0)),
        Err(code) => *code,
    }
}

fn permit(call: &Call<'_>, topic: &str) -> Result<Granted<Read, TopicName>, i16> {
    let topic = TopicName::new(topic).map_err(|_| ResponseError::InvalidTopicException.code())?;
    call.ask(topic).map_err(|denied| errors::code_of_denied(&denied))
}

/// A negative offset is kept as it comes, as Kafka does: kafkajs commits -1 and -2 when a position is out of range, and its
/// consumer ends for good when that is refused.
fn offset_to_commit(part: &OffsetCommitRequestPartition) -> CommitPartition {
    CommitPartition {
        partition: PartitionId(part.partition_index),
        offset: Offset(part.committed_offset),
        epoch: wire::epoch(part.committed_leader_epoch),
        metadata: part.committed_metadata.as_ref().map(ToString::to_string),
    }
}
