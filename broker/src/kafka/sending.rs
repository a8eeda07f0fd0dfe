//! The way out of one connection: each answer takes its bytes of OUT, is encoded, and is written. Between `connection.rs`,
//! which says what is answered when, and `write.rs`. It never asks for OUT while it holds some, but for what is there at once.

use std::time::Duration;

use super::outlet::Outlet;
use super::throttle::Throttle;
use super::write::{self, EncodeError, Pieces, Reply};
use crate::memory::{DoorBudget, Line, OutPermit, OverBudget};

/// Why an answer was not sent. The connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// A bug of ours, or a text too long for its field.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// It is larger than any may be.
    #[error(transparent)]
    NoMemory(#[from] OverBudget),
    /// The peer does not take it.
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
}

/// The half of a connection that answers are written to.
pub(super) struct Sending<W> {
    stream: W,
    budget: DoorBudget,
    line: Line,
    stall: Duration,
}

/// An encoded answer, or several, with their memory.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pieces: Pieces,
    throttle: Throttle,
    held: Vec<OutPermit>,
}

impl<W: Outlet> Sending<W> {
    /// `stall`: how long the peer may leave an answer unread.
    pub(super) fn new(stream: W, budget: DoorBudget, line: Line, stall: Duration) -> Sending<W> {
        Sending { stream, budget, line, stall }
    }

    /// Sends an answer; returns how long the peer is not to be read after it.
    pub(super) async fn send(&mut self, reply: Reply) -> Result<Throttle, SendError> {
        let ready = self.ready(reply).await?;
        self.write(ready).await
    }

    /// The answer, encoded as soon as there is memory for it. The caller holds no other.
    pub(super) async fn ready(&self, reply: Reply) -> Result<Ready, SendError> {
        match self.ready_now(reply)? {
            Ok(ready) => Ok(ready),
            Err(reply) => {
                let permit = self.budget.output(&self.line, reply.size()).await?;
                Ready::encoded(reply, permit, false)
            }
        }
    }

    /// The answer if there is memory for it now; else as it was. Copies are made only where they are free.
    pub(super) fn ready_now(&self, reply: Reply) -> Result<Result<Ready, Reply>, SendError> {
        let (size, copyable) = (reply.size(), reply.copyable());
        if copyable > 0
            && let Some(permit) = self.budget.try_output(&self.line, size + copyable)
        {
            return Ready::encoded(reply, permit, true).map(Ok);
        }
        match self.budget.try_output(&self.line, size) {
            Some(permit) => Ready::encoded(reply, permit, false).map(Ok),
            None => Ok(Err(reply)),
        }
    }

    /// Writes it and gives its memory back; returns how long the peer is not to be read after it.
    pub(super) async fn write(&mut self, ready: Ready) -> Result<Throttle, SendError> {
        let Ready { pieces, throttle, held } = ready;
        let at_peer = self.line.at_peer();
        write::write_all(&mut self.stream, pieces, self.stall, &self.line).await?;
        drop((at_peer, held));
        Ok(throttle)
    }
}

impl Ready {
    fn encoded(reply: Reply, permit: OutPermit, copies: bool) -> Result<Ready, SendError> {
        let throttle = reply.throttle();
        let mut pieces = reply.encode()?;
        if copies {
            pieces.copy_small();
        }
        Ok(Ready { pieces, throttle, held: vec![permit] })
    }

    /// Another answer behind this one, for one system call.
    pub(super) fn append(&mut self, other: Ready) {
        self.pieces.append(other.pieces);
        self.held.extend(other.held);
        self.throttle = self.throttle.max(other.throttle);
    }
}
