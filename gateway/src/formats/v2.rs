//! Produce requests of the v2 dialect: `{"records":[{"key","value","partition","headers","timestamp"}]}`, with keys and values
//! as JSON, base64 or text. JSON values keep the client's bytes: they are slices of the body, no number is rewritten.

use std::borrow::Cow;
use std::marker::PhantomData;

use bytes::Bytes;
use http::StatusCode;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sluice_broker::door::{Header, Message};
use sluice_broker::ids::{PartitionId, TimestampMs};

use super::base64;
use crate::body::bad_json;
use crate::limits::{HEADERS_PER_RECORD_MAX, RECORDS_PER_REQUEST_MAX};
use crate::media::Embedded;
use crate::problem::Problem;

/// Unknown members are refused: a mistyped `value` would be a tombstone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    #[serde(borrow)]
    records: Bounded<Record<'a>, RECORDS_PER_REQUEST_MAX>,
    #[serde(borrow, default)]
    key_schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key_schema_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value_schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value_schema_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    partition: Option<i32>,
    #[serde(borrow, default)]
    headers: Option<Bounded<RecordHeader<'a>, HEADERS_PER_RECORD_MAX>>,
    #[serde(default)]
    timestamp: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordHeader<'a> {
    key: String,
    #[serde(borrow, default)]
    value: Option<Cow<'a, str>>,
}

/// The messages of a request, each with the partition it names.
///
/// # Errors
/// 400 for what is no JSON, 422 for JSON that is no request, or a key or value that is not of the format.
pub(crate) fn messages(body: &Bytes, format: Embedded) -> Result<Vec<(Option<PartitionId>, Message)>, Problem> {
    let request: Request<'_> = serde_json::from_slice(body).map_err(|error| bad_json(&error))?;
    let schemas = [request.key_schema, request.key_schema_id, request.value_schema, request.value_schema_id];
    if schemas.iter().any(Option::is_some) {
        return Err(payload("schemas mean nothing here: no schema registry is configured".to_owned()));
    }
    if request.records.0.is_empty() {
        return Err(payload("'records' is empty".to_owned()));
    }
    let read = |(at, record): (usize, Record<'_>)| message(body, at, record, format);
    request.records.0.into_iter().enumerate().map(read).collect()
}

fn message(
    body: &Bytes,
    at: usize,
    record: Record<'_>,
    format: Embedded,
) -> Result<(Option<PartitionId>, Message), Problem> {
    let datum = |name: &str, raw: Option<&RawValue>| raw.map(|raw| embedded(body, at, name, raw, format)).transpose();
    if record.partition.is_some_and(|partition| partition < 0) {
        return Err(payload(format!("records[{at}].partition is negative")));
    }
    if record.timestamp.is_some_and(|timestamp| timestamp < 0) {
        return Err(payload(format!("records[{at}].timestamp is negative")));
    }
    let headers = record.headers.map_or_else(Vec::new, |headers| headers.0).into_iter().map(|header| {
        let value = header.value.map(|text| {
            let bytes = base64::decode(text.as_bytes());
            bytes
                .ok_or_else(|| conversion(format!("records[{at}]: the value of header '{}' is not base64", header.key)))
        });
        Ok(Header { value: value.transpose()?.map(Bytes::from), key: header.key })
    });
    let message = Message {
        key: datum("key", record.key)?,
        value: datum("value", record.value)?,
        headers: headers.collect::<Result<_, Problem>>()?,
        timestamp: record.timestamp.map(TimestampMs),
    };
    Ok((record.partition.map(PartitionId), message))
}

/// A key or value as the bytes that are stored.
fn embedded(body: &Bytes, at: usize, name: &str, raw: &RawValue, format: Embedded) -> Result<Bytes, Problem> {
    let text = || -> Result<Cow<'_, str>, Problem> {
        if let Ok(Text(text)) = serde_json::from_str::<Text<'_>>(raw.get()) {
            return Ok(text);
        }
        let kind = if format == Embedded::Binary { "base64" } else { "text" };
        Err(conversion(format!("records[{at}].{name} is not a string: the {kind} format takes strings and null")))
    };
    match format {
        Embedded::Json => Ok(body.slice_ref(raw.get().as_bytes())),
        Embedded::Text => Ok(Bytes::from(text()?.into_owned())),
        Embedded::Binary => base64::decode(text()?.as_bytes())
            .map(Bytes::from)
            .ok_or_else(|| conversion(format!("records[{at}].{name} is not base64"))),
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn payload(detail: String) -> Problem {
    Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, 42206, detail)
}

fn conversion(detail: String) -> Problem {
    Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, 42203, detail)
}

/// A list that stops at its bound while it is parsed: a record of two bytes of text, `{}`, takes a hundred bytes of memory.
pub(crate) struct Bounded<T, const MAX: usize>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor(PhantomData))
    }
}

struct BoundedVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for BoundedVisitor<T, MAX> {
    type Value = Bounded<T, MAX>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a list of at most {MAX}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut out = Vec::new();
        while let Some(one) = seq.next_element()? {
            if out.len() == MAX {
                return Err(serde::de::Error::custom(format_args!("a list has more than {MAX} entries")));
            }
            out.push(one);
        }
        Ok(Bounded(out))
    }
}

#[cfg(test)]
mod tests;
