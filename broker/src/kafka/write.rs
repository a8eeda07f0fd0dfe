//! Answers as bytes, and their way onto the connection. An answer is encoded only when it has its bytes of OUT (`sending.rs`).
//! Records of a fetch stay what the log gave: ranges of files, which are left to the `Outlet`; small ones may be copied and
//! written beside the frame (`writev`).

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};
use tokio::io::AsyncWriteExt;

use super::outlet::{Outlet, send_slice};
use super::throttle::Throttle;
use crate::clock::timeout;
use crate::limits::FETCH_COPIED_BYTES_MAX;
use crate::log::{FileSlice, Patience};
use crate::memory::{Line, WorkPermit};

/// Slices of one system call.
const SLICES_MAX: usize = 64;

/// Bytes of an answer's length, correlation id and tagged fields.
const HEADER_BYTES: usize = 9;

/// A whole answer, encoded or not yet.
pub(super) struct Reply {
    content: Content,
    throttle: Throttle,
    /// What it takes until it has its memory as an answer.
    work: Option<WorkPermit>,
}

enum Content {
    /// Of a known size.
    Unencoded(usize, Encoding),
    /// With its length prefix.
    Pieces(Pieces),
}

type Encoding = Box<dyn FnOnce() -> Result<Pieces, EncodeError> + Send>;

/// An encoded answer in pieces.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: VecDeque<Piece>,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    File(FileSlice),
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("size", &self.size()).finish_non_exhaustive()
    }
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
    /// A response of the codec behind its header, to be encoded when it has its memory.
    pub(super) fn of<M: Encodable + HeaderVersion + Send + 'static>(
        correlation: i32,
        version: i16,
        response: M,
    ) -> Result<Reply, EncodeError> {
        let size = response.compute_size(version).map_err(|error| EncodeError::new(&error))?;
        let encode = move || {
            let mut reply = ReplyBuilder::new(correlation, M::header_version(version) >= 1, size);
            response.encode(reply.buffer(), version).map_err(|error| EncodeError::new(&error))?;
            reply.into_pieces()
        };
        let header = HEADER_BYTES - usize::from(M::header_version(version) < 1);
        let content = Content::Unencoded(size + header, Box::new(encode));
        Ok(Reply { content, throttle: Throttle::NONE, work: None })
    }

    /// Bytes of memory that it takes, once it is encoded, until it is sent.
    pub(super) fn size(&self) -> usize {
        match &self.content {
            Content::Unencoded(size, _) => *size,
            Content::Pieces(pieces) => pieces.bytes(),
        }
    }

    /// Bytes in ranges of files that would be copied if there were memory for them: one system call for a whole answer costs
    /// less than many for its parts.
    pub(super) fn copyable(&self) -> usize {
        match &self.content {
            Content::Unencoded(..) => 0,
            Content::Pieces(pieces) => pieces.small().map(FileSlice::len).sum(),
        }
    }

    /// As bytes and ranges.
    pub(super) fn encode(self) -> Result<Pieces, EncodeError> {
        let pieces = match self.content {
            Content::Unencoded(_, encode) => encode(),
            Content::Pieces(pieces) => Ok(pieces),
        };
        drop(self.work);
        pieces
    }

    /// Bytes of the whole answer, its length prefix included.
    pub(super) fn len(&self) -> usize {
        match &self.content {
            Content::Unencoded(size, _) => *size,
            Content::Pieces(pieces) => pieces.pieces.iter().map(Piece::len).sum(),
        }
    }

    /// The bytes of all pieces together.
    #[cfg(test)]
    pub(super) fn concat(self) -> Vec<u8> {
        let bytes = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.to_vec(),
            Piece::File(slice) => slice.read(Patience::Wait).unwrap().unwrap(),
        };
        self.encode().unwrap().pieces.iter().flat_map(bytes).collect()
    }

    /// The same answer, after which the connection is not read for that time.
    pub(super) fn throttled(self, throttle: Throttle) -> Reply {
        Reply { throttle, ..self }
    }

    /// The same answer, which holds what it took to be built until it has its memory as an answer.
    pub(super) fn built_with(self, work: Option<WorkPermit>) -> Reply {
        Reply { work, ..self }
    }

    /// How long the connection is not read once this is sent.
    pub(super) fn throttle(&self) -> Throttle {
        self.throttle
    }
}

impl Pieces {
    fn bytes(&self) -> usize {
        let bytes = |piece: &Piece| if let Piece::Bytes(bytes) = piece { bytes.len() } else { 0 };
        self.pieces.iter().map(bytes).sum()
    }

    fn small(&self) -> impl Iterator<Item = &FileSlice> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::File(slice) if slice.len() <= FETCH_COPIED_BYTES_MAX => Some(slice),
            _ => None,
        })
    }

    /// Copies the small ranges that are in the page cache.
    pub(super) fn copy_small(&mut self) {
        for piece in &mut self.pieces {
            if let Piece::File(slice) = piece
                && slice.len() <= FETCH_COPIED_BYTES_MAX
                // What cannot be read now is sent from its file, where an error ends the connection.
                && let Ok(Some(bytes)) = slice.read(Patience::Cached)
            {
                *piece = Piece::Bytes(bytes.into());
            }
        }
    }

    /// Another answer behind this one, for one system call.
    pub(super) fn append(&mut self, other: Pieces) {
        self.pieces.extend(other.pieces);
    }
}

