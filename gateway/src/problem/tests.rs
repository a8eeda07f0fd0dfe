//! Facts in, status and code out; and both shapes on the wire.

use std::io::{Error, ErrorKind};
use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::routing::get;
use sluice_broker::door::error::{AppendError, ChainError, DoorError, GroupError, LogError, RecordError, TopicError};
use sluice_broker::ids::{Offset, TopicName};
use tower::ServiceExt;

use super::*;

fn io(kind: ErrorKind) -> DoorError {
    LogError::Io { doing: "cannot write", path: "/d/t-0/0.log".into(), cause: Arc::new(Error::from(kind)) }.into()
}

#[test]
fn facts_have_the_status_and_code_of_the_contract() {
    let topic = || TopicName::new("t").expect("a name");
    let group = || "g".to_owned();
    let cases: Vec<(DoorError, u16, u32)> = vec![
        (TopicError::NotFound { name: "t".into() }.into(), 404, 40401),
        (TopicError::NoPartition { topic: topic(), partition: 9 }.into(), 404, 40402),
        (TopicError::Exists { name: topic() }.into(), 409, 409),
        (TopicError::BadConfig { reason: "no".into() }.into(), 400, 40001),
        (TopicError::from(TopicName::new("a b").expect_err("bad")).into(), 400, 40001),
        (TopicError::Refused { reason: "internal".into() }.into(), 403, 40301),
        (LogError::Deleted { partition: "t-0".into() }.into(), 404, 40401),
        (LogError::Poisoned { partition: "t-0".into(), cause: "EIO".into() }.into(), 503, 50003),
        (io(ErrorKind::StorageFull), 503, 50003),
        (io(ErrorKind::PermissionDenied), 500, 50002),
        (AppendError::from(RecordError::TooLarge { size: 3, limit: 2 }).into(), 413, 413),
        (AppendError::from(RecordError::Invalid { reason: "no key".into() }).into(), 422, 42206),
        (GroupError::NotEmpty { group: group() }.into(), 409, 40903),
        (GroupError::NotFound { group: group() }.into(), 404, 40405),
        (GroupError::RebalanceInProgress { group: group() }.into(), 409, 40904),
        (GroupError::InvalidGroupId { group: group() }.into(), 400, 40001),
        (GroupError::Loading.into(), 503, 50003),
        (GroupError::from(TopicError::NotFound { name: "t".into() }).into(), 404, 40401),
        (DoorError::InvalidRequest { reason: "no".into() }, 400, 40002),
        (DoorError::Stopping, 503, 50003),
    ];
    for (error, status, code) in cases {
        let text = error.to_string();
        let problem = Problem::from(error);
        assert_eq!((problem.status.as_u16(), problem.code), (status, code), "{text}");
        assert_eq!(problem.retry_after.is_some(), status == 503, "{text}");
    }
}

#[test]
fn facts_carry_what_a_client_needs_to_go_on() {
    let range = LogError::OutOfRange { asked: Offset(9), log_start: Offset(2), end: Offset(5) };
    let problem = Problem::from(DoorError::from(range));
    assert_eq!(problem.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!((&problem.extra["beginning_offset"], &problem.extra["end_offset"]), (&2.into(), &5.into()));

    let failed = ChainError::Failed { topic: "t".into(), plugin: "geo".into(), reason: "it trapped".into() };
    let problem = Problem::from(DoorError::from(failed));
    assert_eq!((problem.status.as_u16(), &problem.extra["plugin"]), (422, &"geo".into()));
    assert!(problem.detail.contains("geo"), "{}", problem.detail);

    let too_large = Problem::from(RecordError::TooLarge { size: 11, limit: 10 });
    assert_eq!(too_large.extra["limit"], 10);
}

async fn answer(headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Value) {
    let handler = || async { Problem::busy("later", 7).with("limit", 3) };
    let app: Router = Router::new().route("/topics/t", get(handler)).layer(axum::middleware::from_fn(render));
    let mut request = Request::builder().uri("/topics/t?x=1");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
    let (head, body) = response.into_parts();
    let body = to_bytes(body, 10_000).await.expect("a body");
    (head.status, head.headers, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn everybody_gets_a_problem_document() {
    for headers in [&[][..], &[("accept", "application/json")], &[("content-type", "text/plain")]] {
        let (status, head, body) = answer(headers).await;
        assert_eq!(
            (status.as_u16(), &head[CONTENT_TYPE], &head[RETRY_AFTER]),
            (503, &PROBLEM_JSON.parse().expect("v"), &"7".parse().expect("v"))
        );
        let expect = serde_json::json!({"type": "about:blank", "title": "Service Unavailable", "status": 503,
            "detail": "later", "instance": "/topics/t", "error_code": 50003, "message": "later", "limit": 3});
        assert_eq!(body, expect);
    }
}

#[tokio::test]
async fn the_v2_dialect_gets_its_own_shape() {
    for headers in [
        &[("accept", "text/html, application/vnd.kafka.v2+json;q=0.9")][..],
        &[("content-type", "application/vnd.kafka.avro.v2+json")],
    ] {
        let (status, head, body) = answer(headers).await;
        assert_eq!((status.as_u16(), &head[CONTENT_TYPE]), (503, &V2_JSON.parse().expect("v")));
        assert_eq!(body, serde_json::json!({"error_code": 50003, "message": "later", "limit": 3}));
    }
}
