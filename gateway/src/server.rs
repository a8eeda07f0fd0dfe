//! The HTTP server: binds, accepts a limited number of connections, limits the time and bytes of each, and drains when it
//! is asked to stop. Knows no route.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sluice_broker::clock::{MachineClock, SharedClock, timeout};
use sluice_broker::connections::{ConnectionLimits, Connections, Place};
use sluice_broker::door::Door;
use sluice_broker::memory::Line;
use sluice_broker::node_facts::NodeFacts;
use sluice_broker::refusals::{RefusalClass, Refusals};
use sluice_broker::tasks::{Requests, Vital};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::app::{App, Peer};
use crate::config::GatewayConfig;
use crate::counted::Counted;
use crate::guard::Guard;
use crate::limits::{DRAIN_TIME_MAX, HEAD_BYTES_MAX, HEADERS_MAX, REFUSALS_AT_ONCE_MAX, UNREAD_ANSWER_TIME_MAX};
use crate::listen::{ListenError, bind};
use crate::metering::Metering;
use crate::paths;

/// The answer to every client over the limit of connections.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
    Content-Type: application/problem+json\r\nContent-Length: 133\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"too many connections\",\"error_code\":50003,\"message\":\"\"}    ";
/// How long such a client has to read it.
const FULL_LINGER: Duration = Duration::from_secs(1);
/// The pause after a failed accept (no file descriptors left, usually).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A gateway that is bound and not yet served.
#[derive(Debug)]
pub struct Gateway {
    app: Arc<App>,
    listeners: Vec<TcpListener>,
}

impl Gateway {
    /// Checks the settings and binds every listener.
    ///
    /// # Errors
    /// `ListenError`, with nothing left bound.
    pub async fn bind(config: &GatewayConfig, door: Door, node: NodeFacts) -> Result<Gateway, ListenError> {
        config.check()?;
        let mut listeners = Vec::new();
        for listen in &config.listen {
            listeners.extend(bind(listen, config.allow_anonymous).await?);
        }
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let guard = Guard::new(config, Some(&machine));
        Ok(Gateway { app: App::new(config.clone(), guard, door, node), listeners })
    }

    /// `IP:PORT` of each listener, as bound.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let local = self.listeners.iter().filter_map(|listener| listener.local_addr().ok());
        local.map(|address| address.to_string()).collect()
    }

    /// Serves until `stop` is cancelled, then finishes what is under way, ten seconds at most.
    pub async fn serve(self, stop: CancellationToken) {
        let Gateway { app, listeners } = self;
        let clock: SharedClock = Arc::new(MachineClock);
        let server = Arc::new(Server {
            router: paths::service(Arc::clone(&app)),
            refused: app.node.refusals().clone(),
            connections: Connections::new("HTTP", limits(&app.config), app.node.refusals().clone(), clock.monotonic()),
            clock,
            refusals: Arc::new(Semaphore::new(REFUSALS_AT_ONCE_MAX)),
            idle: Duration::from_millis(app.config.idle_timeout_ms),
            stop: stop.clone(),
            metering: Arc::clone(&app.metering),
        });
        let tasks = app.node.tasks();
        let cut_off = CancellationToken::new();
        let start = |listener: TcpListener| {
            let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
            let connections = tasks.requests("http-connection");
            let accepting = Arc::clone(&server).accept(listener, connections, cut_off.clone());
            tasks.vital(Vital::new(format!("http-port {address}"), stop.clone()), accepting)
        };
        let acceptors: Vec<_> = listeners.into_iter().map(start).collect();
        stop.cancelled().await;
        app.stopping.cancel();
        // An acceptor ends when its connections have.
        let drained = async {
            for acceptor in &acceptors {
                acceptor.ended().await;
            }
            app.changes.closed().await;
        };
        if timeout(DRAIN_TIME_MAX, drained).await.is_err() {
            tracing::warn!("HTTP requests were cut off: they did not end within {DRAIN_TIME_MAX:?}");
            cut_off.cancel();
        }
    }
}

