//! Routes records by a field of their JSON value.
//!
//! The configuration (`sluice.plugin.config.json-field`) is `{"field": "a.b.c"}`: the path of the field, with a number for
//! a place in an array (`geometry.coordinates.2`). Equal values go to the same partition: a string by its characters, a
//! number by its value (5 and 5.0 are equal), true and false by their names, each hashed as Kafka's clients hash a key.
//!
//! With `"bounds": [3, 5, 6]` the field is a number, and its partition is how many of the bounds are at or below it (here
//! under 3 is 0, 3 to under 5 is 1, 5 to under 6 is 2, 6 and above is 3), or the topic's last partition if it has fewer.
//!
//! A record without the field (also: null, an object, an array, no JSON; with bounds: no number) goes where its key would
//! have put it, or to partition 0 when it has no key. With bounds it goes to partition 0 in any case, so that the others
//! hold what their bounds say.

mod field;

use serde::Deserialize;
use sluice_plugin::{Context, Message, Partitioner, partition_for_key, partitioner};

use crate::field::{Scalar, Step, find};

/// The configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The path of the field.
    field: String,
    /// Rising numbers between the partitions.
    #[serde(default)]
    bounds: Option<Vec<f64>>,
}

/// The plugin.
#[derive(Debug)]
pub struct JsonField {
    path: Vec<Step>,
    bounds: Option<Vec<f64>>,
}

impl Partitioner for JsonField {
    fn new(config: &str) -> Result<JsonField, String> {
        let config: Config = serde_json::from_str(config)
            .map_err(|cause| format!("the configuration is {{\"field\": \"a.b.c\", \"bounds\": [1, 2]}}: {cause}"))?;
        let path: Vec<Step> = config.field.split('.').map(Step::new).collect();
        if path.iter().any(Step::is_empty) {
            return Err(format!("'{}' is not the path of a field, as in 'a.b.c'", config.field));
        }
        if let Some(bounds) = &config.bounds {
            // JSON has no NaN, so every pair of numbers has an order.
            if bounds.is_empty() || bounds.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err("bounds are one or more numbers, each above the one before".to_owned());
            }
        }
        Ok(JsonField { path, bounds: config.bounds })
    }

    fn partition(&mut self, _ctx: &Context, message: &Message<'_>, partitions: u32) -> u32 {
        let value = message.value().and_then(|json| find(json, &self.path));
        match (&self.bounds, value) {
            (Some(bounds), Some(Scalar::Number(number))) => {
                let below = bounds.partition_point(|bound| *bound <= number);
                u32::try_from(below).unwrap_or(u32::MAX).min(partitions - 1)
            }
            (Some(_), _) => 0,
            (None, Some(value)) => partition_for_key(value.text().as_bytes(), partitions),
            (None, None) => message.key().map_or(0, |key| partition_for_key(key, partitions)),
        }
    }
}

partitioner!(struct JsonField);

#[cfg(test)]
mod tests;
