//! One connection: frames in, answers out, in order. Rule 7 of the log contract is here and nowhere else: only Produce overlaps.
//! A Produce begins when the one before it has appended, has failed or holds its places, and its answer may wait behind others; any
//! other request begins when everything before it is answered, and nothing begins behind it until it is. Knows no API but Produce.
//!
//! A failed produce without acks ends the connection. The produces behind it that still hold places are given up and append
//! nothing: Kafka, where produces of a connection do not overlap, would not have begun them. What has appended stays.

use std::collections::VecDeque;
use std::future::Future;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, join};
use kafka_protocol::messages::ApiKey;
use tokio::io::AsyncRead;
use tokio_util::sync::CancellationToken;

use super::frame::{FrameError, FrameReader};
use super::header::{self, HeaderError, Request};
use super::outlet::Outlet;
use super::refusing::Closing;
use super::sending::{SendError, Sending};
use super::throttle::Throttle;
use super::write::Reply;
use crate::clock;
use crate::limits;
use crate::memory::SlowPeer;

/// What came of a request.
#[derive(Debug)]
pub(super) enum Outcome {
    /// To be written.
    Reply(Reply),
    /// Nothing is sent (acks=0).
    Silent,
    /// The connection ends: the request cannot be answered, or Kafka says so by closing.
    Close(Closing),
}

/// A produce that has appended or holds its places; its outcome comes when it is durable.
pub(super) type InFlight = BoxFuture<'static, Outcome>;

/// What answers requests: the engine behind the handlers, or a script in tests.
pub(super) trait Answering: Send + Sync {
    /// Returns when every partition has appended, has failed, or holds its place. The request's frame is dropped when its
    /// batches are not held any more.
    fn produce(&self, request: Request) -> impl Future<Output = InFlight> + Send;
    /// Every other request, to its end.
    fn answer(&self, request: Request) -> impl Future<Output = Outcome> + Send;
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The peer closed, or the broker stops.
    #[error("closed")]
    Closed,
    /// No further frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A request that cannot be answered.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// By a handler.
    #[error("{}", .0.reason)]
    Refused(Closing),
    /// An answer could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// By the memory budget.
    #[error(transparent)]
    Slow(SlowPeer),
}

/// A produce whose answer waits.
struct Waiting {
    outcome: InFlight,
    bytes: usize,
}

/// A connection with both halves of its socket.
pub(super) struct Connection<R, W, A> {
    frames: FrameReader<R>,
    sending: Sending<W>,
    answering: A,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Ends when the peer may be read again (KIP-219).
    muted: Option<BoxFuture<'static, ()>>,
}

impl<R: AsyncRead + Unpin, W: Outlet, A: Answering> Connection<R, W, A> {
    /// Of both halves.
    pub(super) fn new(frames: FrameReader<R>, sending: Sending<W>, answering: A) -> Connection<R, W, A> {
        Connection { frames, sending, answering, waiting: VecDeque::new(), waiting_bytes: 0, muted: None }
    }

