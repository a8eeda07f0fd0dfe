//! What a handler is given beside its request, and how its response becomes an answer. Between `dispatch.rs` and `handlers/`;
//! knows no API.

use std::sync::Arc;

use kafka_protocol::protocol::{Encodable, HeaderVersion};

use super::connection::Outcome;
use super::write::{EncodeError, Reply};
use crate::auth::{Denied, Granted, Resource, Right};
use crate::context::Context;
use crate::engine::Engine;

/// What clients of a connection are to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advertised {
    /// A name or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// One call of a handler.
pub(super) struct Call<'a> {
    /// Answers it.
    pub engine: &'a Arc<Engine>,
    /// The caller.
    pub ctx: Context,
    /// The version of the request and of its answer.
    pub version: i16,
    /// Pairs the answer with its request.
    pub correlation: i32,
    /// This broker, as the client of this connection should see it.
    pub advertised: &'a Advertised,
}

impl Call<'_> {
    /// This broker's id.
    pub(super) fn node_id(&self) -> i32 {
        self.engine.config().node_id
    }

    /// Asks for the permit that a verb of the engine needs.
    pub(super) fn ask<R: Right, T: Resource>(&self, resource: T) -> Result<Granted<R, T>, Denied> {
        self.engine.auth().ask(&self.ctx, resource)
    }

    /// The response in the version of the request.
    pub(super) fn encode<M: Encodable + HeaderVersion>(&self, response: &M) -> Outcome {
        reply(Reply::encode(self.correlation, self.version, response))
    }
}

/// An answer that could not be encoded ends the connection: its client would wait for it forever.
pub(super) fn reply(encoded: Result<Reply, EncodeError>) -> Outcome {
    match encoded {
        Ok(reply) => Outcome::Reply(reply),
        Err(error) => Outcome::Close(error.to_string()),
    }
}
