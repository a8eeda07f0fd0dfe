//! Which permission each request of the Kafka port asks for, and that a refusal is answered with Kafka's code. The table is
//! complete: it has every API that is advertised.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource as IncrementalResource;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Request, StrBytes};
use parking_lot::Mutex;
use sluice_broker::auth::Operation::{
    self, Alter, AlterConfigs, Create, Delete, Describe, DescribeConfigs, IdempotentWrite, Read, Write,
};
use sluice_broker::auth::ResourceKind::{self, Cluster, Group, Topic};
use sluice_broker::auth::{Authorizer, Question};
use sluice_broker::config::KafkaListener;
use sluice_broker::kafka::KafkaServer;
use tokio_util::sync::CancellationToken;

use crate::kafka_client::{Client, batch, name, produce};
use crate::rooms::Rooms;

/// `TOPIC_AUTHORIZATION_FAILED`.
const TOPIC_DENIED: i16 = 29;
/// `GROUP_AUTHORIZATION_FAILED`.
const GROUP_DENIED: i16 = 30;
/// `CLUSTER_AUTHORIZATION_FAILED`.
const CLUSTER_DENIED: i16 = 31;

type Rights = BTreeSet<(Operation, ResourceKind)>;

/// What was asked since the last look, and whether it is granted.
#[derive(Default)]
struct Policy {
    asked: Rights,
    denies: bool,
    /// A name that is always denied.
    secret: Option<&'static str>,
}

/// A Kafka port whose permissions are observed.
struct Observed {
    rooms: Rooms,
    client: Client,
    policy: Arc<Mutex<Policy>>,
    covered: BTreeSet<i16>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Observed {
    async fn start() -> Observed {
        let folder = tempfile::tempdir().unwrap();
        let policy = Arc::new(Mutex::new(Policy::default()));
        let observer = Arc::clone(&policy);
        let auth = Authorizer::with_policy(move |question: Question<'_>| {
            let mut policy = observer.lock();
            policy.asked.insert((question.operation, question.kind));
            !policy.denies && policy.secret.is_none_or(|secret| secret != question.resource.to_string())
        });
        let rooms = Rooms::open_for(folder.path(), auth).await;
        let listener = KafkaListener { host: "127.0.0.1".into(), port: 0, advertised: None };
        let server = KafkaServer::bind(&[listener], Arc::clone(&rooms.engine)).await.unwrap();
        let address = server.addresses().remove(0).parse().unwrap();
        let stop = CancellationToken::new();
        let _ports = server.start(&stop);
        let client = Client::connect(address).await;
        Observed { rooms, client, policy, covered: BTreeSet::new(), stop, _folder: folder }
    }

    /// Sends the request twice: denied, its answer has this code; granted, it has asked for these rights.
    async fn check<R: Request>(
        &mut self,
        version: i16,
        request: R,
        rights: &[(Operation, ResourceKind)],
        code: impl Fn(&R::Response) -> i16,
        denied: i16,
    ) {
        self.policy.lock().denies = true;
        let answer = self.client.ask(version, &request).await;
        assert_eq!(code(&answer), denied, "API {}", R::KEY);
        *self.policy.lock() = Policy::default();
        let answer = self.client.ask(version, &request).await;
        let granted = code(&answer);
        assert!(![TOPIC_DENIED, GROUP_DENIED, CLUSTER_DENIED].contains(&granted), "API {}: {granted}", R::KEY);
        let asked = std::mem::take(&mut self.policy.lock().asked);
        assert_eq!(asked, rights.iter().copied().collect::<Rights>(), "API {}", R::KEY);
        self.covered.insert(R::KEY);
    }
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

async fn records(it: &mut Observed) {
    let request = produce("t", batch(&["a"]), -1);
    let code = |answer: &ProduceResponse| answer.responses[0].partition_responses[0].error_code;
    it.check(9, request, &[(Write, Topic), (Create, Topic)], code, TOPIC_DENIED).await;
    let topic = FetchTopic::default().with_topic(name("t")).with_partitions(vec![FetchPartition::default()]);
    let request = FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic]);
    let code = |answer: &FetchResponse| answer.responses[0].partitions[0].error_code;
    it.check(12, request, &[(Read, Topic)], code, TOPIC_DENIED).await;
    let part = ListOffsetsPartition::default().with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![part]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    let code = |answer: &ListOffsetsResponse| answer.topics[0].partitions[0].error_code;
    it.check(7, request, &[(Describe, Topic)], code, TOPIC_DENIED).await;
    let part = OffsetForLeaderPartition::default().with_current_leader_epoch(-1);
    let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![part]);
    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
    let code = |answer: &OffsetForLeaderEpochResponse| answer.topics[0].partitions[0].error_code;
    it.check(4, request, &[(Describe, Topic)], code, TOPIC_DENIED).await;
    let part = DeleteRecordsPartition::default().with_offset(0);
    let topic = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(vec![part]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
    let code = |answer: &DeleteRecordsResponse| answer.topics[0].partitions[0].error_code;
    it.check(2, request, &[(Delete, Topic)], code, TOPIC_DENIED).await;
    let code = |answer: &InitProducerIdResponse| answer.error_code;
    it.check(4, InitProducerIdRequest::default(), &[(IdempotentWrite, Cluster)], code, CLUSTER_DENIED).await;
}

