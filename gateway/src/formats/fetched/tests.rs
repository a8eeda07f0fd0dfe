//! Records in, bytes of answers out.

use bytes::Bytes;
use serde_json::{Value, json};
use sluice_broker::door::Header;
use sluice_broker::ids::{Offset, TimestampMs};

use super::*;
use crate::media::JSON;

fn record(key: Option<&'static [u8]>, value: Option<&'static [u8]>) -> RecordView {
    RecordView {
        offset: Offset(7),
        timestamp: TimestampMs(5),
        client_timestamp: TimestampMs(5),
        key: key.map(Bytes::from_static),
        value: value.map(Bytes::from_static),
        headers: vec![
            Header { key: "h\"".into(), value: Some(Bytes::from_static(b"\x00\xff")) },
            Header { key: "n".into(), value: None },
        ],
    }
}

fn written(records: &[RecordView], format: Embedded) -> String {
    String::from_utf8(write("t", PartitionId(1), (records, &[]), FetchFormat::Records(format, JSON), 0)).expect("UTF-8")
}

fn parsed(record: RecordView, format: Embedded) -> Value {
    let all: Value = serde_json::from_str(&written(&[record], format)).expect("JSON");
    all[0].clone()
}

#[test]
fn a_record_has_everything_that_was_written() {
    let expect = json!({"topic": "t", "key": "k", "value": {"a": 1}, "partition": 1, "offset": 7, "timestamp": 5,
        "headers": [{"key": "h\"", "value": "AP8="}, {"key": "n", "value": null}]});
    assert_eq!(parsed(record(Some(b"\"k\""), Some(b"{\"a\":1}")), Embedded::Json), expect);
    assert_eq!(written(&[], Embedded::Json), "[]");
}

#[test]
fn json_values_go_out_with_the_bytes_they_came_with() {
    for text in ["1.0", "1e400", "12345678901234567890123", "{ \"b\": 1,  \"b\": [ ] }"] {
        let value: &'static [u8] = Box::leak(text.to_owned().into_boxed_str()).as_bytes();
        let body = written(&[record(None, Some(value))], Embedded::Json);
        assert!(body.contains(&format!("\"value\":{text},")), "{body}");
    }
}

#[test]
fn a_record_that_is_not_json_is_shown_in_base64_and_the_others_stand() {
    let records = [
        record(None, Some(b"1")),
        record(Some(b"plain"), Some(b"not json")),
        record(None, Some(b"\"\xff\"")),
        record(None, Some(b"")),
    ];
    let all: Value = serde_json::from_str(&written(&records, Embedded::Json)).expect("JSON");
    assert_eq!((&all[0]["value"], all[0].get("error")), (&json!(1), None));
    assert_eq!(
        (&all[1]["value"], &all[1]["value_base64"], &all[1]["error"]),
        (&Value::Null, &json!("bm90IGpzb24="), &json!("not JSON"))
    );
    assert_eq!((&all[1]["key"], &all[1]["key_base64"]), (&Value::Null, &json!("cGxhaW4=")));
    assert_eq!((&all[2]["value"], &all[2]["error"]), (&Value::Null, &json!("not JSON")));
    assert_eq!((&all[3]["value_base64"], &all[3]["error"]), (&json!(""), &json!("not JSON")));
}

#[test]
fn a_null_is_a_null_in_every_format() {
    for format in [Embedded::Json, Embedded::Binary, Embedded::Text] {
        let got = parsed(record(None, None), format);
        assert_eq!((&got["key"], &got["value"], got.get("error")), (&Value::Null, &Value::Null, None));
    }
}

#[test]
fn binary_is_base64_and_text_is_text_where_it_can_be() {
    let got = parsed(record(Some(b"k"), Some(b"\x00\xff")), Embedded::Binary);
    assert_eq!((&got["key"], &got["value"]), (&json!("aw=="), &json!("AP8=")));
    let got = parsed(record(Some(b"k"), Some("é\n".as_bytes())), Embedded::Text);
    assert_eq!((&got["key"], &got["value"]), (&json!("k"), &json!("é\n")));
    let got = parsed(record(None, Some(b"\xff")), Embedded::Text);
    assert_eq!(
        (&got["value"], &got["value_base64"], &got["error"]),
        (&Value::Null, &json!("/w=="), &json!("not UTF-8"))
    );
}

#[test]
fn lines_are_one_record_each_whatever_white_space_values_have() {
    let records = [record(None, Some(b"{\n\"a\":\r\n\"x\\ny\"}")), record(None, Some(b"2"))];
    let body = String::from_utf8(write("t", PartitionId(0), (&records, &[]), FetchFormat::Lines, 0)).expect("UTF-8");
    let lines: Vec<Value> = body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["value"], json!({"a": "x\ny"}));
    assert!(body.ends_with('\n'));
}

proptest::proptest! {
    /// Whatever was stored, the answer is JSON, and binary gives the bytes back.
    #[test]
    fn every_answer_is_json(key: Option<Vec<u8>>, value: Option<Vec<u8>>, name in "\\PC{0,10}") {
        let mut stored = record(None, None);
        stored.key = key.map(Bytes::from);
        stored.value = value.clone().map(Bytes::from);
        stored.headers[0].key = name;
        for format in [Embedded::Json, Embedded::Text, Embedded::Binary] {
            let _ = parsed(stored.clone(), format);
        }
        let got = parsed(stored, Embedded::Binary);
        let back = got["value"].as_str().map(|text| super::super::base64::decode(text.as_bytes()).expect("base64"));
        proptest::prop_assert_eq!(back, value);
    }
}

#[test]
fn what_cannot_be_read_stands_in_its_place_with_the_offset_behind_it() {
    let lost = |offset, next| Unreadable { offset: Offset(offset), next: Offset(next), reason: "too \"large\"".into() };
    let records = [record(None, Some(b"1"))];
    let body = |format| write("t", PartitionId(1), (&records, &[lost(3, 4), lost(8, 11)]), format, 0);
    let all: Value = serde_json::from_slice(&body(FetchFormat::Records(Embedded::Json, JSON))).expect("JSON");
    let expect = json!({"topic": "t", "key": null, "value": null, "partition": 1, "offset": 3, "next_offset": 4,
        "headers": [], "error": "too \"large\""});
    assert_eq!((&all[0], &all[1]["offset"], &all[2]["next_offset"]), (&expect, &json!(7), &json!(11)));
    let lines = String::from_utf8(body(FetchFormat::Lines)).expect("UTF-8");
    assert_eq!(lines.lines().count(), 3);
}

#[test]
fn the_size_is_known_before_the_answer_is_written() {
    let mut many = record(Some(b"\x01\x02\"key\\"), Some(b"\x00\x1f text \n"));
    many.headers = vec![Header { key: String::new(), value: None }; 1_000];
    let records = [many, record(None, Some(b"\xff\xfe")), record(Some(b"1"), None)];
    let told = [Unreadable { offset: Offset(3), next: Offset(4), reason: "\"why\"".into() }];
    for format in [
        FetchFormat::Lines,
        FetchFormat::Records(Embedded::Json, JSON),
        FetchFormat::Records(Embedded::Text, JSON),
        FetchFormat::Records(Embedded::Binary, JSON),
    ] {
        let entries = (&records[..], &told[..]);
        let size = size("t\"", entries, format);
        let body = write("t\"", PartitionId(1), entries, format, size);
        assert!(body.len() <= size && size < 2 * body.len(), "{} {size}", body.len());
    }
}
