//! What the Kafka port counts: connections, and of each API requests, bytes, answers and their time. Beside `dispatch.rs`, which
//! begins and ends each request here, and `accept.rs`. A time runs from the decoded header to the answer that is ready to be sent:
//! waits that the client asked for (long polls, joins) are in it, how fast the client reads is not.

use std::sync::Arc;
use std::time::Instant;

use kafka_protocol::messages::ApiKey;

use super::connection::Outcome;
use super::versions::ROWS;
use crate::clock::SharedClock;
use crate::metrics::{Counter, Histogram, Level, Page, Section, Up};

/// The counts of one port. All of its sockets share them.
#[derive(Debug)]
pub(super) struct Metering {
    clock: SharedClock,
    /// In the order of `ROWS`.
    apis: Vec<ApiCounts>,
    accepted: Counter,
    open: Level,
    connections_max: usize,
}

#[derive(Debug)]
struct ApiCounts {
    name: String,
    requests: Counter,
    request_bytes: Counter,
    response_bytes: Counter,
    /// Requests that have ended their connection instead of being answered.
    closed: Counter,
    under_way: Level,
    time: Histogram,
}

/// A part of the metering that is held by what it counts.
#[derive(Debug)]
pub(super) struct OpenConnection(Arc<Metering>);

#[derive(Debug)]
struct OfApi {
    metering: Arc<Metering>,
    at: usize,
}

/// A request that is being answered. One that is dropped without `end` was given up by its client.
#[derive(Debug)]
pub(super) struct Measured {
    began: Instant,
    under_way: Up<OfApi>,
}

impl AsRef<Level> for OpenConnection {
    fn as_ref(&self) -> &Level {
        &self.0.open
    }
}

impl OfApi {
    fn counts(&self) -> &ApiCounts {
        &self.metering.apis[self.at]
    }
}

impl AsRef<Level> for OfApi {
    fn as_ref(&self) -> &Level {
        &self.counts().under_way
    }
}

impl Metering {
    /// Nothing counted yet.
    pub(super) fn new(clock: SharedClock, connections_max: usize) -> Arc<Metering> {
        let apis = ROWS.iter().map(|row| ApiCounts {
            name: format!("{:?}", row.key),
            requests: Counter::default(),
            request_bytes: Counter::default(),
            response_bytes: Counter::default(),
            closed: Counter::default(),
            under_way: Level::default(),
            time: Histogram::of_durations(),
        });
        let apis = apis.collect();
        let (accepted, open) = (Counter::default(), Level::default());
        Arc::new(Metering { clock, apis, accepted, open, connections_max })
    }

    /// A connection was accepted; it is open for as long as what is returned lives.
    pub(super) fn connection(self: &Arc<Self>) -> Up<OpenConnection> {
        self.accepted.up();
        Level::up(OpenConnection(Arc::clone(self)))
    }

    /// A request with a body of so many bytes begins; `None`: its API is none of ours.
    pub(super) fn begin(self: &Arc<Self>, key: ApiKey, body_bytes: usize) -> Option<Measured> {
        let at = ROWS.iter().position(|row| row.key == key)?;
        let of_api = OfApi { metering: Arc::clone(self), at };
        of_api.counts().requests.up();
        of_api.counts().request_bytes.add_len(body_bytes);
        Some(Measured { began: self.clock.monotonic(), under_way: Level::up(of_api) })
    }
}

impl Measured {
    /// The answer is ready.
    pub(super) fn end(self, outcome: &Outcome) {
        let of_api = self.under_way.of();
        let counts = of_api.counts();
        match outcome {
            Outcome::Reply(reply) => counts.response_bytes.add_len(reply.len()),
            Outcome::Silent => {}
            Outcome::Close(_) => counts.closed.up(),
        }
        counts.time.took(of_api.metering.clock.monotonic().saturating_duration_since(self.began));
    }
}

impl Section for Metering {
    fn show(&self, page: &mut Page<'_>) {
        page.counter("sluice_kafka_connections_accepted", "Connections that were accepted.", &self.accepted);
        page.gauges("sluice_kafka_connections", "Open connections.", |rows| rows.number(&[], self.open.get()));
        page.gauges("sluice_kafka_connections_max", "Connections that may be open (max_connections).", |rows| {
            rows.number(&[], i64::try_from(self.connections_max).unwrap_or(i64::MAX));
        });
        let mut count = |name, help, of: fn(&ApiCounts) -> &Counter| {
            page.counters(name, help, |rows| {
                self.apis.iter().for_each(|api| rows.count(&[("api", &api.name)], of(api).get()));
            });
        };
        count("sluice_kafka_requests", "Requests, by API.", |api| &api.requests);
        count("sluice_kafka_request_bytes", "Bytes of requests behind their headers.", |api| &api.request_bytes);
        count("sluice_kafka_response_bytes", "Bytes of answers with their headers.", |api| &api.response_bytes);
        count("sluice_kafka_requests_closed", "Requests that ended their connection.", |api| &api.closed);
        page.gauges("sluice_kafka_requests_under_way", "Requests that are not answered yet.", |rows| {
            self.apis.iter().for_each(|api| rows.number(&[("api", &api.name)], api.under_way.get()));
        });
        page.histograms(
            "sluice_kafka_request_duration_seconds",
            "Time from a request's header to its answer; long polls wait in it.",
            |rows| self.apis.iter().for_each(|api| rows.distribution(&[("api", &api.name)], &api.time)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::kafka::refusing::Closing;
    use crate::kafka::write::Reply;

    #[test]
    fn a_request_is_counted_when_it_begins_and_its_answer_when_it_is_ready() {
        let clock = Arc::new(ManualClock::at(0));
        let metering = Metering::new(Arc::clone(&clock) as SharedClock, 10);
        let first = metering.begin(ApiKey::Heartbeat, 100).unwrap();
        let second = metering.begin(ApiKey::Heartbeat, 20).unwrap();
        let heartbeats = metering.apis.iter().find(|api| api.name == "Heartbeat").unwrap();
        assert_eq!((heartbeats.requests.get(), heartbeats.request_bytes.get()), (2, 120));
        assert_eq!(heartbeats.under_way.get(), 2);
        clock.advance_ms(30);
        let reply = Reply::of(5, 0, kafka_protocol::messages::HeartbeatResponse::default()).unwrap();
        first.end(&Outcome::Reply(reply));
        assert_eq!((heartbeats.response_bytes.get(), heartbeats.under_way.get()), (10, 1));
        drop(second);
        assert_eq!(heartbeats.under_way.get(), 0, "given up");
        metering.begin(ApiKey::Heartbeat, 0).unwrap().end(&Outcome::Close(Closing::ours("a reason")));
        assert_eq!(heartbeats.closed.get(), 1);
        assert!(metering.begin(ApiKey::Vote, 0).is_none());
    }

    #[test]
    fn a_connection_is_open_until_it_is_dropped() {
        let metering = Metering::new(Arc::new(ManualClock::at(0)), 10);
        let connection = metering.connection();
        assert_eq!((metering.accepted.get(), metering.open.get()), (1, 1));
        drop(connection);
        assert_eq!((metering.accepted.get(), metering.open.get()), (1, 0));
    }
}
