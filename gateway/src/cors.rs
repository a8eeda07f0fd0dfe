//! CORS for the origins that the guard lists, and for no other: preflights are answered here, other answers get the headers
//! that let the page read them. Stands behind the guard, so what arrives here may be answered.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, VARY,
};
use http::{Method, StatusCode};

use crate::guard::Guard;

const REQUEST_PRIVATE: &str = "access-control-request-private-network";
const ALLOW_PRIVATE: &str = "access-control-allow-private-network";
/// The answer headers that a page may read.
const EXPOSED: &str = "ETag, Location, Retry-After, Sluice-Next-Offset, Sluice-End-Offset";

/// Answers preflights of listed origins, and adds the CORS headers to other answers.
pub(crate) async fn layer(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    if !guard.has_list() {
        return next.run(request).await;
    }
    let origin = guard.listed(request.headers()).cloned();
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match &origin {
        Some(_) if preflight => answer_preflight(&request),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    // Also without an origin: otherwise a cache could send this answer to a page of a listed origin.
    headers.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    response
}

fn answer_preflight(request: &Request) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    if let Some(wanted) = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    // Private Network Access: a public page that the operator listed may reach a broker in a private network.
    if request.headers().get(REQUEST_PRIVATE).is_some_and(|requested| requested == "true") {
        headers.insert(ALLOW_PRIVATE, HeaderValue::from_static("true"));
    }
    response
}
