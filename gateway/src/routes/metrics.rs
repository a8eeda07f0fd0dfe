//! `/metrics`: what the broker shows of itself, for Prometheus and whatever reads its format.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, StatusCode};
use sluice_broker::metrics::Bounds;

use super::with_body;
use crate::app::App;
use crate::problem::Problem;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counters, gauges and histograms of the broker, in the text format of OpenMetrics.
#[utoipa::path(get, path = "/metrics", tag = "health", operation_id = "metrics",
    responses((status = 200, description = "The metrics; docs/metrics.md lists them", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    let bounds =
        Bounds { partitions_max: app.config.metrics_partitions_max, groups_max: app.config.metrics_groups_max };
    let page = app.node.metrics().page(bounds).await;
    let page = page.map_err(|error| Problem::coded(StatusCode::INTERNAL_SERVER_ERROR, 50002, error.to_string()))?;
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let open = accepted.into_iter().any(|value| value.contains("application/openmetrics-text"));
    let (kind, text) = if open { (OPEN_METRICS, page.open_metrics) } else { (PROMETHEUS, page.prometheus) };
    let mut response = with_body(StatusCode::OK, kind, text);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
