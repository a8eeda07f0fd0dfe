//! Walks the batches of a file as Kafka's `FileLogInputStream` does: with any magic and any checksum, and without an error at
//! the end where a whole batch no longer fits. Reads in pieces of bounded size, whatever the batches say.

use bytes::{Buf, Bytes};

use crate::limits::{BATCH_HEADER_BYTES, FRAME_BYTES_MAX};
use crate::log::io::DiskFile;
use crate::record::raw::{RawHeader, RawRecord, RawRecords};
use crate::record::{Compression, RecordError};

/// Bytes read at once when a file is read from end to end.
pub(super) const PIECE_BYTES: usize = 256 * 1_024;
/// Bytes read at once when one batch is looked for.
pub(super) const SHORT_PIECE_BYTES: usize = 512;
/// Bytes up to and with the magic byte, which is in the same place in every format.
const UP_TO_MAGIC_BYTES: u64 = 17;
/// Base offset and length field.
const LOG_OVERHEAD_BYTES: u64 = 12;
/// The smallest value of a length field: an empty message of format 0.
const LENGTH_MIN: i32 = 14;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: u64 = 21;

/// A batch, and where it is.
#[derive(Clone, Debug)]
pub(super) struct FoundBatch {
    /// Byte of the file.
    pub(super) position: u64,
    /// Bytes, with base offset and length field.
    pub(super) size: u64,
    /// Its header.
    pub(super) says: Says,
}

/// A header by its format.
#[derive(Clone, Debug)]
pub(super) enum Says {
    /// Magic 2 and later.
    Batch(RawHeader),
    /// Magic 0 and 1: one message, or many compressed into one.
    Legacy { offset: i64, magic: i8, crc: u32, attributes: i8, timestamp: i64 },
}

/// A walk.
#[derive(Debug)]
pub(super) struct Batches<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    end: u64,
    ahead: usize,
    piece: Vec<u8>,
    piece_at: u64,
}

