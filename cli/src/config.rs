//! The settings from flags, environment, file and defaults. The first of these that names a setting wins. An unknown setting
//! or an impossible value is an error that names the key and where it stands.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use sluice_broker::config::{BrokerConfig, KafkaListener};
use sluice_gateway::GatewayConfig;
use toml::{Table, Value};

use crate::args::ServeArgs;
use crate::listener;
use crate::settings::{SETTINGS, Setting, defaults};

/// Read if it exists and `--config` names no other file.
const DEFAULT_FILE: &str = "sluice.toml";
/// Variables of this project that are not settings: others read them, or the tests and benchmarks do.
const NO_SETTINGS: [&str; 3] = ["SLUICE_LOG", "SLUICE_CONFIG", "SLUICE_BIN"];
/// Beginnings of such variables.
const NO_SETTINGS_PREFIXES: [&str; 2] = ["SLUICE_TESTS_", "SLUICE_BENCH_"];
/// What Kubernetes calls the protocols of a Service's ports.
const SERVICE_PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetBy {
    /// It was not set.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// This variable of the environment.
    Env(String),
    /// This flag.
    Flag(&'static str),
}

/// What is wrong with the configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadConfig(String);

/// Every setting that has a value, and where that comes from.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, (Value, SetBy)>,
    /// Variables that describe a Kubernetes Service whose name begins with ours.
    of_services: Vec<String>,
}

/// The settings for broker and gateway.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where Kafka clients connect.
    pub(crate) kafka: Vec<KafkaListener>,
    /// The gateway's own.
    pub(crate) gateway: GatewayConfig,
    /// The broker's own.
    pub(crate) broker: BrokerConfig,
}

impl Settings {
    /// Reads flags, environment, file and defaults. `env` is the process's environment, or a test's.
    pub(crate) fn read(
        args: &ServeArgs,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, BadConfig> {
        let mut settings = Settings { values: BTreeMap::new(), of_services: Vec::new() };
        let defaults = defaults();
        for setting in SETTINGS {
            if let Some(value) = setting.default(&defaults) {
                settings.set(setting, value, SetBy::Default)?;
            }
        }
        match &args.config {
            Some(path) => settings.add_file(path)?,
            None if Path::new(DEFAULT_FILE).exists() => settings.add_file(Path::new(DEFAULT_FILE))?,
            None => {}
        }
        for (name, text) in env {
            settings.add_env(name, &text)?;
        }
        settings.add_flags(args)?;
        Ok(settings)
    }

    /// The value of a setting and where it comes from.
    pub(crate) fn get(&self, setting: &Setting) -> Option<&(Value, SetBy)> {
        self.values.get(setting.key)
    }

    /// Variables of the environment that look like settings and describe a Service of Kubernetes; for the log, which begins
    /// only when the settings are known.
    pub(crate) fn of_services(&self) -> &[String] {
        &self.of_services
    }

    /// The settings for broker and gateway.
    pub(crate) fn into_config(self) -> Result<Config, BadConfig> {
        let kafka = self.texts("kafka.listen");
        let http = self.texts("http.listen");
        if kafka.0.is_empty() {
            return Err(BadConfig(format!("{}: name at least one ADDR:PORT", kafka.1)));
        }
        let parse = |text: &String| listener::parse(text).map_err(|reason| BadConfig(format!("{}: {reason}", kafka.1)));
        let listeners = kafka.0.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let mut bound: Vec<(String, String)> =
            listeners.iter().zip(&kafka.0).map(|(listener, text)| (listener.host.clone(), text.clone())).collect();
        for text in &http.0 {
            let (host, _) = listener::host_port(text).map_err(|reason| BadConfig(format!("{}: {reason}", http.1)))?;
            bound.push((host, text.clone()));
        }
        let anonymous = self.values.get("allow_anonymous").is_some_and(|(value, _)| value.as_bool() == Some(true));
        if let Some((_, text)) = bound.iter().find(|(host, _)| !anonymous && !listener::is_loopback(host)) {
            return Err(BadConfig(format!(
                "{text} can be reached from other machines, and there is no authentication yet: add --allow-anonymous (or \
                 allow_anonymous = true) if every client that reaches it may read and write everything"
            )));
        }
        Ok(Config { kafka: listeners, gateway: self.gateway(anonymous)?, broker: self.broker()? })
    }

    fn gateway(&self, anonymous: bool) -> Result<GatewayConfig, BadConfig> {
        let mut table = self.section(Some("http"));
        table.insert("allow_anonymous".to_owned(), anonymous.into());
        let gateway: GatewayConfig = table.try_into().map_err(|cause: toml::de::Error| BadConfig(one_line(&cause)))?;
        gateway.check().map_err(|bad| BadConfig(bad.to_string()))?;
        Ok(gateway)
    }

    fn broker(&self) -> Result<BrokerConfig, BadConfig> {
        let mut table = self.section(None);
        table.remove("allow_anonymous");
        let broker: BrokerConfig = table.try_into().map_err(|cause: toml::de::Error| BadConfig(one_line(&cause)))?;
        if broker.group_min_session_timeout_ms > broker.group_max_session_timeout_ms {
            return Err(BadConfig(format!(
                "group_min_session_timeout_ms ({}) is more than group_max_session_timeout_ms ({})",
                broker.group_min_session_timeout_ms, broker.group_max_session_timeout_ms
            )));
        }
        Ok(broker)
    }

    /// The values of a section, or of the settings without one.
    fn section(&self, section: Option<&str>) -> Table {
        let here = SETTINGS.iter().filter(|setting| setting.place().0 == section);
        here.filter_map(|setting| Some((setting.place().1.to_owned(), self.values.get(setting.key)?.0.clone())))
            .collect()
    }

    fn texts(&self, key: &str) -> (Vec<String>, String) {
        let Some((value, set_by)) = self.values.get(key) else { return (Vec::new(), key.to_owned()) };
        let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        (texts, set_by.place(key))
    }

    fn add_file(&mut self, path: &Path) -> Result<(), BadConfig> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|cause| BadConfig(format!("the configuration file {shown} cannot be read: {cause}")))?;
        let table: Table = text.parse().map_err(|cause: toml::de::Error| {
            let line = cause.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            BadConfig(format!("{shown}:{line}: {}", one_line(&cause)))
        })?;
        let set_by = SetBy::File(path.to_owned());
        for (name, value) in table {
            let is_section = SETTINGS.iter().any(|setting| setting.place().0 == Some(name.as_str()));
            match value {
                Value::Table(section) if is_section => {
                    for (key, value) in section {
                        self.set(find(&format!("{name}.{key}"), &shown)?, value, set_by.clone())?;
                    }
                }
                value => self.set(find(&name, &shown)?, value, set_by.clone())?,
            }
        }
        Ok(())
    }

    fn add_env(&mut self, name: String, text: &str) -> Result<(), BadConfig> {
        let ours = name.starts_with("SLUICE_")
            && !NO_SETTINGS.contains(&name.as_str())
            && !NO_SETTINGS_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if !ours {
            return Ok(());
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.env() == name) else {
            if describes_a_service(&name, text) {
                self.of_services.push(name);
                return Ok(());
            }
            let names: Vec<_> = SETTINGS.iter().map(Setting::env).collect();
            let hint = nearest(&name, names.iter().map(String::as_str));
            return Err(BadConfig(format!("the environment variable {name} is not a setting{hint}")));
        };
        let value = setting.parse(text).map_err(|reason| BadConfig(format!("{name}: it {reason}")))?;
        self.set(setting, value, SetBy::Env(name))
    }

    fn add_flags(&mut self, args: &ServeArgs) -> Result<(), BadConfig> {
        let texts = |list: &[String]| (!list.is_empty()).then(|| Value::from(list.to_vec()));
        let data_dir = match args.data_dir.as_ref().map(|path| path.to_str()) {
            Some(None) => return Err(BadConfig("--data-dir: the path is not UTF-8".to_owned())),
            Some(Some(path)) => Some(Value::from(path)),
            None => None,
        };
        let given = [
            ("--kafka", texts(&args.kafka)),
            ("--http", texts(&args.http)),
            ("--data-dir", data_dir),
            ("--allow-anonymous", args.allow_anonymous.map(Value::from)),
        ];
        for (flag, value) in given {
            let setting = SETTINGS.iter().find(|setting| setting.flag == Some(flag));
            if let (Some(setting), Some(value)) = (setting, value) {
                self.set(setting, value, SetBy::Flag(flag))?;
            }
        }
        Ok(())
    }

    fn set(&mut self, setting: &Setting, value: Value, set_by: SetBy) -> Result<(), BadConfig> {
        setting.check(&value).map_err(|reason| BadConfig(format!("{}: it {reason}", set_by.place(setting.key))))?;
        self.values.insert(setting.key, (value, set_by));
        Ok(())
    }
}

