//! The walk over one segment's batches. Below the recovery point headers are enough; above it every batch is verified
//! and its bytes are written again, in large pieces: after a failed sync the page cache shows bytes that the disk never
//! got and that no sync will write (rule 9); written again, they are dirty again. Where HW does not wait for syncs too:
//! the recovery point must not claim such bytes either, or their loss would pass for damage.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::indexes::IndexFiles;
use super::progress::{Recovery, Replayed};
use crate::ids::{Offset, TimestampMs};
use crate::limits::{BATCH_HEADER_BYTES, FRAME_BYTES_MAX};
use crate::log::error::LogError;
use crate::log::index::offset_index;
use crate::log::io::SharedFile;
use crate::log::layout::SegmentFile;
use crate::log::read::scan::{Found, HeaderScan, ScanStop, read_bytes};
use crate::log::write::segment::Indexed;
use crate::record::{BatchHeader, check_stored};

/// Headers of small batches that are read at once.
const LOOK_AHEAD_BYTES: usize = 64 * 1_024;
/// Bytes that are read, verified and written again at once.
const PIECE_BYTES: u64 = 1024 * 1024;
/// How often a long walk says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// One segment as it was found.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) base: Offset,
    pub(super) log: SharedFile,
    /// Bytes that are whole batches.
    pub(super) size: u64,
    /// Bytes in the file.
    pub(super) len: u64,
    pub(super) indexed: Indexed,
    pub(super) files: IndexFiles,
    pub(super) first_timestamp: Option<TimestampMs>,
    /// Why the walk ended before the file did.
    pub(super) bad: Option<String>,
    pub(super) above_trusted: bool,
}

/// Says once a second how far the walk is.
struct Progress<'a> {
    recovery: &'a Recovery<'a>,
    len: u64,
    said: Instant,
}

