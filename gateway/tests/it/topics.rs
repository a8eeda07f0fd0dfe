//! Topics over HTTP.

use serde_json::{Value, json};

use crate::broker::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_shown_listed_and_deleted() {
    let broker = Broker::start().await;
    let request =
        r#"{"topic_name":"t","partitions_count":2,"replication_factor":1,"config":{"max.message.bytes":2000000}}"#;
    let made = broker.send("POST", "/admin/topics", "application/json", request).await;
    assert_eq!(made.header("location"), Some("/topics/t"));
    let topic = made.expect(201);
    assert_eq!((&topic["name"], &topic["configs"]), (&json!("t"), &json!({"max.message.bytes": "2000000"})));
    let replica = json!([{"broker": 1, "leader": true, "in_sync": true}]);
    let partition = |n: i32| json!({"partition": n, "leader": 1, "replicas": replica});
    assert_eq!(topic["partitions"], json!([partition(0), partition(1)]));
    assert_eq!(broker.get("/topics/t").await.expect(200), topic);
    assert_eq!(broker.get("/topics").await.expect(200), json!(["t"]));
    assert_eq!(broker.get("/topics?detail=true").await.expect(200), json!([topic]));
    assert_eq!(broker.get("/topics/t/partitions").await.expect(200), topic["partitions"]);
    assert_eq!(broker.get("/topics/t/partitions/1").await.expect(200), partition(1));
    assert_eq!(broker.get("/topics/t/partitions/2").await.expect(404)["error_code"], 40402);
    assert_eq!(broker.get("/brokers").await.expect(200), json!({"brokers": [1]}));
    assert_eq!(broker.send("POST", "/topics", "application/json", request).await.status, 409);
    assert_eq!(broker.delete("/topics/t").await.status, 204);
    assert_eq!(broker.get("/topics/t").await.expect(404)["error_code"], 40401);
    assert_eq!(broker.delete("/topics/t").await.status, 404);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_topic_can_be_is_40001() {
    let broker = Broker::start().await;
    for request in [
        r#"{"name":"a b"}"#,
        r#"{"name":"t","partitions":0}"#,
        r#"{"name":"t","replication_factor":3}"#,
        r#"{"name":"t","configs":{"no.such.config":"1"}}"#,
        r#"{"name":"orders.delay.5x"}"#,
    ] {
        let answer = broker.send("POST", "/topics", "application/json", request).await;
        assert_eq!(answer.expect(400)["error_code"], 40001, "{request}");
    }
    assert_eq!(broker.get("/topics").await.expect(200), json!([]));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn configs_are_patched_all_or_nothing() {
    let broker = Broker::start().await;
    broker.topic("t", 1).await;
    let patch = async |body: &str| broker.send("PATCH", "/topics/t/configs", "application/json", body).await;
    let set = patch(r#"{"configs":{"max.message.bytes":"5000","sluice.flush":"os"}}"#).await.expect(200);
    assert_eq!(set["configs"], json!({"max.message.bytes": "5000", "sluice.flush": "os"}));
    let back = patch(r#"{"sluice.flush":null}"#).await.expect(200);
    assert_eq!(back["configs"], json!({"max.message.bytes": "5000"}));
    patch(r#"{"max.message.bytes":"6000","no.such.config":"1"}"#).await.expect(400);
    let now = broker.get("/topics/t/configs").await.expect(200);
    assert_eq!(now["configs"], json!({"max.message.bytes": "5000"}), "nothing of a refused change stands");
    let row = now["all"].as_array().expect("all").iter().find(|row| row["name"] == "max.message.bytes").cloned();
    let row = row.expect("the config is listed");
    assert_eq!((&row["value"], &row["source"], &row["type"]), (&json!("5000"), &json!("topic"), &json!("int")));
    assert_eq!(broker.get("/topics/none/configs").await.expect(404)["error_code"], 40401);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_own_topics_are_listed_only_when_asked_for() {
    let broker = Broker::start().await;
    broker.topic("t", 1).await;
    let body = r#"{"offsets":[{"topic":"t","partition":0,"next_offset":1}]}"#;
    assert_eq!(broker.send("POST", "/groups/g/offsets", "application/json", body).await.status, 204);
    assert_eq!(broker.get("/topics").await.expect(200), json!(["t"]));
    let all = broker.get("/topics?internal=true").await.expect(200);
    assert!(all.as_array().expect("names").contains(&Value::from("__consumer_offsets")), "{all}");
    let written = broker.post("/topics/__consumer_offsets", "x").await.expect(400)["detail"].to_string();
    assert!(written.contains("only the broker writes there"), "{written}");
    let deleted = broker.delete("/topics/__consumer_offsets").await.expect(403)["detail"].to_string();
    assert!(deleted.contains("the broker's own"), "{deleted}");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_finished_when_the_client_hangs_up_in_the_middle() {
    use tokio::io::AsyncWriteExt;
    let broker = Broker::start().await;
    let request = r#"{"name":"t","partitions":3}"#;
    let head = format!("POST /topics HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{request}", request.len());
    let mut stream = tokio::net::TcpStream::connect(&broker.address).await.expect("connected");
    stream.write_all(head.as_bytes()).await.expect("sent");
    drop(stream);
    // The stop waits for changes under way; whether the request was seen before the close is the network's affair.
    let broker = broker.restart().await;
    let topics = broker.get("/topics?detail=true").await.expect(200);
    let whole =
        topics.as_array().expect("topics").iter().all(|topic| topic["partitions"].as_array().map(Vec::len) == Some(3));
    assert!(whole, "a topic is there with all of its partitions or not at all: {topics}");
    broker.stop().await;
}
