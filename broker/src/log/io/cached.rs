//! A file of which only what is in memory is read: a read that would wait for the disk is an error of kind `WouldBlock`, so that
//! a search over headers or index entries need not know whether its thread may wait.

use std::io;

use super::disk::DiskFile;

/// Reads what is in memory. Nothing is written through it.
#[derive(Debug)]
pub(in crate::log) struct CachedOnly<'a>(pub(in crate::log) &'a dyn DiskFile);

impl DiskFile for CachedOnly<'_> {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_at(&self, into: &mut Vec<u8>, count: usize, at: u64) -> io::Result<usize> {
        self.0.read_cached(into, count, at)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn write_at(&self, _: &[u8], _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
