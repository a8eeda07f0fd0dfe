//! Records read back over HTTP: positions, limits, long poll, ranges.

use serde_json::{Value, json};
use sluice_gateway::GatewayConfig;

use crate::broker::Broker;
use crate::client::Ask;

/// Ten records, `"0"` to `"9"`, written one by one at the times 1000, 2000, …
async fn ten(broker: &Broker) {
    for n in 0..10 {
        broker.post(&format!("/topics/t?timestamp={}", 1000 * (n + 1)), n.to_string()).await.expect(200);
    }
}

fn offsets(records: &Value) -> Vec<i64> {
    records.as_array().expect("records").iter().filter_map(|one| one["offset"].as_i64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_and_limits_say_which_records_come() {
    let broker = Broker::start().await;
    ten(&broker).await;
    let all: Vec<i64> = (0..10).collect();
    let cases: [(&str, &[i64], &str); 9] = [
        ("", &all, "10"),
        ("offset=earliest", &all, "10"),
        ("offset=7", &[7, 8, 9], "10"),
        ("offset=3&count=2", &[3, 4], "5"),
        ("offset=10", &[], "10"),
        ("offset=latest", &[], "10"),
        ("offset=time:8000", &[7, 8, 9], "10"),
        ("offset=time:1970-01-01T00:00:08.5Z", &[8, 9], "10"),
        ("offset=4&max_bytes=1", &[4], "5"),
    ];
    for (query, expect, next) in cases {
        let answer = broker.get(&format!("/topics/t/partitions/0/records?{query}")).await;
        assert_eq!(offsets(&answer.expect(200)), expect, "{query}");
        assert_eq!(answer.header("sluice-next-offset"), Some(next), "{query}");
        assert_eq!(answer.header("sluice-end-offset"), Some("10"), "{query}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_range_is_416_with_both_ends_unless_clamped() {
    let broker = Broker::start().await;
    ten(&broker).await;
    let problem = broker.get("/topics/t/partitions/0/records?offset=11").await.expect(416);
    assert_eq!((&problem["beginning_offset"], &problem["end_offset"]), (&json!(0), &json!(10)));
    let clamped = broker.get("/topics/t/partitions/0/records?offset=11&clamp=true").await;
    assert_eq!((clamped.expect(200), clamped.header("sluice-next-offset")), (json!([]), Some("10")));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_is_answered_by_the_next_record() {
    let broker = Broker::start().await;
    broker.topic("t", 1).await;
    let poll = tokio::spawn({
        let address = broker.address.clone();
        async move {
            let ask = Ask::new("GET", "/topics/t/partitions/0/records?offset=0&timeout=30000");
            ask.send(&address).await
        }
    });
    broker.post("/topics/t", "1").await.expect(200);
    assert_eq!(offsets(&poll.await.expect("the poll ends").expect(200)), [0]);
    let empty = broker.get("/topics/t/partitions/0/records?offset=1&timeout=20").await;
    assert_eq!(empty.expect(200), json!([]));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_long_polls_at_once() {
    let broker = Broker::start().await;
    broker.topic("t", 1).await;
    let poll = tokio::spawn({
        let address = broker.address.clone();
        async move { Ask::new("GET", "/topics/t/partitions/0/records?timeout=60000").send(&address).await }
    });
    // The poll is under way, or will find the broker stopping: 503 either way, or the connection was not taken any more.
    broker.begin_stop();
    if let Ok(answer) = poll.await {
        assert_eq!(answer.expect(503)["error_code"], 50003);
        assert!(answer.header("retry-after").is_some());
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_range_has_an_entity_tag_and_is_not_sent_twice() {
    let broker = Broker::start().await;
    ten(&broker).await;
    let target = "/topics/t/partitions/0/records?offset=2&count=3";
    let first = broker.get(target).await;
    let tag = first.header("etag").expect("a full range has one").to_owned();
    let again = Ask::new("GET", target).header("If-None-Match", &tag).send(&broker.address).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag.as_str())));
    let other = Ask::new("GET", target)
        .header("If-None-Match", &tag)
        .header("Accept", "application/vnd.kafka.binary.v2+json")
        .send(&broker.address)
        .await;
    assert_eq!(other.status, 200, "another format is another entity");
    let open = broker.get("/topics/t/partitions/0/records?offset=2").await;
    assert_eq!((open.header("etag"), open.header("cache-control")), (None, Some("no-store")));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_and_unknown_formats() {
    let broker = Broker::start().await;
    ten(&broker).await;
    let ask = |accept: &str| Ask::new("GET", "/topics/t/partitions/0/records?count=2").header("Accept", accept);
    let lines = ask("application/x-ndjson").send(&broker.address).await;
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    let values: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((values.len(), &values[1]["value"]), (2, &json!(1)));
    assert_eq!(ask("image/png").send(&broker.address).await.expect(406)["error_code"], 40601);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ends_of_a_partition_and_the_offset_for_a_time() {
    let broker = Broker::start().await;
    ten(&broker).await;
    let ends = broker.get("/topics/t/partitions/0/offsets").await.expect(200);
    assert_eq!(ends, json!({"beginning_offset": 0, "end_offset": 10, "last_stable_offset": 10}));
    let at = broker.get("/topics/t/partitions/0/offsets?timestamp=4500").await.expect(200);
    assert_eq!(at["offset_for_timestamp"], 4);
    let late = broker.get("/topics/t/partitions/0/offsets?timestamp=99000").await.expect(200);
    assert_eq!(late.get("offset_for_timestamp"), Some(&Value::Null));
    for target in ["/topics/t/partitions/3/offsets", "/topics/t/partitions/3/records"] {
        assert_eq!(broker.get(target).await.expect(404)["error_code"], 40402, "{target}");
    }
    assert_eq!(broker.get("/topics/none/partitions/0/records").await.expect(404)["error_code"], 40401);
    broker.get("/topics/t/partitions/x/records").await.expect(400);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_stands_in_its_place_and_the_next_offset_is_behind_it() {
    let large = |config: &mut GatewayConfig| {
        (config.record_bytes_max, config.request_bytes_max) = (16 << 20, 17 << 20);
    };
    // With its fields it is a little more than may be read at once.
    let broker = Broker::start_with(large, |_| {}).await;
    broker.post("/topics/t?compression=zstd", vec![b'0'; 16 << 20]).await.expect(200);
    broker.post("/topics/t", "1").await.expect(200);
    let answer = broker.get("/topics/t/partitions/0/records").await;
    let records = answer.expect(200);
    assert_eq!(offsets(&records), [0, 1]);
    assert_eq!((&records[0]["value"], &records[0]["next_offset"]), (&Value::Null, &json!(1)));
    assert!(records[0]["error"].as_str().is_some_and(|why| why.contains("when opened")), "{}", records[0]);
    assert_eq!((&records[1]["value"], answer.header("sluice-next-offset")), (&json!(1), Some("2")));
    broker.stop().await;
}
