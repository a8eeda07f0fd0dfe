//! How a topic's config names a plugin: `name`, or `name@version`. The only parser of that text. It knows what is well
//! formed, never which plugins there are.

use std::fmt;
use std::str::FromStr;

/// Characters of a plugin's name: it stands in topic configs, URLs and log lines.
const NAME_LENGTH_MAX: usize = 64;

/// A plugin as a binding names it. Without a version it means the active one, and follows when that changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PluginRef {
    name: String,
    version: Option<u32>,
}

/// A text that is neither a plugin's name nor `name@version`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is neither a plugin's name nor name@version")]
pub struct BadReference {
    /// The text, cut to 100 characters.
    pub text: String,
}

impl PluginRef {
    /// The plugin, whichever version.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The plugin's name in a text that is known to be a reference: `geo` of `geo@3`.
    #[must_use]
    pub fn name_in(text: &str) -> &str {
        text.split('@').next().unwrap_or(text)
    }

    /// The version that the reference is pinned to, from 1.
    #[must_use]
    pub fn version(&self) -> Option<u32> {
        self.version
    }
}

impl FromStr for PluginRef {
    type Err = BadReference;

    fn from_str(text: &str) -> Result<PluginRef, BadReference> {
        let bad = || BadReference { text: text.chars().take(100).collect() };
        let name = PluginRef::name_in(text);
        let version = match text[name.len()..].strip_prefix('@') {
            None => None,
            Some(version) => Some(number(version).ok_or_else(bad)?),
        };
        if !is_plugin_name(name) {
            return Err(bad());
        }
        Ok(PluginRef { name: name.to_owned(), version })
    }
}

impl fmt::Display for PluginRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            None => f.write_str(&self.name),
            Some(version) => write!(f, "{}@{version}", self.name),
        }
    }
}

/// Versions count from 1 and have one spelling: `+1` and `01` are refused.
fn number(text: &str) -> Option<u32> {
    let number = text.parse::<u32>().ok().filter(|number| *number > 0)?;
    (number.to_string() == text).then_some(number)
}

/// Whether a plugin can be uploaded by this name: 1 to 64 of `a-z`, `0-9`, `-` and `_`, the first a letter.
#[must_use]
pub fn is_plugin_name(name: &str) -> bool {
    name.len() <= NAME_LENGTH_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_name_with_or_without_a_version_and_prints_as_it_was_written() {
        for (text, name, version) in
            [("geo", "geo", None), ("geo@3", "geo", Some(3)), ("a-b_9@4294967295", "a-b_9", Some(u32::MAX))]
        {
            let parsed: PluginRef = text.parse().unwrap();
            assert_eq!((parsed.name(), parsed.version(), parsed.to_string().as_str()), (name, version, text));
        }
    }

    #[test]
    fn other_texts_are_refused_and_shown() {
        let long = "x".repeat(65);
        for text in [
            "", "@1", "Geo", "1geo", "geo@", "geo@0", "geo@x", "geo@-1", "geo@+1", "geo@01", "geo@1@2", "../geo", &long,
        ] {
            let refused = text.parse::<PluginRef>().unwrap_err();
            assert_eq!(refused.text, text);
        }
        assert_eq!("é".repeat(500).parse::<PluginRef>().unwrap_err().text.chars().count(), 100);
    }
}
