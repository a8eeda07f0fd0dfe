//! A batch of a file as something that can be opened: small ones are read, large ones stay in the file and are read as they
//! are opened, twice, for the checksum and for the records. For whoever looks at records: doors, look-ups by time. Blocking.
//! It must never hold a large batch, and never show a record before the checksum of its batch is known to be right.

use std::io::{self, BufRead, Read};

use bytes::Bytes;

use crate::limits::{BATCH_HEADER_BYTES, BATCH_READ_BYTES_MAX};
use crate::log::io::SharedFile;
use crate::log::read::locate::FileSlice;
use crate::log::read::scan::read_bytes;
use crate::record::{BatchHeader, Input, ReadFailed, RecordError, Unopened, check_stored, check_stored_in};

/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Why a batch cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOpened {
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its bytes.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl FileSlice {
    /// The batch that begins `at` bytes into the slice; `None` where the rest of the slice is less than a batch.
    ///
    /// # Errors
    /// The system's; a damaged batch.
    pub(crate) fn batch(&self, at: usize) -> Result<Option<Unopened>, NotOpened> {
        let left = self.len().saturating_sub(at);
        if left < BATCH_HEADER_BYTES {
            return Ok(None);
        }
        let position = self.position() + at as u64;
        let head = read_bytes(&**self.file(), position, BATCH_HEADER_BYTES)?;
        let header = BatchHeader::parse(&head)?;
        if header.size > left { Ok(None) } else { open_batch(self.file(), position, header.size).map(Some) }
    }

    /// So many bytes of it, as they are.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn bytes(&self, at: usize, size: usize) -> Result<Bytes, NotOpened> {
        Ok(read_bytes(&**self.file(), self.position() + at as u64, size)?)
    }
}

/// The batch of `size` bytes at `position`.
pub(in crate::log) fn open_batch(file: &SharedFile, position: u64, size: usize) -> Result<Unopened, NotOpened> {
    if size <= BATCH_READ_BYTES_MAX {
        let bytes = read_bytes(&**file, position, size)?;
        return Ok(Unopened::from(&check_stored(bytes)?));
    }
    let head = read_bytes(&**file, position, BATCH_HEADER_BYTES)?;
    let head = head.first_chunk().ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let body = || -> Result<Input, NotOpened> {
        let (at, left) = (position + BATCH_HEADER_BYTES as u64, size - BATCH_HEADER_BYTES);
        Ok(Box::new(FileInput { file: SharedFile::clone(file), at, left, piece: Vec::new(), read: 0 }))
    };
    check_stored_in(head, body)
}

/// A range of a file, read piece by piece.
struct FileInput {
    file: SharedFile,
    at: u64,
    left: usize,
    piece: Vec<u8>,
    /// Of the piece.
    read: usize,
}

impl BufRead for FileInput {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.piece.len() && self.left > 0 {
            let count = self.left.min(PIECE_BYTES);
            self.piece.clear();
            self.read = 0;
            self.file.read_at(&mut self.piece, count, self.at).map_err(ReadFailed::wrap)?;
            if self.piece.len() < count {
                return Err(ReadFailed::wrap(io::ErrorKind::UnexpectedEof.into()));
            }
            self.at += count as u64;
            self.left -= count;
        }
        Ok(&self.piece[self.read..])
    }

    fn consume(&mut self, count: usize) {
        self.read = (self.read + count).min(self.piece.len());
    }
}

impl Read for FileInput {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let here = self.fill_buf()?;
        let count = here.len().min(into.len());
        into[..count].copy_from_slice(&here[..count]);
        self.consume(count);
        Ok(count)
    }
}
