//! The guard in front of everything, over real HTTP: pages of others change nothing, clients that are no browsers pass.

use serde_json::json;

use crate::broker::Broker;
use crate::client::Ask;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_port_changes_nothing() {
    let broker = Broker::start().await;
    broker.topic("t", 1).await;
    let asks = [
        // A form post, an <img>, a fetch without and with Fetch Metadata, a rebound name.
        Ask::new("POST", "/topics/t")
            .header("Origin", "http://localhost:3000")
            .header("Sec-Fetch-Site", "same-site")
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Dest", "document")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("a=1"),
        Ask::new("GET", "/topics/t").header("Sec-Fetch-Site", "cross-site").header("Sec-Fetch-Dest", "image"),
        Ask::new("POST", "/topics/t").header("Origin", "http://localhost:3000").body("x"),
        Ask::new("DELETE", "/topics/t").header("Origin", "null"),
        Ask::new("POST", "/topics/t").header("Host", "evil.example").body("x"),
        Ask::new("GET", "/no/such/path").header("Origin", "https://evil.example"),
        Ask::new("OPTIONS", "/topics/t")
            .header("Origin", "https://evil.example")
            .header("Access-Control-Request-Method", "DELETE"),
    ];
    for ask in asks {
        let answer = ask.send(&broker.address).await;
        let problem = answer.expect(403);
        assert_eq!(problem["error_code"], 40301, "{ask:?}");
        assert!(problem["detail"].as_str().expect("a text").contains("http."), "it names the setting: {problem}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    assert_eq!(broker.get("/topics/t/partitions/0/offsets").await.expect(200)["end_offset"], 0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_origin_may_and_gets_cors() {
    let broker = Broker::start_with(|http| http.allowed_origins = vec!["https://app.example".into()], |_| {}).await;
    let preflight = Ask::new("OPTIONS", "/topics/t")
        .header("Origin", "https://app.example")
        .header("Sec-Fetch-Site", "cross-site")
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "content-type, kafka-key")
        .send(&broker.address)
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("content-type, kafka-key"));
    assert!(preflight.header("access-control-allow-methods").is_some_and(|methods| methods.contains("POST")));
    let posted = Ask::new("POST", "/topics/t")
        .header("Origin", "https://app.example")
        .header("Sec-Fetch-Site", "cross-site")
        .body("x")
        .send(&broker.address)
        .await;
    posted.expect(200);
    assert_eq!(posted.header("access-control-allow-origin"), Some("https://app.example"));
    assert!(posted.header("access-control-expose-headers").is_some_and(|names| names.contains("Sluice-Next-Offset")));
    let curl = broker.get("/topics").await;
    assert_eq!((curl.expect(200), curl.header("access-control-allow-origin")), (json!(["t"]), None));
    assert_eq!(curl.header("vary"), Some("Origin"));
    let other = Ask::new("POST", "/topics/t").header("Origin", "https://evil.example").send(&broker.address).await;
    other.expect(403);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_own_pages_may_produce() {
    let broker = Broker::start().await;
    let own = format!("http://{}", broker.address);
    for (name, value) in [("Sec-Fetch-Site", "same-origin"), ("Origin", own.as_str())] {
        let ask = Ask::new("POST", "/topics/t").header(name, value).body("x");
        ask.send(&broker.address).await.expect(200);
    }
    broker.stop().await;
}
