//! Finds one field in a JSON text without building the rest of it.

use core::fmt;
use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One step of a path: a name, which is a place as well if it is a number.
#[derive(Debug)]
pub(crate) struct Step {
    name: String,
    place: Option<usize>,
}

impl Step {
    pub(crate) fn new(text: &str) -> Step {
        Step { name: text.to_owned(), place: text.parse().ok() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.name.is_empty()
    }
}

/// A value that records can be routed by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Text(String),
    Number(f64),
    /// A whole number too large for `Number` to tell it from its neighbours.
    Large(String),
    Bool(bool),
}

impl Scalar {
    /// The same text for equal values.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Scalar::Text(text) | Scalar::Large(text) => text.into(),
            // Rust writes the shortest text that reads back, and 5 for 5.0; -0.0 would be "-0".
            Scalar::Number(number) => (number + 0.0).to_string().into(),
            Scalar::Bool(true) => "true".into(),
            Scalar::Bool(false) => "false".into(),
        }
    }
}

/// The scalar at `path`; `None` when there is none or the text is not JSON.
pub(crate) fn find(json: &[u8], path: &[Step]) -> Option<Scalar> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let found = Seek(path).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    found
}

/// Reads a value and keeps what is at the end of the path.
struct Seek<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<Scalar>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Option<Scalar>, D::Error> {
        reader.deserialize_any(self)
    }
}

impl Seek<'_> {
    /// A scalar counts only where the path ends.
    fn at_end(&self, scalar: impl FnOnce() -> Scalar) -> Option<Scalar> {
        self.0.is_empty().then(scalar)
    }
}

/// Reads a key and only tells whether it is the wanted one.
struct IsKey<'p>(Option<&'p str>);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<bool, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        Ok(self.0 == Some(key))
    }
}

/// Above this, neighbouring whole numbers are one f64.
const EXACT_MAX: u64 = 1 << 53;

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<Scalar>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Scalar>, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Option<Scalar>, E> {
        Ok(self.at_end(|| Scalar::Bool(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Option<Scalar>, E> {
        Ok(self.at_end(|| whole(value, false)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Option<Scalar>, E> {
        Ok(self.at_end(|| whole(value.unsigned_abs(), value < 0)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Option<Scalar>, E> {
        Ok(self.at_end(|| Scalar::Number(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Option<Scalar>, E> {
        Ok(self.at_end(|| Scalar::Text(value.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Scalar>, A::Error> {
        let mut found = None;
        let wanted = self.0.split_first();
        while let Some(is_wanted) = map.next_key_seed(IsKey(wanted.map(|(step, _)| step.name.as_str())))? {
            match wanted {
                // Of doubled keys the last one counts, as in JavaScript.
                Some((_, rest)) if is_wanted => found = map.next_value_seed(Seek(rest))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Option<Scalar>, A::Error> {
        let mut found = None;
        let wanted = self.0.split_first().and_then(|(step, rest)| Some((step.place?, rest)));
        for place in 0.. {
            let more = match wanted {
                Some((at, rest)) if at == place => {
                    sequence.next_element_seed(Seek(rest))?.map(|value| found = value).is_some()
                }
                _ => sequence.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(found)
    }
}

/// A whole number: as an f64 where that is exact, so that 5 and 5.0 are equal.
fn whole(size: u64, negative: bool) -> Scalar {
    let sign = if negative { -1.0 } else { 1.0 };
    if size <= EXACT_MAX {
        Scalar::Number(size as f64 * sign)
    } else {
        Scalar::Large(format!("{}{size}", if negative { "-" } else { "" }))
    }
}
