//! Traps around topics and configs: creation, defaults, replication, keys of ours.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    AlterConfigsRequest, BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest,
    ListOffsetsRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::kafka_client::{Broker, Client, name};

fn s(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn creatable(topic: &'static str) -> CreatableTopic {
    CreatableTopic::default().with_name(name(topic)).with_num_partitions(-1).with_replication_factor(-1)
}

/// The code and text of one creation.
async fn create(client: &mut Client, version: i16, topic: CreatableTopic) -> (i16, String) {
    let request = CreateTopicsRequest::default().with_topics(vec![topic]);
    let made = client.ask(version, &request).await.topics.remove(0);
    (made.error_code, made.error_message.map_or_else(String::new, |text| text.to_string()))
}

async fn alter(
    client: &mut Client,
    topic: &'static str,
    key: &'static str,
    op: i8,
    value: &'static str,
) -> (i16, String) {
    let config =
        AlterableConfig::default().with_name(s(key)).with_config_operation(op).with_value((op != 1).then(|| s(value)));
    let resource =
        AlterConfigsResource::default().with_resource_type(2).with_resource_name(s(topic)).with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = client.ask(1, &request).await.responses.remove(0);
    (answer.error_code, answer.error_message.map_or_else(String::new, |text| text.to_string()))
}

#[tokio::test]
async fn metadata_makes_topics_only_where_the_client_allows_it_and_lists_all_as_each_version_says() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let ask = |topic: &'static str, allow| {
        let asked = MetadataRequestTopic::default().with_name(Some(name(topic)));
        MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(allow)
    };
    assert_eq!(client.ask(12, &ask("a", false)).await.topics[0].error_code, 3);
    // Versions below 4 have no such field and mean yes.
    assert_eq!(client.ask(1, &ask("a", true)).await.topics[0].error_code, 0);
    assert_eq!(client.ask(12, &ask("b", true)).await.topics[0].error_code, 0);
    assert_eq!(client.ask(12, &ask("not/legal", true)).await.topics[0].error_code, 17);
    for version in 0..=13 {
        let all = if version == 0 { Some(Vec::new()) } else { None };
        let answer = client.ask(version, &MetadataRequest::default().with_topics(all)).await;
        let names: Vec<_> = answer.topics.iter().filter_map(|topic| topic.name.as_ref()).map(|n| n.as_str()).collect();
        assert_eq!(names, ["a", "b"], "version {version}");
        assert_eq!(answer.topics[0].topic_authorized_operations, i32::MIN);
        if version > 0 {
            let none = client.ask(version, &MetadataRequest::default().with_topics(Some(Vec::new()))).await;
            assert!(none.topics.is_empty(), "version {version}");
        }
    }
    let id = client.topic("a").await.topic_id;
    let by_id = MetadataRequestTopic::default().with_name(None).with_topic_id(id);
    let answer = client.ask(12, &MetadataRequest::default().with_topics(Some(vec![by_id]))).await;
    assert_eq!(answer.topics[0].name, Some(name("a")));
    let unknown = MetadataRequestTopic::default().with_name(None).with_topic_id(uuid::Uuid::from_u128(7));
    let answer = client.ask(12, &MetadataRequest::default().with_topics(Some(vec![unknown]))).await;
    assert_eq!((answer.topics[0].error_code, answer.topics[0].name.clone()), (100, None));
    broker.stop().await;
}

#[tokio::test]
async fn create_topics_answers_in_every_version_and_validate_only_makes_nothing() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let names = ["v2", "v3", "v4", "v5", "v6", "v7"];
    for (version, topic) in (2..=7).zip(names) {
        let dry = CreateTopicsRequest::default().with_topics(vec![creatable(topic)]).with_validate_only(true);
        let dry = client.ask(version, &dry).await.topics.remove(0);
        assert_eq!((dry.error_code, dry.topic_id), (0, uuid::Uuid::nil()));
        assert_eq!(dry.error_message, None, "null, and not an empty text, where there is no error");
        let made = client.ask(version, &CreateTopicsRequest::default().with_topics(vec![creatable(topic)])).await;
        let made = &made.topics[0];
        assert_eq!((made.error_code, &made.error_message), (0, &None), "version {version}");
        if version >= 5 {
            assert_eq!((made.num_partitions, made.replication_factor), (1, 1));
            let configs = made.configs.as_ref().expect("configs are returned");
            assert!(configs.iter().any(|config| config.name == s("cleanup.policy") && config.config_source == 5));
        }
        assert_eq!(create(&mut client, version, creatable(topic)).await.0, 36);
    }
    let twice = CreateTopicsRequest::default().with_topics(vec![creatable("twin"), creatable("twin")]);
    let twice = client.ask(7, &twice).await;
    assert_eq!((twice.topics.len(), twice.topics[0].error_code), (1, 42));
    broker.stop().await;
}

