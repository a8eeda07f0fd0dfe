//! From a parsed header to the handler of its API: bounds, decode, handle, encode. One arm an API; decides nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::Decodable;

use super::call::{Advertised, Call, Envelope};
use super::connection::{Answering, InFlight, Outcome};
use super::header::Request;
use super::metering::Metering;
use super::refusing::Closing;
use super::throttle::Throttle;
use super::{bounds, costs, handlers, versions};
use crate::context::Context;
use crate::engine::Engine;
use crate::memory::WorkPermit;
use crate::refusals::RefusalClass;

/// The handlers over the engine, for one connection.
pub(super) struct Dispatcher {
    /// Answers everything.
    pub(crate) engine: Arc<Engine>,
    /// Counts it.
    pub(crate) metering: Arc<Metering>,
    /// For logs and group descriptions.
    pub(crate) peer: SocketAddr,
    /// The listener's name.
    pub(crate) listener: Arc<str>,
    /// See `Advertised`.
    pub(crate) advertised: Advertised,
}

impl Dispatcher {
    fn call(&self, request: &mut Request) -> Call<'_> {
        let client_id = std::mem::take(&mut request.client_id);
        let ctx = Context::kafka(client_id, Arc::clone(&self.listener), self.peer);
        let (version, correlation) = (request.version, request.correlation);
        // Quotas will decide here.
        let throttle = Throttle::NONE;
        Call { engine: &self.engine, ctx, version, correlation, throttle, advertised: &self.advertised }
    }
}

/// Decodes and calls a handler that puts its answer together itself.
macro_rules! outcome {
    ($request:ident, $call:ident, $handler:path) => {
        match decode(&$call, &$request) {
            Ok((body, _work)) => {
                drop($request);
                $handler(&$call, body).await
            }
            Err(closing) => Outcome::Close(closing),
        }
    };
}

/// As `answer`, for a handler that may wait for minutes: it has made what it keeps its own (STATE), and holds no WORK.
macro_rules! waits {
    ($request:ident, $call:ident, $handler:path) => {
        match decode(&$call, &$request) {
            Ok((body, work)) => {
                drop((work, $request));
                $call.encode($handler(&$call, body).await)
            }
            Err(reason) => Outcome::Close(reason),
        }
    };
}

/// Decodes, calls the handler and encodes what it returns.
macro_rules! answer {
    ($request:ident, $call:ident, $handler:path) => {
        match decode(&$call, &$request) {
            Ok((body, _work)) => {
                // The frame's memory goes as soon as nothing of the decoded request needs it.
                drop($request);
                $call.encode($handler(&$call, body).await)
            }
            Err(closing) => Outcome::Close(closing),
        }
    };
}

impl Answering for Dispatcher {
    async fn produce(&self, mut request: Request) -> InFlight {
        let measured = self.metering.begin(request.key, request.body.len());
        let call = self.call(&mut request);
        let decoded = decode(&call, &request);
        drop(request);
        let in_flight = match decoded {
            // WORK is given back before the produce waits for its turn.
            Ok((body, _work)) => handlers::produce::begin(&call, body).await,
            Err(closing) => std::future::ready(Outcome::Close(closing)).boxed(),
        };
        async move {
            let outcome = in_flight.await;
            if let Some(measured) = measured {
                measured.end(&outcome);
            }
            outcome
        }
        .boxed()
    }

    async fn answer(&self, request: Request) -> Outcome {
        let measured = self.metering.begin(request.key, request.body.len());
        let outcome = self.handle(request).await;
        if let Some(measured) = measured {
            measured.end(&outcome);
        }
        outcome
    }
}

impl Dispatcher {
    async fn handle(&self, mut request: Request) -> Outcome {
        let call = self.call(&mut request);
        match request.key {
            ApiKey::ApiVersions if versions::of(ApiKey::ApiVersions).is_some_and(|row| request.version > row.max) => {
                answer_unknown_api_versions(&call)
            }
            ApiKey::ApiVersions => answer!(request, call, handlers::api_versions::handle),
            ApiKey::Fetch => match decode(&call, &request) {
                Ok((body, work)) => {
                    drop(request);
                    handlers::fetch::handle(&call, body, work).await
                }
                Err(reason) => Outcome::Close(reason),
            },
            ApiKey::ListOffsets => answer!(request, call, handlers::list_offsets::handle),
            ApiKey::Metadata => outcome!(request, call, handlers::metadata::handle),
            ApiKey::OffsetCommit => answer!(request, call, handlers::offset_commit::handle),
            ApiKey::OffsetFetch => answer!(request, call, handlers::offset_fetch::handle),
            ApiKey::FindCoordinator => answer!(request, call, handlers::find_coordinator::handle),
            ApiKey::JoinGroup => waits!(request, call, handlers::join_group::handle),
            ApiKey::Heartbeat => answer!(request, call, handlers::heartbeat::handle),
            ApiKey::LeaveGroup => answer!(request, call, handlers::leave_group::handle),
            ApiKey::SyncGroup => waits!(request, call, handlers::sync_group::handle),
            ApiKey::DescribeGroups => answer!(request, call, handlers::describe_groups::handle),
            ApiKey::ListGroups => answer!(request, call, handlers::list_groups::handle),
            ApiKey::CreateTopics => outcome!(request, call, handlers::create_topics::handle),
            ApiKey::DeleteTopics => outcome!(request, call, handlers::delete_topics::handle),
            ApiKey::DeleteRecords => answer!(request, call, handlers::delete_records::handle),
            ApiKey::InitProducerId => answer!(request, call, handlers::init_producer_id::handle),
            ApiKey::OffsetForLeaderEpoch => answer!(request, call, handlers::offset_for_leader_epoch::handle),
            ApiKey::DescribeConfigs => outcome!(request, call, handlers::describe_configs::handle),
            ApiKey::AlterConfigs => outcome!(request, call, handlers::alter_configs::handle),
            ApiKey::CreatePartitions => outcome!(request, call, handlers::create_partitions::handle),
            ApiKey::IncrementalAlterConfigs => {
                outcome!(request, call, handlers::incremental_alter_configs::handle)
            }
            ApiKey::DescribeCluster => answer!(request, call, handlers::describe_cluster::handle),
            ApiKey::DescribeTopicPartitions => {
                answer!(request, call, handlers::describe_topic_partitions::handle)
            }
            // The header parser lets no key through that has no row in `versions`, and each row has an arm (tested).
            other => Outcome::Close(Closing::ours(format!("{other:?} is not offered"))),
        }
    }
}

/// The client cannot know our versions yet, so it must be able to read this one: version 0 (KIP-511).
fn answer_unknown_api_versions(call: &Call<'_>) -> Outcome {
    Envelope { version: 0, ..call.envelope() }.seal(handlers::api_versions::unsupported())
}

/// The request, and its memory while it is at work.
fn decode<R: Decodable>(call: &Call<'_>, request: &Request) -> Result<(R, WorkPermit), Closing> {
    let Request { key, version, body, .. } = request;
    let text = |error: &dyn std::fmt::Display| format!("{key:?} version {version} cannot be decoded: {error}");
    let refused = |error: &dyn std::fmt::Display| Closing::refused(RefusalClass::BadRequest, text(error));
    let walked = bounds::check(*key, *version, body).map_err(|error| refused(&error))?;
    let work = call.engine.memory().work(call.ctx.source(), "a decoded request", costs::of(*key, walked));
    let work = work.map_err(|over| Closing::refused(RefusalClass::MemoryWork, text(&over)))?;
    let decoded = R::decode(&mut body.clone(), *version).map_err(|error| refused(&error))?;
    Ok((decoded, work))
}