async fn groups(it: &mut Observed) {
    let group = || GroupId(text("g"));
    let part = OffsetCommitRequestPartition::default().with_committed_offset(1);
    let topic = OffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![part]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let code = |answer: &OffsetCommitResponse| answer.topics[0].partitions[0].error_code;
    it.check(8, request, &[(Read, Topic), (Read, Group)], code, TOPIC_DENIED).await;
    let topic = OffsetFetchRequestTopic::default().with_name(name("t")).with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![topic]));
    let code = |answer: &OffsetFetchResponse| answer.error_code;
    it.check(7, request, &[(Describe, Group), (Describe, Topic)], code, GROUP_DENIED).await;
    let request = FindCoordinatorRequest::default().with_key(text("g"));
    let code = |answer: &FindCoordinatorResponse| answer.error_code;
    it.check(3, request, &[(Describe, Group)], code, GROUP_DENIED).await;
    let request = JoinGroupRequest::default().with_group_id(group()).with_session_timeout_ms(10_000);
    let code = |answer: &JoinGroupResponse| answer.error_code;
    it.check(5, request, &[(Read, Group)], code, GROUP_DENIED).await;
    let request = SyncGroupRequest::default().with_group_id(group()).with_member_id(text("m"));
    let code = |answer: &SyncGroupResponse| answer.error_code;
    it.check(3, request, &[(Read, Group)], code, GROUP_DENIED).await;
    let request = HeartbeatRequest::default().with_group_id(group()).with_member_id(text("m"));
    let code = |answer: &HeartbeatResponse| answer.error_code;
    it.check(3, request, &[(Read, Group)], code, GROUP_DENIED).await;
    let request = LeaveGroupRequest::default().with_group_id(group());
    let code = |answer: &LeaveGroupResponse| answer.error_code;
    it.check(3, request, &[(Read, Group)], code, GROUP_DENIED).await;
    let request = DescribeGroupsRequest::default().with_groups(vec![group()]);
    let code = |answer: &DescribeGroupsResponse| answer.groups[0].error_code;
    it.check(5, request, &[(Describe, Group)], code, GROUP_DENIED).await;
    // What may not be described is not listed, and there is no error.
    let code = |answer: &ListGroupsResponse| if answer.groups.is_empty() { GROUP_DENIED } else { answer.error_code };
    it.check(4, ListGroupsRequest::default(), &[(Describe, Group)], code, GROUP_DENIED).await;
}

async fn topics(it: &mut Observed) {
    let topic = CreatableTopic::default().with_name(name("u")).with_num_partitions(1).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    let code = |answer: &CreateTopicsResponse| answer.topics[0].error_code;
    it.check(7, request, &[(Create, Topic)], code, TOPIC_DENIED).await;
    let topic = MetadataRequestTopic::default().with_name(Some(name("u")));
    let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
    let code = |answer: &MetadataResponse| answer.topics[0].error_code;
    it.check(12, request, &[(Describe, Topic), (Create, Topic)], code, TOPIC_DENIED).await;
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![TopicRequest::default().with_name(name("u"))])
        .with_response_partition_limit(10);
    let code = |answer: &DescribeTopicPartitionsResponse| answer.topics[0].error_code;
    it.check(0, request, &[(Describe, Topic)], code, TOPIC_DENIED).await;
    let topic = CreatePartitionsTopic::default().with_name(name("u")).with_count(2).with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
    let code = |answer: &CreatePartitionsResponse| answer.results[0].error_code;
    it.check(3, request, &[(Alter, Topic)], code, TOPIC_DENIED).await;
    let request = DeleteTopicsRequest::default().with_topic_names(vec![name("u")]);
    let code = |answer: &DeleteTopicsResponse| answer.responses[0].error_code;
    it.check(5, request, &[(Delete, Topic)], code, TOPIC_DENIED).await;
}

