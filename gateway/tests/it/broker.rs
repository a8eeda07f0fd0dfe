//! A real broker with its gateway, in a folder and on ports of its own.

use std::path::PathBuf;
use std::sync::Arc;

use sluice_broker::clock::MachineClock;
use sluice_broker::config::{BrokerConfig, KafkaListener};
use sluice_broker::log::LogDirSettings;
use sluice_broker::log::io::faulty::FaultyDisk;
use sluice_broker::node::{Node, NodeError};
use sluice_gateway::{Gateway, GatewayConfig};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, Ask};

pub(crate) struct Broker {
    pub(crate) address: String,
    pub(crate) addresses: Vec<String>,
    stop_http: CancellationToken,
    stop_node: CancellationToken,
    http: JoinHandle<()>,
    node: JoinHandle<Result<(), NodeError>>,
    dir: Arc<TempDir>,
}

impl Broker {
    pub(crate) async fn start() -> Broker {
        Broker::start_with(|_| {}, |_| {}).await
    }

    pub(crate) async fn start_with(
        http: impl FnOnce(&mut GatewayConfig),
        broker: impl FnOnce(&mut BrokerConfig),
    ) -> Broker {
        Broker::open(Arc::new(TempDir::new().expect("a folder")), http, broker).await
    }

    /// Over a disk of the test's.
    pub(crate) async fn start_on(disk: &FaultyDisk) -> Broker {
        let dir = Arc::new(TempDir::new().expect("a folder"));
        let config = BrokerConfig { data_dir: PathBuf::from(dir.path()), ..BrokerConfig::default() };
        let mut settings = LogDirSettings::new(config.data_dir.clone());
        settings.disk = Arc::new(disk.clone());
        let node = Node::open_with(Arc::new(config), &[kafka()], settings, Arc::new(MachineClock)).await;
        Broker::serve(dir, node.expect("the node opens"), |_| {}).await
    }

    /// Stops, and starts again over the same folder.
    pub(crate) async fn restart(self) -> Broker {
        let dir = Arc::clone(&self.dir);
        self.stop().await;
        Broker::open(dir, |_| {}, |_| {}).await
    }

    async fn open(
        dir: Arc<TempDir>,
        http: impl FnOnce(&mut GatewayConfig),
        broker: impl FnOnce(&mut BrokerConfig),
    ) -> Broker {
        let mut broker_config = BrokerConfig { data_dir: PathBuf::from(dir.path()), ..BrokerConfig::default() };
        broker(&mut broker_config);
        let node = Node::open(Arc::new(broker_config), &[kafka()]).await.expect("the node opens");
        Broker::serve(dir, node, http).await
    }

    async fn serve(dir: Arc<TempDir>, node: Node, http: impl FnOnce(&mut GatewayConfig)) -> Broker {
        let mut http_config = GatewayConfig { listen: vec!["127.0.0.1:0".into()], ..GatewayConfig::default() };
        http(&mut http_config);
        let gateway = Gateway::bind(&http_config, node.door(), node.facts()).await.expect("the gateway binds");
        let addresses = gateway.addresses();
        let address = addresses[0].clone();
        let (stop_http, stop_node) = (CancellationToken::new(), node.stop_token());
        let http = tokio::spawn(gateway.serve(stop_http.clone()));
        let node = tokio::spawn(node.serve());
        Broker { address, addresses, stop_http, stop_node, http, node, dir }
    }

    /// Tells the gateway to stop, and goes on.
    pub(crate) fn begin_stop(&self) {
        self.stop_http.cancel();
    }

    /// The gateway first, then the node.
    pub(crate) async fn stop(self) {
        self.stop_http.cancel();
        self.http.await.expect("the gateway ends");
        self.stop_node.cancel();
        self.node.await.expect("the node ends").expect("a clean stop");
    }

    /// A broker that cannot stop cleanly any more.
    pub(crate) fn abandon(self) {
        self.http.abort();
        self.node.abort();
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        Ask::new("GET", target).send(&self.address).await
    }

    pub(crate) async fn delete(&self, target: &str) -> Answer {
        Ask::new("DELETE", target).send(&self.address).await
    }

    /// As `curl -d`.
    pub(crate) async fn post(&self, target: &str, body: impl AsRef<[u8]>) -> Answer {
        let ask = Ask::new("POST", target).header("Content-Type", "application/x-www-form-urlencoded");
        ask.body(body).send(&self.address).await
    }

    /// With a content type.
    pub(crate) async fn send(&self, method: &str, target: &str, kind: &str, body: impl AsRef<[u8]>) -> Answer {
        Ask::new(method, target).header("Content-Type", kind).body(body).send(&self.address).await
    }

    /// A topic with this number of partitions.
    pub(crate) async fn topic(&self, name: &str, partitions: i32) {
        let request = serde_json::json!({"name": name, "partitions": partitions}).to_string();
        self.send("POST", "/topics", "application/json", request).await.expect(201);
    }
}

fn kafka() -> KafkaListener {
    KafkaListener { host: "127.0.0.1".into(), port: 0, advertised: None }
}
