//! DescribeTopicPartitions (75): topics with their partitions, page by page (KIP-966); what `kafka-topics --describe` asks first.

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use crate::engine::EngineError;
use crate::engine::topics::DescribedTopic;
use crate::ids::TopicRef;
use crate::kafka::call::Call;
use crate::kafka::errors;
use crate::kafka::handlers::wire;

/// Kafka's `max.request.partition.size.limit`.
const PARTITIONS_MAX: usize = 2_000;

pub(in crate::kafka) async fn handle(
    call: &Call<'_>,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    // In order of names, from the cursor on; none named: all.
    let mut names: BTreeSet<String> = request.topics.iter().map(|topic| topic.name.to_string()).collect();
    let all = names.is_empty();
    if all {
        names = call.engine.describe_topics(&call.ctx).iter().map(|topic| topic.name.to_string()).collect();
    }
    let (from, mut first) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.to_string(), usize::try_from(cursor.partition_index).unwrap_or(0)),
        None => (String::new(), 0),
    };
    let mut room = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.range(from.clone()..) {
        if *name != from {
            first = 0;
        }
        if room == 0 {
            response.next_cursor = Some(cursor(name, 0));
            break;
        }
        let permit = call.ask(TopicRef::name(name)).map_err(EngineError::from);
        let topic = match permit.and_then(|permit| call.engine.describe_topic(&permit)) {
            Ok(topic) => topic,
            // Deleted since it was listed.
            Err(_) if all => continue,
            Err(error) => {
                let failed = DescribeTopicPartitionsResponseTopic::default().with_error_code(errors::code(&error));
                response.topics.push(failed.with_name(Some(wire::topic_name(name))));
                continue;
            }
        };
        let (described, left) = describe(call, &topic, first, room);
        room -= described.partitions.len();
        response.topics.push(described);
        if let Some(next) = left {
            response.next_cursor = Some(cursor(name, next));
            break;
        }
    }
    response
}

fn cursor(topic: &str, partition: usize) -> Cursor {
    // Below `limits::PARTITIONS_PER_TOPIC_MAX`.
    let partition = i32::try_from(partition).unwrap_or(i32::MAX);
    Cursor::default().with_topic_name(wire::topic_name(topic)).with_partition_index(partition)
}

/// At most `room` partitions from `first` on, and where the next page begins if there are more.
fn describe(
    call: &Call<'_>,
    topic: &DescribedTopic,
    first: usize,
    room: usize,
) -> (DescribeTopicPartitionsResponseTopic, Option<usize>) {
    let node = BrokerId(call.node_id());
    let rows = (0..).zip(topic.epochs()).skip(first).take(room).map(|(index, epoch)| {
        DescribeTopicPartitionsResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(node)
            .with_leader_epoch(epoch.0)
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
            .with_eligible_leader_replicas(Some(Vec::new()))
            .with_last_known_elr(Some(Vec::new()))
    });
    let described = DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(wire::topic_name(topic.name.as_str())))
        .with_topic_id(topic.id.0)
        .with_is_internal(topic.internal)
        .with_partitions(rows.collect());
    let next = first + described.partitions.len();
    (described, (next < topic.epochs().len()).then_some(next))
}
