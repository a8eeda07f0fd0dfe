//! What the gateway counts: connections, and requests by route, method and status with their bytes and time. A layer around all
//! routes begins and ends each request here. A route is the path as the router has it, never the path that was asked for: what
//! a stranger can choose is one row, `none`. A time runs to the head of the answer, long polls included.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::TryStreamExt;
use http::{Method, StatusCode};
use parking_lot::RwLock;
use sluice_broker::clock::{Clock, MachineClock};
use sluice_broker::metrics::{Counter, Histogram, Level, Page, Rows, Section, Up};

/// The route of a request whose path is none of ours.
const NO_ROUTE: &str = "none";
/// The methods that are told apart; a client may send any token as one.
const METHODS: [Method; 7] =
    [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD, Method::OPTIONS];

/// The counts of one gateway.
#[derive(Debug)]
pub(crate) struct Metering {
    routes: RwLock<BTreeMap<RouteKey, Arc<RouteCounts>>>,
    accepted: Counter,
    open: Level,
    connections_max: usize,
}

/// A route and a method of it.
type RouteKey = (String, &'static str);

#[derive(Debug)]
struct RouteCounts {
    /// By status: a few hundred at most.
    answers: RwLock<BTreeMap<u16, Arc<Counter>>>,
    request_bytes: Arc<Counter>,
    response_bytes: Counter,
    under_way: Level,
    time: Histogram,
}

/// A connection that is open.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Metering>);

impl AsRef<Level> for OpenConnection {
    fn as_ref(&self) -> &Level {
        &self.0.open
    }
}

#[derive(Debug)]
struct UnderWay(Arc<RouteCounts>);

impl AsRef<Level> for UnderWay {
    fn as_ref(&self) -> &Level {
        &self.0.under_way
    }
}

impl Metering {
    pub(crate) fn new(connections_max: usize) -> Arc<Metering> {
        let (accepted, open) = (Counter::default(), Level::default());
        Arc::new(Metering { routes: RwLock::default(), accepted, open, connections_max })
    }

    /// A connection was accepted; it is open for as long as what is returned lives.
    pub(crate) fn connection(self: &Arc<Self>) -> Up<OpenConnection> {
        self.accepted.up();
        Level::up(OpenConnection(Arc::clone(self)))
    }

    fn route(&self, path: Option<&MatchedPath>, method: &Method) -> Arc<RouteCounts> {
        let path = path.map_or(NO_ROUTE, MatchedPath::as_str);
        let method = METHODS.iter().position(|known| known == method).map_or("other", |at| METHODS[at].as_str());
        let key: RouteKey = (path.to_owned(), method);
        if let Some(counts) = self.routes.read().get(&key) {
            return Arc::clone(counts);
        }
        Arc::clone(self.routes.write().entry(key).or_insert_with(|| Arc::new(RouteCounts::new())))
    }
}

impl RouteCounts {
    fn new() -> RouteCounts {
        RouteCounts {
            answers: RwLock::default(),
            request_bytes: Arc::default(),
            response_bytes: Counter::default(),
            under_way: Level::default(),
            time: Histogram::of_durations(),
        }
    }

    fn answered(&self, status: StatusCode) {
        let status = status.as_u16();
        if let Some(count) = self.answers.read().get(&status) {
            return count.up();
        }
        let count = Arc::clone(self.answers.write().entry(status).or_default());
        count.up();
    }
}

/// Counts a request and its answer. Stands around the router, inside of which a path has become a route.
pub(crate) async fn layer(State(metering): State<Arc<Metering>>, request: Request, next: Next) -> Response {
    let counts = metering.route(request.extensions().get::<MatchedPath>(), request.method());
    let under_way = Level::up(UnderWay(Arc::clone(&counts)));
    let began = MachineClock.monotonic();
    let response = next.run(request.map(|body| counted(body, &counts.request_bytes))).await;
    counts.time.took(MachineClock.monotonic().saturating_duration_since(began));
    counts.answered(response.status());
    counts.response_bytes.add(response.body().size_hint().exact().unwrap_or(0));
    drop(under_way);
    response
}

/// The same body, whose bytes are counted as the handler reads them.
fn counted(body: Body, bytes: &Arc<Counter>) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let bytes = Arc::clone(bytes);
    Body::from_stream(body.into_data_stream().inspect_ok(move |piece| bytes.add_len(piece.len())))
}

impl Section for Metering {
    fn show(&self, page: &mut Page<'_>) {
        page.counter("sluice_http_connections_accepted", "HTTP connections that were accepted.", &self.accepted);
        page.gauges("sluice_http_connections", "Open HTTP connections.", |rows| rows.number(&[], self.open.get()));
        page.gauges(
            "sluice_http_connections_max",
            "HTTP connections that may be open (http.connections_max).",
            |rows| {
                rows.number(&[], i64::try_from(self.connections_max).unwrap_or(i64::MAX));
            },
        );
        let routes: Vec<(RouteKey, Arc<RouteCounts>)> =
            self.routes.read().iter().map(|(key, counts)| (key.clone(), Arc::clone(counts))).collect();
        page.counters("sluice_http_requests", "Answers to HTTP requests, by route, method and status.", |rows| {
            routes.iter().for_each(|(key, counts)| answers(rows, key, counts));
        });
        let mut count = |name, help, of: fn(&RouteCounts) -> u64| {
            page.counters(name, help, |rows| {
                routes.iter().for_each(|(key, counts)| rows.count(&labels(key), of(counts)));
            });
        };
        count("sluice_http_request_bytes", "Bytes of bodies that were read.", |route| route.request_bytes.get());
        count("sluice_http_response_bytes", "Bytes of the bodies of answers.", |route| route.response_bytes.get());
        page.gauges("sluice_http_requests_under_way", "HTTP requests that are not answered yet.", |rows| {
            routes.iter().for_each(|(key, counts)| rows.number(&labels(key), counts.under_way.get()));
        });
        page.histograms(
            "sluice_http_request_duration_seconds",
            "Time from a request's head to that of its answer; long polls wait in it.",
            |rows| routes.iter().for_each(|(key, counts)| rows.distribution(&labels(key), &counts.time)),
        );
    }
}

fn labels((route, method): &RouteKey) -> [(&'static str, &str); 2] {
    [("route", route), ("method", method)]
}

fn answers(rows: &mut Rows<'_>, key: &RouteKey, counts: &RouteCounts) {
    for (status, count) in counts.answers.read().iter() {
        let [route, method] = labels(key);
        rows.count(&[route, method, ("status", &status.to_string())], count.get());
    }
}
