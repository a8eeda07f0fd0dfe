//! Plugins over HTTP; what the host makes of their bytes is tested there.

use serde_json::json;

use crate::broker::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_plugin_is_refused_with_the_reason() {
    let broker = Broker::start().await;
    let put = async |name: &str, bytes: &[u8]| {
        broker.send("PUT", &format!("/plugins/{name}"), "application/wasm", bytes).await
    };
    assert_eq!(put("geo", b"not wasm").await.expect(422)["reason"], "malformed");
    assert_eq!(put("Geo%20x", b"\0asm").await.expect(400)["error_code"], 40001);
    assert_eq!(put("geo", &vec![0u8; 33 << 20]).await.expect(413)["limit"], 32 << 20);
    assert_eq!(broker.send("PUT", "/plugins/geo", "multipart/form-data; boundary=x", "x").await.status, 415);
    assert_eq!(broker.get("/plugins").await.expect(200), json!([]));
    for target in ["/plugins/geo", "/plugins/geo/versions"] {
        assert_eq!(broker.get(target).await.status, 404, "{target}");
    }
    assert_eq!(broker.delete("/plugins/geo").await.status, 404);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_to_a_plugin_that_is_not_there_is_refused_as_a_whole() {
    let broker = Broker::start().await;
    broker.topic("t", 1).await;
    let patch = r#"{"configs":{"sluice.partitioner":"none"}}"#;
    let answer = broker.send("PATCH", "/topics/t/configs", "application/json", patch).await;
    assert!((400..600).contains(&answer.status), "{}", answer.text());
    assert_eq!(broker.get("/topics/t/configs").await.expect(200)["configs"], json!({}));
    broker.post("/topics/t", "x").await.expect(200);
    broker.stop().await;
}
