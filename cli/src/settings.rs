//! The table of settings: every key of `sluice.toml` with its environment variable, kind, bounds and meaning. Reading,
//! `--print-config` and docs/configuration.md all come from it. Defaults are not here but in the structs that hold them.

use std::ops::RangeInclusive;

use toml::{Table, Value};

use sluice_broker::config::BrokerConfig;
use sluice_broker::limits;
use sluice_gateway::{GatewayConfig, config as gateway};

/// What a setting's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text.
    Text,
    /// Several texts; commas separate them in the environment.
    Texts,
    /// `true` or `false`.
    Flag,
    /// A whole number in this range.
    Number(i64, i64),
}

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Its key, with the section before a dot.
    pub(crate) key: &'static str,
    /// What its value may be.
    pub(crate) kind: Kind,
    /// Its flag, where it has one.
    pub(crate) flag: Option<&'static str>,
    /// One or two sentences.
    pub(crate) doc: &'static str,
}

const fn setting(key: &'static str, kind: Kind, doc: &'static str) -> Setting {
    Setting { key, kind, flag: None, doc }
}

const fn flagged(key: &'static str, kind: Kind, flag: &'static str, doc: &'static str) -> Setting {
    Setting { key, kind, flag: Some(flag), doc }
}

/// A whole number within bounds that the setting's owner has.
const fn within(bounds: &RangeInclusive<u64>) -> Kind {
    Kind::Number(*bounds.start() as i64, *bounds.end() as i64)
}

/// An hour in ms: longer waits than this are typing mistakes.
const HOUR_MS: i64 = 3_600_000;

