//! The brokers: one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use super::answer;
use crate::app::App;
use crate::problem::Problem;
use crate::schemas::Brokers;

/// The ids of the brokers.
#[utoipa::path(get, path = "/brokers", tag = "administration", operation_id = "listBrokers",
    responses((status = 200, description = "The brokers", body = Brokers)))]
pub(crate) async fn list(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    answer(&headers, StatusCode::OK, &Brokers { brokers: vec![app.node.node_id()] })
}
