//! Shows what the files of a segment hold, line by line as Kafka's `kafka-dump-log` prints it (`DumpLogSegments` of
//! Kafka 4.3.1), so that both tools can be run over the same files and compared. Pure readers over files: nothing is
//! written, damage is shown, hostile bytes are an error with the place. Memory does not grow with the files: one batch
//! at a time, and the notes on what does not agree.
//!
//! ```text
//! dump ─ by the end of the name ─ log │ index │ time_index │ txn_index │ snapshot ── lines
//!                                   └── batches (where one begins, what it says) ── notes: what disagrees, at the end
//! ```
//!
//! Where Kafka's tool ends with an exception, this one ends with an error in the same place. Not shown: the records of
//! formats 0 and 1 (their batches are), and the fields of the control records of Kafka's own metadata log.

mod batches;
mod index;
mod log;
mod notes;
mod snapshot;
#[cfg(test)]
mod tests;
mod text;
mod time_index;
mod txn_index;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::log::io::SharedFile;
use crate::log::layout::{self, SegmentFile};
use notes::Notes;

/// Kafka's `--max-message-size`.
pub const MESSAGE_BYTES_DEFAULT: i32 = 5 * 1024 * 1024;

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub struct DumpOptions {
    /// Records, a line each.
    pub deep: bool,
    /// Keys and values with them.
    pub contents: bool,
    /// Keys and values only.
    pub skip_metadata: bool,
    /// Indexes: say what is wrong, not what is in them.
    pub verify_only: bool,
    /// Indexes: only the check that decides whether they are rebuilt.
    pub sanity_only: bool,
    /// Bytes of the largest batch that an index may point to.
    pub message_bytes_max: i32,
    /// How many bytes of a log are looked at.
    pub bytes_max: i32,
}

impl Default for DumpOptions {
    fn default() -> DumpOptions {
        DumpOptions {
            deep: false,
            contents: false,
            skip_metadata: false,
            verify_only: false,
            sanity_only: false,
            message_bytes_max: MESSAGE_BYTES_DEFAULT,
            bytes_max: i32::MAX,
        }
    }
}

/// Why the dump ended early.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// A file cannot be read further.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(io::Error),
}

/// What a reader of one file needs.
struct Dump<'a> {
    options: DumpOptions,
    open: &'a dyn Fn(&Path) -> io::Result<SharedFile>,
    out: &'a mut dyn Write,
    notes: &'a mut Notes,
}

/// Writes the lines of each of `files` to `out`, and to `err` what Kafka's tool says there: files that are none of its,
/// damaged snapshots, and at the end what does not agree. `open` opens a file to be read.
///
/// # Errors
/// `File` for the first file that cannot be read to its end; `Output` when `out` or `err` fails.
pub fn dump(
    files: &[PathBuf],
    options: DumpOptions,
    open: &dyn Fn(&Path) -> io::Result<SharedFile>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), DumpError> {
    let mut notes = Notes::default();
    let mut shown = Ok(());
    for path in files {
        shown = Dump { options, open, out: &mut *out, notes: &mut notes }.file(path, err);
        if shown.is_err() {
            break;
        }
    }
    out.flush().and_then(|()| notes.write(err)).map_err(DumpError::Output)?;
    shown
}

impl Dump<'_> {
    fn file(&mut self, path: &Path, err: &mut dyn Write) -> Result<(), DumpError> {
        self.line(format_args!("Dumping {}", path.display()))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some((kind, base)) = layout::segment_file_by_suffix(&name) else {
            return writeln!(err, "Ignoring unknown file {}", path.display()).map_err(DumpError::Output);
        };
        if kind == SegmentFile::Snapshot {
            return self.snapshot(path, err);
        }
        let base = base.ok_or_else(|| failed(path, "its name does not begin with an offset"))?.0;
        match kind {
            SegmentFile::Log => self.log(path, base),
            SegmentFile::Index => self.index(path, base),
            SegmentFile::TimeIndex => self.time_index(path, base),
            SegmentFile::TxnIndex | SegmentFile::Snapshot => self.txn_index(path),
        }
    }

    fn open(&self, path: &Path) -> Result<SharedFile, DumpError> {
        (self.open)(path).map_err(|error| failed(path, error))
    }

    /// The file of another kind that belongs to the same segment.
    fn open_sibling(&self, path: &Path, kind: SegmentFile) -> Result<(PathBuf, SharedFile), DumpError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let sibling = path.with_file_name(layout::sibling(&name, kind));
        let file = self.open(&sibling)?;
        Ok((sibling, file))
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) -> Result<(), DumpError> {
        self.out.write_fmt(text).and_then(|()| self.out.write_all(b"\n")).map_err(DumpError::Output)
    }

    fn part(&mut self, text: std::fmt::Arguments<'_>) -> Result<(), DumpError> {
        self.out.write_fmt(text).map_err(DumpError::Output)
    }
}

fn failed(path: &Path, reason: impl ToString) -> DumpError {
    DumpError::File { path: path.to_path_buf(), reason: reason.to_string() }
}
