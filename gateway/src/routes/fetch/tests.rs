//! What a fetch's query asks for, and which answers may be kept.

use bytes::Bytes;
use sluice_broker::door::reading::{PartitionOffsets, RecordView};
use sluice_broker::ids::TimestampMs;

use super::*;
use crate::media::JSON;

fn parsed(query: &str) -> Result<Fetch, u16> {
    let query = Query::parse(query).expect("a query");
    Fetch::parse("t".into(), PartitionId(0), &query).map_err(|problem| problem.status.as_u16())
}

#[test]
fn positions_are_offsets_names_or_times() {
    let cases = [
        ("", Ok(ReadFrom::Earliest)),
        ("offset=earliest", Ok(ReadFrom::Earliest)),
        ("offset=latest", Ok(ReadFrom::Latest)),
        ("offset=17", Ok(ReadFrom::At(Offset(17)))),
        ("offset=time:1700000000000", Ok(ReadFrom::Time(TimestampMs(1_700_000_000_000)))),
        ("offset=time:2023-11-14T22:13:20Z", Ok(ReadFrom::Time(TimestampMs(1_700_000_000_000)))),
        ("offset=-1", Err(400)),
        ("offset=end", Err(400)),
        ("offset=time:now", Err(400)),
    ];
    for (query, expect) in cases {
        assert_eq!(parsed(query).map(|fetch| fetch.from), expect, "{query}");
    }
}

#[test]
fn limits_have_defaults_and_caps() {
    let of = |query| parsed(query).map(|fetch| (fetch.records_max, fetch.bytes_max, fetch.timeout.as_millis()));
    assert_eq!(of(""), Ok((500, 1 << 20, 0)));
    assert_eq!(of("count=3&max_bytes=10&timeout=1500"), Ok((3, 10, 1500)));
    assert_eq!(of("count=99999&max_bytes=999999999&timeout=999999"), Ok((10_000, 8 << 20, 60_000)));
    assert_eq!(of("count=0"), Err(400));
    assert_eq!(of("timeout=-1"), Err(400));
}

#[test]
fn clamp_goes_to_the_nearest_offset() {
    let of =
        |asked| nearest(&DoorError::OffsetOutOfRange { asked: Offset(asked), beginning: Offset(10), end: Offset(20) });
    assert_eq!((of(3), of(99)), (Some(Offset(10)), Some(Offset(20))));
    assert_eq!(nearest(&DoorError::Stopping), None);
}

fn tag(from: ReadFrom, count: usize, records: i64, end: i64) -> Option<String> {
    let record = |offset| RecordView {
        offset: Offset(offset),
        timestamp: TimestampMs(1),
        client_timestamp: TimestampMs(1),
        key: None,
        value: Some(Bytes::new()),
        headers: Vec::new(),
    };
    let mut fetch = parsed("").expect("a fetch");
    (fetch.from, fetch.records_max) = (from, count);
    let end = Offset(end);
    let offsets = PartitionOffsets { beginning: Offset(0), end, last_stable: end };
    let records: Vec<_> = (5..5 + records).map(record).collect();
    let next = Offset(5 + records.len() as i64);
    let answer = PartitionRead { records, unreadable: Vec::new(), next, offsets, held: None };
    entity_tag(&fetch, &answer, JSON)
}

#[test]
fn only_a_full_range_from_an_offset_has_an_entity_tag() {
    let at = ReadFrom::At(Offset(5));
    assert!(tag(at, 3, 3, 8).is_some(), "count reached at the end of the log");
    assert!(tag(at, 9, 3, 9).is_some(), "ended by max_bytes");
    assert_eq!(tag(at, 9, 3, 8), None, "more may come");
    assert_eq!(tag(at, 9, 0, 5), None, "empty");
    assert_eq!(tag(ReadFrom::Earliest, 3, 3, 8), None, "the beginning moves");
    assert_ne!(tag(at, 3, 3, 8), tag(at, 2, 2, 8));
}

#[test]
fn if_none_match_is_a_list() {
    let given = |text: &str| names(&HeaderValue::try_from(text).expect("a value"), "\"a\"");
    assert!(given("\"a\"") && given("W/\"a\"") && given("\"b\", \"a\"") && given("*"));
    assert!(!given("\"b\"") && !given("a"));
}