impl<'a> Batches<'a> {
    /// The batches between two bytes of a file, read in pieces of `ahead` bytes.
    pub(super) fn new(file: &'a dyn DiskFile, from: u64, end: u64, ahead: usize) -> Batches<'a> {
        Batches { file, at: from, end, ahead, piece: Vec::new(), piece_at: from }
    }

    /// The next batch; `None` at the end, and where the rest is no whole batch.
    ///
    /// # Errors
    /// A batch for which Kafka's reader throws.
    pub(super) fn next(&mut self) -> Result<Option<FoundBatch>, String> {
        let position = self.at;
        if position.saturating_add(UP_TO_MAGIC_BYTES) >= self.end {
            return Ok(None);
        }
        let mut head = self.bytes(position, UP_TO_MAGIC_BYTES as usize)?;
        let (_, length) = (head.get_i64(), head.get_i32());
        head.advance(4);
        let magic = head.get_i8();
        let Some(length) = u64::try_from(length).ok().filter(|_| length >= LENGTH_MIN) else {
            return Err(format!("at byte {position} a batch begins whose length field is {length}"));
        };
        let size = LOG_OVERHEAD_BYTES + length;
        if position + size > self.end {
            return Ok(None);
        }
        let says = if magic >= 2 { self.batch(position)? } else { self.legacy(position, magic)? };
        self.at = position + size;
        Ok(Some(FoundBatch { position, size, says }))
    }

    fn batch(&mut self, position: u64) -> Result<Says, String> {
        let head = self.bytes(position, BATCH_HEADER_BYTES)?;
        let head = head.first_chunk().ok_or("a header is cut short")?;
        Ok(Says::Batch(RawHeader::read(head)))
    }

    fn legacy(&mut self, position: u64, magic: i8) -> Result<Says, String> {
        if magic < 0 {
            return Err(format!("at byte {position} a batch begins whose format is {magic}"));
        }
        let mut head = self.bytes(position, if magic == 0 { 18 } else { 26 })?;
        let offset = head.get_i64();
        head.advance(4);
        let crc = head.get_u32();
        head.advance(1);
        let attributes = head.get_i8();
        Ok(Says::Legacy { offset, magic, crc, attributes, timestamp: if magic == 0 { -1 } else { head.get_i64() } })
    }

    /// Whether the batch's checksum is that of its bytes.
    pub(super) fn is_valid(&mut self, found: &FoundBatch) -> Result<bool, String> {
        let end = found.position + found.size;
        match &found.says {
            Says::Batch(_) if found.size < BATCH_HEADER_BYTES as u64 => Ok(false),
            Says::Batch(header) => {
                let mut crc = 0;
                self.pieces(found.position + ATTRIBUTES_AT, end, |piece| crc = crc32c::crc32c_append(crc, piece))?;
                Ok(crc == header.crc)
            }
            Says::Legacy { crc: stored, .. } => {
                let mut crc = flate2::Crc::new();
                self.pieces(found.position + UP_TO_MAGIC_BYTES - 1, end, |piece| crc.update(piece))?;
                Ok(crc.sum() == *stored)
            }
        }
    }

    /// The records of a batch, whatever its checksum. Of a compressed batch all are returned, or none.
    pub(super) fn records(&self, found: &FoundBatch) -> Result<RawRecords, String> {
        let Says::Batch(header) = &found.says else {
            return Err("records of message formats 0 and 1 are not shown".to_owned());
        };
        let size = usize::try_from(found.size).ok().filter(|size| *size <= FRAME_BYTES_MAX);
        let Some(body) = size.map(|size| size.saturating_sub(BATCH_HEADER_BYTES)) else {
            return Err(format!("the records of a batch of {} bytes are not opened", found.size));
        };
        let mut bytes = Vec::with_capacity(body);
        let from = found.position + BATCH_HEADER_BYTES as u64;
        self.file.read_at(&mut bytes, body, from).map_err(|error| error.to_string())?;
        let opened = header.records(&Bytes::from(bytes)).map_err(|error| error.to_string())?;
        if header.compression() != Ok(Compression::None) {
            opened.clone().find_map(Result::err).map_or(Ok(()), |error| Err(error.to_string()))?;
        }
        Ok(opened)
    }

    fn pieces(&mut self, mut at: u64, end: u64, mut take: impl FnMut(&[u8])) -> Result<(), String> {
        while at < end {
            let piece = self.bytes(at, usize::try_from(end - at).unwrap_or(self.ahead).min(self.ahead))?;
            take(piece);
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Exactly `count` bytes, at most a piece, reading ahead.
    fn bytes(&mut self, at: u64, count: usize) -> Result<&[u8], String> {
        let have_until = self.piece_at + self.piece.len() as u64;
        if at < self.piece_at || at + count as u64 > have_until {
            self.piece.clear();
            self.piece_at = at;
            self.file.read_at(&mut self.piece, self.ahead, at).map_err(|error| error.to_string())?;
        }
        let from = usize::try_from(at - self.piece_at).unwrap_or(usize::MAX);
        let bytes = self.piece.get(from..).and_then(|bytes| bytes.get(..count));
        bytes.ok_or_else(|| format!("at byte {at} the file ends in the middle of a batch"))
    }
}

impl FoundBatch {
    /// The offset of its last record.
    pub(super) fn last_offset(&self) -> i64 {
        match &self.says {
            Says::Batch(header) => header.last_offset(),
            Says::Legacy { offset, .. } => *offset,
        }
    }
}

/// The largest timestamp of records, -1 without any.
pub(super) fn newest(records: RawRecords) -> Result<i64, RecordError> {
    let mut newest = -1;
    for record in records {
        let RawRecord { timestamp, .. } = record?;
        newest = newest.max(timestamp);
    }
    Ok(newest)
}

const _: () = assert!(CRC_AT as u64 == UP_TO_MAGIC_BYTES && SHORT_PIECE_BYTES > BATCH_HEADER_BYTES);
