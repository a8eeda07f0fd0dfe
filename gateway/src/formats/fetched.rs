//! Records as the answer to a fetch: v2 records with headers and timestamp, keys and values as JSON, base64 or text. A record
//! that does not fit the format does not block the others: it is written in base64, with the reason. What cannot be read at all
//! has its place too, with the reason and the offset behind it.

use serde::de::IgnoredAny;
use sluice_broker::door::messages::Header;
use sluice_broker::door::reading::{RecordView, Unreadable};
use sluice_broker::ids::PartitionId;

use super::base64::encode_into;
use crate::media::{Embedded, FetchFormat};

/// Bytes that the body of an answer has, or a few more. Empty headers have some too.
pub(crate) fn size(topic: &str, (records, unreadable): (&[RecordView], &[Unreadable]), format: FetchFormat) -> usize {
    let text = matches!(format, FetchFormat::Records(Embedded::Text, _));
    let datum = |bytes: &Option<bytes::Bytes>| {
        let base64 = len(bytes).div_ceil(3) * 4;
        if text { bytes.as_ref().map_or(0, |bytes| escaped(bytes)).max(base64) } else { base64.max(len(bytes)) }
    };
    let header = |header: &Header| 32 + escaped(header.key.as_bytes()) + len(&header.value).div_ceil(3) * 4;
    let place = 220 + escaped(topic.as_bytes());
    let record = |r: &RecordView| place + datum(&r.key) + datum(&r.value) + r.headers.iter().map(header).sum::<usize>();
    let told = unreadable.iter().map(|told| place + escaped(told.reason.as_bytes()));
    records.iter().map(record).chain(told).sum::<usize>() + 2
}

/// Bytes of a text as a JSON string.
fn escaped(bytes: &[u8]) -> usize {
    let one = |byte: &u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    bytes.iter().map(one).sum::<usize>() + 2
}

/// Writes the answer's body, whose size `size` has said.
pub(crate) fn write(
    topic: &str,
    partition: PartitionId,
    (records, unreadable): (&[RecordView], &[Unreadable]),
    format: FetchFormat,
    size: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(size);
    let place = Place { topic: json_string(topic), partition };
    let (embedded, lines) = match format {
        FetchFormat::Records(embedded, _) => (embedded, false),
        FetchFormat::Lines => (Embedded::Json, true),
    };
    if !lines {
        out.push(b'[');
    }
    for (at, entry) in merged(records, unreadable).enumerate() {
        if at > 0 && !lines {
            out.push(b',');
        }
        let start = out.len();
        match entry {
            Ok(record) => write_record(&mut out, &place, record, embedded),
            Err(unreadable) => write_unreadable(&mut out, &place, unreadable),
        }
        if lines {
            // Inside of JSON a bare line break is insignificant white space: strings escape theirs.
            out[start..].iter_mut().filter(|c| matches!(c, b'\n' | b'\r')).for_each(|c| *c = b' ');
            out.push(b'\n');
        }
    }
    if !lines {
        out.push(b']');
    }
    out
}

/// Both in the order of their offsets.
fn merged<'a>(
    records: &'a [RecordView],
    unreadable: &'a [Unreadable],
) -> impl Iterator<Item = Result<&'a RecordView, &'a Unreadable>> {
    let (mut records, mut unreadable) = (records.iter().peekable(), unreadable.iter().peekable());
    std::iter::from_fn(move || match (records.peek(), unreadable.peek()) {
        (Some(record), Some(other)) if other.offset < record.offset => unreadable.next().map(Err),
        (Some(_), _) => records.next().map(Ok),
        (None, _) => unreadable.next().map(Err),
    })
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

fn write_unreadable(out: &mut Vec<u8>, place: &Place, unreadable: &Unreadable) {
    put(
        out,
        &format!(
            "{{\"topic\":{},\"key\":null,\"value\":null,\"partition\":{},\"offset\":{},\"next_offset\":{},\"headers\":[],\"error\":{}}}",
            place.topic,
            place.partition,
            unreadable.offset,
            unreadable.next,
            json_string(&unreadable.reason)
        ),
    );
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
