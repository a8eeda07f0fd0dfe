//! Plugins uploaded, listed and removed. What a plugin is bound to is a topic config.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use sluice_broker::door::plugins::{PluginInfo, PluginVersionInfo};

use super::{answer, nothing};
use crate::app::{App, Caller, Segments};
use crate::body::{self, Limit};
use crate::limits::PLUGIN_BYTES_MAX;
use crate::media::content_type;
use crate::problem::Problem;
use crate::schemas::{PluginDescription, PluginVersion, ProblemDocument};

const BODY: Limit = Limit { bytes: PLUGIN_BYTES_MAX, what: "a plugin" };

/// All plugins.
#[utoipa::path(get, path = "/plugins", tag = "plugins", operation_id = "listPlugins",
    responses((status = 200, description = "The plugins", body = Vec<PluginDescription>)))]
pub(crate) async fn list(State(app): State<Arc<App>>, caller: Caller, headers: HeaderMap) -> Result<Response, Problem> {
    let all: Vec<PluginDescription> = app.door.plugins(&caller.0)?.into_iter().map(description).collect();
    answer(&headers, StatusCode::OK, &all)
}

/// Upload a plugin: a WebAssembly component, or a core module. Each upload is a new version, and the active one.
#[utoipa::path(put, path = "/plugins/{name}", tag = "plugins", operation_id = "uploadPlugin",
    params(("name" = String, Path, description = "1 to 64 of a-z, 0-9, '-' and '_', the first a letter")),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses(
        (status = 201, description = "The new version", body = PluginVersion),
        (status = 400, description = "Not a name", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "As many plugins or versions as are kept", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "Over 32 MiB", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "Not a plugin; `reason` is malformed, wrong-world, forbidden-import, compile, start or init (then with `topics`)", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn upload(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(name): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if content_type(&headers).is_some_and(|kind| kind.starts_with("multipart/")) {
        return Err(Problem::media("send the plugin's bytes themselves, as application/wasm"));
    }
    let wasm = body::read(&app.memory, &caller.1, &headers, body, BODY).await?;
    let door = app.door.clone();
    let made = app.finish(async move { Ok(door.upload_plugin(&caller.0, &name, wasm).await?) }).await?;
    let location = HeaderValue::try_from(format!("/plugins/{}", made.name));
    let mut response = answer(&headers, StatusCode::CREATED, &version(made))?;
    if let Ok(location) = location {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// One plugin.
#[utoipa::path(get, path = "/plugins/{name}", tag = "plugins", operation_id = "showPlugin", params(("name" = String, Path, description = "The plugin")),
    responses(
        (status = 200, description = "The plugin", body = PluginDescription),
        (status = 404, description = "No such plugin", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(name): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(&headers, StatusCode::OK, &description(app.door.plugin(&caller.0, &name)?))
}

/// The versions of a plugin.
#[utoipa::path(get, path = "/plugins/{name}/versions", tag = "plugins", operation_id = "listPluginVersions",
    params(("name" = String, Path, description = "The plugin")),
    responses(
        (status = 200, description = "Its versions", body = Vec<PluginVersion>),
        (status = 404, description = "No such plugin", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn versions(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(name): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    answer(&headers, StatusCode::OK, &description(app.door.plugin(&caller.0, &name)?).versions)
}

/// Remove a plugin that no topic is bound to.
#[utoipa::path(delete, path = "/plugins/{name}", tag = "plugins", operation_id = "deletePlugin", params(("name" = String, Path, description = "The plugin")),
    responses(
        (status = 204, description = "Gone"),
        (status = 404, description = "No such plugin", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "In use; `topics` lists where", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(name): Segments<String>,
) -> Result<Response, Problem> {
    let door = app.door.clone();
    app.finish(async move { Ok(door.delete_plugin(&caller.0, &name).await?) }).await?;
    Ok(nothing())
}

fn description(plugin: PluginInfo) -> PluginDescription {
    PluginDescription {
        name: plugin.name,
        active: plugin.active,
        versions: plugin.versions.into_iter().map(version).collect(),
        calls: plugin.calls,
        failures: plugin.failures,
        quarantined: plugin.quarantined,
    }
}

fn version(made: PluginVersionInfo) -> PluginVersion {
    PluginVersion { name: made.name, version: made.version, sha256: made.sha256, size: made.bytes, world: made.world }
}
