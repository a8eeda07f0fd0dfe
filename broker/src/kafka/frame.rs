//! Length-prefixed frames off a connection. The bytes of a body are admitted by IN of the Kafka port in steps of 64 KiB,
//! before they are read, and leave it when the last reference to the frame is dropped. While a step is not granted the
//! socket is not read, and the frame's clock stands still. Never grows beyond one frame and one read-ahead.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::clock::timeout;
use crate::limits;
use crate::memory::{AtPeer, DoorBudget, Line, Receipt};

/// Bytes read ahead, in which small frames are found without a system call each. A small frame shares at most this much memory
/// with its neighbours, and an idle connection holds it.
const READ_AHEAD_BYTES: usize = 4 * 1024;
/// The length prefix.
const PREFIX_BYTES: usize = 4;
/// A body up to so many bytes has its memory at once; a longer one as it grows, so that a length alone costs nothing.
const RESERVED_AT_ONCE_MAX: usize = 1024 * 1024;

/// Why a connection has no next frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// Negative, zero or above the limit: not a client of ours, or one that lost its place.
    #[error("a frame of {length} bytes was announced, 1 to {max} are possible (memory_max_bytes)")]
    BadLength {
        /// As announced.
        length: i32,
        /// What a frame may have.
        max: usize,
    },
    /// The peer closed in the middle of a frame.
    #[error("the connection ended inside a frame")]
    Truncated,
    /// Nothing came for too long.
    #[error("nothing came for {0:?}")]
    Idle(Duration),
    /// The body has stopped coming.
    #[error("nothing of a frame of {length} bytes came for {pause:?}")]
    Slow {
        /// Bytes of the frame.
        length: usize,
        /// How long it was waited for.
        pause: Duration,
    },
    /// The socket failed.
    #[error("cannot read: {0}")]
    Read(#[from] std::io::Error),
}

/// A frame whose body is on its way.
#[derive(Debug)]
struct Body {
    bytes: Vec<u8>,
    length: usize,
    receipt: Receipt,
    /// The peer is waited for, since it began to send or since a step was granted late.
    at_peer: Option<AtPeer>,
}

/// Reads frames. Every method may be dropped at an await and called again without losing a byte.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    stream: R,
    ahead: BytesMut,
    body: Option<Body>,
    budget: DoorBudget,
    line: Line,
    idle: Duration,
    pause_max: Duration,
    ended: bool,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// `line` is the connection; `idle` is how long the peer may be silent between two frames.
    pub(super) fn new(stream: R, budget: DoorBudget, line: Line, idle: Duration) -> FrameReader<R> {
        let pause_max = limits::FRAME_PAUSE_MAX;
        FrameReader { stream, ahead: BytesMut::new(), body: None, budget, line, idle, pause_max, ended: false }
    }

    /// The same, of a peer that may stop for `pause_max` in the middle of a request.
    pub(super) fn pausing(self, pause_max: Duration) -> FrameReader<R> {
        FrameReader { pause_max, ..self }
    }

    /// The next frame, without its length, which holds its share of IN; `None` when the peer closed between two frames.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        if self.body.is_none() {
            if !self.prefix().await? {
                return Ok(None);
            }
            self.begin_body()?;
        }
        self.finish().await.map(Some)
    }

    /// The broker has something else to do: a body that is on its way does not count as slow.
    pub(super) fn pause(&mut self) {
        if let Some(body) = &mut self.body {
            body.at_peer = None;
        }
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
            // A request that has begun with a byte or two is no idle connection.
            let wait = if self.ahead.is_empty() { self.idle } else { self.pause_max.min(self.idle) };
            timeout(wait, self.read_ahead()).await.map_err(|_| FrameError::Idle(wait))??;
        }
        Ok(true)
    }

    async fn read_ahead(&mut self) -> Result<(), FrameError> {
        self.ahead.reserve(READ_AHEAD_BYTES.saturating_sub(self.ahead.len()).max(1));
        let count = self.stream.read_buf(&mut self.ahead).await?;
        self.line.moved(count);
        self.ended |= count == 0;
        Ok(())
    }

    /// Checks the length. Nothing is taken yet.
    fn begin_body(&mut self) -> Result<(), FrameError> {
        let announced = self.ahead.get_i32();
        let max = self.budget.input_max();
        let Some(length) = usize::try_from(announced).ok().filter(|length| (1..=max).contains(length)) else {
            return Err(FrameError::BadLength { length: announced, max });
        };
        let receipt = self.budget.receipt(&self.line, length);
        self.body = Some(Body { bytes: Vec::new(), length, receipt, at_peer: None });
        Ok(())
    }

    async fn finish(&mut self) -> Result<Bytes, FrameError> {
        loop {
            let Some(body) = &mut self.body else { return Err(FrameError::Truncated) };
            let received = body.bytes.len();
            if received == body.length {
                break;
            }
            body.admit(body.receipt.step_after(received)).await;
            if self.ahead.is_empty() {
                let count = body.read(&mut self.stream, &self.line, self.pause_max).await?;
                self.line.moved(count);
            } else if received == 0 && self.ahead.len() >= body.length && body.receipt.room() >= body.length {
                let whole = self.ahead.split_to(body.length).freeze();
                return Ok(self.received(whole));
            } else {
                let count = self.ahead.len().min(body.receipt.room() - received);
                body.reserve();
                body.bytes.extend_from_slice(&self.ahead[..count]);
                self.ahead.advance(count);
            }
        }
        let bytes = self.body.as_mut().map(|body| std::mem::take(&mut body.bytes)).unwrap_or_default();
        Ok(self.received(bytes.into()))
    }

    /// The frame, which takes its receipt along.
    fn received(&mut self, bytes: Bytes) -> Bytes {
        match self.body.take() {
            Some(body) => body.receipt.hold(bytes),
            None => bytes,
        }
    }
}

