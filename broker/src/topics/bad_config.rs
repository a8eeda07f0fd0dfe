//! What can be wrong with a config of a topic, as facts. `config_check.rs` and the verbs that change configs find them; each
//! text names the key, what is wrong and, where there is one, the way out.

use std::fmt;

/// Why a config, or a set of them, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// No topic has such a config.
    #[error("'{key}' is not a topic config{}", Hint(*nearest))]
    Unknown {
        /// The key of the request, cut where it is long.
        key: String,
        /// The known key that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A key of a family that ends in a plugin's name, and does not.
    #[error("'{key}' does not end in a plugin's name")]
    NoPluginName {
        /// The key of the request, cut where it is long.
        key: String,
    },
    /// A new topic's config without a value.
    #[error("{key} has no value")]
    NoValue {
        /// The key.
        key: String,
    },
    /// A value that the key cannot have.
    #[error("{key} must be {expected}, not '{value}'")]
    BadValue {
        /// The key.
        key: String,
        /// The value of the request, cut where it is long.
        value: String,
        /// What it must be.
        expected: Expected,
    },
    /// A plugin's configuration that is no JSON object.
    #[error("{key} must be a JSON object: {cause}")]
    NoJsonObject {
        /// The key.
        key: String,
        /// What the parser said.
        cause: String,
    },
    /// A value that Kafka knows, and this version does not have in force.
    #[error("{key}={value} is not supported yet: only '{only}' is accepted")]
    NotSupported {
        /// The key.
        key: String,
        /// The value of the request, cut where it is long.
        value: String,
        /// The only value that is accepted.
        only: &'static str,
    },
    /// More than one replica.
    #[error("{key} cannot be above 1: this broker is one node and holds one replica")]
    OneReplica {
        /// The key.
        key: &'static str,
    },
    /// `Append` or `Subtract` on a key that is no list.
    #[error("{key} is no list: it can be set and deleted only")]
    NoList {
        /// The key.
        key: String,
    },
    /// A value that is too long to be kept.
    #[error("{key} has {bytes} bytes, at most {limit} are kept")]
    TooLong {
        /// The key.
        key: String,
        /// Bytes of the value.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// All configs of the topic together are too long to be kept.
    #[error("the topic's configs have {bytes} bytes, at most {limit} are kept")]
    TooMany {
        /// Bytes of keys and values.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A delay topic has this config fixed.
    #[error("'{topic}' is a delay topic: {key} stays {value}")]
    FixedByDelay {
        /// The delay topic.
        topic: String,
        /// The key.
        key: &'static str,
        /// Its value in every delay topic.
        value: &'static str,
    },
    /// A delay topic delivers every record, not the last of each key.
    #[error("'{topic}' is a delay topic: it cannot be compacted")]
    CompactedDelay {
        /// The delay topic.
        topic: String,
    },
    /// Configs of the broker's own topics are not the clients' to change.
    #[error("'{topic}' is the broker's own")]
    OwnTopic {
        /// The topic.
        topic: String,
    },
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A whole number in this range.
    Number {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A number from 0 to 1.
    Ratio,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words, at least one.
    ListOf(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A plugin's name, or `name@version`.
    Plugin,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Number { min, max } if min == max => write!(f, "{min}"),
            Expected::Number { min, max } => write!(f, "a whole number from {min} to {max}"),
            Expected::Ratio => f.write_str("a number from 0 to 1"),
            Expected::OneOf([only]) => write!(f, "'{only}'"),
            Expected::OneOf(words) => write!(f, "one of {}", words.join(", ")),
            Expected::ListOf(words) => write!(f, "a list of at least one of {}", words.join(", ")),
            Expected::Flag => f.write_str("true or false"),
            Expected::Plugin => f.write_str("a plugin's name or name@version"),
        }
    }
}

/// The end of a sentence about an unknown key.
struct Hint(Option<&'static str>);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(known) => write!(f, "; did you mean '{known}'?"),
            None => Ok(()),
        }
    }
}
