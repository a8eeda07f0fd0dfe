//! Liveness and readiness, under the names that orchestrators and other REST proxies use.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::answer;
use crate::app::App;
use crate::problem::Problem;
use crate::schemas::Health;

/// The process answers.
#[utoipa::path(get, path = "/health/live", tag = "health", operation_id = "live",
    responses((status = 200, description = "Alive", body = Health)))]
pub(crate) async fn live(headers: HeaderMap) -> Result<Response, Problem> {
    health(&headers, None)
}

/// The same under Strimzi Bridge's name.
#[utoipa::path(get, path = "/healthy", tag = "health", operation_id = "healthy",
    responses((status = 200, description = "Alive", body = Health)))]
pub(crate) async fn healthy(headers: HeaderMap) -> Result<Response, Problem> {
    health(&headers, None)
}

/// Every partition can be written and read, and the broker is not stopping.
#[utoipa::path(get, path = "/health/ready", tag = "health", operation_id = "ready",
    responses((status = 200, description = "Ready", body = Health), (status = 503, description = "Not ready, and why", body = Health)))]
pub(crate) async fn ready(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    health(&headers, unready(&app))
}

/// The same under Strimzi Bridge's name.
#[utoipa::path(get, path = "/ready", tag = "health", operation_id = "readyShort",
    responses((status = 200, description = "Ready", body = Health), (status = 503, description = "Not ready, and why", body = Health)))]
pub(crate) async fn ready_short(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    health(&headers, unready(&app))
}

/// The same under Redpanda's name.
#[utoipa::path(get, path = "/status/ready", tag = "health", operation_id = "statusReady",
    responses((status = 200, description = "Ready", body = Health), (status = 503, description = "Not ready, and why", body = Health)))]
pub(crate) async fn status_ready(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    health(&headers, unready(&app))
}

fn unready(app: &App) -> Option<String> {
    if app.stopping.is_cancelled() { Some("the broker is shutting down".to_owned()) } else { app.node.unready() }
}

fn health(headers: &HeaderMap, reason: Option<String>) -> Result<Response, Problem> {
    let status = if reason.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let word = if reason.is_some() { "unready" } else { "ok" };
    let mut response = answer(headers, status, &Health { status: word.to_owned(), reason })?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(http::header::RETRY_AFTER, 5.into());
    }
    Ok(response)
}
