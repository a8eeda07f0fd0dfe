//! Maps files into memory, read-only. One of the few places with `unsafe`; called by the real disk for index files of
//! sealed segments only, never for anything that is still written or may be shortened.

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapOptions};

/// The first `len` bytes of `file`.
///
/// # Errors
/// `UnexpectedEof` when the file is shorter; the system's.
pub(in crate::log) fn map(file: &File, len: usize) -> io::Result<Mmap> {
    // A page behind the end of a file would be SIGBUS at the first look.
    if file.metadata()?.len() < len as u64 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than it was"));
    }
    // SAFETY: the bytes must not change and the file must not shrink while it is mapped. Index files of sealed segments
    // are complete before they are mapped (rule 3): this process never writes to them again and never truncates them,
    // it only unlinks or renames, which leaves the mapped file as it is; and the data directory's lock keeps every
    // other broker and every tool of ours that writes away.
    unsafe { MmapOptions::new().len(len).map(file) }
}
