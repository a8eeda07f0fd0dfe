//! Facts in, status and code out; and both shapes on the wire.

use axum::Router;
use axum::body::to_bytes;
use axum::routing::get;
use sluice_broker::auth::{Authorizer, Read};
use sluice_broker::context::Context;
use sluice_broker::door::error::{DoorError, GroupFailure, PluginFailure, RecordFailure, StorageFailure, TopicFailure};
use sluice_broker::ids::{LeaderEpoch, Offset, TopicName, TopicRef};
use tower::ServiceExt;

use super::*;

#[test]
fn facts_have_the_status_and_code_of_the_contract() {
    let (topic, group) = (|| "t".to_owned(), || "g".to_owned());
    let reason = || "why".to_owned();
    let nobody = Authorizer::with_policy(|_| false);
    let denied = nobody.ask::<Read, _>(&Context::http("test", None), TopicRef::name("t")).expect_err("denied");
    let cases: Vec<(DoorError, u16, u32)> = vec![
        (TopicFailure::NotFound { name: topic() }.into(), 404, 40401),
        (TopicFailure::NoPartition { topic: topic(), partition: 9 }.into(), 404, 40402),
        (TopicFailure::Exists { name: topic() }.into(), 409, 409),
        (TopicFailure::BadConfig { reason: reason() }.into(), 400, 40001),
        (TopicName::new("a b").expect_err("bad").into(), 400, 40001),
        (TopicFailure::Forbidden { reason: reason() }.into(), 403, 40301),
        (TopicFailure::Deleted { partition: "t-0".into() }.into(), 404, 40401),
        (StorageFailure::Offline { reason: reason() }.into(), 503, 50003),
        (StorageFailure::Full { reason: reason() }.into(), 503, 50003),
        (StorageFailure::Broken { reason: reason() }.into(), 500, 50002),
        (RecordFailure::TooLarge { size: 3, limit: 2 }.into(), 413, 413),
        (RecordFailure::Invalid { reason: reason() }.into(), 422, 42206),
        (GroupFailure::NotEmpty { group: group() }.into(), 409, 40903),
        (GroupFailure::NotFound { group: group() }.into(), 404, 40405),
        (GroupFailure::RebalanceInProgress { group: group() }.into(), 409, 40904),
        (GroupFailure::NotAssigned { topic: "t".into(), partition: 1 }.into(), 409, 40904),
        (GroupFailure::NothingCommitted { topic: "t".into(), partition: 1 }.into(), 409, 40903),
        (GroupFailure::InvalidId { group: group() }.into(), 400, 40001),
        (StorageFailure::LeaderChanged { asked: LeaderEpoch(2), current: LeaderEpoch(3) }.into(), 503, 50003),
        (denied.into(), 403, 40301),
        (DoorError::InvalidRequest { reason: reason() }, 400, 40002),
        (DoorError::Internal { what: reason() }, 500, 50002),
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
    let range = DoorError::OffsetOutOfRange { asked: Offset(9), beginning: Offset(2), end: Offset(5) };
    let problem = Problem::from(range);
    assert_eq!(problem.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!((&problem.extra["beginning_offset"], &problem.extra["end_offset"]), (&2.into(), &5.into()));

    let failed = PluginFailure::Failed { topic: "t".into(), plugin: "geo".into(), reason: "it trapped".into() };
    let problem = Problem::from(DoorError::from(failed));
    assert_eq!((problem.status.as_u16(), &problem.extra["plugin"]), (422, &"geo".into()));
    assert!(problem.detail.contains("geo"), "{}", problem.detail);

    let too_large = Problem::from(DoorError::from(RecordFailure::TooLarge { size: 11, limit: 10 }));
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
