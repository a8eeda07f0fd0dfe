//! What a raw request says, as a record.

use super::*;

fn read(query: &str, headers: &[(&str, &str)], body: &'static [u8], json: bool) -> Result<Message, Problem> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("a header name");
        map.append(name, http::HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
    }
    message(&Query::parse(query).expect("a query"), &map, Bytes::from_static(body), json)
}

fn header(key: &str, value: &[u8]) -> Header {
    Header { key: key.to_owned(), value: Some(Bytes::copy_from_slice(value)) }
}

#[test]
fn the_body_is_the_value_byte_for_byte() {
    let plain = read("", &[], b"\x00\xff raw\n", false).expect("a record");
    assert_eq!(plain, Message { value: Some(Bytes::from_static(b"\x00\xff raw\n")), ..Message::default() });
    let empty = read("", &[], b"", false).expect("a record");
    assert_eq!(empty.value, Some(Bytes::new()), "an empty body is an empty value");
    assert_eq!(read("tombstone=true&key=k", &[], b"", false).expect("a record").value, None);
    assert!(read("tombstone=true", &[], b"x", false).is_err(), "a tombstone with a value");
}

#[test]
fn the_key_stands_in_one_of_three_places() {
    type Case = (&'static str, &'static [(&'static str, &'static str)], Option<&'static [u8]>);
    let cases: [Case; 6] = [
        ("key=a+b%00%ff", &[], Some(b"a b\x00\xff")),
        ("key=", &[], Some(b"")),
        ("key.base64=_-8", &[], Some(b"\xff\xef")),
        ("key.base64=/+8=", &[], Some(b"\xff\xef")),
        ("", &[("kafka-key", "alice")], Some(b"alice")),
        ("", &[], None),
    ];
    for (query, headers, expect) in cases {
        let got = read(query, headers, b"v", false).expect("a record").key;
        assert_eq!(got.as_deref(), expect, "{query} {headers:?}");
    }
    for (query, headers) in [
        ("key=a&key.base64=YQ", &[][..]),
        ("key=a", &[("kafka-key", "a")]),
        ("", &[("kafka-key", "a"), ("kafka-key", "b")]),
        ("key=a&key=b", &[]),
        ("key.base64=!", &[]),
    ] {
        assert_eq!(read(query, headers, b"v", false).expect_err("two keys").status.as_u16(), 400, "{query}");
    }
}

#[test]
fn record_headers_keep_their_order_and_repetitions() {
    let query = "header.b=1&header.a=x+y&header.base64.bin=AP8&header.b=2";
    let headers = [("kafka-header-trace", "t1"), ("kafka-header-trace", "t2"), ("kafka-header-", "nameless")];
    let got = read(query, &headers, b"v", false).expect("a record").headers;
    let expect = [
        header("b", b"1"),
        header("a", b"x y"),
        header("bin", b"\x00\xff"),
        header("b", b"2"),
        header("trace", b"t1"),
        header("trace", b"t2"),
    ];
    assert_eq!(got, expect);
    assert!(read("header.=x", &[], b"v", false).is_err());
    assert!(read("header.base64.x=%21", &[], b"v", false).is_err());
}

#[test]
fn a_cloud_event_in_binary_mode_becomes_one_in_kafka() {
    let headers = [("ce-id", "1"), ("ce-source", "/caf%C3%A9"), ("content-type", "application/json"), ("cellar", "no")];
    let got = read("", &headers, b"{}", true).expect("a record").headers;
    let expect =
        [header("ce_id", b"1"), header("ce_source", "/café".as_bytes()), header("content-type", b"application/json")];
    assert_eq!(got, expect);
    assert_eq!(read("", &[("content-type", "text/plain")], b"v", false).expect("a record").headers, []);
}

#[test]
fn the_timestamp_is_checked() {
    use sluice_broker::ids::TimestampMs;
    let of =
        |query: &str| read(query, &[], b"v", false).map(|message| message.timestamp).map_err(|p| p.status.as_u16());
    assert_eq!(of("timestamp=1700000000000"), Ok(Some(TimestampMs(1_700_000_000_000))));
    assert_eq!(of("timestamp=2023-11-14T22:13:20Z"), Ok(Some(TimestampMs(1_700_000_000_000))));
    assert_eq!(of(""), Ok(None));
    assert_eq!(of("timestamp=-1"), Err(400));
    assert_eq!(of("timestamp=soon"), Err(400));
}

#[test]
fn a_v2_request_with_the_wrong_content_type_is_not_stored_as_a_value() {
    let refused: [&[u8]; 4] = [
        br#"{"records":[{"value":1}]}"#,
        br#" {"key_schema_id": null, "records": []} "#,
        br#"{"records":7}"#,
        br#"{"\u0072ecords":[]}"#,
    ];
    for body in refused {
        assert_eq!(read("", &[], body, true).expect_err("refused").status.as_u16(), 415, "{body:?}");
        assert!(read("raw=true", &[], body, true).is_ok(), "raw=true means it");
        assert!(read("", &[], body, false).is_ok(), "text/plain means it");
    }
    let stored: [&[u8]; 6] =
        [br#"{"records":[],"other":1}"#, b"{}", br#"{"key_schema":1}"#, b"[1]", br#"{"records":[}"#, b"not json"];
    for body in stored {
        assert_eq!(read("", &[], body, true).expect("stored").value, Some(Bytes::from_static(body)));
    }
}