#[tokio::test]
async fn more_than_one_replica_is_refused_with_what_to_do() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let (code, text) = create(&mut client, 7, creatable("t").with_replication_factor(3)).await;
    assert_eq!(code, 38);
    assert!(text.contains("sluice.replication.accept"), "{text}");
    let accept = |key, value| CreatableTopicConfig::default().with_name(s(key)).with_value(Some(s(value)));
    let (code, text) =
        create(&mut client, 7, creatable("t").with_configs(vec![accept("min.insync.replicas", "2")])).await;
    assert_ne!(code, 0);
    assert!(text.contains("min.insync.replicas"), "{text}");
    let accepted =
        creatable("t").with_replication_factor(3).with_configs(vec![accept("sluice.replication.accept", "true")]);
    assert_eq!(create(&mut client, 7, accepted).await.0, 0);
    assert_eq!(client.topic("t").await.partitions[0].replica_nodes, [BrokerId(1)]);
    broker.stop().await;
}

#[tokio::test]
async fn assignments_are_taken_when_they_name_this_broker_alone() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let on = |partition: i32, brokers: &[i32]| {
        let brokers = brokers.iter().map(|id| BrokerId(*id)).collect();
        CreatableReplicaAssignment::default().with_partition_index(partition).with_broker_ids(brokers)
    };
    let assigned = |assignments| creatable("t").with_assignments(assignments);
    assert_eq!(create(&mut client, 7, assigned(vec![on(0, &[2])])).await.0, 39);
    assert_eq!(create(&mut client, 7, assigned(vec![on(0, &[1, 2])])).await.0, 39);
    assert_eq!(create(&mut client, 7, assigned(vec![on(1, &[1])])).await.0, 39);
    assert_eq!(create(&mut client, 7, assigned(vec![on(0, &[1])]).with_num_partitions(1)).await.0, 42);
    assert_eq!(create(&mut client, 7, assigned(vec![on(1, &[1]), on(0, &[1])])).await.0, 0);
    assert_eq!(client.topic("t").await.partitions.len(), 2);
    broker.stop().await;
}

#[tokio::test]
async fn topics_grow_and_go_and_internal_ones_do_neither() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    let grow = |topic: &'static str, count| {
        let topic = CreatePartitionsTopic::default().with_name(name(topic)).with_count(count).with_assignments(None);
        CreatePartitionsRequest::default().with_topics(vec![topic])
    };
    for (version, count) in (0..=3).zip(2..) {
        assert_eq!(client.ask(version, &grow("t", count)).await.results[0].error_code, 0);
    }
    assert_eq!(client.topic("t").await.partitions.len(), 5);
    assert_eq!(client.ask(3, &grow("t", 2)).await.results[0].error_code, 37);
    assert_eq!(client.ask(3, &grow("nowhere", 2)).await.results[0].error_code, 3);
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![name("t"), name("nowhere")]);
    let codes: Vec<_> = client.ask(5, &delete).await.responses.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [0, 3]);
    broker.stop().await;
}

#[tokio::test]
async fn describe_configs_lists_every_key_with_its_default_and_its_source() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    assert_eq!(alter(&mut client, "t", "max.message.bytes", 0, "2000").await.0, 0);
    for version in 1..=4 {
        let resource = DescribeConfigsResource::default().with_resource_type(2).with_resource_name(s("t"));
        let resource = resource.with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
        let request = if version >= 3 { request.with_include_documentation(true) } else { request };
        let result = client.ask(version, &request).await.results.remove(0);
        assert_eq!(result.error_code, 0);
        let row = |key: &str| {
            result.configs.iter().find(|row| row.name.as_str() == key).unwrap_or_else(|| panic!("{key} is listed"))
        };
        let set = row("max.message.bytes");
        assert_eq!((set.value.as_ref().map(|v| v.as_str()), set.config_source), (Some("2000"), 1));
        let synonyms: Vec<_> = set.synonyms.iter().map(|one| one.source).collect();
        assert_eq!(synonyms, [1, 5]);
        let unset = row("retention.ms");
        assert_eq!((unset.value.as_ref().map(|v| v.as_str()), unset.config_source), (Some("604800000"), 5));
        if version >= 3 {
            assert!(unset.documentation.as_ref().is_some_and(|doc| !doc.is_empty()));
            assert_eq!(unset.config_type, 5);
        }
    }
    let unknown = DescribeConfigsResource::default().with_resource_type(2).with_resource_name(s("nowhere"));
    let of_broker = DescribeConfigsResource::default().with_resource_type(4).with_resource_name(s("1"));
    let some = of_broker.clone().with_configuration_keys(Some(vec![s("num.partitions")]));
    let request = DescribeConfigsRequest::default().with_resources(vec![
        unknown.with_configuration_keys(None),
        of_broker.with_configuration_keys(None),
        some,
    ]);
    let results = client.ask(4, &request).await.results;
    assert_eq!(results.iter().map(|one| one.error_code).collect::<Vec<_>>(), [3, 0, 0]);
    assert!(results[1].configs.len() > 1 && results[2].configs.len() == 1);
    broker.stop().await;
}

