//! Records out of the batches that a fetch has found: opened piece by piece, one record at a time, counted before they are
//! held. What nobody can open, or is larger than a record may be, is told in its place with the offset to go on at, and the
//! rest goes on. Pure but for the file that large batches stay in; on a thread that may wait unless everything is small and
//! here. It must never pass over a record in silence, nor hold what the budget has not admitted.

use bytes::{Buf, Bytes};

use super::super::error::{DoorError, RecordFailure, StorageFailure};
use super::super::reading::{RecordView, Unreadable};
use crate::engine::held::Held;
use crate::engine::openings::TooLong;
use crate::ids::Offset;
use crate::limits::{BATCH_HEADER_BYTES, INLINE_BYTES_MAX};
use crate::log::{FileSlice, NotOpened, Patience};
use crate::record::{BatchHeader, Bounds, Compression, Means, Met, RecordError, Records, Stop, Unopened, check_stored};

/// What a header costs an answer beside its bytes, so that empty ones count.
const HEADER_BYTES: usize = 32;

/// What the answer may still take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) records: usize,
    pub(super) bytes: usize,
    /// The answer has no record yet: the first one fits whatever its size.
    pub(super) empty: bool,
}

impl Room {
    fn takes(&mut self, bytes: usize) -> bool {
        if self.records == 0 || (bytes > self.bytes && !self.empty) {
            return false;
        }
        self.records -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        self.empty = false;
        true
    }
}

/// Whole batches of one partition; the last one may be cut short.
#[derive(Clone, Debug)]
pub(super) enum Batches {
    Here(Bytes),
    InFile(FileSlice),
}

impl Batches {
    /// Brings a small range here, where that needs no disk.
    pub(super) fn of(slice: FileSlice) -> Batches {
        if slice.len() <= INLINE_BYTES_MAX
            && let Ok(Some(bytes)) = slice.read(Patience::Cached)
        {
            return Batches::Here(bytes.into());
        }
        Batches::InFile(slice)
    }

    /// So little that a network thread may look through it.
    pub(super) fn is_light(&self) -> bool {
        let Batches::Here(bytes) = self else { return false };
        let mut rest = &bytes[..];
        while let Ok(header) = BatchHeader::parse(rest) {
            if header.compression != Compression::None {
                return false;
            }
            rest = rest.get(header.size..).unwrap_or_default();
        }
        bytes.len() <= INLINE_BYTES_MAX
    }

    /// The batch that begins `at` bytes into them; `None` at their end.
    fn batch(&self, at: usize) -> Result<Option<Unopened>, NotOpened> {
        let bytes = match self {
            Batches::InFile(slice) => return slice.batch(at),
            Batches::Here(bytes) => bytes.slice(at.min(bytes.len())..),
        };
        match BatchHeader::parse(&bytes) {
            _ if bytes.len() < BATCH_HEADER_BYTES => Ok(None),
            Ok(header) if header.size > bytes.remaining() => Ok(None),
            _ => Ok(Some(Unopened::from(&check_stored(bytes)?))),
        }
    }
}

/// What one partition's part of the answer is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub(super) records: Vec<RecordView>,
    pub(super) unreadable: Vec<Unreadable>,
    /// Behind everything that was taken, told or passed over.
    pub(super) next: Offset,
}

/// How the taking ended.
enum End {
    /// At the end of the batch.
    Batch,
    /// At a limit: what follows is the next read's.
    Full,
}

/// Why it ended earlier.
enum Failed {
    TooLong,
    Door(DoorError),
}

/// One read under way: what it may take, what it holds.
pub(super) struct Taking {
    pub(super) room: Room,
    held: Held,
    /// Of `held`: for opening the batch at hand.
    opening: usize,
    /// There are records in the answer, of which `held` is made up.
    holds_records: bool,
    opened_left: usize,
}

impl Taking {
    pub(super) fn new(room: Room, held: Held, opened_left: usize) -> Taking {
        Taking { room, held, opening: 0, holds_records: false, opened_left }
    }

    pub(super) fn into_held(self) -> Held {
        self.held
    }

    /// Takes records from `from` on until a limit is reached.
    pub(super) fn take(&mut self, batches: &Batches, from: Offset) -> Result<Result<Taken, DoorError>, TooLong> {
        let mut taken = Taken { next: from, ..Taken::default() };
        let mut at = 0;
        while self.room.records > 0 {
            let ended = match batches.batch(at) {
                Ok(None) => break,
                Ok(Some(batch)) => {
                    at += batch.header().size;
                    self.take_batch(batch, &mut taken)
                }
                Err(error) => Err(Failed::Door(not_opened(error))),
            };
            match ended {
                Ok(End::Batch) => {}
                Ok(End::Full) => break,
                Err(Failed::TooLong) => return Err(TooLong),
                // What is before the damage goes out first; the next read meets the error.
                Err(Failed::Door(error)) if taken.next == from => return Ok(Err(error)),
                Err(Failed::Door(_)) => break,
            }
        }
        Ok(Ok(taken))
    }

