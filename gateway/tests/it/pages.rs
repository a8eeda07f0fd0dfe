//! Documentation, health, and the answers to paths and methods that are not there.

use serde_json::json;

use crate::broker::Broker;
use crate::client::Ask;

#[tokio::test(flavor = "multi_thread")]
async fn the_docs_come_from_the_binary_under_a_strict_policy() {
    let broker = Broker::start().await;
    let page = broker.get("/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let text = page.text();
    assert!(!text.contains("http://") && !text.contains("https://"), "nothing is loaded from elsewhere");
    assert!(!text.contains("style=") && !text.contains("onclick") && !text.contains("<script>"), "nothing is inline");
    for (path, kind) in [("/docs/page.js", "text/javascript"), ("/docs/page.css", "text/css")] {
        assert!(text.contains(path));
        let part = broker.get(path).await;
        assert!(
            part.status == 200 && part.header("content-type").is_some_and(|given| given.starts_with(kind)),
            "{path}"
        );
    }
    let api = broker.get("/openapi.json").await.expect(200);
    assert_eq!(api["info"]["title"], "Sluicegate");
    assert!(api["paths"]["/topics/{topic}"]["post"].is_object());
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_has_the_names_that_others_use() {
    let broker = Broker::start().await;
    for path in ["/health/live", "/health/ready", "/healthy", "/ready", "/status/ready"] {
        assert_eq!(broker.get(path).await.expect(200), json!({"status": "ok"}), "{path}");
    }
    let probe = Ask::new("GET", "/health/ready").header("Host", "pod.cluster.example").send(&broker.address).await;
    assert_eq!(probe.status, 200);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_in_the_shape_that_was_asked_for() {
    let broker = Broker::start().await;
    let problem = broker.get("/no/such/path").await;
    let body = problem.expect(404);
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        (&body["status"], &body["error_code"], &body["instance"]),
        (&json!(404), &json!(404), &json!("/no/such/path"))
    );
    let v2 =
        Ask::new("GET", "/no/such/path").header("Accept", "application/vnd.kafka.v2+json").send(&broker.address).await;
    let body = v2.expect(404);
    assert_eq!((v2.header("content-type"), body.get("type")), (Some("application/vnd.kafka.v2+json"), None));
    let wrong = broker.send("PATCH", "/topics", "text/plain", "x").await;
    assert_eq!(wrong.expect(405)["error_code"], 405);
    assert!(wrong.header("allow").is_some_and(|allow| allow.contains("GET") && allow.contains("POST")));
    let head = Ask::new("HEAD", "/no/such/path").send(&broker.address).await;
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert_eq!(Ask::new("HEAD", "/topics").send(&broker.address).await.status, 200);
    broker.stop().await;
}