/// All of them, in the order in which they are shown: those without a section first.
pub(crate) const SETTINGS: &[Setting] = &[
    flagged("data_dir", Kind::Text, "--data-dir", "Where everything is kept. One broker at a time uses a folder."),
    flagged(
        "allow_anonymous",
        Kind::Flag,
        "--allow-anonymous",
        "Listeners on other addresses than loopback start without authentication: every client that reaches them may \
         read and write everything.",
    ),
    setting("node_id", Kind::Number(0, i32::MAX as i64), "This broker's id in the cluster metadata."),
    setting("auto_create_topics", Kind::Flag, "A topic is created when a client names one that does not exist."),
    setting(
        "num_partitions",
        Kind::Number(1, limits::PARTITIONS_PER_TOPIC_MAX as i64),
        "Partitions of a topic that is created without a count.",
    ),
    setting("delay_topics", Kind::Flag, "Names like orders.delay.5s make delay topics."),
    setting(
        "max_connections",
        Kind::Number(1, 1_000_000),
        "Connections on the Kafka port at once; each needs a file descriptor.",
    ),
    setting(
        "max_connections_per_address",
        Kind::Number(0, 1_000_000),
        "The same of one address (of IPv6: of one /64 prefix); 0 is no bound, since many users may share an address.",
    ),
    setting(
        "connections_per_second",
        Kind::Number(1, 1_000_000),
        "New connections on the Kafka port a second; those that come faster wait to be accepted.",
    ),
    setting(
        "connections_per_second_per_address",
        Kind::Number(0, 1_000_000),
        "The same of one address, above which connections are refused; 0 is no bound.",
    ),
    setting(
        "connections_max_idle_ms",
        Kind::Number(1_000, 24 * HOUR_MS),
        "A connection that sends nothing for this long is closed, in ms.",
    ),
    setting(
        "frame_pause_max_ms",
        Kind::Number(10, HOUR_MS),
        "A connection that has sent a part of a request and then nothing for so long is closed, in ms.",
    ),
    setting(
        "group_initial_rebalance_delay_ms",
        Kind::Number(0, HOUR_MS),
        "How long an empty group waits for more members at its first rebalance, in ms. Kafka's default is 3000.",
    ),
    setting(
        "group_min_session_timeout_ms",
        Kind::Number(1, HOUR_MS),
        "The shortest session time-out that a group member may ask for, in ms.",
    ),
    setting(
        "group_max_session_timeout_ms",
        Kind::Number(1, 24 * HOUR_MS),
        "The longest session time-out that a group member may ask for, in ms.",
    ),
    setting(
        "offsets_retention_minutes",
        Kind::Number(1, i32::MAX as i64),
        "How long the committed offsets of an empty group are kept, in minutes.",
    ),
    setting(
        "memory_max_bytes",
        Kind::Number(sluice_broker::memory::MEMORY_BYTES_MIN as i64, 1 << 40),
        "Bytes that requests, copied answers and bodies over HTTP may hold at once, over all connections; more wait their \
         turn, unread. A frame may take 14 sixty-fourths of it, a body over HTTP 8.",
    ),
    setting(
        "retention_check_ms",
        Kind::Number(10, 24 * HOUR_MS),
        "How often the logs are looked through for segments that retention removes, in ms.",
    ),
    setting(
        "plugin_memory_bytes",
        Kind::Number(64 * 1024, 4 * 1024 * 1024 * 1024),
        "Memory of one plugin instance, in bytes.",
    ),
    setting(
        "plugin_partitioner_timeout_ms",
        Kind::Number(1, 60_000),
        "How long one call of a partitioner may take, in ms.",
    ),
    flagged(
        "kafka.listen",
        Kind::Texts,
        "--kafka",
        "Where Kafka clients connect: ADDR:PORT, or ADDR:PORT=HOST:PORT where another address is advertised to clients \
         (containers, NAT). localhost is IPv4 and IPv6; port 0 lets the system choose.",
    ),
    flagged("http.listen", Kind::Texts, "--http", "Where HTTP clients connect: ADDR:PORT. localhost is IPv4 and IPv6."),
    setting(
        "http.allowed_origins",
        Kind::Texts,
        "Origins of other web pages that may use the gateway from a browser, as https://app.example.com: exact, without a \
         path, no wildcard.",
    ),
    setting(
        "http.hosts",
        Kind::Texts,
        "Names under which the gateway may be called, beside addresses, localhost, names without a dot and this machine's \
         own; without port. Others are refused, against DNS rebinding.",
    ),
    setting(
        "http.idle_timeout_ms",
        within(&gateway::IDLE_TIMEOUT_MS),
        "A client that has not sent the whole head of its first or next request within this time, in ms, is disconnected; \
         bodies have fixed times.",
    ),
    setting(
        "http.public_url",
        Kind::Text,
        "The URL that clients use, where it differs from what the gateway is bound to, as https://kafka.example.com.",
    ),
    setting("http.record_bytes_max", within(&gateway::RECORD_BYTES), "Bytes of one record: key, value and headers."),
    setting(
        "http.request_bytes_max",
        within(&gateway::REQUEST_BYTES),
        "Bytes of one request's body, at least http.record_bytes_max. Plugin uploads have a limit of their own.",
    ),
    setting(
        "http.connections_max",
        within(&gateway::CONNECTIONS),
        "HTTP connections at once; one more is answered with 503.",
    ),
    setting(
        "http.connections_max_per_address",
        Kind::Number(0, 100_000),
        "The same of one address (of IPv6: of one /64 prefix); 0 is no bound, since many users may share an address.",
    ),
    setting(
        "http.connections_per_second",
        Kind::Number(1, 1_000_000),
        "New HTTP connections a second; those that come faster wait to be accepted.",
    ),
    setting(
        "http.connections_per_second_per_address",
        Kind::Number(0, 1_000_000),
        "The same of one address, above which connections are answered with 503; 0 is no bound.",
    ),
    setting(
        "http.metrics_partitions_max",
        Kind::Number(0, 100_000),
        "Partitions that /metrics shows by name; the others are in the sums alone.",
    ),
    setting(
        "http.metrics_groups_max",
        Kind::Number(0, 10_000),
        "Groups that /metrics shows by name, with their lag; those with members come first.",
    ),
];

