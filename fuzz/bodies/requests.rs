//! A frame on the Kafka port up to the handler: header, bounds, decoding. Memory is what a hostile count would take:
//! libFuzzer's own limit watches it.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::RequestKind;

#[path = "../../broker/src/kafka/bounds.rs"]
mod bounds;
#[path = "../../broker/src/kafka/header.rs"]
mod header;
#[path = "../../broker/src/kafka/wire_layout.rs"]
mod wire_layout;
#[path = "../../broker/src/kafka/versions.rs"]
mod versions;

/// A frame as it is; and one whose API and version are offered, with the bytes as its body.
pub fn run(bytes: &[u8]) {
    decode(Bytes::copy_from_slice(bytes));
    let Some(([api, version], body)) = bytes.split_first_chunk::<2>() else { return };
    let row = &versions::ROWS[usize::from(*api) % versions::ROWS.len()];
    let version = row.min + i16::from(*version) % (row.max - row.min + 1);
    let mut frame = BytesMut::new();
    frame.put_i16(row.key as i16);
    frame.put_i16(version);
    frame.put_i32(7);
    frame.put_i16(-1);
    if versions::flexible(row.key, version) {
        frame.put_u8(0);
    }
    frame.extend_from_slice(body);
    decode(frame.freeze());
}

fn decode(frame: Bytes) {
    let Ok(request) = header::parse(frame) else { return };
    if bounds::check(request.key, request.version, &request.body).is_err() {
        return;
    }
    let offered = versions::of(request.key).is_some_and(|row| (row.min..=row.max).contains(&request.version));
    if offered {
        drop(RequestKind::decode(request.key, &mut request.body.clone(), request.version));
    }
}