impl SetBy {
    /// Where to look, for an error about a key.
    fn place(&self, key: &str) -> String {
        match self {
            SetBy::Default => key.to_owned(),
            SetBy::File(path) => format!("{}: {key}", path.display()),
            SetBy::Env(name) => name.clone(),
            SetBy::Flag(flag) => (*flag).to_owned(),
        }
    }
}

fn find(key: &str, file: &impl fmt::Display) -> Result<&'static Setting, BadConfig> {
    SETTINGS.iter().find(|setting| setting.key == key).ok_or_else(|| {
        let hint = nearest(key, SETTINGS.iter().map(|setting| setting.key));
        BadConfig(format!("{file}: '{key}' is not a setting{hint}"))
    })
}

/// Kubernetes gives each container of a namespace variables for every Service in it, named after the Service
/// (kubernetes.io/docs/concepts/services-networking/service, "Environment variables"): one that is called `sluice`, or
/// `sluice-http`, must not keep the broker from starting. `SLUICE_PORT=9092` is none of them: theirs is an address.
fn describes_a_service(name: &str, text: &str) -> bool {
    let mut words: Vec<&str> = name.split('_').collect();
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return true;
    }
    // The links of Docker: X_PORT, X_PORT_9092_TCP, and X_PORT_9092_TCP_{PROTO,PORT,ADDR}.
    if matches!(&words[..], [.., protocol, "PROTO" | "PORT" | "ADDR"] if SERVICE_PROTOCOLS.contains(protocol)) {
        words.pop();
    }
    match &words[..] {
        [.., "PORT", number, protocol] => number.parse::<u16>().is_ok() && SERVICE_PROTOCOLS.contains(protocol),
        [.., "PORT"] => text
            .split_once("://")
            .is_some_and(|(protocol, _)| SERVICE_PROTOCOLS.iter().any(|known| known.eq_ignore_ascii_case(protocol))),
        _ => false,
    }
}

/// `; did you mean …?`, or nothing.
fn nearest<'a>(asked: &str, known: impl Iterator<Item = &'a str>) -> String {
    let scored = known.map(|known| (strsim::jaro_winkler(asked, known), known));
    match scored.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, known)) if score > 0.85 => format!("; did you mean '{known}'?"),
        _ => String::new(),
    }
}

/// The text of a TOML error, without its excerpt of the file.
fn one_line(cause: &toml::de::Error) -> String {
    cause.message().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
