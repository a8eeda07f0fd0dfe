//! A disk that notes which calls that may wait were made on threads that must not (`tasks::may_block`), for tests: a count of
//! such calls is the same on every machine, the time of a poll is not. Reads from memory and writes to the page cache are no
//! such calls; syncs, names and reads that may be cold are.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::disk::{DirEntry, DirLock, Disk, DiskFile, OpenFiles, SharedFile};
use crate::tasks;

/// A disk over another. Clones share what was noted.
#[derive(Clone, Debug)]
pub struct WatchedDisk {
    inner: Arc<dyn Disk>,
    noted: Arc<Noted>,
}

#[derive(Debug, Default)]
struct Noted(Mutex<BTreeMap<String, u64>>);

#[derive(Debug)]
struct WatchedFile {
    inner: SharedFile,
    path: PathBuf,
    noted: Arc<Noted>,
}

impl Noted {
    fn call(&self, what: &str, path: &Path) {
        if !tasks::may_block() {
            *self.0.lock().entry(format!("{what} {}", path.display())).or_default() += 1;
        }
    }
}

impl WatchedDisk {
    /// Watches `inner`.
    #[must_use]
    pub fn over(inner: Arc<dyn Disk>) -> WatchedDisk {
        WatchedDisk { inner, noted: Arc::default() }
    }

    /// What was called, with the path, on threads that must not wait, and how often, since the last call of this.
    #[must_use]
    pub fn take_noted(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.noted.0.lock())
    }

    fn file(&self, path: &Path, inner: SharedFile) -> SharedFile {
        Arc::new(WatchedFile { inner, path: path.to_path_buf(), noted: Arc::clone(&self.noted) })
    }
}

impl Disk for WatchedDisk {
    fn open(&self, path: &Path) -> io::Result<SharedFile> {
        self.noted.call("open", path);
        Ok(self.file(path, self.inner.open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<SharedFile> {
        self.noted.call("create", path);
        Ok(self.file(path, self.inner.create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.noted.call("rename", from);
        self.inner.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.noted.call("unlink", path);
        self.inner.unlink(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.noted.call("list", dir);
        self.inner.list(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.noted.call("create_dir", dir);
        self.inner.create_dir(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.noted.call("remove_dir", dir);
        self.inner.remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.noted.call("sync_dir", dir);
        self.inner.sync_dir(dir)
    }

    fn sync_all_dirty(&self, dir: &Path) -> io::Result<()> {
        self.noted.call("sync_all_dirty", dir);
        self.inner.sync_all_dirty(dir)
    }

    fn open_files(&self) -> Option<OpenFiles> {
        self.inner.open_files()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        self.noted.call("lock", path);
        self.inner.lock(path)
    }
}

impl DiskFile for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, into: &mut Vec<u8>, count: usize, at: u64) -> io::Result<usize> {
        self.noted.call("read_at", &self.path);
        self.inner.read_at(into, count, at)
    }

    fn read_cached(&self, into: &mut Vec<u8>, count: usize, at: u64) -> io::Result<Option<usize>> {
        self.inner.read_cached(into, count, at)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }

    fn write_at(&self, head: &[u8], body: &[u8], at: u64) -> io::Result<()> {
        self.inner.write_at(head, body, at)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.noted.call("sync_data", &self.path);
        self.inner.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.noted.call("truncate", &self.path);
        self.inner.truncate(len)
    }
}
