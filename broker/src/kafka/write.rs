//! Answers as bytes, and their way onto the connection. Records of a fetch stay the shared slices that the log gave: they are
//! never copied into a frame, but written beside it (`writev`).

use std::io::IoSlice;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Slices of one system call.
const SLICES_MAX: usize = 64;

/// A whole answer with its length prefix, in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pieces: Vec<Bytes>,
}

/// An answer could not be encoded: a bug of ours, or a text too long for its field.
#[derive(Debug, thiserror::Error)]
#[error("the answer cannot be encoded: {0}")]
pub(super) struct EncodeError(String);

impl EncodeError {
    /// With the codec's reason.
    pub(super) fn new(reason: &dyn std::fmt::Display) -> EncodeError {
        EncodeError(reason.to_string())
    }
}

impl Reply {
    /// Encodes a response of the codec behind its header.
    pub(super) fn encode<M: Encodable + HeaderVersion>(
        correlation: i32,
        version: i16,
        response: &M,
    ) -> Result<Reply, EncodeError> {
        let size = response.compute_size(version).map_err(|error| EncodeError::new(&error))?;
        let mut reply = ReplyBuilder::new(correlation, M::header_version(version) >= 1, size);
        response.encode(reply.buffer(), version).map_err(|error| EncodeError::new(&error))?;
        reply.finish()
    }

    /// The bytes of all pieces together.
    #[cfg(test)]
    pub(super) fn concat(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    /// Another answer behind this one, for one system call.
    pub(super) fn append(&mut self, other: Reply) {
        self.pieces.extend(other.pieces);
    }
}

/// Puts an answer together from encoded bytes and shared slices.
#[derive(Debug)]
pub(super) struct ReplyBuilder {
    pieces: Vec<Bytes>,
    open: BytesMut,
}

impl ReplyBuilder {
    /// Room for the length, then the response header (version 1 has tagged fields: none).
    pub(super) fn new(correlation: i32, flexible_header: bool, size_hint: usize) -> ReplyBuilder {
        let mut open = BytesMut::with_capacity(size_hint + 9);
        open.put_i32(0);
        open.put_i32(correlation);
        if flexible_header {
            open.put_u8(0);
        }
        ReplyBuilder { pieces: Vec::new(), open }
    }

    /// Where the next encoded bytes go.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.open
    }

    /// Adds a slice without copying it.
    pub(super) fn share(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pieces.push(self.open.split().freeze());
            self.pieces.push(bytes);
        }
    }

    /// Fills the length in.
    pub(super) fn finish(mut self) -> Result<Reply, EncodeError> {
        self.pieces.push(self.open.freeze());
        let total: usize = self.pieces.iter().map(Bytes::len).sum();
        let length = i32::try_from(total - 4).map_err(|_| EncodeError::new(&format_args!("it has {total} bytes")))?;
        let first = std::mem::take(&mut self.pieces[0]);
        // Unique here: nothing else has seen the first piece yet, so this copies nothing.
        let mut first = first.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        first[..4].copy_from_slice(&length.to_be_bytes());
        self.pieces[0] = first.freeze();
        Ok(Reply { pieces: self.pieces })
    }
}

/// Writes a whole answer. `stall` is how long the peer may take no byte at all.
pub(super) async fn write_all<W: AsyncWrite + Unpin>(
    stream: &mut W,
    reply: Reply,
    stall: Duration,
) -> std::io::Result<()> {
    let mut pieces: std::collections::VecDeque<Bytes> = reply.pieces.into();
    while !pieces.is_empty() {
        let slices: Vec<IoSlice<'_>> = pieces.iter().take(SLICES_MAX).map(|piece| IoSlice::new(piece)).collect();
        let mut written = timeout(stall, stream.write_vectored(&slices)).await??;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        while let Some(front) = pieces.front_mut() {
            if written < front.len() {
                let _ = front.split_to(written);
                break;
            }
            written -= front.len();
            pieces.pop_front();
        }
    }
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{ApiVersionsResponse, HeartbeatResponse};
    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn the_length_covers_header_and_body_and_flexible_headers_have_their_tag_byte() {
        let old = Reply::encode(5, 0, &HeartbeatResponse::default()).unwrap();
        assert_eq!(old.concat(), b"\0\0\0\x06\0\0\0\x05\0\0");
        let flexible = Reply::encode(5, 4, &HeartbeatResponse::default()).unwrap();
        assert_eq!(flexible.concat(), b"\0\0\0\x0c\0\0\0\x05\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn the_header_of_api_versions_is_version_0_even_where_its_body_is_flexible() {
        let reply = Reply::encode(5, 3, &ApiVersionsResponse::default()).unwrap().concat();
        // Behind length and correlation id the error code begins at once, without a tag byte.
        assert_eq!(&reply[4..], b"\0\0\0\x05\0\0\x01\0\0\0\0\0");
    }

    #[tokio::test]
    async fn shared_pieces_come_out_in_order_through_a_pipe_smaller_than_they_are() {
        let mut builder = ReplyBuilder::new(1, false, 0);
        let big = Bytes::from((0..10_000_u32).flat_map(u32::to_be_bytes).collect::<Vec<u8>>());
        builder.buffer().put_u8(1);
        builder.share(big.clone());
        builder.buffer().put_u8(2);
        builder.share(Bytes::new());
        let reply = builder.finish().unwrap();
        let whole = reply.concat();
        assert_eq!(whole.len(), 4 + 4 + 1 + big.len() + 1);
        let (mut near, mut far) = tokio::io::duplex(100);
        let writing = tokio::spawn(async move { write_all(&mut near, reply, Duration::from_secs(60)).await });
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        writing.await.unwrap().unwrap();
        assert_eq!(got, whole);
    }

    #[tokio::test]
    async fn a_peer_that_stops_reading_is_given_up() {
        let (mut near, _far) = tokio::io::duplex(10);
        let reply = Reply { pieces: vec![Bytes::from_static(&[0; 100])] };
        let error = write_all(&mut near, reply, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