    /// Serves until the peer closes, something is wrong with it, or `stop`; what was begun is answered first.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Ended {
        loop {
            let step = if self.may_read() {
                tokio::select! {
                    biased;
                    outcome = front(&mut self.waiting) => Step::Answer(outcome),
                    () = stop.cancelled() => Step::Frame(Ok(None)),
                    () = ended(&mut self.muted), if self.muted.is_some() => Step::Unmuted,
                    frame = self.frames.next(), if self.muted.is_none() => Step::Frame(frame),
                }
            } else {
                Step::Answer(front(&mut self.waiting).await)
            };
            let done = match step {
                Step::Answer(outcome) => self.answered(outcome).await,
                Step::Unmuted => {
                    self.muted = None;
                    Ok(())
                }
                Step::Frame(Ok(Some(frame))) => self.begin(frame).await,
                Step::Frame(Ok(None)) => self.drain().await.and(Err(Ended::Closed)),
                // What came before the broken frame is answered all the same.
                Step::Frame(Err(error)) => self.drain().await.and(Err(error.into())),
            };
            if let Err(ended) = done {
                return ended;
            }
        }
    }

    fn may_read(&self) -> bool {
        self.waiting.len() < limits::PRODUCE_WAITING_MAX && self.waiting_bytes < limits::PRODUCE_WAITING_BYTES_MAX
    }

    async fn begin(&mut self, frame: Bytes) -> Result<(), Ended> {
        let size = frame.len();
        let request = match header::parse(frame) {
            Ok(request) => request,
            Err(error) => return self.drain().await.and(Err(error.into())),
        };
        if request.key == ApiKey::Produce {
            let outcome = self.produce(request).await?;
            self.waiting_bytes += size;
            self.waiting.push_back(Waiting { outcome, bytes: size });
            return Ok(());
        }
        self.drain().await?;
        let outcome = self.answer(request).await?;
        self.send(outcome).await
    }

    /// Begins a produce, and answers what becomes durable meanwhile.
    async fn produce(&mut self, request: Request) -> Result<InFlight, Ended> {
        let mut beginning = std::pin::pin!(self.answering.produce(request));
        loop {
            let outcome = tokio::select! {
                biased;
                in_flight = &mut beginning => return Ok(in_flight),
                outcome = front(&mut self.waiting) => outcome,
            };
            self.waiting_bytes -= pop(&mut self.waiting);
            let throttle = send(&mut self.sending, outcome).await?;
            mute(&mut self.muted, throttle);
        }
    }

    async fn answer(&mut self, request: Request) -> Result<Outcome, Ended> {
        // A fetch may wait long and leaves nothing half done, so it ends with its peer. Other requests run to their end.
        let droppable = request.key == ApiKey::Fetch;
        let answer = self.answering.answer(request);
        if !droppable {
            return Ok(answer.await);
        }
        tokio::select! {
            biased;
            outcome = answer => Ok(outcome),
            () = self.frames.closed() => Err(Ended::Closed),
        }
    }

    /// Sends the front's outcome, and those right behind it that are there already, in one write.
    async fn answered(&mut self, outcome: Outcome) -> Result<(), Ended> {
        self.frames.pause();
        self.waiting_bytes -= pop(&mut self.waiting);
        let Outcome::Reply(reply) = outcome else { return self.send(outcome).await };
        let mut ready = self.sending.ready(reply).await?;
        let mut last = None;
        while let Some(next) = self.waiting.front_mut().and_then(|waiting| (&mut waiting.outcome).now_or_never()) {
            self.waiting_bytes -= pop(&mut self.waiting);
            match next {
                Outcome::Reply(more) => match self.sending.ready_now(more)? {
                    Ok(more) => ready.append(more),
                    // It waits for its memory when what is ready has given its own back.
                    Err(more) => last = Some(Outcome::Reply(more)),
                },
                Outcome::Silent => {}
                close @ Outcome::Close(_) => last = Some(close),
            }
            if last.is_some() {
                break;
            }
        }
        let throttle = self.sending.write(ready).await?;
        mute(&mut self.muted, throttle);
        match last {
            Some(outcome) => self.send(outcome).await,
            None => Ok(()),
        }
    }

    /// Answers everything that waits.
    async fn drain(&mut self) -> Result<(), Ended> {
        while !self.waiting.is_empty() {
            let outcome = front(&mut self.waiting).await;
            self.answered(outcome).await?;
        }
        Ok(())
    }

    async fn send(&mut self, outcome: Outcome) -> Result<(), Ended> {
        let throttle = send(&mut self.sending, outcome).await?;
        mute(&mut self.muted, throttle);
        Ok(())
    }
}

enum Step {
    Unmuted,
    Answer(Outcome),
    Frame(Result<Option<Bytes>, FrameError>),
}

/// The outcome of the oldest produce; never returns when none waits. A future returns its outcome once: `pop` must follow.
async fn front(waiting: &mut VecDeque<Waiting>) -> Outcome {
    match waiting.front_mut() {
        Some(waiting) => (&mut waiting.outcome).await,
        None => std::future::pending().await,
    }
}

/// Takes the oldest produce away and returns its bytes.
fn pop(waiting: &mut VecDeque<Waiting>) -> usize {
    waiting.pop_front().map_or(0, |waiting| waiting.bytes)
}

/// Sends an outcome; returns how long the peer is not to be read after it.
async fn send<W: Outlet>(sending: &mut Sending<W>, outcome: Outcome) -> Result<Throttle, Ended> {
    match outcome {
        Outcome::Reply(reply) => Ok(sending.send(reply).await?),
        Outcome::Silent => Ok(Throttle::NONE),
        Outcome::Close(reason) => Err(Ended::Refused(reason)),
    }
}

/// Mutes for that time from now on, and never ends an earlier one too soon.
fn mute(muted: &mut Option<BoxFuture<'static, ()>>, throttle: Throttle) {
    if throttle == Throttle::NONE {
        return;
    }
    let (earlier, wait) = (muted.take(), clock::sleep(throttle.duration()));
    *muted = Some(match earlier {
        Some(earlier) => join(earlier, wait).map(|_| ()).boxed(),
        None => wait.boxed(),
    });
}

async fn ended(muted: &mut Option<BoxFuture<'static, ()>>) {
    match muted {
        Some(wait) => wait.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
