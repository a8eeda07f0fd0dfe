//! Every path with its handler, and what stands around all of them, from the outside in: requests are counted, problems are
//! written, every answer gets the headers that keep browsers strict, the guard decides, CORS answers those it lists, and
//! answers take their memory. Feeds the router and the
//! OpenAPI document from the same lines.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode, Uri};
use sluice_broker::refusals::RefusalClass;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answers;
use crate::app::App;
use crate::cors;
use crate::guard::Guard;
use crate::metering;
use crate::openapi;
use crate::problem::{Problem, render};
use crate::refused;
use crate::routes::{brokers, docs, fetch, groups, health, metrics, plugins, produce, topics};

/// `'self'` is for the page under /docs; everything else loads nothing.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// The whole service.
pub(crate) fn service(app: Arc<App>) -> Router {
    let (router, document) = documented().split_for_parts();
    let document = docs::Document(Arc::new(Bytes::from(openapi::text(&document))));
    let (guard, metering) = (Arc::clone(&app.guard), Arc::clone(&app.metering));
    let refusals = app.node.refusals().clone();
    router
        .route("/docs/page.js", get(docs::script))
        .route("/docs/page.css", get(docs::style))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(Arc::clone(&app))
        .layer(from_fn_with_state(app, answers::layer))
        .layer(Extension(document))
        .layer(from_fn_with_state(Arc::clone(&guard), cors::layer))
        .layer(from_fn_with_state(guard, guarded))
        .layer(from_fn(strict))
        .layer(from_fn_with_state(refusals, refused::layer))
        .layer(from_fn(render))
        .layer(from_fn_with_state(metering, metering::layer))
}

/// Handlers whose paths stand in the OpenAPI document.
fn documented() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(topics::list, topics::create))
        .routes(routes!(topics::create_admin))
        .routes(routes!(topics::show, topics::delete, produce::to_topic))
        .routes(routes!(topics::configs, topics::patch_configs))
        .routes(routes!(topics::partitions))
        .routes(routes!(topics::partition, produce::to_partition))
        .routes(routes!(fetch::records))
        .routes(routes!(fetch::offsets))
        .routes(routes!(groups::offsets, groups::commit))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::upload, plugins::show, plugins::remove))
        .routes(routes!(plugins::versions))
        .routes(routes!(brokers::list))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::healthy))
        .routes(routes!(health::ready_short))
        .routes(routes!(health::status_ready))
        .routes(routes!(metrics::metrics))
        .routes(routes!(docs::openapi))
        .routes(routes!(docs::page))
}

/// The OpenAPI document of the paths above.
#[cfg(test)]
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

async fn guarded(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(refused) = guard.check(&parts) {
        let problem = Problem::coded(StatusCode::FORBIDDEN, 40301, refused.to_string());
        return problem.refused(RefusalClass::ForeignPage).into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}

async fn strict(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // A foreign page may not even embed an answer as an image or a script.
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    response
}

async fn unknown_path(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no path {}; /docs shows those there are", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}; Allow says what it takes", uri.path()),
    )
}