impl Setting {
    /// The environment variable that sets it.
    pub(crate) fn env(&self) -> String {
        // The addresses are set most often: their variables are as short as their flags.
        let name = self.key.strip_suffix(".listen").unwrap_or(self.key);
        format!("SLUICE_{}", name.replace('.', "_").to_uppercase())
    }

    /// The section and the name in it.
    pub(crate) fn place(&self) -> (Option<&'static str>, &'static str) {
        match self.key.split_once('.') {
            Some((section, name)) => (Some(section), name),
            None => (None, self.key),
        }
    }

    /// The default; `None` where an unset value has a meaning of its own.
    pub(crate) fn default(&self, defaults: &Table) -> Option<Value> {
        match self.place() {
            (None, name) => defaults.get(name).cloned(),
            (Some(section), name) => defaults.get(section)?.get(name).cloned(),
        }
    }

    /// Whether a value is one that this setting may have; the error is the end of a sentence about it.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        match (self.kind, value) {
            (Kind::Text, Value::String(text)) if !text.is_empty() => Ok(()),
            (Kind::Texts, Value::Array(list)) if list.iter().all(Value::is_str) => Ok(()),
            (Kind::Flag, Value::Boolean(_)) => Ok(()),
            (Kind::Number(min, max), Value::Integer(number)) if (min..=max).contains(number) => Ok(()),
            _ => Err(format!("must be {}, not {value}", self.kind.describe())),
        }
    }

    /// The value that a text from the environment means.
    pub(crate) fn parse(&self, text: &str) -> Result<Value, String> {
        let wrong = || format!("must be {}, not '{text}'", self.kind.describe());
        let value = match self.kind {
            Kind::Text => Value::from(text),
            Kind::Texts => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(Value::from).collect::<Vec<_>>().into()
            }
            Kind::Flag => Value::from(text.parse::<bool>().map_err(|_| wrong())?),
            Kind::Number(..) => Value::from(text.parse::<i64>().map_err(|_| wrong())?),
        };
        self.check(&value).map_err(|_| wrong())?;
        Ok(value)
    }
}

impl Kind {
    /// For errors and the reference page.
    pub(crate) fn describe(self) -> String {
        match self {
            Kind::Text => "a text".to_owned(),
            Kind::Texts => "a list of texts".to_owned(),
            Kind::Flag => "true or false".to_owned(),
            Kind::Number(min, max) => format!("a whole number from {min} to {max}"),
        }
    }
}

/// The defaults, as a configuration file would have them.
pub(crate) fn defaults() -> Table {
    let sayable = "the settings are numbers, flags and texts, which TOML can say";
    let mut all = Table::try_from(BrokerConfig::default()).expect(sayable);
    let mut http = Table::try_from(GatewayConfig::default()).expect(sayable);
    // One word for both doors.
    if let Some(anonymous) = http.remove("allow_anonymous") {
        all.insert("allow_anonymous".to_owned(), anonymous);
    }
    all.insert("http".to_owned(), http.into());
    let kafka = Table::from_iter([("listen".to_owned(), Value::from(vec!["localhost:9092"]))]);
    all.insert("kafka".to_owned(), kafka.into());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_field_of_the_structs_and_no_other() {
        let mut fields = Vec::new();
        for (name, value) in defaults() {
            match value {
                Value::Table(section) => fields.extend(section.keys().map(|key| format!("{name}.{key}"))),
                _ => fields.push(name),
            }
        }
        let mut keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key.to_owned()).collect();
        // TOML cannot say what is not set.
        fields.push("http.public_url".to_owned());
        fields.sort();
        keys.sort();
        assert_eq!(keys, fields);
    }

    #[test]
    fn every_default_is_within_its_own_bounds() {
        let defaults = defaults();
        for setting in SETTINGS {
            match setting.default(&defaults) {
                Some(default) => assert_eq!(setting.check(&default), Ok(()), "{}", setting.key),
                None => assert_eq!(setting.key, "http.public_url"),
            }
        }
    }
}
