//! A broker without ports, for tests: catalog, groups, plugin host, engine and door over a folder or a faulty disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sluice_broker::auth::Authorizer;
use sluice_broker::chain::Partitioners;
use sluice_broker::clock::{MachineClock, SharedClock};
use sluice_broker::config::BrokerConfig;
use sluice_broker::context::Context;
use sluice_broker::coordinator::group::Groups;
use sluice_broker::door::Door;
use sluice_broker::door::topics::{NewTopic, TopicInfo};
use sluice_broker::engine::Engine;
use sluice_broker::log::{LogDir, LogDirSettings};
use sluice_broker::memory::Budget;
use sluice_broker::metrics::Metrics;
use sluice_broker::node_facts::NodeFacts;
use sluice_broker::topics::Catalog;

/// What is open of a broker.
pub(crate) struct Rooms {
    log_dir: Arc<LogDir>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) door: Door,
    pub(crate) facts: NodeFacts,
}

impl Rooms {
    /// Opens or reopens what is in `path`.
    pub(crate) async fn open(path: &Path) -> Rooms {
        Rooms::open_with(LogDirSettings::new(path.join("data")), path.join("plugins")).await
    }

    /// As `open`, with permissions of the caller's.
    pub(crate) async fn open_for(path: &Path, auth: Authorizer) -> Rooms {
        Rooms::assemble(LogDirSettings::new(path.join("data")), path.join("plugins"), auth).await
    }

    /// Over a disk of the caller's; plugins are on the real one.
    pub(crate) async fn open_with(settings: LogDirSettings, plugins: PathBuf) -> Rooms {
        Rooms::assemble(settings, plugins, Authorizer::granting_everything()).await
    }

    async fn assemble(settings: LogDirSettings, plugins: PathBuf, auth: Authorizer) -> Rooms {
        let clock: SharedClock = Arc::new(MachineClock);
        let config = Arc::new(BrokerConfig { data_dir: settings.path.clone(), ..BrokerConfig::default() });
        let log_dir = LogDir::open(settings, Arc::clone(&clock)).expect("the data directory opens");
        let host = sluice_plugins::Host::open(sluice_plugins::HostConfig::new(plugins));
        let host = Arc::new(host.expect("the plugin host opens"));
        let catalog =
            Catalog::open(Arc::clone(&log_dir), &config, Arc::clone(&clock)).await.expect("the catalog opens");
        let memory = Budget::new(config.memory_max_bytes);
        let state = memory.state().clone();
        let groups = Groups::open(Arc::clone(&catalog), &config, Arc::clone(&clock), state).await;
        let groups = groups.expect("the groups open");
        let partitioners = Arc::new(Partitioners::new(host));
        let metrics = Metrics::new(log_dir.tasks(), Arc::clone(&clock));
        let engine = Engine::new(config, clock, Arc::clone(&catalog), groups, partitioners, auth, memory);
        let (door, facts) = (Door::new(Arc::clone(&engine)), NodeFacts::new(Arc::clone(&engine), metrics));
        Rooms { log_dir, door, facts, catalog, engine }
    }

    /// A clean stop.
    pub(crate) async fn close(self) {
        self.engine.begin_stop();
        self.engine.closed().await;
        let log_dir = Arc::clone(&self.log_dir);
        tokio::task::spawn_blocking(move || log_dir.close()).await.expect("closing does not panic").expect("it closes");
    }

    /// Everything is dropped where it stands; nothing more is synced.
    pub(crate) async fn crash(self) {
        self.engine.begin_stop();
        self.engine.closed().await;
    }

    /// A new topic with these configs.
    pub(crate) async fn topic(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> TopicInfo {
        let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        let name = name.to_owned();
        let request = NewTopic { name, partitions: Some(partitions), replication: None, configs };
        self.door.create_topic(&http(), request).await.expect("the topic is made")
    }
}

/// A request through HTTP.
pub(crate) fn http() -> Context {
    Context::http("test", None)
}
