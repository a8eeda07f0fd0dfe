//! Answers as bytes, and their way onto the connection. Records of a fetch stay what the log gave: shared slices are written
//! beside the frame (`writev`), ranges of files are left to the `Outlet`.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};
use tokio::io::AsyncWriteExt;

use super::outlet::{Outlet, send_slice};
use super::throttle::Throttle;
use crate::clock::timeout;
use crate::log::FileSlice;

/// Slices of one system call.
const SLICES_MAX: usize = 64;

/// A whole answer with its length prefix, in pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pieces: Vec<Piece>,
    throttle: Throttle,
}

#[derive(Clone, Debug)]
enum Piece {
    Bytes(Bytes),
    File(FileSlice),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::File(slice) => slice.len(),
        }
    }
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

    /// Bytes of the whole answer, its length prefix included.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(Piece::len).sum()
    }

    /// The bytes of all pieces together.
    #[cfg(test)]
    pub(super) fn concat(&self) -> Vec<u8> {
        let bytes = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.to_vec(),
            Piece::File(slice) => slice.read(crate::log::Patience::Wait).unwrap().unwrap(),
        };
        self.pieces.iter().flat_map(bytes).collect()
    }

    /// The same answer, after which the connection is not read for that time.
    pub(super) fn throttled(self, throttle: Throttle) -> Reply {
        Reply { throttle, ..self }
    }

    /// How long the connection is not read once this is sent.
    pub(super) fn throttle(&self) -> Throttle {
        self.throttle
    }

    /// Another answer behind this one, for one system call.
    pub(super) fn append(&mut self, other: Reply) {
        self.pieces.extend(other.pieces);
        self.throttle = self.throttle.max(other.throttle);
    }
}

/// Puts an answer together from encoded bytes and shared slices.
#[derive(Debug)]
pub(super) struct ReplyBuilder {
    pieces: Vec<Piece>,
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
            self.pieces.push(Piece::Bytes(self.open.split().freeze()));
            self.pieces.push(Piece::Bytes(bytes));
        }
    }

    /// Adds a range of a file, which stays where it is until it is sent.
    pub(super) fn send(&mut self, slice: FileSlice) {
        self.pieces.push(Piece::Bytes(self.open.split().freeze()));
        self.pieces.push(Piece::File(slice));
    }

    /// Fills the length in.
    pub(super) fn finish(mut self) -> Result<Reply, EncodeError> {
        self.pieces.push(Piece::Bytes(self.open.freeze()));
        let total: usize = self.pieces.iter().map(Piece::len).sum();
        let length = i32::try_from(total - 4).map_err(|_| EncodeError::new(&format_args!("it has {total} bytes")))?;
        // The first piece is always bytes of ours, and unique: nothing else has seen it yet, so this copies nothing.
        if let Some(Piece::Bytes(first)) = self.pieces.first_mut() {
            let mut filled = std::mem::take(first).try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
            filled[..4].copy_from_slice(&length.to_be_bytes());
            *first = filled.freeze();
        }
        Ok(Reply { pieces: self.pieces, throttle: Throttle::NONE })
    }
}

/// Writes a whole answer. `stall` is how long the peer may take no byte at all.
pub(super) async fn write_all<W: Outlet>(stream: &mut W, reply: Reply, stall: Duration) -> std::io::Result<()> {
    let mut pieces: VecDeque<Piece> = reply.pieces.into();
    while let Some(front) = pieces.front() {
        if let Piece::File(slice) = front {
            let slice = slice.clone();
            pieces.pop_front();
            send_slice(stream, slice, stall).await?;
        } else {
            write_some(stream, &mut pieces, stall).await?;
        }
    }
    stream.flush().await
}

/// One system call for the bytes in front of the next file.
async fn write_some<W: Outlet>(stream: &mut W, pieces: &mut VecDeque<Piece>, stall: Duration) -> std::io::Result<()> {
    let bytes = pieces.iter().map_while(|piece| match piece {
        Piece::Bytes(bytes) => Some(IoSlice::new(bytes)),
        Piece::File(_) => None,
    });
    let slices: Vec<IoSlice<'_>> = bytes.take(SLICES_MAX).collect();
    let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut written = timeout(stall, stream.write_vectored(&slices)).await??;
    if written == 0 && wanted > 0 {
        return Err(std::io::ErrorKind::WriteZero.into());
    }
    while let Some(Piece::Bytes(front)) = pieces.front_mut() {
        if written < front.len() {
            let _ = front.split_to(written);
            break;
        }
        written -= front.len();
        pieces.pop_front();
    }
    Ok(())
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
        let reply = Reply { pieces: vec![Piece::Bytes(Bytes::from_static(&[0; 100]))], ..Reply::default() };
        let error = write_all(&mut near, reply, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