    fn take_batch(&mut self, batch: Unopened, taken: &mut Taken) -> Result<End, Failed> {
        let (control, next) = (batch.header().control, batch.header().next_offset());
        if control {
            taken.next = taken.next.max(next);
            return Ok(End::Batch);
        }
        let ended = self.open_batch(batch, taken);
        self.held.shrink(std::mem::take(&mut self.opening));
        match ended {
            Ok(End::Batch) => {
                taken.next = taken.next.max(next);
                Ok(End::Batch)
            }
            Ok(End::Full) => Ok(End::Full),
            Err(Stop::TooLong) => Err(Failed::TooLong),
            Err(Stop::Bad(error @ RecordError::Unread { .. })) => Err(Failed::Door(error.into())),
            Err(Stop::Bad(error)) => Ok(self.tell(taken, taken.next, next, &error)),
            // What this read holds already is part of what it may have: the next one begins here with nothing.
            Err(Stop::NoMemory(_)) if self.holds_records => Ok(End::Full),
            Err(Stop::NoMemory(_)) if self.held.never() => Ok(self.tell(taken, taken.next, next, &no_memory())),
            Err(Stop::NoMemory(_)) if !self.room.empty => Ok(End::Full),
            Err(stop @ Stop::NoMemory(_)) => Err(Failed::Door(self.held.refusal(stop).into())),
        }
    }

    fn open_batch(&mut self, batch: Unopened, taken: &mut Taken) -> Result<End, Stop> {
        // Views share what is here and not compressed; else the bytes are given back with the batch.
        let (shared, size) = (batch.is_shared(), batch.bytes_here());
        if !self.open_more(size) {
            return Err(Stop::NoMemory(size));
        }
        let mut records = Records::open(batch, Bounds::default())?;
        let mut keeps = false;
        loop {
            let mut left = self.opened_left;
            let met = {
                let mut admit = |bytes| self.open_more(bytes);
                let mut means = Means::new(&mut admit, left);
                let met = records.next(&mut means);
                left = means.opened_left;
                met
            };
            self.opened_left = left;
            let Some(met) = met? else { break };
            if met.offset < taken.next {
                continue;
            }
            if met.too_large() {
                let reason = too_large(&met);
                match self.tell(taken, met.offset, met.offset.next(), &reason) {
                    End::Batch => continue,
                    End::Full => return Ok(End::Full),
                }
            }
            let before = self.room;
            if !self.room.takes(met.size + HEADER_BYTES * met.headers) {
                return Ok(End::Full);
            }
            let cost = if shared { met.cost - met.size } else { met.cost };
            let opening = self.opening;
            let Some((view, moved)) = records.view(&met) else { break };
            // The window that the record has taken along was admitted for opening.
            self.opening -= moved.min(self.opening);
            let more = cost.saturating_sub(moved);
            if !self.held.grow(more) {
                // It did not come: an answer that has nothing yet is refused, not empty.
                (self.room, self.opening) = (before, opening);
                if self.holds_records || !self.held.never() {
                    return Err(Stop::NoMemory(more));
                }
                match self.tell(taken, met.offset, met.offset.next(), &no_memory()) {
                    End::Batch => continue,
                    End::Full => return Ok(End::Full),
                }
            }
            if shared && !std::mem::replace(&mut keeps, true) {
                self.opening -= size.min(self.opening);
            }
            taken.next = met.offset.next();
            taken.records.push(view);
            self.holds_records = true;
        }
        Ok(End::Batch)
    }

    fn open_more(&mut self, bytes: usize) -> bool {
        let grown = self.held.grow(bytes);
        self.opening += if grown { bytes } else { 0 };
        grown
    }

    /// In its place, as a record.
    fn tell(&mut self, taken: &mut Taken, offset: Offset, next: Offset, error: &RecordError) -> End {
        let reason = error.to_string();
        if !self.room.takes(reason.len()) {
            return End::Full;
        }
        taken.unreadable.push(Unreadable { offset, next, reason });
        taken.next = taken.next.max(next);
        End::Batch
    }
}

fn no_memory() -> RecordError {
    let reason = "opening it takes more memory than memory_max_bytes leaves for one read".to_owned();
    RecordError::Compression { reason }
}

fn too_large(met: &Met) -> RecordError {
    let reason = format!(
        "the record has {} bytes when opened, with what its headers take {}, more than are read at once",
        met.size, met.cost
    );
    RecordError::Compression { reason }
}

fn not_opened(error: NotOpened) -> DoorError {
    match error {
        NotOpened::Io(error) => StorageFailure::Broken { reason: format!("cannot read a log: {error}") }.into(),
        NotOpened::Record(error) => RecordFailure::Unreadable { reason: error.to_string() }.into(),
    }
}

#[cfg(test)]
mod tests;
