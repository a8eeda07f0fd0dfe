//! Length-prefixed frames off a connection. The bytes of a body are admitted by the budget that all connections share before
//! the first of them is read, and leave it when the frame is dropped. Never grows beyond one frame and one read-ahead.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::clock::timeout;
use crate::limits;
use crate::memory::{MemoryBudget, Share};

/// Bytes read ahead, in which small frames are found without a system call each. A small frame shares at most this much memory
/// with its neighbours, and an idle connection holds it.
const READ_AHEAD_BYTES: usize = 4 * 1024;
/// The length prefix.
const PREFIX_BYTES: usize = 4;

/// One request as it came, and its share of the budget.
#[derive(Debug)]
pub(super) struct Frame {
    /// The body, without its length.
    pub bytes: Bytes,
    /// Given back when the frame's bytes are no longer held.
    pub admitted: Share,
}

/// Why a connection has no next frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// Negative, zero or above the limit: not a client of ours, or one that lost its place.
    #[error("a frame of {length} bytes was announced, 1 to {max} are possible")]
    BadLength {
        /// As announced.
        length: i32,
        /// What a frame may have (`memory_max_bytes` may be small).
        max: usize,
    },
    /// The peer closed in the middle of a frame.
    #[error("the connection ended inside a frame")]
    Truncated,
    /// Nothing came for too long.
    #[error("nothing came for {0:?}")]
    Idle(Duration),
    /// The body trickles while it holds a share of the budget.
    #[error("the {length} bytes of a frame did not arrive within {within:?}")]
    Slow {
        /// Bytes of the frame.
        length: usize,
        /// How long it was waited for.
        within: Duration,
    },
    /// The socket failed.
    #[error("cannot read: {0}")]
    Read(#[from] std::io::Error),
}

/// A frame whose body is on its way.
#[derive(Debug)]
struct Body {
    bytes: BytesMut,
    length: usize,
    admitted: Share,
}

/// Reads frames. Every method may be dropped at an await and called again without losing a byte.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    stream: R,
    ahead: BytesMut,
    body: Option<Body>,
    budget: MemoryBudget,
    idle: Duration,
    body_within: Duration,
    ended: bool,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// `budget` has one permit a byte; `idle` is how long the peer may be silent between two frames.
    pub(super) fn new(stream: R, budget: MemoryBudget, idle: Duration) -> FrameReader<R> {
        let body_within = Duration::from_millis(limits::FRAME_BODY_MS_MIN);
        FrameReader { stream, ahead: BytesMut::new(), body: None, budget, idle, body_within, ended: false }
    }

    /// The next frame; `None` when the peer closed between two frames.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.body.is_none() {
            let idle = self.idle;
            if !timeout(idle, self.prefix()).await.map_err(|_| FrameError::Idle(idle))?? {
                return Ok(None);
            }
            self.admit().await?;
        }
        self.finish().await.map(Some)
    }

    /// Returns when the peer has closed; reads ahead meanwhile, within the bound, and waits forever when that is full.
    pub(super) async fn closed(&mut self) {
        loop {
            if self.ended {
                return;
            }
            if self.ahead.len() >= READ_AHEAD_BYTES {
                return std::future::pending().await;
            }
            if self.read_ahead().await.is_err() {
                self.ended = true;
            }
        }
    }

    /// Whether a whole length prefix is there; `false` at the end of the stream.
    async fn prefix(&mut self) -> Result<bool, FrameError> {
        while self.ahead.len() < PREFIX_BYTES {
            if self.ended {
                return if self.ahead.is_empty() { Ok(false) } else { Err(FrameError::Truncated) };
            }
            self.read_ahead().await?;
        }
        Ok(true)
    }

    async fn read_ahead(&mut self) -> Result<(), FrameError> {
        self.ahead.reserve(READ_AHEAD_BYTES.saturating_sub(self.ahead.len()).max(1));
        if self.stream.read_buf(&mut self.ahead).await? == 0 {
            self.ended = true;
        }
        Ok(())
    }

    /// Checks the length and takes its permits. The prefix stays in the buffer until it has them, so that this can be repeated.
    async fn admit(&mut self) -> Result<(), FrameError> {
        let announced = (&self.ahead[..PREFIX_BYTES]).get_i32();
        let max = frame_bytes_max(&self.budget);
        let Some(length) = usize::try_from(announced).ok().filter(|length| (1..=max).contains(length)) else {
            return Err(FrameError::BadLength { length: announced, max });
        };
        // The budget is never closed.
        let admitted = self
            .budget
            .take(length)
            .await
            .ok_or_else(|| FrameError::Read(std::io::ErrorKind::ConnectionAborted.into()))?;
        self.ahead.advance(PREFIX_BYTES);
        let bytes = if self.ahead.len() >= length {
            self.ahead.split_to(length)
        } else {
            let mut bytes = BytesMut::with_capacity(length);
            bytes.extend_from_slice(&self.ahead);
            self.ahead.clear();
            bytes
        };
        self.body = Some(Body { bytes, length, admitted });
        Ok(())
    }

    async fn finish(&mut self) -> Result<Frame, FrameError> {
        let Some(body) = &mut self.body else { return Err(FrameError::Truncated) };
        let length = body.length;
        let at_rate = u64::try_from(length / limits::FRAME_BODY_BYTES_PER_S_MIN).unwrap_or(u64::MAX);
        let within = self.body_within + Duration::from_secs(at_rate);
        let stream = &mut self.stream;
        let filled = timeout(within, async {
            while body.bytes.len() < length {
                let missing = length - body.bytes.len();
                if stream.read_buf(&mut (&mut body.bytes).limit(missing)).await? == 0 {
                    return Err(FrameError::Truncated);
                }
            }
            Ok(())
        });
        filled.await.map_err(|_| FrameError::Slow { length, within })??;
        match self.body.take() {
            Some(body) => Ok(Frame { bytes: body.bytes.freeze(), admitted: body.admitted }),
            None => Err(FrameError::Truncated),
        }
    }
}

