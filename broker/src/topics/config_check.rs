//! Checks one config's key and value against the table and puts the value into its one spelling. Every refusal names the
//! key, what is wrong and, where there is one, the way out.

use sluice_plugins::{PluginRef, is_plugin_name};

use super::bad_config::{BadConfig, Expected};
use super::configs_table::{ConfigType, PLUGIN_CONFIG, PLUGIN_FAILURE, Row, Rule, find, nearest, words};
use crate::limits;

/// What happens to records on which a plugin fails, as far as it is in force.
const FAILURE: &str = "reject";

/// The value as it is kept.
///
/// # Errors
/// `BadConfig`.
pub(super) fn value(key: &str, value: &str) -> Result<String, BadConfig> {
    let (bytes, limit) = (value.len(), limits::CONFIG_VALUE_BYTES_MAX);
    if bytes > limit {
        return Err(BadConfig::TooLong { key: key.to_owned(), bytes, limit });
    }
    let value = value.trim();
    if let Some(plugin) = family_member(key, PLUGIN_CONFIG) {
        plugin_name(key, plugin)?;
        return match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(value) {
            Ok(_) => Ok(value.to_owned()),
            Err(cause) => Err(BadConfig::NoJsonObject { key: key.to_owned(), cause: cause.to_string() }),
        };
    }
    if let Some(plugin) = family_member(key, PLUGIN_FAILURE) {
        plugin_name(key, plugin)?;
        return match value {
            FAILURE => Ok(value.to_owned()),
            "skip" | "dead-letter" => Err(not_supported(key, value, FAILURE)),
            _ => Err(bad_value(key, value, Expected::OneOf(&[FAILURE]))),
        };
    }
    by_rule(known_row(key)?, value)
}

/// That a key exists, whatever its value.
///
/// # Errors
/// `BadConfig`.
pub(super) fn known(key: &str) -> Result<(), BadConfig> {
    match family_member(key, PLUGIN_CONFIG).or_else(|| family_member(key, PLUGIN_FAILURE)) {
        Some(plugin) => plugin_name(key, plugin),
        None => known_row(key).map(drop),
    }
}

fn by_rule(row: &Row, value: &str) -> Result<String, BadConfig> {
    let must_be = |expected| Err(bad_value(row.key, value, expected));
    match row.rule {
        Rule::Range(min, max) => match value.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number.to_string()),
            _ => must_be(Expected::Number { min, max }),
        },
        Rule::Ratio => match value.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio.to_string()),
            _ => must_be(Expected::Ratio),
        },
        Rule::OneOf(known) => match known.contains(&value) {
            true => Ok(value.to_owned()),
            false => must_be(Expected::OneOf(known)),
        },
        Rule::AnyOf(known) => {
            let list = words(value);
            match list.iter().find(|word| !known.contains(&word.as_str())) {
                Some(word) => Err(bad_value(row.key, word, Expected::ListOf(known))),
                None if list.is_empty() => must_be(Expected::ListOf(known)),
                None => Ok(list.join(",")),
            }
        }
        Rule::Flag => match value.to_ascii_lowercase().as_str() {
            flag @ ("true" | "false") => Ok(flag.to_owned()),
            _ => must_be(Expected::Flag),
        },
        Rule::Plugin => {
            let reference: Result<PluginRef, _> = value.parse();
            reference.map(|reference| reference.to_string()).or_else(|_| must_be(Expected::Plugin))
        }
        Rule::OneReplica => match value.parse::<i64>() {
            Ok(1) => Ok("1".to_owned()),
            Ok(2..) => Err(BadConfig::OneReplica { key: row.key }),
            _ => must_be(Expected::Number { min: 1, max: 1 }),
        },
        Rule::NotYet => not_yet(row, value),
    }
}

/// The default in any spelling; everything else, well formed or not, is refused.
fn not_yet(row: &Row, value: &str) -> Result<String, BadConfig> {
    let default = row.default.unwrap_or_default();
    let same = match row.kind {
        ConfigType::Int | ConfigType::Long => value.parse::<i64>().ok() == default.parse().ok(),
        ConfigType::Double => value.parse::<f64>().ok() == default.parse().ok(),
        ConfigType::Boolean => value.eq_ignore_ascii_case(default),
        ConfigType::String | ConfigType::List => value == default,
    };
    if same { Ok(default.to_owned()) } else { Err(not_supported(row.key, value, default)) }
}

fn known_row(key: &str) -> Result<&'static Row, BadConfig> {
    find(key).ok_or_else(|| BadConfig::Unknown { key: shown(key), nearest: nearest(key) })
}

fn family_member<'a>(key: &'a str, family: &str) -> Option<&'a str> {
    key.strip_prefix(family)
}

fn plugin_name(key: &str, name: &str) -> Result<(), BadConfig> {
    if is_plugin_name(name) { Ok(()) } else { Err(BadConfig::NoPluginName { key: shown(key) }) }
}

fn bad_value(key: &str, value: &str, expected: Expected) -> BadConfig {
    BadConfig::BadValue { key: key.to_owned(), value: shown(value), expected }
}

fn not_supported(key: &str, value: &str, only: &'static str) -> BadConfig {
    BadConfig::NotSupported { key: key.to_owned(), value: shown(value), only }
}

/// As much of a hostile text as belongs into a message.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