/// Puts an answer together from encoded bytes and shared slices.
#[derive(Debug)]
pub(super) struct ReplyBuilder {
    pieces: VecDeque<Piece>,
    open: BytesMut,
}

impl ReplyBuilder {
    /// Room for the length, then the response header (version 1 has tagged fields: none).
    pub(super) fn new(correlation: i32, flexible_header: bool, size_hint: usize) -> ReplyBuilder {
        let mut open = BytesMut::with_capacity(size_hint + HEADER_BYTES);
        open.put_i32(0);
        open.put_i32(correlation);
        if flexible_header {
            open.put_u8(0);
        }
        ReplyBuilder { pieces: VecDeque::new(), open }
    }

    /// Where the next encoded bytes go.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.open
    }

    /// Adds a slice without copying it.
    pub(super) fn share(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.pieces.push_back(Piece::Bytes(self.open.split().freeze()));
            self.pieces.push_back(Piece::Bytes(bytes));
        }
    }

    /// Adds a range of a file, which stays where it is until it is sent.
    pub(super) fn send(&mut self, slice: FileSlice) {
        self.pieces.push_back(Piece::Bytes(self.open.split().freeze()));
        self.pieces.push_back(Piece::File(slice));
    }

    /// The answer, encoded already.
    pub(super) fn finish(self) -> Result<Reply, EncodeError> {
        Ok(Reply { content: Content::Pieces(self.into_pieces()?), throttle: Throttle::NONE, work: None })
    }

    /// Fills the length in.
    fn into_pieces(mut self) -> Result<Pieces, EncodeError> {
        self.pieces.push_back(Piece::Bytes(self.open.freeze()));
        let total: usize = self.pieces.iter().map(Piece::len).sum();
        let length = i32::try_from(total - 4).map_err(|_| EncodeError::new(&format_args!("it has {total} bytes")))?;
        // The first piece is always bytes of ours, and unique: nothing else has seen it yet, so this copies nothing.
        if let Some(Piece::Bytes(first)) = self.pieces.front_mut() {
            let mut filled = std::mem::take(first).try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
            filled[..4].copy_from_slice(&length.to_be_bytes());
            *first = filled.freeze();
        }
        Ok(Pieces { pieces: self.pieces })
    }
}

/// Writes a whole answer. `stall` is how long the peer may take no byte at all; what it takes is told to `line`.
pub(super) async fn write_all<W: Outlet>(
    stream: &mut W,
    answer: Pieces,
    stall: Duration,
    line: &Line,
) -> std::io::Result<()> {
    let mut pieces = answer.pieces;
    while let Some(front) = pieces.front() {
        if let Piece::File(slice) = front {
            let slice = slice.clone();
            pieces.pop_front();
            send_slice(stream, slice, stall, line).await?;
        } else {
            line.moved(write_some(stream, &mut pieces, stall).await?);
        }
    }
    stream.flush().await
}

/// One system call for the bytes in front of the next file; returns how many were taken.
async fn write_some<W: Outlet>(
    stream: &mut W,
    pieces: &mut VecDeque<Piece>,
    stall: Duration,
) -> std::io::Result<usize> {
    let bytes = pieces.iter().map_while(|piece| match piece {
        Piece::Bytes(bytes) => Some(IoSlice::new(bytes)),
        Piece::File(_) => None,
    });
    let slices: Vec<IoSlice<'_>> = bytes.take(SLICES_MAX).collect();
    let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
    let taken = timeout(stall, stream.write_vectored(&slices)).await??;
    let mut written = taken;
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
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{ApiVersionsResponse, HeartbeatResponse};
    use tokio::io::AsyncReadExt;

    use super::*;

    #[test]
    fn the_length_covers_header_and_body_and_flexible_headers_have_their_tag_byte() {
        let old = Reply::of(5, 0, HeartbeatResponse::default()).unwrap();
        assert_eq!(old.concat(), b"\0\0\0\x06\0\0\0\x05\0\0");
        let flexible = Reply::of(5, 4, HeartbeatResponse::default()).unwrap();
        assert_eq!(flexible.concat(), b"\0\0\0\x0c\0\0\0\x05\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn the_header_of_api_versions_is_version_0_even_where_its_body_is_flexible() {
        let reply = Reply::of(5, 3, ApiVersionsResponse::default()).unwrap().concat();
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
        let size = reply.size();
        let answer = reply.encode().unwrap();
        let whole: Vec<u8> = answer
            .pieces
            .iter()
            .flat_map(|piece| match piece {
                Piece::Bytes(bytes) => bytes.to_vec(),
                Piece::File(_) => unreachable!("no file was added"),
            })
            .collect();
        assert_eq!(whole.len(), size);
        assert_eq!(whole.len(), 4 + 4 + 1 + big.len() + 1);
        let (mut near, mut far) = tokio::io::duplex(100);
        let writing =
            tokio::spawn(async move { write_all(&mut near, answer, Duration::from_secs(60), &Line::default()).await });
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        writing.await.unwrap().unwrap();
        assert_eq!(got, whole);
    }

    #[tokio::test]
    async fn a_peer_that_stops_reading_is_given_up() {
        let (mut near, _far) = tokio::io::duplex(10);
        let answer = Pieces { pieces: [Piece::Bytes(Bytes::from_static(&[0; 100]))].into() };
        let line = Line::default();
        let error = write_all(&mut near, answer, Duration::from_millis(1), &line).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
