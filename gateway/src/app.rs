//! What every handler has: the door, the settings, the memory budget, and the changes that run to their end although the client has disconnected.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use http::header::USER_AGENT;
use http::request::Parts;
use serde::de::DeserializeOwned;
use sluice_broker::door::{Context, Door};
use sluice_broker::memory::{DoorBudget, Line};
use sluice_broker::metrics::Section;
use sluice_broker::node_facts::NodeFacts;
use sluice_broker::tasks::Changes;
use tokio_util::sync::CancellationToken;

use crate::config::GatewayConfig;
use crate::guard::Guard;
use crate::metering::Metering;
use crate::problem::Problem;

/// Shared by all requests.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) door: Door,
    pub(crate) node: NodeFacts,
    pub(crate) config: GatewayConfig,
    pub(crate) guard: Arc<Guard>,
    /// This door's part of the broker's memory budget: bodies, decoded requests and answers.
    pub(crate) memory: DoorBudget,
    /// Counts connections and requests.
    pub(crate) metering: Arc<Metering>,
    /// Cancelled when the gateway stops: long polls end.
    pub(crate) stopping: CancellationToken,
    /// Changes under way; `serve` waits for them.
    pub(crate) changes: Changes,
}

impl App {
    pub(crate) fn new(config: GatewayConfig, guard: Guard, door: Door, node: NodeFacts) -> Arc<App> {
        let memory = node.memory().http().clone();
        let changes = node.tasks().changes("http-request");
        let metering = Metering::new(config.connections_max);
        node.metrics().add(Arc::clone(&metering) as Arc<dyn Section>);
        Arc::new(App {
            door,
            node,
            config,
            guard: Arc::new(guard),
            memory,
            metering,
            stopping: CancellationToken::new(),
            changes,
        })
    }

    /// Runs a change to its end. A handler's future is dropped when its client disconnects; the change goes on.
    pub(crate) async fn finish<T, F>(&self, change: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        self.changes.run(change).await.unwrap_or_else(|_| {
            Err(Problem::coded(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                50002,
                "the request ended abnormally; whether it was carried out is not known",
            ))
        })
    }
}

/// The peer of a connection; put into every request by the server.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The connection as the memory budget sees it.
    pub(crate) line: Line,
}

/// Who asks, and over which connection.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) Context, pub(crate) Line);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("http");
        let peer = parts.extensions.get::<Peer>();
        let agent = agent.chars().take(100).collect::<String>();
        let line = peer.map(|peer| peer.line.clone()).unwrap_or_default();
        Ok(Caller(Context::http(&agent, peer.map(|peer| peer.address)), line))
    }
}

/// The parameters of a path; a bad one is refused with a `Problem`.
#[derive(Clone, Debug)]
pub(crate) struct Segments<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Segments<T>, Problem> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(segments)| Segments(segments)).map_err(|rejection| Problem::request(rejection.body_text()))
    }
}