struct Server {
    router: Router,
    connections: Arc<Connections>,
    clock: SharedClock,
    /// One permit a connection that is being refused.
    refusals: Arc<Semaphore>,
    /// For a whole request head, from the end of the request before it: the answer to slow-loris and to idle connections alike.
    idle: Duration,
    stop: CancellationToken,
    metering: Arc<Metering>,
    refused: Refusals,
}

impl Server {
    /// Owns the connections of one listener until the last has ended or they are to be closed.
    async fn accept(self: Arc<Server>, listener: TcpListener, mut connections: Requests, cut_off: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = self.next(&listener) => accepted,
                Some(()) = connections.next_ended() => continue,
            };
            let now = self.clock.monotonic();
            match accepted {
                Ok((stream, peer)) => match self.connections.admit(peer, now) {
                    Ok(place) => {
                        connections.spawn(Arc::clone(&self).connection(stream, peer, place));
                    }
                    Err(_) => {
                        if let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() {
                            connections.spawn(refuse(stream, permit));
                        }
                    }
                },
                Err(error) => {
                    self.connections.note_failure(&error, now);
                    sluice_broker::clock::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        tokio::select! {
            () = connections.all_ended() => {}
            () = cut_off.cancelled() => {}
        }
    }

    /// The next connection, not before the port may have it. May be dropped and called again.
    async fn next(&self, listener: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr)> {
        let pause = self.connections.pause(self.clock.monotonic());
        if !pause.is_zero() {
            sluice_broker::clock::sleep(pause).await;
        }
        listener.accept().await
    }

    async fn connection(self: Arc<Server>, stream: TcpStream, address: SocketAddr, _place: Place) {
        let _open = self.metering.connection();
        if let Err(error) = prepare(&stream) {
            tracing::debug!("the connection of {address} was not set up: {error}");
            return;
        }
        let line = Line::default();
        let stream = Counted::new(stream, line.clone());
        let peer = Peer { address, line: line.clone() };
        let router = self.router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.clone().oneshot(request)
        });
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.idle)
                .max_headers(HEADERS_MAX)
                .max_header_size(HEAD_BYTES_MAX)
                .max_buf_size(2 * HEAD_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service)
        );
        let serving = async {
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = self.stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        tokio::select! {
            biased;
            ended = serving => if let Err(error) = ended {
                tracing::debug!("the connection of {address} ended: {error}");
            },
            // All that it holds goes with it.
            slow = line.ended() => {
                let class = if slow.reads { RefusalClass::SlowReader } else { RefusalClass::SlowSender };
                self.refused.note(class, address, &format_args!("the connection is closed: {slow}"));
            }
        }
    }
}

fn limits(config: &GatewayConfig) -> ConnectionLimits {
    ConnectionLimits {
        at_once: config.connections_max,
        per_second: config.connections_per_second,
        of_address_at_once: config.connections_max_per_address,
        of_address_per_second: config.connections_per_second_per_address,
    }
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_keepalive(true)?;
    socket.set_tcp_user_timeout(Some(UNREAD_ANSWER_TIME_MAX))
}

/// Sends the reason, and waits a moment until the client has read it. A close with unread input resets the connection, and
/// the answer would be lost.
async fn refuse(mut stream: TcpStream, _permit: OwnedSemaphorePermit) {
    let tell = async {
        stream.write_all(FULL).await?;
        stream.shutdown().await?;
        let mut ignored = [0u8; 4096];
        while stream.read(&mut ignored).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    // The connection is closed whether or not the client has read it.
    let _ = timeout(FULL_LINGER, tell).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_of_a_connection_is_a_whole_answer() {
        let text = std::str::from_utf8(FULL).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        assert_eq!(length.parse(), Ok(body.len()));
        assert_eq!(serde_json::from_str::<serde_json::Value>(body).expect("JSON")["error_code"], 50003);
    }
}
