//! The broker's settings and their defaults. The command line reads them from flags, environment and `sluice.toml`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One address of the Kafka port, and the address that is advertised to its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaListener {
    /// The host as written: a name (`localhost` binds IPv4 and IPv6), an IP literal or a wildcard.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// The advertised host and port; `None`: the host as bound, or for a wildcard the local address of the connection.
    pub advertised: Option<(String, u16)>,
}

/// The broker's settings. The defaults stand in `default`. (What is no field is refused by the command line, with a hint: serde
/// cannot do it beside `flatten`.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokerConfig {
    /// The data folder.
    pub data_dir: PathBuf,
    /// This broker's id in Metadata.
    pub node_id: i32,
    /// A topic is created when a client names one that does not exist.
    pub auto_create_topics: bool,
    /// Partitions of a topic that is created without a count.
    pub num_partitions: i32,
    /// How long an empty classic group waits for more members at its first rebalance, in ms. Kafka's default
    /// is 3000; a lone consumer would wait that long here too.
    pub group_initial_rebalance_delay_ms: u64,
    /// The shortest session time-out a member may ask for, in ms.
    pub group_min_session_timeout_ms: u64,
    /// The longest session time-out a member may ask for, in ms.
    pub group_max_session_timeout_ms: u64,
    /// How often the logs are checked for segments that retention removes, in ms (Kafka's `log.retention.check.interval.ms`).
    pub retention_check_ms: u64,
    /// How long committed offsets of an empty group are kept, in minutes (Kafka's `offsets.retention.minutes`).
    pub offsets_retention_minutes: u64,
    /// Whom the Kafka port takes in and for how long.
    #[serde(flatten)]
    pub connections: ConnectionsConfig,
    /// Bytes that requests, copied answers and the gateway's bodies may hold at once, over all connections; more wait
    /// their turn, unread. A frame may take 14 sixty-fourths of it, a body over HTTP 8.
    pub memory_max_bytes: u64,
    /// Names like `orders.delay.5s` make delay topics.
    pub delay_topics: bool,
    /// Guest memory of one plugin instance, in bytes.
    pub plugin_memory_bytes: u64,
    /// How long one call of a partitioner may take, in ms.
    pub plugin_partitioner_timeout_ms: u64,
}

/// The settings of connections on the Kafka port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionsConfig {
    /// Connections at once (Kafka's `max.connections`).
    pub max_connections: usize,
    /// The same of one address, 0 for no bound (Kafka's `max.connections.per.ip`).
    pub max_connections_per_address: usize,
    /// New connections a second; what comes faster waits (Kafka's `max.connection.creation.rate`).
    pub connections_per_second: u32,
    /// The same of one address, 0 for no bound; what comes faster is refused.
    pub connections_per_second_per_address: u32,
    /// A connection that sends nothing for this long, in ms, is closed (Kafka's `connections.max.idle.ms`).
    pub connections_max_idle_ms: u64,
    /// A connection that has sent a part of a request and then nothing for so long is closed, in ms.
    pub frame_pause_max_ms: u64,
}

impl Default for ConnectionsConfig {
    fn default() -> ConnectionsConfig {
        ConnectionsConfig {
            max_connections: 10_000,
            max_connections_per_address: 0,
            connections_per_second: 5_000,
            connections_per_second_per_address: 0,
            connections_max_idle_ms: 600_000,
            frame_pause_max_ms: 30_000,
        }
    }
}

impl Default for BrokerConfig {
    fn default() -> BrokerConfig {
        BrokerConfig {
            data_dir: PathBuf::from("sluice-data"),
            node_id: 1,
            auto_create_topics: true,
            num_partitions: 1,
            group_initial_rebalance_delay_ms: 0,
            group_min_session_timeout_ms: 6_000,
            group_max_session_timeout_ms: 1_800_000,
            retention_check_ms: 300_000,
            offsets_retention_minutes: 10_080,
            connections: ConnectionsConfig::default(),
            memory_max_bytes: 256 * 1024 * 1024,
            delay_topics: true,
            plugin_memory_bytes: sluice_plugins::MEMORY_BYTES_DEFAULT,
            plugin_partitioner_timeout_ms: sluice_plugins::PARTITIONER_TIMEOUT_MS_DEFAULT,
        }
    }
}
