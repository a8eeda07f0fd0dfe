//! Walks the batch headers of a `.log` from one position to another, reading ahead in pieces: small batches share a
//! read, the bodies of large ones are skipped. Used by reads, time lookups and recovery. Checks only what the
//! walk needs (magic, a size that fits); `record::check_stored` checks CRCs.

use std::io;

use bytes::Bytes;

use crate::limits::BATCH_HEADER_BYTES;
use crate::log::io::DiskFile;
use crate::record::BatchHeader;

/// Why a walk ended early.
#[derive(Debug)]
pub(in crate::log) enum ScanStop {
    /// The disk failed.
    Io(io::Error),
    /// What is at `position` is no batch, or not a whole one.
    Bad {
        /// Byte of the file.
        position: u64,
        /// What was found.
        reason: String,
    },
}

impl From<io::Error> for ScanStop {
    fn from(error: io::Error) -> ScanStop {
        ScanStop::Io(error)
    }
}

/// A header and where its batch begins.
#[derive(Clone, Debug)]
pub(in crate::log) struct Found {
    /// Byte of the file.
    pub(crate) position: u64,
    /// The batch's header.
    pub(crate) header: BatchHeader,
}

/// A walk over headers.
#[derive(Debug)]
pub(in crate::log) struct HeaderScan<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    limit: u64,
    ahead: usize,
    piece: Vec<u8>,
    piece_at: u64,
    /// The last batch was so large that the next header is better read alone: bodies stay on the disk.
    alone: bool,
}

/// A batch this large is not read only to reach the header behind it.
const LARGE_BATCH_BYTES: usize = 4_096;

impl<'a> HeaderScan<'a> {
    /// A walk over the batches that begin at `from` and end at or before `limit`, reading `ahead` bytes at once.
    #[must_use]
    pub(in crate::log) fn new(file: &'a dyn DiskFile, from: u64, limit: u64, ahead: usize) -> HeaderScan<'a> {
        HeaderScan {
            file,
            at: from,
            limit,
            ahead: ahead.max(BATCH_HEADER_BYTES),
            piece: Vec::new(),
            piece_at: from,
            alone: false,
        }
    }

    /// The next header; `None` when the limit is reached exactly.
    ///
    /// # Errors
    /// `ScanStop`; the walk cannot go on after one.
    pub(in crate::log) fn next(&mut self) -> Result<Option<Found>, ScanStop> {
        let position = self.at;
        let left = self.limit.saturating_sub(position);
        if left == 0 {
            return Ok(None);
        }
        let bad = |reason: String| ScanStop::Bad { position, reason };
        if left < BATCH_HEADER_BYTES as u64 {
            return Err(bad(format!("{left} bytes are left, a batch header has {BATCH_HEADER_BYTES}")));
        }
        let header = BatchHeader::parse(self.header_bytes(position)?).map_err(|error| bad(error.to_string()))?;
        if header.size < BATCH_HEADER_BYTES || header.size as u64 > left {
            return Err(bad(format!("a batch of {} bytes where {left} bytes are left", header.size)));
        }
        self.at = position + header.size as u64;
        self.alone = header.size >= LARGE_BATCH_BYTES;
        Ok(Some(Found { position, header }))
    }

    fn header_bytes(&mut self, position: u64) -> Result<&[u8], ScanStop> {
        let have_until = self.piece_at + self.piece.len() as u64;
        if position < self.piece_at || position + BATCH_HEADER_BYTES as u64 > have_until {
            self.piece.clear();
            self.piece_at = position;
            let ahead = if self.alone { BATCH_HEADER_BYTES } else { self.ahead };
            let count = (self.limit - position).min(ahead as u64);
            self.file.read_at(&mut self.piece, usize::try_from(count).unwrap_or(self.ahead), position)?;
        }
        let from = usize::try_from(position - self.piece_at).unwrap_or(usize::MAX);
        self.piece
            .get(from..)
            .and_then(|bytes| bytes.get(..BATCH_HEADER_BYTES))
            .ok_or_else(|| ScanStop::Bad { position, reason: "the file is shorter than it was".to_owned() })
    }
}

/// The bytes `position..position + size`; fewer when the file ends before.
pub(in crate::log) fn read_bytes(file: &dyn DiskFile, position: u64, size: usize) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(size);
    file.read_at(&mut bytes, size, position)?;
    Ok(Bytes::from(bytes))
}
