//! What an operator may set of the gateway. The command line reads it from flags, environment and `sluice.toml`; `Gateway::bind`
//! refuses contradictions.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::origin::Origin;

/// Bounds of `record_bytes_max`.
pub const RECORD_BYTES: RangeInclusive<u64> = 1024..=16 * 1024 * 1024;
/// Bounds of `request_bytes_max`, which is at least `record_bytes_max` too.
pub const REQUEST_BYTES: RangeInclusive<u64> = 1024..=64 * 1024 * 1024;
/// Bounds of `idle_timeout_ms`.
pub const IDLE_TIMEOUT_MS: RangeInclusive<u64> = 10..=3_600_000;
/// Bounds of `connections_max`.
pub const CONNECTIONS: RangeInclusive<u64> = 1..=100_000;

/// The gateway's settings (`[http]` in `sluice.toml`). The defaults stand in `default`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// `HOST:PORT` of each listener. `localhost` binds IPv4 and IPv6 on the same port; port 0 lets the system choose; IPv6
    /// literals stand in brackets.
    pub listen: Vec<String>,
    /// Origins of other people's web pages that may use this gateway from a browser, as `https://app.example.com` or
    /// `http://localhost:5173`: exact, without a path, no wildcard.
    pub allowed_origins: Vec<String>,
    /// Names, beside addresses, `localhost`, names without a dot and this machine's own, under which the gateway may be called
    /// (DNS rebinding). Without port.
    pub hosts: Vec<String>,
    /// How clients reach the gateway when that is not what it is bound to, as `https://kafka.example.com`.
    pub public_url: Option<String>,
    /// Listeners on other addresses than loopback start although there is no authentication.
    pub allow_anonymous: bool,
    /// Bytes of one record (key, value and headers).
    pub record_bytes_max: usize,
    /// Bytes of one request's body. Uploads of plugins have a bound of their own.
    pub request_bytes_max: usize,
    /// A connection that does not send the head of its first or next request within this time, in ms, is closed.
    pub idle_timeout_ms: u64,
    /// Connections at once. One more is answered with 503.
    pub connections_max: usize,
    /// The same of one address, default 0: no bound, since many users may share one.
    pub connections_max_per_address: usize,
    /// New connections a second, 1 to 1,000,000, default 2,000; those that come faster wait to be accepted.
    pub connections_per_second: u32,
    /// The same of one address, default 0: no bound. One more is answered with 503.
    pub connections_per_second_per_address: u32,
    /// Partitions that `/metrics` shows by name, 0 to 100,000, default 1,000; the others are in the sums alone.
    pub metrics_partitions_max: usize,
    /// Groups that `/metrics` shows by name, with their lag, 0 to 10,000, default 100.
    pub metrics_groups_max: usize,
}

impl Default for GatewayConfig {
    fn default() -> GatewayConfig {
        GatewayConfig {
            listen: vec!["localhost:8082".to_owned()],
            allowed_origins: Vec::new(),
            hosts: Vec::new(),
            public_url: None,
            allow_anonymous: false,
            record_bytes_max: 1024 * 1024,
            request_bytes_max: 10 * 1024 * 1024,
            idle_timeout_ms: 30_000,
            connections_max: 2_000,
            connections_max_per_address: 0,
            connections_per_second: 2_000,
            connections_per_second_per_address: 0,
            metrics_partitions_max: 1_000,
            metrics_groups_max: 100,
        }
    }
}

/// A setting with an impossible value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("http.{setting}: {reason}")]
pub struct BadSetting {
    /// The field of `GatewayConfig`.
    pub setting: &'static str,
    /// What is wrong with it, and what would be right.
    pub reason: String,
}

impl GatewayConfig {
    /// Refuses impossible settings.
    ///
    /// # Errors
    /// The first setting that is out of its bounds or contradicts another.
    pub fn check(&self) -> Result<(), BadSetting> {
        let bad = |setting, reason: String| Err(BadSetting { setting, reason });
        if self.listen.is_empty() {
            return bad("listen", "name at least one HOST:PORT".to_owned());
        }
        if let Some(origin) = self.allowed_origins.iter().find(|text| Origin::parse(text).is_none()) {
            return bad("allowed_origins", format!("'{origin}' is not scheme://host[:port] (there is no wildcard)"));
        }
        if let Some(host) = self.hosts.iter().find(|text| !is_host_name(text)) {
            return bad("hosts", format!("'{host}' is not a host name (write it without scheme and port)"));
        }
        if let Some(url) = self.public_url.as_deref().filter(|url| Origin::of_url(url).is_none()) {
            return bad("public_url", format!("'{url}' is not an http or https URL"));
        }
        let bounded = [
            ("record_bytes_max", self.record_bytes_max as u64, RECORD_BYTES),
            ("request_bytes_max", self.request_bytes_max as u64, REQUEST_BYTES),
            ("idle_timeout_ms", self.idle_timeout_ms, IDLE_TIMEOUT_MS),
            ("connections_max", self.connections_max as u64, CONNECTIONS),
        ];
        if let Some((setting, value, bounds)) = bounded.into_iter().find(|(_, value, bounds)| !bounds.contains(value)) {
            return bad(setting, format!("{value} is not between {} and {}", bounds.start(), bounds.end()));
        }
        if self.request_bytes_max < self.record_bytes_max {
            let (request, record) = (self.request_bytes_max, self.record_bytes_max);
            return bad("request_bytes_max", format!("{request} is less than record_bytes_max ({record})"));
        }
        if !(1..=1_000_000).contains(&self.connections_per_second) {
            return bad(
                "connections_per_second",
                format!("{} is not between 1 and 1000000", self.connections_per_second),
            );
        }
        if self.metrics_partitions_max > 100_000 {
            return bad("metrics_partitions_max", format!("{} is more than 100000", self.metrics_partitions_max));
        }
        if self.metrics_groups_max > 10_000 {
            return bad("metrics_groups_max", format!("{} is more than 10000", self.metrics_groups_max));
        }
        Ok(())
    }
}

fn is_host_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_their_bounds() {
        assert_eq!(GatewayConfig::default().check(), Ok(()));
    }

    #[test]
    fn an_impossible_setting_is_refused_by_name() {
        type Change = fn(&mut GatewayConfig);
        let cases: [(&str, Change); 14] = [
            ("listen", |c| c.listen.clear()),
            ("allowed_origins", |c| c.allowed_origins = vec!["*".into()]),
            ("allowed_origins", |c| c.allowed_origins = vec!["null".into()]),
            ("allowed_origins", |c| c.allowed_origins = vec!["https://a.example/path".into()]),
            ("hosts", |c| c.hosts = vec!["kafka.example:8082".into()]),
            ("public_url", |c| c.public_url = Some("kafka.example".into())),
            ("public_url", |c| c.public_url = Some("ftp://kafka.example".into())),
            ("record_bytes_max", |c| c.record_bytes_max = 10),
            ("request_bytes_max", |c| c.request_bytes_max = 1024),
            ("idle_timeout_ms", |c| c.idle_timeout_ms = 0),
            ("connections_max", |c| c.connections_max = 0),
            ("connections_per_second", |c| c.connections_per_second = 0),
            ("metrics_partitions_max", |c| c.metrics_partitions_max = 100_001),
            ("metrics_groups_max", |c| c.metrics_groups_max = 10_001),
        ];
        for (setting, change) in cases {
            let mut config = GatewayConfig::default();
            change(&mut config);
            assert_eq!(config.check().map_err(|bad| bad.setting), Err(setting));
        }
    }
}
