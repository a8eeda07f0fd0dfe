//! Raw produce: the body, byte for byte, is the value; key, headers and time stand in the query or in request headers.

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sluice_broker::door::{Header, Message};

use super::base64;
use crate::problem::Problem;
use crate::query::Query;

/// Parameters of the query that are read here.
pub(crate) const PARAMETERS: [&str; 5] = ["key", "key.base64", "timestamp", "tombstone", "raw"];
/// The family of parameters for record headers; `header.base64.NAME` belongs to it.
pub(crate) const HEADER_FAMILY: &str = "header.";

const HEADER_BASE64: &str = "header.base64.";
const KEY_HEADER: &str = "kafka-key";
const RECORD_HEADER: &str = "kafka-header-";
const CLOUD_EVENT: &str = "ce-";
/// The members of a v2 produce request, with those that name schemas.
const V2_MEMBERS: [&str; 5] = ["records", "key_schema", "key_schema_id", "value_schema", "value_schema_id"];

/// The one record of a raw request. `json`: the request says that its body is JSON.
pub(crate) fn message(query: &Query, headers: &HeaderMap, body: Bytes, json: bool) -> Result<Message, Problem> {
    if json && !query.flag("raw")? && is_v2_request(&body) {
        return Err(Problem::media(
            "this looks like a v2 produce request: send it as application/vnd.kafka.json.v2+json, \
             or with ?raw=true to store the document itself",
        ));
    }
    let tombstone = query.flag("tombstone")?;
    if tombstone && !body.is_empty() {
        return Err(Problem::request("a tombstone has no value: send no body with tombstone=true"));
    }
    Ok(Message {
        key: key(query, headers)?,
        value: (!tombstone).then_some(body),
        headers: record_headers(query, headers)?,
        timestamp: query.time("timestamp")?,
    })
}

fn key(query: &Query, headers: &HeaderMap) -> Result<Option<Bytes>, Problem> {
    let plain = query.bytes("key")?.map(Bytes::copy_from_slice);
    let encoded = query.bytes("key.base64")?.map(|text| from_query("key.base64", text)).transpose()?;
    let mut given = headers.get_all(KEY_HEADER).iter();
    let header = given.next().map(|value| Bytes::copy_from_slice(value.as_bytes()));
    let mut keys = [plain, encoded, header].into_iter().flatten();
    let key = keys.next();
    if keys.next().is_some() || given.next().is_some() {
        return Err(Problem::request("a record has one key: give one of key=, key.base64= and the Kafka-Key header"));
    }
    Ok(key)
}

/// In the order of the query, then of the request headers.
fn record_headers(query: &Query, headers: &HeaderMap) -> Result<Vec<Header>, Problem> {
    let mut out = Vec::new();
    for (name, value) in query.pairs() {
        let (key, value) = if let Some(key) = name.strip_prefix(HEADER_BASE64) {
            (key, from_query(name, value)?)
        } else if let Some(key) = name.strip_prefix(HEADER_FAMILY) {
            (key, Bytes::copy_from_slice(value))
        } else {
            continue;
        };
        if key.is_empty() {
            return Err(Problem::request(format!("'{name}' names no record header")));
        }
        out.push(Header { key: key.to_owned(), value: Some(value) });
    }
    let mut event = false;
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(RECORD_HEADER).filter(|key| !key.is_empty()) {
            out.push(Header { key: key.to_owned(), value: Some(Bytes::copy_from_slice(value.as_bytes())) });
        } else if let Some(attribute) = name.as_str().strip_prefix(CLOUD_EVENT).filter(|key| !key.is_empty()) {
            event = true;
            // In HTTP attribute values are percent-encoded, in Kafka they are plain UTF-8 (CloudEvents bindings §3.1.3).
            let value: Vec<u8> = percent_decode(value.as_bytes()).collect();
            out.push(Header { key: format!("ce_{attribute}"), value: Some(value.into()) });
        }
    }
    // The event's datacontenttype has no ce- header in either binding: it is the content type of both.
    if let Some(kind) = headers.get(CONTENT_TYPE).filter(|_| event) {
        let value = Some(Bytes::copy_from_slice(kind.as_bytes()));
        out.push(Header { key: "content-type".to_owned(), value });
    }
    Ok(out)
}

fn from_query(name: &str, text: &[u8]) -> Result<Bytes, Problem> {
    // A '+' that was not escaped has become a space.
    let text: Vec<u8> = text.iter().map(|c| if *c == b' ' { b'+' } else { *c }).collect();
    let bytes = base64::decode(&text).ok_or_else(|| Problem::request(format!("'{name}' is not base64")))?;
    Ok(bytes.into())
}

/// Whether a JSON document is an object with `records` and nothing but members of v2: posted with the wrong content type.
fn is_v2_request(body: &[u8]) -> bool {
    serde_json::from_slice::<OnlyV2>(body).is_ok_and(|found| found.records)
}

struct OnlyV2 {
    records: bool,
}

impl<'de> Deserialize<'de> for OnlyV2 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OnlyV2, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = OnlyV2;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with members of a v2 produce request only")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OnlyV2, A::Error> {
        let mut records = false;
        while let Some(name) = map.next_key::<String>()? {
            if !V2_MEMBERS.contains(&name.as_str()) {
                return Err(serde::de::Error::custom("another document"));
            }
            records |= name == "records";
            map.next_value::<IgnoredAny>()?;
        }
        Ok(OnlyV2 { records })
    }
}

#[cfg(test)]
mod tests;