#[tokio::test]
async fn an_empty_list_of_config_keys_means_all_and_the_broker_has_the_keys_that_clients_look_for() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    for version in 1..=4 {
        for (kind, resource) in [(2, "t"), (4, "1")] {
            let describe = |keys| {
                let one = DescribeConfigsResource::default().with_resource_type(kind).with_resource_name(s(resource));
                DescribeConfigsRequest::default().with_resources(vec![one.with_configuration_keys(keys)])
            };
            let all = client.ask(version, &describe(None)).await.results.remove(0).configs;
            let empty = client.ask(version, &describe(Some(Vec::new()))).await.results.remove(0).configs;
            assert!(all.len() > 30 && empty == all, "version {version} of {resource}");
            let none = client.ask(version, &describe(Some(vec![s("no.such.key")]))).await.results.remove(0).configs;
            assert!(none.is_empty());
        }
    }
    let one = DescribeConfigsResource::default().with_resource_type(4).with_resource_name(s("1"));
    let request = DescribeConfigsRequest::default().with_resources(vec![one.with_configuration_keys(None)]);
    let rows = client.ask(4, &request).await.results.remove(0).configs;
    let value = |key: &str| rows.iter().find(|row| row.name.as_str() == key).and_then(|row| row.value.clone());
    let advertised = format!("PLAINTEXT://localhost:{}", broker.port);
    for (key, expected) in [
        ("advertised.listeners", advertised.as_str()),
        ("log.retention.ms", "604800000"),
        ("log.cleaner.backoff.ms", "15000"),
        ("log.segment.bytes", "1073741824"),
        ("max.connections", "10000"),
        ("node.id", "1"),
    ] {
        assert_eq!(value(key).as_deref(), Some(expected), "{key}");
    }
    assert!(rows.iter().all(|row| row.read_only), "nothing of the broker is set from here");
    broker.stop().await;
}

#[tokio::test]
async fn what_a_request_names_twice_is_answered_once_as_in_kafka() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let id = client.topic("t").await.topic_id;
    let asked =
        |named: Option<&'static str>, id| MetadataRequestTopic::default().with_name(named.map(name)).with_topic_id(id);
    let nil = uuid::Uuid::nil();
    let twice = vec![asked(Some("t"), nil), asked(Some("u"), nil), asked(Some("t"), nil), asked(Some("u"), nil)];
    let twice = MetadataRequest::default().with_topics(Some(twice)).with_allow_auto_topic_creation(false);
    let answer = client.ask(12, &twice).await;
    assert_eq!(answer.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>(), [0, 3]);
    let by_id = MetadataRequest::default().with_topics(Some(vec![asked(None, id), asked(None, id)]));
    assert_eq!(client.ask(12, &by_id).await.topics.len(), 1);

    let grow = CreatePartitionsTopic::default().with_name(name("t")).with_count(3).with_assignments(None);
    let grown = client.ask(3, &CreatePartitionsRequest::default().with_topics(vec![grow.clone(), grow])).await.results;
    assert_eq!((grown.len(), grown[0].error_code), (1, 42));
    let deleted = DeleteTopicsRequest::default().with_topic_names(vec![name("t"), name("t")]);
    let deleted = client.ask(5, &deleted).await.responses;
    assert_eq!((deleted.len(), deleted[0].error_code), (1, 42));
    let resource = AlterConfigsResource::default().with_resource_type(2).with_resource_name(s("t"));
    let altered = IncrementalAlterConfigsRequest::default().with_resources(vec![resource.clone(), resource]);
    let altered = client.ask(1, &altered).await.responses;
    assert_eq!((altered.len(), altered[0].error_code), (1, 42));
    assert_eq!(client.topic("t").await.partitions.len(), 1, "nothing of it was done");

    let part = ListOffsetsPartition::default().with_timestamp(-1).with_current_leader_epoch(-1);
    let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![part.clone(), part]);
    let listed = client.ask(5, &ListOffsetsRequest::default().with_topics(vec![topic])).await.topics.remove(0);
    assert_eq!(listed.partitions.iter().map(|part| part.error_code).collect::<Vec<_>>(), [42, 42]);
    broker.stop().await;
}

