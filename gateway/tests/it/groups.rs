//! Committed offsets without membership.

use serde_json::json;

use crate::broker::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_committed_read_and_kept_over_a_restart() {
    let broker = Broker::start().await;
    broker.topic("t", 2).await;
    assert_eq!(broker.get("/groups/g/offsets").await.expect(200), json!({"offsets": []}));
    let body = json!({"offsets": [
        {"topic": "t", "partition": 0, "next_offset": 5, "metadata": "mine"},
        {"topic": "t", "partition": 1, "next_offset": 0},
    ]});
    let answer = broker.send("POST", "/groups/g/offsets", "application/json", body.to_string()).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    let broker = broker.restart().await;
    let got = broker.get("/groups/g/offsets").await.expect(200);
    let expect = json!({"offsets": [
        {"topic": "t", "partition": 0, "next_offset": 5, "metadata": "mine"},
        {"topic": "t", "partition": 1, "next_offset": 0, "metadata": ""},
    ]});
    assert_eq!(got, expect);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_in_part_says_which_offsets_stand() {
    let broker = Broker::start().await;
    broker.topic("t", 1).await;
    let body = json!({"offsets": [
        {"topic": "t", "partition": 0, "next_offset": 3},
        {"topic": "none", "partition": 0, "next_offset": 3},
    ]});
    let answer = broker.send("POST", "/groups/g/offsets", "application/json", body.to_string()).await.expect(404);
    assert_eq!(answer["committed"], json!([{"topic": "t", "partition": 0}]));
    assert_eq!(answer["failed"][0]["topic"], "none");
    let wrong = r#"{"offsets":[{"topic":"t","partition":0,"offset":3}]}"#;
    let wrong = broker.send("POST", "/groups/g/offsets", "application/json", wrong).await.expect(422);
    assert!(wrong["detail"].as_str().expect("a text").contains("next_offset"), "{wrong}");
    broker.stop().await;
}
