//! The handlers, one family a file: decode, ask the door, encode. They decide nothing about what is allowed.

pub(crate) mod brokers;
pub(crate) mod docs;
pub(crate) mod fetch;
pub(crate) mod groups;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod plugins;
pub(crate) mod produce;
pub(crate) mod topics;

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use crate::media::{JSON, V2_JSON};
use crate::problem::{Problem, wants_v2};

/// An answer of ours as JSON, with the media type that the request speaks.
fn answer<T: Serialize>(request: &HeaderMap, status: StatusCode, body: &T) -> Result<Response, Problem> {
    let body = serde_json::to_vec(body).map_err(|error| {
        Problem::coded(StatusCode::INTERNAL_SERVER_ERROR, 50002, format!("the answer cannot be written: {error}"))
    })?;
    let kind = if wants_v2(request) { V2_JSON } else { JSON };
    Ok(with_body(status, kind, body))
}

fn with_body(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn nothing() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
