//! v2 requests in, messages out.

use super::*;

fn read(body: &str, format: Embedded) -> Result<Vec<(Option<PartitionId>, Message)>, Problem> {
    messages(&Bytes::copy_from_slice(body.as_bytes()), format)
}

/// The only record's key and value.
fn one(record: &str, format: Embedded) -> Result<(Option<Bytes>, Option<Bytes>), (u16, u32)> {
    let read = read(&format!(r#"{{"records":[{record}]}}"#), format);
    read.map(|mut all| all.remove(0).1).map(|m| (m.key, m.value)).map_err(|p| (p.status.as_u16(), p.code))
}

#[test]
fn json_values_keep_the_clients_bytes() {
    for text in
        ["1.0", "1e400", "12345678901234567890123", "\"a\\u00e9\"", "{ \"b\": 1,  \"a\": [ ] }", "false", "0.10"]
    {
        let got = one(&format!(r#"{{"key": {text} , "value":{text}}}"#), Embedded::Json).expect("a record");
        assert_eq!(got, (Some(text.to_owned().into()), Some(text.to_owned().into())));
    }
}

#[test]
fn a_missing_and_a_null_value_are_tombstones() {
    for format in [Embedded::Json, Embedded::Binary, Embedded::Text] {
        assert_eq!(one("{}", format), Ok((None, None)));
        assert_eq!(one(r#"{"key":null,"value":null}"#, format), Ok((None, None)));
    }
}

#[test]
fn binary_and_text_are_taken_out_of_their_strings() {
    let binary = one(r#"{"key":"AP8=","value":"AP8"}"#, Embedded::Binary);
    assert_eq!(binary, Ok((Some(Bytes::from_static(b"\x00\xff")), Some(Bytes::from_static(b"\x00\xff")))));
    let text = one(r#"{"key":"","value":"a\n\u00e9"}"#, Embedded::Text);
    assert_eq!(text, Ok((Some(Bytes::new()), Some("a\né".into()))));
    for (record, format) in [
        (r#"{"value":"!"}"#, Embedded::Binary),
        (r#"{"value":1}"#, Embedded::Binary),
        (r#"{"key":{}}"#, Embedded::Text),
        (r#"{"headers":[{"key":"h","value":"!"}]}"#, Embedded::Json),
    ] {
        assert_eq!(one(record, format), Err((422, 42203)), "{record}");
    }
}

#[test]
fn partition_headers_and_timestamp_are_read() {
    let body = r#"{"records":[{"value":1,"partition":2,"timestamp":5,
        "headers":[{"key":"h","value":"AP8="},{"key":"h","value":null},{"key":"i"}]},{"value":2}]}"#;
    let got = read(body, Embedded::Json).expect("two records");
    let header =
        |key: &str, value: Option<&'static [u8]>| Header { key: key.into(), value: value.map(Bytes::from_static) };
    assert_eq!(got[0].0, Some(PartitionId(2)));
    assert_eq!(got[0].1.timestamp, Some(TimestampMs(5)));
    assert_eq!(got[0].1.headers, [header("h", Some(b"\x00\xff")), header("h", None), header("i", None)]);
    assert_eq!((got[1].0, got[1].1.timestamp, got[1].1.headers.len()), (None, None, 0));
}

#[test]
fn what_is_no_request_is_refused_as_a_whole() {
    let cases = [
        ("", 400, 40002),
        ("{\"records\":[", 400, 40002),
        ("nonsense", 400, 40002),
        ("{}", 422, 42206),
        ("[]", 422, 42206),
        (r#"{"records":[]}"#, 422, 42206),
        (r#"{"records":{}}"#, 422, 42206),
        (r#"{"records":[{"vlaue":1}]}"#, 422, 42206),
        (r#"{"records":[{"value":1,"value":2}]}"#, 422, 42206),
        (r#"{"records":[{"value":1}],"other":1}"#, 422, 42206),
        (r#"{"records":[{"value":1}],"value_schema_id":3}"#, 422, 42206),
        (r#"{"records":[{"value":1,"partition":-1}]}"#, 422, 42206),
        (r#"{"records":[{"value":1,"partition":"0"}]}"#, 422, 42206),
        (r#"{"records":[{"value":1,"timestamp":-1}]}"#, 422, 42206),
        (r#"{"records":[{"value":1}]} x"#, 400, 40002),
    ];
    for (body, status, code) in cases {
        let problem = read(body, Embedded::Json).expect_err(body);
        assert_eq!((problem.status.as_u16(), problem.code), (status, code), "{body}: {}", problem.detail);
    }
    assert!(read(r#"{"records":[{"value":1}],"value_schema_id":null}"#, Embedded::Json).is_ok());
}

#[test]
fn lists_stop_at_their_bound() {
    let records = vec!["{}"; RECORDS_PER_REQUEST_MAX + 1].join(",");
    let problem = read(&format!(r#"{{"records":[{records}]}}"#), Embedded::Json).expect_err("too many");
    assert!(problem.detail.contains("100000"), "{}", problem.detail);
}

proptest::proptest! {
    /// Whatever comes from outside is answered, never a panic.
    #[test]
    fn no_body_breaks_the_reader(body: Vec<u8>, text in "[\\{\\}\\[\\]\",:a-z0-9\\\\ ]{0,60}") {
        for format in [Embedded::Json, Embedded::Binary, Embedded::Text] {
            let _ = messages(&Bytes::from(body.clone()), format);
            let _ = read(&text, format);
            let _ = read(&format!(r#"{{"records":[{text}]}}"#), format);
        }
    }
}
