//! Traps around ApiVersions and connections: what is advertised, to whom, and on which addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, FindCoordinatorRequest, InitProducerIdRequest, MetadataRequest,
    TransactionalId,
};
use kafka_protocol::protocol::{Decodable, StrBytes};

use crate::kafka_client::{Broker, Client, key};

#[tokio::test]
async fn produce_is_advertised_from_0_and_refused_below_3() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let versions = client.ask(3, &ApiVersionsRequest::default()).await;
    let produce = versions.api_keys.iter().find(|api| api.api_key == key(ApiKey::Produce)).expect("Produce is there");
    assert_eq!((produce.min_version, produce.max_version), (0, 13));
    // Key 0, version 2, correlation id 1, no client id.
    client.send_frame(b"\0\0\0\x02\0\0\0\x01\xff\xff").await;
    client.closed().await;
    broker.stop().await;
}

#[tokio::test]
async fn api_versions_of_the_future_is_answered_in_version_0_with_its_own_range() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let mut request = BytesMut::new();
    request.put_slice(b"\0\x12\0\x05\0\0\0\x2a\0\x02me");
    request.put_slice(b"\0 what version 5 has here is not known");
    client.send_frame(&request).await;
    let mut frame = client.read_frame().await.expect("there is an answer");
    // Response header version 0: the correlation id and nothing else.
    assert_eq!(frame.get_i32(), 42);
    let answer = ApiVersionsResponse::decode(&mut frame, 0).expect("it is version 0");
    assert!(!frame.has_remaining());
    let ranges: Vec<_> = answer.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
    assert_eq!((answer.error_code, ranges), (35, vec![(18, 0, 4)]));
    // The client comes down on the same connection.
    assert_eq!(client.ask(3, &ApiVersionsRequest::default()).await.error_code, 0);
    broker.stop().await;
}

#[tokio::test]
async fn nothing_is_advertised_that_is_not_complete_or_not_for_clients() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    for version in 0..=4 {
        let versions = client.ask(version, &ApiVersionsRequest::default()).await;
        assert!(versions.finalized_features.is_empty() && versions.supported_features.is_empty());
        let has = |api: ApiKey| versions.api_keys.iter().find(|row| row.api_key == key(api));
        for absent in [ApiKey::Vote, ApiKey::AlterPartition, ApiKey::BrokerHeartbeat, ApiKey::AllocateProducerIds] {
            assert!(has(absent).is_none(), "{absent:?} is for controllers");
        }
        for absent in [ApiKey::AddPartitionsToTxn, ApiKey::EndTxn, ApiKey::ConsumerGroupHeartbeat, ApiKey::ShareFetch] {
            assert!(has(absent).is_none(), "{absent:?} is not here yet");
        }
        assert_eq!(has(ApiKey::InitProducerId).map(|row| row.max_version), Some(5), "version 6 is unstable");
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_transactional_id_is_refused_with_the_code_and_text_that_each_client_shows() {
    let broker = Broker::start().await;
    let mut client = broker.client().await;
    let id = StrBytes::from_static_str("orders-tx");
    let text = "transactions are not supported yet; leave transactional.id unset";
    // librdkafka: version 2; TRANSACTIONAL_ID_AUTHORIZATION_FAILED alone ends its retries.
    let request = FindCoordinatorRequest::default().with_key(id.clone()).with_key_type(1);
    let answer = client.ask(2, &request).await;
    assert_eq!(answer.error_code, 53);
    assert!(answer.error_message.expect("there is a text").contains(text));
    // Java: version 4 and later; any code but that one shows the text.
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![id.clone()]).with_key_type(1);
    let answer = client.ask(6, &request).await.coordinators.remove(0);
    assert_eq!(answer.error_code, 42);
    assert!(answer.error_message.expect("there is a text").contains(text));

    let request = InitProducerIdRequest::default().with_transactional_id(Some(TransactionalId(id)));
    assert_eq!(client.ask(4, &request).await.error_code, 53);
    let first = client.ask(4, &InitProducerIdRequest::default().with_transactional_id(None)).await;
    let second = client.ask(0, &InitProducerIdRequest::default().with_transactional_id(None)).await;
    assert_eq!((first.error_code, second.error_code, first.producer_epoch), (0, 0, 0));
    assert_ne!(first.producer_id, second.producer_id);
    broker.stop().await;
}

#[tokio::test]
async fn localhost_answers_on_ipv4_and_ipv6_and_is_what_is_advertised() {
    let broker = Broker::start().await;
    let mut clients = vec![Client::connect((Ipv4Addr::LOCALHOST, broker.port).into()).await];
    // A machine without IPv6 has no second address to listen on.
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        clients.push(Client::connect((Ipv6Addr::LOCALHOST, broker.port).into()).await);
    }
    for client in &mut clients {
        let metadata = client.ask(12, &MetadataRequest::default()).await;
        let advertised: Vec<_> = metadata.brokers.iter().map(|broker| (broker.host.as_str(), broker.port)).collect();
        assert_eq!(advertised, [("localhost", i32::from(broker.port))]);
        assert_eq!(metadata.cluster_id.expect("there is an id").len(), 22);
    }
    drop(clients);
    broker.stop().await;
}
