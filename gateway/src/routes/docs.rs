//! `/openapi.json`, and `/docs`, a page that shows it and can produce: everything comes from the binary, so it works offline
//! and under a strict content security policy.

use std::sync::Arc;

use axum::Extension;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};

use super::with_body;
use crate::answers::Fixed;
use crate::media::JSON;

const PAGE: &str = include_str!("../docs/page.html");
const SCRIPT: &str = include_str!("../docs/page.js");
const STYLE: &str = include_str!("../docs/page.css");

/// The OpenAPI document, written once.
#[derive(Clone, Debug)]
pub(crate) struct Document(pub(crate) Arc<Bytes>);

/// This interface, as OpenAPI has it.
#[utoipa::path(get, path = "/openapi.json", tag = "documentation", operation_id = "openapi",
    responses((status = 200, description = "The OpenAPI document", body = Object)))]
pub(crate) async fn openapi(Extension(Document(document)): Extension<Document>) -> Response {
    fixed(JSON, Bytes::clone(&document))
}

/// This interface as a page, with a form that produces.
#[utoipa::path(get, path = "/docs", tag = "documentation", operation_id = "docs",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub(crate) async fn page() -> Response {
    fixed("text/html; charset=utf-8", Bytes::from_static(PAGE.as_bytes()))
}

/// The page's script.
pub(crate) async fn script() -> Response {
    fixed("text/javascript; charset=utf-8", Bytes::from_static(SCRIPT.as_bytes()))
}

/// The page's style.
pub(crate) async fn style() -> Response {
    fixed("text/css; charset=utf-8", Bytes::from_static(STYLE.as_bytes()))
}

fn fixed(kind: &'static str, body: Bytes) -> Response {
    let mut response = with_body(StatusCode::OK, kind, body);
    response.extensions_mut().insert(Fixed);
    // The next version of the binary may answer differently.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
