//! Takes connections in, up to the limit, and owns their tasks until they have ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::call::Advertised;
use super::connection::{Connection, Ended};
use super::dispatch::Dispatcher;
use super::frame::{FrameError, FrameReader};
use super::listener::advertised_locally;
use crate::clock;
use crate::engine::Engine;
use crate::limits;

/// How long to wait after an accept that failed (no file descriptors left, for one) before the next.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    engine: Arc<Engine>,
    /// Permits are connections.
    room: Arc<Semaphore>,
    refusals: Refusals,
}

/// The listener that a socket belongs to.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    /// `host:port` as bound, which is its name in every `Context`.
    pub name: Arc<str>,
    /// What its clients are to connect to; `None`: where they came in.
    pub advertised: Option<Advertised>,
}

impl Shared {
    pub(super) fn new(engine: Arc<Engine>) -> Arc<Shared> {
        let room = Arc::new(Semaphore::new(engine.config().max_connections));
        Arc::new(Shared { engine, room, refusals: Refusals::default() })
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
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(place) = Arc::clone(&shared.room).try_acquire_owned() else {
                    shared.refusals.note(&shared.engine, peer);
                    continue;
                };
                connections.spawn(serve(stream, peer, listener.clone(), Arc::clone(&shared), place, stop.clone()));
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
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
    place: OwnedSemaphorePermit,
    stop: CancellationToken,
) {
    let local = match stream.set_nodelay(true).and_then(|()| stream.local_addr()) {
        Ok(local) => local,
        // It has closed already.
        Err(error) => return tracing::debug!("connection of {peer}: {error}"),
    };
    let advertised = listener.advertised.unwrap_or_else(|| advertised_locally(local));
    let idle = Duration::from_millis(shared.engine.config().connections_max_idle_ms);
    let (reading, writing) = stream.into_split();
    let frames = FrameReader::new(reading, shared.engine.memory().clone(), idle);
    let dispatcher = Dispatcher { engine: Arc::clone(&shared.engine), peer, listener: listener.name, advertised };
    let ended = Connection::new(frames, writing, dispatcher, idle).run(stop).await;
    match ended {
        // What peers do all the time.
        Ended::Closed
        | Ended::Write(_)
        | Ended::Frame(FrameError::Read(_) | FrameError::Truncated | FrameError::Idle(_)) => {
            tracing::debug!("connection of {peer}: {ended}");
        }
        // What no client of ours should do.
        Ended::Frame(_) | Ended::Header(_) | Ended::Refused(_) => {
            tracing::warn!("connection of {peer} is closed: {ended}");
        }
    }
    drop(place);
}

/// Connections that found no place: counted, and logged in one line a second at most.
#[derive(Debug, Default)]
struct Refusals {
    since_last_line: AtomicU64,
    last_line: Mutex<Option<std::time::Instant>>,
}

impl Refusals {
    fn note(&self, engine: &Engine, peer: SocketAddr) {
        self.since_last_line.fetch_add(1, Ordering::Relaxed);
        let now = engine.clock().monotonic();
        let mut last = self.last_line.lock();
        if last.is_some_and(|last| now.saturating_duration_since(last) < Duration::from_secs(1)) {
            return;
        }
        *last = Some(now);
        let refused = self.since_last_line.swap(0, Ordering::Relaxed);
        let max = engine.config().max_connections;
        tracing::warn!("{refused} connections refused, {peer} the last: {max} are open (max_connections)");
    }
}
