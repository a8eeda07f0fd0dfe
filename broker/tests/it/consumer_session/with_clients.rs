//! A consumer session in one group with a client of the Kafka port.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupId, HeartbeatRequest, JoinGroupRequest,
    SyncGroupRequest, consumer_protocol_assignment,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use sluice_broker::door::topics::NewTopic;

use super::{assigned, open, part, parts, produce, read, revoked};
use crate::kafka_client::{Broker, name};
use crate::rooms::http;

fn s(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn versioned(message: &impl Encodable) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    message.encode(&mut bytes, 1).unwrap();
    bytes.freeze()
}

#[tokio::test]
async fn a_client_of_the_kafka_port_leads_the_group_and_assigns_to_the_session() {
    let broker = Broker::start().await;
    let topic = NewTopic { name: "t".to_owned(), partitions: Some(2), replication: None, configs: Vec::new() };
    broker.door.create_topic(&http(), topic).await.unwrap();
    let sent = produce(&broker.door, 1..2, 3).await;
    let mut session = open(&broker.door);
    assert_eq!(assigned(&mut session).await, parts(0..2));
    assert_eq!(read(&mut session, 3).await, sent);
    let mut client = broker.client().await;

    let as_client = async {
        let group = GroupId(s("g"));
        let metadata = versioned(&ConsumerProtocolSubscription::default().with_topics(vec![s("t")]));
        // Not the protocol that the session would choose.
        let protocol = JoinGroupRequestProtocol::default().with_name(s("RoundRobinAssigner")).with_metadata(metadata);
        let join = JoinGroupRequest::default()
            .with_group_id(group.clone())
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(s("consumer"))
            .with_protocols(vec![protocol]);
        let promised = client.ask(9, &join).await;
        assert_eq!(promised.error_code, 79);
        let joined = client.ask(9, &join.with_member_id(promised.member_id)).await;
        assert_eq!((joined.error_code, &joined.leader), (0, &joined.member_id), "the client leads");
        assert_eq!((joined.protocol_name, joined.members.len()), (Some(s("RoundRobinAssigner")), 2));
        let other = joined.members.iter().find(|member| member.member_id != joined.member_id).unwrap();
        let mut subscription = other.metadata.slice(2..);
        let subscription = ConsumerProtocolSubscription::decode(&mut subscription, 1).unwrap();
        assert_eq!(subscription.topics, [s("t")]);
        let assign = |member: &StrBytes, partition| {
            let part = consumer_protocol_assignment::TopicPartition::default()
                .with_topic(name("t"))
                .with_partitions(vec![partition]);
            let assignment = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![part]);
            SyncGroupRequestAssignment::default().with_member_id(member.clone()).with_assignment(versioned(&assignment))
        };
        let sync = SyncGroupRequest::default()
            .with_group_id(group.clone())
            .with_generation_id(joined.generation_id)
            .with_member_id(joined.member_id.clone())
            .with_assignments(vec![assign(&joined.member_id, 0), assign(&other.member_id, 1)]);
        assert_eq!(client.ask(5, &sync).await.error_code, 0);
        let beat = HeartbeatRequest::default()
            .with_group_id(group)
            .with_generation_id(joined.generation_id)
            .with_member_id(joined.member_id);
        assert_eq!(client.ask(4, &beat).await.error_code, 0);
    };
    let as_session = async {
        assert_eq!(revoked(&mut session).await, parts(0..2));
        assert_eq!(assigned(&mut session).await, [part(1)]);
        assert_eq!(read(&mut session, 3).await, sent, "nothing was committed");
    };
    tokio::join!(as_client, as_session);
    session.close().await;
    broker.stop().await;
}