impl Body {
    /// Waits until so many bytes may be read in all.
    async fn admit(&mut self, bytes: usize) {
        if !self.receipt.try_room_for(bytes) {
            // What is missing is ours to give.
            self.at_peer = None;
            self.receipt.room_for(bytes).await;
        }
    }

    /// Reads what has come, within what was granted.
    async fn read<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
        line: &Line,
        pause: Duration,
    ) -> Result<usize, FrameError> {
        self.reserve();
        self.at_peer.get_or_insert_with(|| line.at_peer());
        let granted = self.receipt.room().min(self.length) - self.bytes.len();
        let mut granted = (&mut self.bytes).limit(granted);
        let read = timeout(pause, stream.read_buf(&mut granted)).await;
        let count = read.map_err(|_| FrameError::Slow { length: self.length, pause })??;
        if count == 0 { Err(FrameError::Truncated) } else { Ok(count) }
    }

    /// Has memory for what was granted.
    fn reserve(&mut self) {
        let granted = self.receipt.room().min(self.length);
        if self.bytes.capacity() < granted {
            let doubled = granted.max(2 * self.bytes.len()).max(RESERVED_AT_ONCE_MAX).min(self.length);
            self.bytes.reserve_exact(doubled - self.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::memory::{Budget, STEP_BYTES};

    const IDLE: Duration = Duration::from_secs(60);
    const MIB: usize = 1024 * 1024;

    fn budget() -> Budget {
        Budget::new(64 * MIB as u64)
    }

    fn reader<R: AsyncRead + Unpin>(stream: R, budget: &Budget) -> FrameReader<R> {
        FrameReader::new(stream, budget.kafka().clone(), Line::default(), IDLE)
    }

    fn held(budget: &Budget) -> usize {
        budget.max() - budget.free()
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_and_then_the_end() {
        let mut frames = reader(&b"\0\0\0\x03abc\0\0\0\x01d"[..], &budget());
        assert_eq!(frames.next().await.unwrap().unwrap(), "abc");
        assert_eq!(frames.next().await.unwrap().unwrap(), "d");
        assert!(frames.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_negative_an_empty_and_an_oversized_length_are_refused_before_anything_is_held() {
        for prefix in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\0", b"\x06\x40\0\x01"] {
            let budget = budget();
            let mut frames = reader(prefix, &budget);
            assert!(matches!(frames.next().await, Err(FrameError::BadLength { .. })), "{prefix:?}");
            assert_eq!(held(&budget), 0);
        }
    }

    #[tokio::test]
    async fn an_end_inside_a_frame_is_an_error_and_gives_its_permits_back() {
        for torn in [&b"\0\0"[..], b"\0\0\0\x05abc"] {
            let budget = budget();
            let mut frames = reader(torn, &budget);
            assert!(matches!(frames.next().await, Err(FrameError::Truncated)), "{torn:?}");
            drop(frames);
            assert_eq!(held(&budget), 0);
        }
    }

    #[tokio::test]
    async fn a_length_alone_costs_one_step_and_a_body_what_has_come_of_it() {
        let budget = budget();
        let (mut client, server) = tokio::io::duplex(MIB);
        let mut frames = reader(server, &budget);
        client.write_all(&i32::try_from(10 * MIB).unwrap().to_be_bytes()).await.unwrap();
        assert!(futures::poll!(std::pin::pin!(frames.next())).is_pending());
        assert_eq!(held(&budget), STEP_BYTES);
        client.write_all(&[7; 3 * STEP_BYTES]).await.unwrap();
        assert!(futures::poll!(std::pin::pin!(frames.next())).is_pending());
        assert_eq!(held(&budget), 4 * STEP_BYTES);
        drop(frames);
        assert_eq!(held(&budget), 0);
    }

    #[tokio::test]
    async fn a_large_frame_arrives_whole_and_is_given_back_with_its_last_slice() {
        let budget = budget();
        let (mut client, server) = tokio::io::duplex(MIB);
        let mut frames = reader(server, &budget);
        let body: Vec<u8> = (0..3 * MIB + 17).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let sent = body.clone();
        let sending = tokio::spawn(async move {
            client.write_all(&i32::try_from(sent.len()).unwrap().to_be_bytes()).await.unwrap();
            client.write_all(&sent).await.unwrap();
            client
        });
        let frame = frames.next().await.unwrap().unwrap();
        assert_eq!(frame, body);
        assert_eq!(held(&budget), body.len());
        let slice = frame.slice(5..6);
        drop(frame);
        assert_eq!(held(&budget), body.len(), "the slice holds the frame");
        drop((slice, sending.await.unwrap()));
        assert_eq!(held(&budget), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_waits_for_its_step_is_not_read_and_its_clock_stands_still() {
        let budget = budget();
        let line = Line::default();
        // Somebody of whom the broker, not the peer, is slow: nobody is ended.
        let mut others = Vec::new();
        // Two in what the class may have, and one in its completion reserve.
        for _ in 0..3 {
            let mut other = budget.kafka().receipt(&line, MIB);
            other.room_for(MIB).await;
            others.push(other);
        }
        let (mut client, server) = tokio::io::duplex(MIB);
        let mut frames = reader(server, &budget);
        client.write_all(&i32::try_from(MIB).unwrap().to_be_bytes()).await.unwrap();
        client.write_all(&vec![7; MIB - 4]).await.unwrap();
        let waited = timeout(10 * limits::FRAME_PAUSE_MAX, frames.next()).await;
        assert!(waited.is_err(), "neither a frame nor an error: {waited:?}");
        drop(others);
        client.write_all(&[7; 4]).await.unwrap();
        assert_eq!(frames.next().await.unwrap().unwrap().len(), MIB);
    }

    #[tokio::test]
    async fn a_read_that_is_dropped_half_way_loses_no_byte() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut frames = reader(server, &budget());
        for piece in [&b"\0\0"[..], b"\0\x06", b"ab", b"cd"] {
            client.write_all(piece).await.unwrap();
            assert!(futures::poll!(std::pin::pin!(frames.next())).is_pending());
        }
        client.write_all(b"ef").await.unwrap();
        assert_eq!(frames.next().await.unwrap().unwrap(), "abcdef");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_after_the_idle_time() {
        let (_client, server) = tokio::io::duplex(64);
        let mut frames = reader(server, &budget());
        assert!(matches!(frames.next().await, Err(FrameError::Idle(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_ends_after_a_time_of_its_own() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut frames = reader(server, &budget());
        client.write_all(b"\0\0\0\x06abc").await.unwrap();
        assert!(matches!(frames.next().await, Err(FrameError::Slow { length: 6, .. })));
    }
}
