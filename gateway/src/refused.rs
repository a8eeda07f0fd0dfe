//! Counts and logs what the gateway refuses. A `Problem` that is a refusal says its class; this layer, which knows the client, notes
//! it. Stands inside of the layer that writes problems, which takes them out of their answers. Changes no answer.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::USER_AGENT;
use sluice_broker::refusals::{Refusals, RefusedClient};

use crate::app::Peer;
use crate::problem::unwritten;

/// Notes the refusal of a request, if it was refused.
pub(crate) async fn layer(State(refusals): State<Refusals>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.address);
    let agent = request.headers().get(USER_AGENT).cloned();
    let response = next.run(request).await;
    if let Some(problem) = unwritten(&response)
        && let Some(class) = problem.refusal
    {
        let agent = agent.as_ref().and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        refusals.note(class, RefusedClient::new(peer, agent), &problem.detail);
    }
    response
}