#[tokio::test]
async fn configs_change_one_by_one_or_as_a_set_and_a_key_of_ours_comes_through() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    client.topic("t").await;
    assert_eq!(alter(&mut client, "t", "sluice.flush", 0, "os").await.0, 0);
    let (code, text) = alter(&mut client, "t", "no.such.key", 0, "1").await;
    assert_eq!(code, 40);
    assert!(text.contains("no.such.key"), "{text}");
    assert_eq!(alter(&mut client, "t", "max.message.bytes", 0, "many").await.0, 40);
    assert_eq!(alter(&mut client, "nowhere", "retention.ms", 0, "1").await.0, 3);

    // The legacy way replaces the whole set.
    use kafka_protocol::messages::alter_configs_request as legacy;
    let config = legacy::AlterableConfig::default().with_name(s("max.message.bytes")).with_value(Some(s("3000")));
    let resource = legacy::AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(s("t"))
        .with_configs(vec![config]);
    for version in 0..=2 {
        let answer = client.ask(version, &AlterConfigsRequest::default().with_resources(vec![resource.clone()])).await;
        assert_eq!(answer.responses[0].error_code, 0);
    }
    let keys = Some(vec![s("sluice.flush"), s("max.message.bytes")]);
    let resource = DescribeConfigsResource::default().with_resource_type(2).with_resource_name(s("t"));
    let request = DescribeConfigsRequest::default().with_resources(vec![resource.with_configuration_keys(keys)]);
    let mut sources: Vec<_> = client.ask(4, &request).await.results[0]
        .configs
        .iter()
        .map(|row| (row.name.to_string(), row.config_source))
        .collect();
    sources.sort();
    assert_eq!(sources, [("max.message.bytes".into(), 1), ("sluice.flush".into(), 5)]);
    broker.stop().await;
}

#[tokio::test]
async fn describe_cluster_and_topic_partitions_tell_what_is_true_of_one_broker_page_by_page() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    for version in 0..=2 {
        let cluster = client.ask(version, &DescribeClusterRequest::default()).await;
        assert_eq!((cluster.error_code, cluster.controller_id, cluster.brokers.len()), (0, BrokerId(1), 1));
        assert_eq!(cluster.brokers[0].port, i32::from(broker.port));
    }
    let controllers = client.ask(1, &DescribeClusterRequest::default().with_endpoint_type(2)).await;
    assert_eq!(controllers.error_code, 114);

    assert_eq!(create(&mut client, 7, creatable("a").with_num_partitions(3)).await.0, 0);
    assert_eq!(create(&mut client, 7, creatable("b").with_num_partitions(2)).await.0, 0);
    let named = |topic| TopicRequest::default().with_name(name(topic));
    let mut cursor: Option<Cursor> = None;
    let mut pages = Vec::new();
    loop {
        let request =
            DescribeTopicPartitionsRequest::default()
                .with_topics(vec![named("b"), named("a"), named("nowhere")])
                .with_response_partition_limit(2)
                .with_cursor(cursor.map(|at| {
                    Cursor::default().with_topic_name(at.topic_name).with_partition_index(at.partition_index)
                }));
        let page = client.ask(0, &request).await;
        for topic in &page.topics {
            let indexes: Vec<_> = topic.partitions.iter().map(|part| part.partition_index).collect();
            pages.push((topic.name.as_ref().map_or("", |n| n.as_str()).to_owned(), topic.error_code, indexes));
        }
        cursor = page
            .next_cursor
            .map(|at| Cursor::default().with_topic_name(at.topic_name).with_partition_index(at.partition_index));
        if cursor.is_none() {
            break;
        }
    }
    let expected = [
        ("a".to_owned(), 0, vec![0, 1]),
        ("a".to_owned(), 0, vec![2]),
        ("b".to_owned(), 0, vec![0]),
        ("b".to_owned(), 0, vec![1]),
        ("nowhere".to_owned(), 3, vec![]),
    ];
    assert_eq!(pages, expected);
    broker.stop().await;
}
