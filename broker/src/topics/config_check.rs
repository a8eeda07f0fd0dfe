//! Checks one config's key and value against the table and puts the value into its one spelling. Every refusal names the
//! key, what is wrong and, where there is one, the way out.

use sluice_plugins::{PluginRef, is_plugin_name};

use super::configs_table::{ConfigType, PLUGIN_CONFIG, PLUGIN_FAILURE, Row, Rule, find, nearest, words};
use super::error::TopicError;
use crate::limits;

/// The value as it is kept.
///
/// # Errors
/// `BadConfig`.
pub(super) fn value(key: &str, value: &str) -> Result<String, TopicError> {
    let limit = limits::CONFIG_VALUE_BYTES_MAX;
    if value.len() > limit {
        return Err(bad(format!("{key} has {} bytes, at most {limit} are kept", value.len())));
    }
    let value = value.trim();
    if let Some(plugin) = family_member(key, PLUGIN_CONFIG) {
        plugin_name(key, plugin)?;
        return match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(value) {
            Ok(_) => Ok(value.to_owned()),
            Err(cause) => Err(bad(format!("{key} must be a JSON object: {cause}"))),
        };
    }
    if let Some(plugin) = family_member(key, PLUGIN_FAILURE) {
        plugin_name(key, plugin)?;
        return match value {
            "reject" => Ok(value.to_owned()),
            "skip" | "dead-letter" => Err(bad(format!("{key}={value} is not supported yet: only 'reject' is"))),
            _ => Err(bad(format!("{key} must be 'reject', not '{}'", shown(value)))),
        };
    }
    let row = known_row(key)?;
    by_rule(row, value).map_err(bad)
}

/// That a key exists, whatever its value.
///
/// # Errors
/// `BadConfig`.
pub(super) fn known(key: &str) -> Result<(), TopicError> {
    match family_member(key, PLUGIN_CONFIG).or_else(|| family_member(key, PLUGIN_FAILURE)) {
        Some(plugin) => plugin_name(key, plugin),
        None => known_row(key).map(drop),
    }
}

fn by_rule(row: &Row, value: &str) -> Result<String, String> {
    let key = row.key;
    let shown = shown(value);
    match row.rule {
        Rule::Range(min, max) => {
            let number = value.parse::<i64>().map_err(|_| format!("{key} must be a whole number, not '{shown}'"))?;
            if !(min..=max).contains(&number) {
                return Err(format!("{key} must be from {min} to {max}, not {number}"));
            }
            Ok(number.to_string())
        }
        Rule::Ratio => match value.parse::<f64>() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio.to_string()),
            _ => Err(format!("{key} must be a number from 0 to 1, not '{shown}'")),
        },
        Rule::OneOf(known) => match known.contains(&value) {
            true => Ok(value.to_owned()),
            false => Err(format!("{key} must be one of {}, not '{shown}'", known.join(", "))),
        },
        Rule::AnyOf(known) => {
            let list = words(value);
            match list.iter().find(|word| !known.contains(&word.as_str())) {
                Some(word) => Err(format!("{key} is a list of {}, not of '{}'", known.join(", "), self::shown(word))),
                None if list.is_empty() => Err(format!("{key} needs at least one of {}", known.join(", "))),
                None => Ok(list.join(",")),
            }
        }
        Rule::Flag => match value.to_ascii_lowercase().as_str() {
            flag @ ("true" | "false") => Ok(flag.to_owned()),
            _ => Err(format!("{key} must be true or false, not '{shown}'")),
        },
        Rule::Plugin => {
            let reference: Result<PluginRef, _> = value.parse();
            let refused = |_| format!("{key} must be a plugin's name or name@version, not '{shown}'");
            reference.map(|reference| reference.to_string()).map_err(refused)
        }
        Rule::OneReplica => match value.parse::<i64>() {
            Ok(1) => Ok("1".to_owned()),
            Ok(2..) => Err(format!("{key} cannot be above 1: this broker is one node and holds one replica")),
            _ => Err(format!("{key} must be 1, not '{shown}'")),
        },
        Rule::NotYet => not_yet(row, value),
    }
}

/// The default in any spelling; everything else, well formed or not, is refused.
fn not_yet(row: &Row, value: &str) -> Result<String, String> {
    let default = row.default.unwrap_or_default();
    let same = match row.kind {
        ConfigType::Int | ConfigType::Long => value.parse::<i64>().ok() == default.parse().ok(),
        ConfigType::Double => value.parse::<f64>().ok() == default.parse().ok(),
        ConfigType::Boolean => value.eq_ignore_ascii_case(default),
        ConfigType::String | ConfigType::List => value == default,
    };
    match same {
        true => Ok(default.to_owned()),
        false => Err(format!(
            "{}={} is not supported yet: only its default, '{default}', is accepted",
            row.key,
            shown(value)
        )),
    }
}

fn known_row(key: &str) -> Result<&'static Row, TopicError> {
    find(key).ok_or_else(|| {
        let hint = nearest(key).map_or_else(String::new, |known| format!("; did you mean '{known}'?"));
        bad(format!("'{}' is not a topic config{hint}", shown(key)))
    })
}

fn family_member<'a>(key: &'a str, family: &str) -> Option<&'a str> {
    key.strip_prefix(family)
}

fn plugin_name(key: &str, name: &str) -> Result<(), TopicError> {
    match is_plugin_name(name) {
        true => Ok(()),
        false => Err(bad(format!("'{}' does not end in a plugin's name", shown(key)))),
    }
}

fn bad(reason: String) -> TopicError {
    TopicError::BadConfig { reason }
}

/// As much of a hostile text as belongs into a message.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
