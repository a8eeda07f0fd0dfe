//! What is posted stands in the log as it was meant, or the answer says why not.

use serde_json::{Value, json};

use crate::broker::Broker;
use crate::client::Ask;

const V2_JSON: &str = "application/vnd.kafka.json.v2+json";

async fn records(broker: &Broker, topic: &str, accept: &str) -> Value {
    let ask = Ask::new("GET", &format!("/topics/{topic}/partitions/0/records")).header("Accept", accept);
    ask.send(&broker.address).await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_curl_line_makes_the_topic_and_writes_one_record() {
    let broker = Broker::start().await;
    let answer = broker.post("/topics/hello", "{\"hello\": \"world\"}").await;
    let expect = json!({"offsets": [{"partition": 0, "offset": 0}], "key_schema_id": null, "value_schema_id": null});
    assert_eq!(answer.expect(200), expect);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(broker.post("/topics/hello", "").await.expect(200)["offsets"][0]["offset"], 1);
    let got = records(&broker, "hello", "*/*").await;
    assert_eq!(got[0]["value"], json!({"hello": "world"}));
    assert_eq!((&got[1]["value"], &got[1]["value_base64"]), (&Value::Null, &json!("")), "an empty value, no tombstone");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_headers_partition_and_time_come_from_query_or_request_headers() {
    let broker = Broker::start().await;
    broker.topic("t", 3).await;
    let target = "/topics/t?key=a%20b&partition=2&timestamp=1700000000000&header.z=1&header.base64.a=AP8&header.z=2";
    let answer = Ask::new("POST", target).header("Kafka-Header-Trace", "x").body("v").send(&broker.address).await;
    assert_eq!(answer.expect(200)["offsets"][0], json!({"partition": 2, "offset": 0}));
    let ask = Ask::new("GET", "/topics/t/partitions/2/records").header("Accept", "application/vnd.kafka.text.v2+json");
    let got = ask.send(&broker.address).await;
    assert_eq!(got.header("content-type"), Some("application/vnd.kafka.text.v2+json"));
    let headers = json!([{"key": "z", "value": "MQ=="}, {"key": "a", "value": "AP8="}, {"key": "z", "value": "Mg=="},
        {"key": "trace", "value": "eA=="}]);
    let expect = json!([{"topic": "t", "key": "a b", "value": "v", "partition": 2, "offset": 0,
        "timestamp": 1_700_000_000_000_i64, "headers": headers}]);
    assert_eq!(got.expect(200), expect);
    let by_path =
        Ask::new("POST", "/topics/t/partitions/1").header("Kafka-Key", "k").body("v").send(&broker.address).await;
    assert_eq!(by_path.expect(200)["offsets"][0]["partition"], 1);
    let both = broker.post("/topics/t/partitions/1?partition=2", "v").await;
    assert_eq!(both.expect(400)["error_code"], 40002);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_bodies_and_tombstones_come_back_as_they_were() {
    let broker = Broker::start().await;
    broker.send("POST", "/topics/t", "image/png", b"\x89PNG\x00\xff").await.expect(200);
    broker.post("/topics/t?key=k&tombstone=true", "").await.expect(200);
    let got = records(&broker, "t", "application/vnd.kafka.binary.v2+json").await;
    assert_eq!(
        (&got[0]["value"], &got[1]["value"], &got[1]["key"]),
        (&json!("iVBORwD/"), &Value::Null, &json!("aw=="))
    );
    broker.post("/topics/t?tombstone=true", "x").await.expect(400);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v2_records_are_written_together_and_numbers_are_not_rewritten() {
    let broker = Broker::start().await;
    broker.topic("t", 2).await;
    let body = r#"{"records":[{"key":"k","value":{"n":1.0,"big":12345678901234567890123},"partition":0},
        {"value":null,"partition":0},{"value":[1e400],"partition":0,"headers":[{"key":"h","value":"AP8="}],"timestamp":7}]}"#;
    let answer = broker.send("POST", "/topics/t", V2_JSON, body).await;
    assert_eq!(answer.header("content-type"), Some("application/vnd.kafka.v2+json"));
    let offsets: Vec<Value> = (0..3).map(|offset| json!({"partition": 0, "offset": offset})).collect();
    assert_eq!(answer.expect(200), json!({"offsets": offsets, "key_schema_id": null, "value_schema_id": null}));
    let text = broker.get("/topics/t/partitions/0/records").await;
    for exact in ["\"key\":\"k\"", "{\"n\":1.0,\"big\":12345678901234567890123}", "[1e400]", "\"timestamp\":7"] {
        assert!(text.text().contains(exact), "{exact} in {}", text.text());
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_record_says_so_in_its_place_and_the_others_stand() {
    let broker = Broker::start().await;
    broker.topic("t", 1).await;
    let body = r#"{"records":[{"value":1,"partition":0},{"value":2,"partition":9},{"value":3,"partition":0}]}"#;
    let got = broker.send("POST", "/topics/t", V2_JSON, body).await.expect(200);
    assert_eq!(got["offsets"][0], json!({"partition": 0, "offset": 0}));
    assert_eq!(got["offsets"][2], json!({"partition": 0, "offset": 1}));
    let failed = &got["offsets"][1];
    assert_eq!(
        (&failed["partition"], &failed["offset"], &failed["error_code"]),
        (&Value::Null, &Value::Null, &json!(40402))
    );
    assert!(failed["error"].is_string() && failed["message"].as_str().expect("a text").contains('9'), "{failed}");
    let none = broker.send("POST", "/topics/t", V2_JSON, r#"{"records":[{"value":2,"partition":9}]}"#).await;
    let none = none.expect(404);
    assert_eq!((&none["error_code"], &none["offsets"][0]["error_code"]), (&json!(40402), &json!(40402)));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_by_a_request_that_is_refused() {
    let broker = Broker::start().await;
    broker.topic("t", 1).await;
    let refused: [(&str, &str, &str, u16, u32); 15] = [
        ("/topics/t", "application/vnd.kafka.avro.v2+json", "{}", 415, 415),
        ("/topics/t", "application/vnd.kafka.v2+json", "{}", 415, 415),
        ("/topics/t", "multipart/form-data; boundary=x", "x", 415, 415),
        ("/topics/t", "application/x-ndjson", "{}", 415, 415),
        ("/topics/t", "application/json", r#"{"records":[{"value":1}]}"#, 415, 415),
        ("/topics/t", V2_JSON, "{", 400, 40002),
        ("/topics/t", V2_JSON, r#"{"records":[{"value":1},{"vlaue":2}]}"#, 422, 42206),
        (
            "/topics/t",
            "application/vnd.kafka.binary.v2+json",
            r#"{"records":[{"value":"AA=="},{"value":"!"}]}"#,
            422,
            42203,
        ),
        ("/topics/t?acks=3", "text/plain", "x", 400, 40002),
        ("/topics/t?hedaer.a=3", "text/plain", "x", 400, 40002),
        ("/topics/t?delay=5s", "text/plain", "x", 400, 40002),
        ("/topics/t?expected_offset=0", "text/plain", "x", 400, 40002),
        ("/topics/t/partitions/0?expected_offset=7", "text/plain", "x", 412, 412),
        ("/topics/t?compression=rar", "text/plain", "x", 400, 40002),
        ("/topics/t/partitions/7", "text/plain", "x", 404, 40402),
    ];
    for (target, kind, body, status, code) in refused {
        let answer = broker.send("POST", target, kind, body).await;
        assert_eq!(answer.expect(status)["error_code"], code, "{target} {kind}");
        let v2 = kind.starts_with("application/vnd.kafka.");
        let expect = if v2 { "application/vnd.kafka.v2+json" } else { "application/problem+json" };
        assert_eq!(answer.header("content-type"), Some(expect), "{target} {kind}");
    }
    for name in ["Idempotency-Key", "Producer-Id"] {
        let answer = Ask::new("POST", "/topics/t").header(name, "x").body("x").send(&broker.address).await;
        assert!(answer.expect(400)["detail"].as_str().expect("a text").contains("not supported yet"));
    }
    assert_eq!(records(&broker, "t", "*/*").await, json!([]));
    broker.send("POST", "/topics/t?raw=true", "application/json", r#"{"records":[]}"#).await.expect(200);
    assert_eq!(records(&broker, "t", "*/*").await[0]["value"], json!({"records": []}));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_0_is_answered_at_once_and_every_codec_reads_back() {
    let broker = Broker::start().await;
    for target in ["/topics/t?acks=0", "/topics/t?async=true"] {
        let answer = broker.post(target, "x").await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
    }
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        broker.post(&format!("/topics/t?acks=1&compression={codec}"), codec).await.expect(200);
    }
    let got = records(&broker, "t", "application/vnd.kafka.text.v2+json").await;
    let values: Vec<&str> = got.as_array().expect("records").iter().filter_map(|one| one["value"].as_str()).collect();
    assert_eq!(values, ["x", "x", "none", "gzip", "snappy", "lz4", "zstd"]);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_auto_create_an_unknown_topic_is_40401() {
    let broker = Broker::start_with(|_| {}, |config| config.auto_create_topics = false).await;
    assert_eq!(broker.post("/topics/t", "x").await.expect(404)["error_code"], 40401);
    let v2 = broker.send("POST", "/topics/t", V2_JSON, r#"{"records":[{"value":1}]}"#).await;
    let v2 = v2.expect(404);
    assert_eq!((v2["error_code"].as_u64(), v2.get("type")), (Some(40401), None));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let broker = Broker::start().await;
    for n in 0..20 {
        broker.post("/topics/t?header.n=1", n.to_string()).await.expect(200);
    }
    let broker = broker.restart().await;
    let got = records(&broker, "t", "*/*").await;
    let values: Vec<i64> = got.as_array().expect("records").iter().filter_map(|one| one["value"].as_i64()).collect();
    assert_eq!(values, (0..20).collect::<Vec<i64>>());
    assert_eq!(broker.post("/topics/t", "20").await.expect(200)["offsets"][0]["offset"], 20);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_conditional_appends_at_one_offset_one_is_written() {
    let broker = Broker::start().await;
    broker.topic("t", 1).await;
    let target = "/topics/t/partitions/0?expected_offset=0";
    let racing = (0..16).map(|n| {
        let ask = Ask::new("POST", target).body(n.to_string());
        let address = broker.address.clone();
        tokio::spawn(async move { ask.send(&address).await })
    });
    let racing: Vec<_> = racing.collect();
    let mut written = 0;
    for answer in racing {
        let answer = answer.await.expect("an answer");
        if answer.status == 200 {
            written += 1;
        } else {
            assert_eq!(answer.expect(412)["end_offset"], 1);
        }
    }
    assert_eq!(written, 1);
    assert_eq!(broker.get("/topics/t/partitions/0/offsets").await.expect(200)["end_offset"], 1);
    broker.stop().await;
}
