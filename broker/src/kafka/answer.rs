//! An answer that is a list of rows, encoded row by row while it is built: a response of the codec is many times as large in
//! memory as on the wire, and a few bytes of a request can name what takes kilobytes to tell (a topic's partitions, its
//! configs). Between a handler, which makes one row after the other, and the connection. What an answer may take is decided
//! here: `limits::ANSWER_BYTES_MAX`, and the memory of the Kafka door.
//!
//! Whoever writes a handler: does a request name things, and is the answer about one of them larger than its name? Then its
//! rows go through `Rows`, it stops when `push` says so, and a name that comes twice is answered as Kafka answers it. The row
//! of the API in `costs.rs` says which bound holds.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use super::call::Call;
use super::connection::Outcome;
use super::refusing::Closing;
use super::throttle::Throttled;
use super::write::{EncodeError, ReplyBuilder};
use crate::limits;
use crate::memory::WorkPermit;
use crate::refusals::RefusalClass;
use crate::varint;

/// Rows are encoded into pieces, the first of so many bytes, each as large as all before it.
const PIECE_BYTES_MIN: usize = 1024;
/// But for a row that is larger. What is beyond the first such piece is admitted before it is there; below, the answers that
/// are being built are as many as there are threads, since their handlers wait for nothing.
const PIECE_BYTES_MAX: usize = 64 * 1024;

/// The rows of an answer, as bytes.
pub(super) struct Rows<'a> {
    call: &'a Call<'a>,
    pieces: Vec<Bytes>,
    open: BytesMut,
    admitted: Option<WorkPermit>,
    bytes: usize,
    count: usize,
    refused: Option<Closing>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(call: &'a Call<'a>) -> Rows<'a> {
        Rows { call, pieces: Vec::new(), open: BytesMut::new(), admitted: None, bytes: 0, count: 0, refused: None }
    }

    /// Adds a row. `false`: there is no room for it, and none for any other; the answer is not going to be sent.
    #[must_use]
    pub(super) fn push<M: Encodable>(&mut self, row: &M) -> bool {
        match self.try_push(row) {
            Ok(()) => true,
            Err(closing) => {
                self.refused.get_or_insert(closing);
                false
            }
        }
    }

    fn try_push<M: Encodable>(&mut self, row: &M) -> Result<(), Closing> {
        let size = row.compute_size(self.call.version).map_err(|error| not_encoded(&error))?;
        self.bytes += size;
        if self.refused.is_some() || self.bytes > limits::ANSWER_BYTES_MAX {
            let (max, rows) = (limits::ANSWER_BYTES_MAX, self.count);
            let reason = format!("the answer would be larger than {max} bytes after {rows} rows");
            return Err(Closing::refused(RefusalClass::AnswerTooLarge, reason));
        }
        if self.open.capacity() - self.open.len() < size {
            self.begin_piece(size.max(self.bytes.clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX)))?;
        }
        row.encode(&mut self.open, self.call.version).map_err(|error| not_encoded(&error))?;
        self.count += 1;
        Ok(())
    }

    fn begin_piece(&mut self, bytes: usize) -> Result<(), Closing> {
        if self.bytes > PIECE_BYTES_MAX {
            let admitted = match &mut self.admitted {
                Some(admitted) => admitted.grow(bytes),
                None => {
                    let memory = self.call.engine.memory();
                    let taken = memory.work(self.call.ctx.source(), "an answer", bytes);
                    taken.map(|permit| self.admitted = Some(permit))
                }
            };
            admitted.map_err(|over| Closing::refused(RefusalClass::MemoryWork, over.to_string()))?;
        }
        let full = std::mem::replace(&mut self.open, BytesMut::with_capacity(bytes));
        if !full.is_empty() {
            self.pieces.push(full.freeze());
        }
        Ok(())
    }

    /// The whole answer: `response` with these rows in its one list, which is empty there. `behind`: bytes of the fields that
    /// follow the list in this version, tagged fields aside.
    pub(super) fn finish<M: Encodable + HeaderVersion + Throttled>(self, mut response: M, behind: usize) -> Outcome {
        let envelope = self.call.envelope();
        if let Some(closing) = self.refused {
            return Outcome::Close(closing);
        }
        response.set_throttle(envelope.throttle);
        let flexible = M::header_version(envelope.version) >= 1;
        let mut whole = BytesMut::new();
        if let Err(error) = response.encode(&mut whole, envelope.version) {
            return Outcome::Close(not_encoded(&error));
        }
        // An empty list is a count: four bytes, or one.
        let (count_bytes, behind) = if flexible { (1, behind + 1) } else { (4, behind) };
        let behind = whole.split_off(whole.len() - behind);
        whole.truncate(whole.len() - count_bytes);
        let mut reply = ReplyBuilder::new(envelope.correlation, flexible, whole.len() + 8 + behind.len());
        reply.buffer().put_slice(&whole);
        put_count(reply.buffer(), flexible, self.count);
        for piece in self.pieces {
            reply.share(piece);
        }
        reply.share(self.open.freeze());
        reply.buffer().put_slice(&behind);
        envelope.reply(reply.finish().map(|reply| reply.built_with(self.admitted)))
    }
}

/// A bug of ours.
fn not_encoded(error: &dyn std::fmt::Display) -> Closing {
    Closing::ours(EncodeError::new(error).to_string())
}

/// The count in front of a list.
pub(super) fn put_count(buffer: &mut BytesMut, flexible: bool, count: usize) {
    if flexible {
        varint::write_unsigned(buffer, count as u64 + 1);
    } else {
        // As many as the request has elements, or the broker has topics: far below 2^31.
        buffer.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
    }
}
