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

/// The partitioner by a JSON field that ships with the project.
const JSON_FIELD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/catalog/json-field/json-field.wasm");

#[tokio::test(flavor = "multi_thread")]
async fn a_record_posted_with_curl_lands_where_the_plugin_says() {
    let broker = Broker::start().await;
    broker.topic("t", 8).await;
    let wasm = std::fs::read(JSON_FIELD).expect("the plugin's bytes");
    let made = broker.send("PUT", "/plugins/by-city", "application/wasm", &wasm).await;
    assert_eq!(made.header("location"), Some("/plugins/by-city"));
    let made = made.expect(201);
    assert_eq!((&made["name"], &made["version"], &made["size"]), (&json!("by-city"), &json!(1), &json!(wasm.len())));
    assert_eq!(broker.get("/plugins/by-city/versions").await.expect(200), json!([made]));
    let patch = json!({"sluice.partitioner": "by-city", "sluice.plugin.config.by-city": "{\"field\":\"city\"}"});
    broker.send("PATCH", "/topics/t/configs", "application/json", patch.to_string()).await.expect(200);
    let place = async |body: serde_json::Value| {
        let answer = broker.post("/topics/t", body.to_string()).await.expect(200);
        answer["offsets"][0]["partition"].as_i64().expect("a partition")
    };
    let mut places = std::collections::BTreeSet::new();
    for city in ["Athens", "Berlin", "Cairo", "Dakar", "Essen", "Fez"] {
        let first = place(json!({"n": 1, "city": city})).await;
        assert_eq!(place(json!({"city": city, "other": [2]})).await, first, "{city}: the field alone decides");
        places.insert(first);
    }
    assert!(places.len() > 1, "not all cities in one place: {places:?}");
    let used = broker.delete("/plugins/by-city").await.expect(409);
    assert_eq!(used["topics"], json!(["t"]));
    assert!(broker.get("/plugins").await.expect(200)[0]["calls"].as_u64() >= Some(12));
    broker.send("PATCH", "/topics/t/configs", "application/json", r#"{"sluice.partitioner":null}"#).await.expect(200);
    assert_eq!(broker.delete("/plugins/by-city").await.status, 204);
    assert_eq!(broker.get("/plugins/by-city").await.status, 404);
    broker.stop().await;
}