impl Recovery<'_> {
    /// Walks one segment from its start; verifies, and rewrites, what is above the recovery point.
    pub(super) fn walk(
        &self,
        base: Offset,
        next_base: Option<Offset>,
        replayed: &mut Replayed,
    ) -> Result<Walked, LogError> {
        let path = self.path(base, SegmentFile::Log);
        let failed = |error| LogError::io("cannot read", &path, error);
        let log = self.disk.open(&path).map_err(failed)?;
        let len = log.len().map_err(failed)?;
        let mut walked = Walked {
            base,
            log: Arc::clone(&log),
            size: 0,
            len,
            indexed: Indexed::default(),
            files: IndexFiles::load(self.disk, self.dir, base)?,
            first_timestamp: None,
            bad: None,
            above_trusted: false,
        };
        if next_base.is_none_or(|next| next > self.trusted) {
            // A write-back that failed before the restart is reported once, by the next sync. This one takes the
            // report, then everything that may be lost is written again.
            let _ = log.sync_data();
        }
        let mut progress = Progress { recovery: self, len, said: self.clock.monotonic() };
        let mut scan = HeaderScan::new(&*log, 0, len, LOOK_AHEAD_BYTES);
        loop {
            let found = match scan.next() {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(ScanStop::Bad { reason, .. }) => {
                    walked.bad = Some(reason);
                    break;
                }
                Err(ScanStop::Io(error)) => return Err(failed(error)),
            };
            if found.header.next_offset() > self.trusted {
                walked.bad = self.verify_rest(&mut walked, next_base, replayed, &mut progress).map_err(failed)?;
                break;
            }
            walked.bad = self.take(&mut walked, &found, next_base, replayed);
            if walked.bad.is_some() {
                break;
            }
            progress.at(found.position);
        }
        Ok(walked)
    }

    /// The batches from `walked.size` on: each is whole and right, or the log ends there. The answer: why it does.
    fn verify_rest(
        &self,
        walked: &mut Walked,
        next_base: Option<Offset>,
        replayed: &mut Replayed,
        progress: &mut Progress<'_>,
    ) -> io::Result<Option<String>> {
        let log = Arc::clone(&walked.log);
        let mut wanted = PIECE_BYTES;
        while walked.size < walked.len {
            let from = walked.size;
            let count = usize::try_from(wanted.min(walked.len - from)).unwrap_or(usize::MAX);
            let piece = read_bytes(&*log, from, count)?;
            let outcome = self.verify_piece(&piece, walked, next_base, replayed);
            let good = usize::try_from(walked.size - from).unwrap_or(usize::MAX);
            if good > 0 {
                walked.above_trusted = true;
                log.write_at(&piece[..good], &[], from)?;
            }
            wanted = match outcome {
                Ok(needed) if piece.len() == count => PIECE_BYTES.max(needed as u64),
                Ok(_) => return Ok(Some("the file is shorter than it was".to_owned())),
                Err(bad) => return Ok(Some(bad)),
            };
            progress.at(walked.size);
        }
        Ok(None)
    }

    /// The whole batches of a piece. The answer: how many bytes the next one needs (0: not known).
    fn verify_piece(
        &self,
        piece: &Bytes,
        walked: &mut Walked,
        next_base: Option<Offset>,
        replayed: &mut Replayed,
    ) -> Result<usize, String> {
        let from = walked.size;
        loop {
            let at = usize::try_from(walked.size - from).unwrap_or(usize::MAX);
            let (left, in_file) = (piece.len() - at, walked.len - walked.size);
            if left < BATCH_HEADER_BYTES {
                return match in_file {
                    0 => Ok(0),
                    _ if in_file > left as u64 => Ok(0),
                    _ => Err(format!("{left} bytes are left, a batch header has {BATCH_HEADER_BYTES}")),
                };
            }
            let header = BatchHeader::parse(&piece[at..]).map_err(|error| error.to_string())?;
            if header.size < BATCH_HEADER_BYTES || header.size as u64 > in_file || header.size > FRAME_BYTES_MAX {
                return Err(format!("a batch of {} bytes where {in_file} bytes are left", header.size));
            }
            if header.size > left {
                return Ok(header.size);
            }
            check_stored(piece.slice(at..at + header.size)).map_err(|error| error.to_string())?;
            let found = Found { position: walked.size, header };
            if let Some(bad) = self.take(walked, &found, next_base, replayed) {
                return Err(bad);
            }
        }
    }

    /// Takes a batch into the log, or says why it does not belong there.
    fn take(
        &self,
        walked: &mut Walked,
        found: &Found,
        next_base: Option<Offset>,
        replayed: &mut Replayed,
    ) -> Option<String> {
        let (header, base) = (&found.header, walked.base);
        let beyond = next_base.is_some_and(|next| header.last_offset() >= next)
            || offset_index::relative(base, header.last_offset()).is_none();
        // No CRC covers the base offset. Only compaction makes holes, and only below the recovery point (rule 3).
        let hole = header.next_offset() > self.trusted && header.base_offset > replayed.end;
        if header.base_offset < replayed.end || hole || beyond {
            let (first, last) = (header.base_offset, header.last_offset());
            return Some(format!("a batch with offsets {first}..={last} where {} is next", replayed.end));
        }
        if walked.first_timestamp.is_none() && header.max_timestamp.0 >= 0 {
            walked.first_timestamp = Some(header.max_timestamp);
        }
        walked.indexed.add(base, header, found.position, self.index_interval);
        walked.files.check(base, header, found.position, walked.indexed.newest);
        walked.size = found.position + header.size as u64;
        replayed.add(header, self.clock.wall());
        None
    }
}

impl Progress<'_> {
    fn at(&mut self, position: u64) {
        let now = self.recovery.clock.monotonic();
        if now.duration_since(self.said) >= PROGRESS_EVERY {
            self.said = now;
            let (done, of) = (position >> 20, self.len >> 20);
            tracing::info!("recovering {}: {done} of {of} MiB of a segment", self.recovery.dir.display());
        }
    }
}