/// One frame may not take everybody's memory.
fn frame_bytes_max(budget: &MemoryBudget) -> usize {
    limits::FRAME_BYTES_MAX.min(budget.max() / 2).max(1)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    const BUDGET: usize = 256 * 1024 * 1024;
    const IDLE: Duration = Duration::from_secs(60);

    fn reader(bytes: &'static [u8]) -> FrameReader<&'static [u8]> {
        FrameReader::new(bytes, MemoryBudget::new(BUDGET as u64), IDLE)
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_and_then_the_end() {
        let mut frames = reader(b"\0\0\0\x03abc\0\0\0\x01d");
        assert_eq!(frames.next().await.unwrap().unwrap().bytes, "abc");
        assert_eq!(frames.next().await.unwrap().unwrap().bytes, "d");
        assert!(frames.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_negative_an_empty_and_an_oversized_length_are_refused_before_anything_is_held() {
        for prefix in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\0", b"\x06\x40\0\x01"] {
            let mut frames = reader(prefix);
            assert!(matches!(frames.next().await, Err(FrameError::BadLength { .. })), "{prefix:?}");
            assert_eq!(frames.budget.free(), BUDGET);
        }
    }

    #[tokio::test]
    async fn an_end_inside_a_frame_is_an_error_and_gives_its_permits_back() {
        for torn in [&b"\0\0"[..], b"\0\0\0\x05abc"] {
            let mut frames = reader(torn);
            let budget = frames.budget.clone();
            assert!(matches!(frames.next().await, Err(FrameError::Truncated)), "{torn:?}");
            drop(frames);
            assert_eq!(budget.free(), BUDGET);
        }
    }

    #[tokio::test]
    async fn a_body_is_not_read_before_the_shared_budget_has_room_for_it() {
        let budget = MemoryBudget::new(10);
        let (mut client, server) = tokio::io::duplex(64);
        let mut frames = FrameReader::new(server, budget.clone(), IDLE);
        let held = budget.take(8).await.unwrap();
        client.write_all(b"\0\0\0\x05hello").await.unwrap();
        assert!(futures::poll!(std::pin::pin!(frames.next())).is_pending());
        drop(held);
        let frame = frames.next().await.unwrap().unwrap();
        assert_eq!(frame.bytes, "hello");
        assert_eq!(budget.free(), 5);
        drop(frame);
        assert_eq!(budget.free(), 10);
    }

    #[tokio::test]
    async fn a_read_that_is_dropped_half_way_loses_no_byte() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut frames = FrameReader::new(server, MemoryBudget::new(1_000), IDLE);
        for piece in [&b"\0\0"[..], b"\0\x06", b"ab", b"cd"] {
            client.write_all(piece).await.unwrap();
            assert!(futures::poll!(std::pin::pin!(frames.next())).is_pending());
        }
        client.write_all(b"ef").await.unwrap();
        assert_eq!(frames.next().await.unwrap().unwrap().bytes, "abcdef");
    }

    #[tokio::test]
    async fn a_silent_connection_ends_after_the_idle_time() {
        let (_client, server) = tokio::io::duplex(64);
        let mut frames = FrameReader::new(server, MemoryBudget::new(1_000), Duration::from_millis(1));
        assert!(matches!(frames.next().await, Err(FrameError::Idle(_))));
    }

    #[tokio::test]
    async fn a_trickling_body_ends_after_a_time_of_its_own() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut frames = FrameReader::new(server, MemoryBudget::new(1_000), IDLE);
        frames.body_within = Duration::from_millis(1);
        client.write_all(b"\0\0\0\x06abc").await.unwrap();
        assert!(matches!(frames.next().await, Err(FrameError::Slow { length: 6, .. })));
    }
}
