//! Takes connections in, up to the limit, and owns their tasks until they have ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::call::Advertised;
use super::connection::{Connection, Ended};
use super::dispatch::Dispatcher;
use super::frame::{FrameError, FrameReader};
use super::listener::advertised_locally;
use super::metering::Metering;
use super::sending::{SendError, Sending};
use crate::clock;
use crate::connections::{ConnectionLimits, Connections, Place};
use crate::engine::Engine;
use crate::limits;
use crate::memory::Line;
use crate::refusals::RefusalClass;

/// How long to wait after an accept that failed (no file descriptors left, for one) before the next.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    engine: Arc<Engine>,
    metering: Arc<Metering>,
    connections: Arc<Connections>,
}

/// The listener that a socket belongs to.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    /// `host:port` as bound, which is its name in every `Context`.
    pub(crate) name: Arc<str>,
    /// What its clients are to connect to; `None`: where they came in.
    pub(crate) advertised: Option<Advertised>,
}

impl Shared {
    pub(super) fn new(engine: Arc<Engine>, metering: Arc<Metering>) -> Arc<Shared> {
        let config = &engine.config().connections;
        let limits = ConnectionLimits {
            at_once: config.max_connections,
            per_second: config.connections_per_second,
            of_address_at_once: config.max_connections_per_address,
            of_address_per_second: config.connections_per_second_per_address,
        };
        let connections = Connections::new("Kafka", limits, engine.refusals().clone(), engine.clock().monotonic());
        Arc::new(Shared { engine, metering, connections })
    }

    /// The next connection, not before the port may have it. May be dropped and called again.
    async fn next(&self, socket: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr)> {
        let pause = self.connections.pause(self.engine.clock().monotonic());
        if !pause.is_zero() {
            clock::sleep(pause).await;
        }
        socket.accept().await
    }
}

/// Accepts on one socket until `stop`, then lets its connections finish what is in flight, `limits::DRAIN_MS` at most.
pub(super) async fn run(socket: TcpListener, listener: Listener, shared: Arc<Shared>, stop: CancellationToken) {
    let mut connections = shared.engine.tasks().requests("kafka-connection");
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(()) = connections.next_ended() => continue,
            accepted = shared.next(&socket) => accepted,
        };
        let now = shared.engine.clock().monotonic();
        match accepted {
            Ok((stream, peer)) => {
                let Ok(place) = shared.connections.admit(peer, now) else { continue };
                connections.spawn(serve(stream, peer, listener.clone(), Arc::clone(&shared), place, stop.clone()));
            }
            Err(error) => {
                shared.connections.note_failure(&error, now);
                clock::sleep(BACK_OFF).await;
            }
        }
    }
    drop(socket);
    if clock::timeout(Duration::from_millis(limits::DRAIN_MS), connections.all_ended()).await.is_err() {
        let count = connections.cut_off().await;
        tracing::warn!("{count} connections did not finish in time and are closed");
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    listener: Listener,
    shared: Arc<Shared>,
    place: Place,
    stop: CancellationToken,
) {
    let _open = shared.metering.connection();
    let local = match stream.set_nodelay(true).and_then(|()| stream.local_addr()) {
        Ok(local) => local,
        // It has closed already.
        Err(error) => return tracing::debug!("connection of {peer}: {error}"),
    };
    let advertised = listener.advertised.unwrap_or_else(|| advertised_locally(local));
    let idle = Duration::from_millis(shared.engine.config().connections.connections_max_idle_ms);
    let (reading, writing) = stream.into_split();
    let (budget, line) = (shared.engine.memory().kafka(), Line::default());
    let pause = Duration::from_millis(shared.engine.config().connections.frame_pause_max_ms);
    let frames = FrameReader::new(reading, budget.clone(), line.clone(), idle).pausing(pause);
    let sending = Sending::new(writing, budget.clone(), line.clone(), idle);
    let (engine, metering) = (Arc::clone(&shared.engine), Arc::clone(&shared.metering));
    let dispatcher = Dispatcher { engine, metering, peer, listener: listener.name, advertised };
    let ended = tokio::select! {
        biased;
        ended = Connection::new(frames, sending, dispatcher).run(stop) => ended,
        // All that it holds goes with it.
        held = line.ended() => Ended::Slow(held),
    };
    match refused(&ended) {
        Some(class) => shared.engine.refusals().note(class, peer, &format_args!("the connection is closed: {ended}")),
        None => tracing::debug!("connection of {peer}: {ended}"),
    }
    drop(place);
}

/// The class of an end that no client of ours should cause; `None`: what peers do all the time.
fn refused(ended: &Ended) -> Option<RefusalClass> {
    match ended {
        Ended::Closed
        | Ended::Send(SendError::Write(_) | SendError::Encode(_))
        | Ended::Frame(FrameError::Read(_) | FrameError::Truncated | FrameError::Idle(_)) => None,
        Ended::Frame(FrameError::BadLength { .. }) => Some(RefusalClass::FrameLength),
        Ended::Frame(FrameError::Slow { .. }) => Some(RefusalClass::SlowSender),
        Ended::Header(_) => Some(RefusalClass::Header),
        Ended::Refused(closing) => closing.class,
        Ended::Send(SendError::NoMemory(_)) => Some(RefusalClass::MemoryOut),
        Ended::Slow(slow) if slow.reads => Some(RefusalClass::SlowReader),
        Ended::Slow(_) => Some(RefusalClass::SlowSender),
    }
}
