//! Records as the answer to a fetch: v2 records with headers and timestamp, keys and values as JSON, base64 or text. A record
//! that does not fit the format does not block the others: it is written in base64, with the reason.

use serde::de::IgnoredAny;
use sluice_broker::door::reading::RecordView;
use sluice_broker::ids::PartitionId;

use super::base64::encode_into;
use crate::media::{Embedded, FetchFormat};

/// Bytes that the body of an answer has, about.
pub(crate) fn size(records: &[RecordView]) -> usize {
    records.iter().map(|r| 200 + len(&r.key) + len(&r.value)).sum::<usize>() + 2
}

/// Writes the answer's body.
pub(crate) fn write(topic: &str, partition: PartitionId, records: &[RecordView], format: FetchFormat) -> Vec<u8> {
    let mut out = Vec::with_capacity(size(records));
    let place = Place { topic: json_string(topic), partition };
    match format {
        FetchFormat::Records(embedded, _) => {
            out.push(b'[');
            for (at, record) in records.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_record(&mut out, &place, record, embedded);
            }
            out.push(b']');
        }
        FetchFormat::Lines => {
            for record in records {
                let start = out.len();
                write_record(&mut out, &place, record, Embedded::Json);
                // Inside of JSON a bare line break is insignificant white space: strings escape theirs.
                out[start..].iter_mut().filter(|c| matches!(c, b'\n' | b'\r')).for_each(|c| *c = b' ');
                out.push(b'\n');
            }
        }
    }
    out
}

struct Place {
    topic: String,
    partition: PartitionId,
}

fn write_record(out: &mut Vec<u8>, place: &Place, record: &RecordView, format: Embedded) {
    put(out, &format!("{{\"topic\":{},", place.topic));
    let _ = write_datum(out, "key", record.key.as_deref(), format);
    out.push(b',');
    let failed = write_datum(out, "value", record.value.as_deref(), format);
    put(
        out,
        &format!(
            ",\"partition\":{},\"offset\":{},\"timestamp\":{},\"headers\":[",
            place.partition, record.offset, record.timestamp
        ),
    );
    for (at, header) in record.headers.iter().enumerate() {
        put(out, if at > 0 { ",{\"key\":" } else { "{\"key\":" });
        put(out, &json_string(&header.key));
        put(out, ",\"value\":");
        match &header.value {
            None => put(out, "null"),
            Some(value) => put_base64(out, value),
        }
        out.push(b'}');
    }
    out.push(b']');
    if let Err(reason) = failed {
        put(out, &format!(",\"error\":\"{reason}\""));
    }
    out.push(b'}');
}

/// A key or value. One that does not fit the format is a null, with its bytes in base64 and the reason beside it.
fn write_datum(out: &mut Vec<u8>, name: &str, bytes: Option<&[u8]>, format: Embedded) -> Result<(), &'static str> {
    put(out, &format!("\"{name}\":"));
    let Some(bytes) = bytes else {
        put(out, "null");
        return Ok(());
    };
    let reason = match format {
        Embedded::Binary => {
            put_base64(out, bytes);
            return Ok(());
        }
        Embedded::Text => match std::str::from_utf8(bytes) {
            Ok(text) => {
                put(out, &json_string(text));
                return Ok(());
            }
            Err(_) => "not UTF-8",
        },
        Embedded::Json => match serde_json::from_slice::<IgnoredAny>(bytes) {
            // Checked for UTF-8 as well: IgnoredAny skips over the bytes of strings.
            Ok(_) if std::str::from_utf8(bytes).is_ok() => {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            _ => "not JSON",
        },
    };
    put(out, &format!("null,\"{name}_base64\":"));
    put_base64(out, bytes);
    Err(reason)
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn put_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    encode_into(bytes, out);
    out.push(b'"');
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn len(bytes: &Option<bytes::Bytes>) -> usize {
    bytes.as_ref().map_or(0, bytes::Bytes::len)
}

#[cfg(test)]
mod tests;
