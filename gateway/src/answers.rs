//! The memory of answers: every body that a handler has written takes its bytes of OUT before hyper gets it, and gives them
//! back when the client has taken it or is gone. One layer around all handlers; pages that the binary holds anyway cost
//! nothing. What an answer took of WORK while it was built travels with it as an extension, and goes here.

use std::sync::Arc;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use sluice_broker::memory::{OverBudget, WorkPermit};
use sluice_broker::refusals::RefusalClass;

use crate::app::{App, Peer};
use crate::problem::Problem;

/// Put into an answer whose bytes the binary holds anyway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed;

/// What an answer takes while it is built.
#[derive(Clone, Debug)]
pub(crate) struct Building {
    _permit: Arc<WorkPermit>,
}

impl Building {
    pub(crate) fn new(permit: WorkPermit) -> Building {
        Building { _permit: Arc::new(permit) }
    }
}

/// Waits for the answer's memory.
pub(crate) async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let line = request.extensions().get::<Peer>().map(|peer| peer.line.clone()).unwrap_or_default();
    let mut response = next.run(request).await;
    let size = response.body().size_hint().exact().unwrap_or(0);
    if size == 0 || response.extensions().get::<Fixed>().is_some() {
        return response;
    }
    let taken = app.memory.output(&line, usize::try_from(size).unwrap_or(usize::MAX)).await;
    let building = response.extensions_mut().remove::<Building>();
    let (mut parts, body) = response.into_parts();
    let whole = match taken {
        Ok(permit) => to_bytes(body, usize::MAX).await.map(|bytes| permit.hold(bytes)).map_err(|_| broken()),
        Err(over) => Err(too_large(&over)),
    };
    drop(building);
    match whole {
        Ok(bytes) => Response::from_parts(parts, Body::from(bytes)),
        Err(problem) => {
            // What the headers say (where a reader goes on) stays true.
            parts.headers.remove(CONTENT_TYPE);
            parts.headers.remove(CONTENT_LENGTH);
            let mut refused = problem.into_response();
            refused.headers_mut().extend(parts.headers);
            refused
        }
    }
}

fn broken() -> Problem {
    Problem::coded(StatusCode::INTERNAL_SERVER_ERROR, 50002, "the answer cannot be written")
}

fn too_large(over: &OverBudget) -> Problem {
    Problem::coded(StatusCode::INTERNAL_SERVER_ERROR, 50002, over.to_string()).refused(RefusalClass::MemoryOut)
}
