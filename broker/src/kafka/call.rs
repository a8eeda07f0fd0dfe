//! What a handler is given beside its request, and how its response becomes an answer. Between `dispatch.rs` and `handlers/`;
//! knows no API.

use std::sync::Arc;

use kafka_protocol::protocol::{Encodable, HeaderVersion};

use super::connection::Outcome;
use super::refusing::{Closing, Refusing};
use super::throttle::{Throttle, Throttled};
use super::write::{EncodeError, Reply};
use crate::auth::{Denied, Granted, Resource, Right};
use crate::context::Context;
use crate::engine::{Engine, EngineError};

/// What clients of a connection are to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advertised {
    /// A name or an address without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
}

/// One call of a handler.
pub(super) struct Call<'a> {
    /// Answers it.
    pub(crate) engine: &'a Arc<Engine>,
    /// The caller.
    pub(crate) ctx: Context,
    /// The version of the request and of its answer.
    pub(crate) version: i16,
    /// Pairs the answer with its request.
    pub(crate) correlation: i32,
    /// How long the client has to wait after its answer.
    pub(crate) throttle: Throttle,
    /// This broker, as the client of this connection should see it.
    pub(crate) advertised: &'a Advertised,
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

    /// Counts and logs an error, if it is a refusal: its answer is a code alone.
    pub(super) fn note(&self, error: &EngineError) {
        self.refusing().note(error);
    }

    /// For errors that are known when this call has ended.
    pub(super) fn refusing(&self) -> Refusing {
        Refusing::new(self.engine.refusals().clone(), self.ctx.clone())
    }

    /// The response in the version of the request.
    pub(super) fn encode<M: Encodable + HeaderVersion + Throttled + Send + 'static>(&self, response: M) -> Outcome {
        self.envelope().seal(response)
    }

    /// For an answer that outlives this call.
    pub(super) fn envelope(&self) -> Envelope {
        Envelope { correlation: self.correlation, version: self.version, throttle: self.throttle }
    }
}

/// What an answer carries beside its response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Envelope {
    /// Pairs it with its request.
    pub(crate) correlation: i32,
    /// The version of both.
    pub(crate) version: i16,
    /// How long its client has to wait. The one place that puts it into answers.
    pub(crate) throttle: Throttle,
}

impl Envelope {
    /// The whole answer.
    pub(super) fn seal<M: Encodable + HeaderVersion + Throttled + Send + 'static>(self, mut response: M) -> Outcome {
        response.set_throttle(self.throttle);
        self.reply(Reply::of(self.correlation, self.version, response))
    }

    /// As `seal`, for an answer that was encoded by hand, throttle time included. An answer that could not be encoded ends the
    /// connection: its client would wait for it forever.
    pub(super) fn reply(self, encoded: Result<Reply, EncodeError>) -> Outcome {
        match encoded {
            Ok(reply) => Outcome::Reply(reply.throttled(self.throttle)),
            Err(error) => Outcome::Close(Closing::ours(error.to_string())),
        }
    }
}