async fn configs(it: &mut Observed) {
    let resource = |kind, name| DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(name);
    let request = DescribeConfigsRequest::default().with_resources(vec![resource(2, text("t"))]);
    let code = |answer: &DescribeConfigsResponse| answer.results[0].error_code;
    it.check(4, request, &[(DescribeConfigs, Topic)], code, TOPIC_DENIED).await;
    let request = DescribeConfigsRequest::default().with_resources(vec![resource(4, text(""))]);
    it.check(4, request, &[(DescribeConfigs, Cluster)], code, CLUSTER_DENIED).await;
    let resource = AlterConfigsResource::default().with_resource_type(2).with_resource_name(text("t"));
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let code = |answer: &AlterConfigsResponse| answer.responses[0].error_code;
    it.check(2, request, &[(AlterConfigs, Topic)], code, TOPIC_DENIED).await;
    let resource = IncrementalResource::default().with_resource_type(2).with_resource_name(text("t"));
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let code = |answer: &IncrementalAlterConfigsResponse| answer.responses[0].error_code;
    it.check(1, request, &[(AlterConfigs, Topic)], code, TOPIC_DENIED).await;
}

#[tokio::test]
async fn every_request_asks_for_the_rights_that_kafka_asks_and_is_refused_with_kafkas_codes() {
    let mut it = Observed::start().await;
    records(&mut it).await;
    groups(&mut it).await;
    topics(&mut it).await;
    configs(&mut it).await;
    // Free for all, as in Kafka: a client has to see them before it can authenticate, or to find the brokers.
    it.check(3, ApiVersionsRequest::default(), &[], |_| 0, 0).await;
    it.check(1, DescribeClusterRequest::default().with_endpoint_type(1), &[], |_| 0, 0).await;
    let advertised = it.client.ask(3, &ApiVersionsRequest::default()).await;
    let advertised: BTreeSet<i16> = advertised.api_keys.iter().map(|row| row.api_key).collect();
    assert_eq!(it.covered, advertised, "the table has exactly the APIs that are advertised");
    it.stop.cancel();
    drop(it.client);
    it.rooms.close().await;
}

#[tokio::test]
async fn a_topic_that_is_denied_does_not_fail_the_others_of_its_request() {
    let mut it = Observed::start().await;
    for topic in ["t", "secret"] {
        assert_eq!(it.client.produce(topic, batch(&["a"])).await.error_code, 0);
    }
    it.policy.lock().secret = Some("secret");
    let part = || FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = |of| FetchTopic::default().with_topic(name(of)).with_partitions(vec![part()]);
    let request = FetchRequest::default().with_max_bytes(1 << 20).with_topics(vec![topic("secret"), topic("t")]);
    let answer = it.client.ask(12, &request).await;
    let parts: Vec<_> = answer.responses.iter().map(|topic| &topic.partitions[0]).collect();
    assert_eq!((parts[0].error_code, parts[1].error_code), (TOPIC_DENIED, 0));
    assert_eq!(parts[0].records, Some(Bytes::new()));
    assert_ne!(parts[1].records, Some(Bytes::new()));
    let mut request = produce("secret", batch(&["b"]), -1);
    request.topic_data.extend(produce("t", batch(&["b"]), -1).topic_data);
    let answer = it.client.ask(9, &request).await;
    let codes: Vec<_> = answer.responses.iter().map(|topic| topic.partition_responses[0].error_code).collect();
    assert_eq!(codes, [TOPIC_DENIED, 0]);
    it.stop.cancel();
    drop(it.client);
    it.rooms.close().await;
}
