//! A Kafka client as small as one can be: one connection, the codec's client side, requests and answers by hand; and a broker
//! over a folder of its own, with the Kafka port on a port of the system's choice.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{ApiKey, MetadataRequest, ProduceRequest, RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use sluice_broker::clock::{MachineClock, bounded_wait};
use sluice_broker::config::{BrokerConfig, KafkaListener};
use sluice_broker::door::Door;
use sluice_broker::ids::TimestampMs;
use sluice_broker::log::LogDirSettings;
use sluice_broker::node::{Node, NodeError};
use sluice_broker::node_facts::NodeFacts;
use sluice_broker::record::{Compression, Message, ProducerStamp, build};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A broker that serves, and its folder.
pub(crate) struct Broker {
    pub(crate) port: u16,
    pub(crate) folder: Arc<tempfile::TempDir>,
    pub(crate) door: Door,
    pub(crate) facts: NodeFacts,
    stop: CancellationToken,
    serving: JoinHandle<Result<(), NodeError>>,
}

impl Broker {
    pub(crate) async fn start() -> Broker {
        Broker::start_with(BrokerConfig::default()).await
    }

    pub(crate) async fn start_with(config: BrokerConfig) -> Broker {
        Broker::over(Arc::new(tempfile::tempdir().expect("there is room for a folder")), config).await
    }

    /// Over a folder that may have been used before.
    pub(crate) async fn over(folder: Arc<tempfile::TempDir>, config: BrokerConfig) -> Broker {
        let settings = LogDirSettings::new(folder.path().to_owned());
        Broker::on(settings, folder, config).await
    }

    /// Over a disk of the caller's, which has everything but the plugins.
    pub(crate) async fn on(settings: LogDirSettings, folder: Arc<tempfile::TempDir>, config: BrokerConfig) -> Broker {
        let config = BrokerConfig { data_dir: folder.path().to_owned(), ..config };
        let listener = KafkaListener { host: "localhost".into(), port: 0, advertised: None };
        let opened = Node::open_with(Arc::new(config), &[listener], settings, Arc::new(MachineClock)).await;
        let node = opened.expect("the broker opens");
        let address = node.kafka_addresses().remove(0);
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("the address has a port");
        let (stop, door, facts) = (node.stop_token(), node.door(), node.facts());
        Broker { port, folder, door, facts, stop, serving: tokio::spawn(node.serve()) }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect((Ipv4Addr::LOCALHOST, self.port).into()).await
    }

    /// A clean stop; what is left is the folder.
    pub(crate) async fn stop(self) -> Arc<tempfile::TempDir> {
        self.stop.cancel();
        bounded_wait(self.serving).await.expect("serving does not panic").expect("the broker stops cleanly");
        self.folder
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    correlation: i32,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Client {
        Client { stream: TcpStream::connect(address).await.expect("the port listens"), correlation: 0 }
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        self.read::<R>(version).await
    }

    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("it")));
        let mut body = BytesMut::new();
        header.encode(&mut body, R::header_version(version)).expect("the header encodes");
        request.encode(&mut body, version).expect("the request encodes");
        self.send_frame(&body).await;
    }

    pub(crate) async fn send_frame(&mut self, body: &[u8]) {
        let mut frame = BytesMut::with_capacity(body.len() + 4);
        frame.put_u32(u32::try_from(body.len()).expect("a test's frame is small"));
        frame.put_slice(body);
        self.stream.write_all(&frame).await.expect("the connection takes it");
    }

    /// The next answer, which must be whole: not a byte is left behind it.
    pub(crate) async fn read<R: Request>(&mut self, version: i16) -> R::Response {
        let mut frame = bounded_wait(self.read_frame()).await.expect("the connection is open");
        ResponseHeader::decode(&mut frame, R::Response::header_version(version)).expect("the header decodes");
        let response = R::Response::decode(&mut frame, version).expect("the answer decodes");
        assert!(!frame.has_remaining(), "{} bytes too many", frame.remaining());
        response
    }

    /// A frame, or `None` when the broker has closed.
    pub(crate) async fn read_frame(&mut self) -> Option<Bytes> {
        let length = self.stream.read_u32().await.ok()?;
        let mut frame = vec![0; length as usize];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame.into())
    }

    /// Waits for the broker to close the connection without another answer.
    pub(crate) async fn closed(&mut self) {
        assert_eq!(bounded_wait(self.read_frame()).await, None);
    }

    /// Asks for a topic by name, which makes it.
    pub(crate) async fn topic(&mut self, topic: &'static str) -> MetadataResponseTopic {
        let asked = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(true);
        self.ask(12, &request).await.topics.remove(0)
    }

    /// Produces one batch with acks=all.
    pub(crate) async fn produce(&mut self, topic: &'static str, batch: Bytes) -> PartitionProduceResponse {
        let answer = self.ask(9, &produce(topic, batch, -1)).await;
        answer.responses[0].partition_responses[0].clone()
    }
}

pub(crate) fn name(topic: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(topic))
}

/// A produce request to partition 0 of a topic.
pub(crate) fn produce(topic: &'static str, batch: Bytes, acks: i16) -> ProduceRequest {
    let part = PartitionProduceData::default().with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![part]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// One batch of records with these values, at times 1000, 1001, ….
pub(crate) fn batch(values: &[&str]) -> Bytes {
    batch_of(values, Compression::None, None)
}

pub(crate) fn batch_of(values: &[&str], compression: Compression, producer: Option<ProducerStamp>) -> Bytes {
    let messages: Vec<Message> = values
        .iter()
        .zip(1_000..)
        .map(|(value, time)| Message {
            key: Some(Bytes::from_static(b"k")),
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            headers: Vec::new(),
            timestamp: Some(TimestampMs(time)),
        })
        .collect();
    build(&messages, TimestampMs(1_000), compression, producer).expect("the batch is legal").bytes().clone()
}

/// Whether an API is advertised, and from where to where.
pub(crate) fn key(api: ApiKey) -> i16 {
    api as i16
}
