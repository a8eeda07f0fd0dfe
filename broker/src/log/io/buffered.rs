//! The real disk: the page cache, positioned reads and writes, fdatasync and syncfs (Linux 5.8 and later, whose syncfs
//! reports lost pages). Safe system calls through `rustix`; keeps no state but one open directory for syncfs, since
//! the kernel reports an error once to each open file description.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::fs::FlockOperation;
use rustix::io::{Errno, ReadWriteFlags, retry_on_intr};

use super::disk::{DirEntry, DirLock, Disk, DiskFile, OpenFiles, SharedFile};

/// This machine's file system cannot tell cached pages from others.
static NO_NOWAIT: AtomicBool = AtomicBool::new(false);

/// The machine's file system.
#[derive(Debug, Default)]
pub struct BufferedDisk {
    /// The directory that syncfs was called on last, kept open.
    root: Mutex<Option<(PathBuf, Arc<File>)>>,
}

#[derive(Debug)]
struct BufferedFile(File);

#[derive(Debug)]
struct Flock {
    _file: File,
}

impl DirLock for Flock {}

impl BufferedDisk {
    /// Opens a file for reading only: it may belong to another user. Writing to it fails.
    ///
    /// # Errors
    /// The system's.
    pub fn open_to_read(path: &Path) -> io::Result<SharedFile> {
        Ok(Arc::new(BufferedFile(File::open(path)?)))
    }

    fn root(&self, dir: &Path) -> io::Result<Arc<File>> {
        let mut root = self.root.lock();
        if let Some((path, file)) = root.as_ref()
            && path == dir
        {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(dir)?);
        *root = Some((dir.to_path_buf(), Arc::clone(&file)));
        Ok(file)
    }
}

impl Disk for BufferedDisk {
    fn open(&self, path: &Path) -> io::Result<SharedFile> {
        Ok(Arc::new(BufferedFile(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<SharedFile> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(BufferedFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry { name, dir: entry.file_type()?.is_dir() });
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = File::open(dir)?;
        Ok(retry_on_intr(|| rustix::fs::fsync(&dir))?)
    }

    fn sync_all_dirty(&self, dir: &Path) -> io::Result<()> {
        let root = self.root(dir)?;
        Ok(retry_on_intr(|| rustix::fs::syncfs(&*root))?)
    }

    fn open_files(&self) -> Option<OpenFiles> {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current?;
        let open = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        Some(OpenFiles { open, limit })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(Flock { _file: file }))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl DiskFile for BufferedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, into: &mut Vec<u8>, count: usize, at: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < count {
            into.reserve_exact(count - done);
            // The vector may have room for more than was asked: a read past `count` is cut off again.
            let before = into.len();
            let got =
                retry_on_intr(|| rustix::io::pread(&self.0, spare_capacity(into), at.saturating_add(done as u64)))?;
            into.truncate(before + got.min(count - done));
            if got == 0 {
                break;
            }
            done += into.len() - before;
        }
        Ok(done)
    }

    fn read_cached(&self, into: &mut Vec<u8>, count: usize, at: u64) -> io::Result<Option<usize>> {
        if NO_NOWAIT.load(Ordering::Relaxed) {
            return self.read_at(into, count, at).map(Some);
        }
        let before = into.len();
        let mut done = 0;
        into.reserve_exact(count);
        while done < count {
            // Filled first: a slice of what is there already is safe to read into, unlike spare room.
            into.resize(before + count, 0);
            let mut slices = [IoSliceMut::new(&mut into[before + done..])];
            let offset = at.saturating_add(done as u64);
            match retry_on_intr(|| rustix::io::preadv2(&self.0, &mut slices, offset, ReadWriteFlags::NOWAIT)) {
                Ok(0) => break,
                Ok(got) => done += got,
                Err(Errno::AGAIN) => {
                    into.truncate(before);
                    return Ok(None);
                }
                // A file system that cannot say: then every read may wait.
                Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
                    NO_NOWAIT.store(true, Ordering::Relaxed);
                    into.truncate(before);
                    return self.read_at(into, count, at).map(Some);
                }
                Err(errno) => {
                    into.truncate(before);
                    return Err(errno.into());
                }
            }
        }
        into.truncate(before + done);
        Ok(Some(done))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }

    fn write_at(&self, head: &[u8], body: &[u8], at: u64) -> io::Result<()> {
        let total = head.len() + body.len();
        let mut done = 0;
        while done < total {
            let (head_left, body_left) =
                (&head[done.min(head.len())..], &body[done.saturating_sub(head.len()).min(body.len())..]);
            let slices = [IoSlice::new(head_left), IoSlice::new(body_left)];
            let wrote = retry_on_intr(|| rustix::io::pwritev(&self.0, &slices, at.saturating_add(done as u64)))?;
            if wrote == 0 {
                return Err(io::Error::new(io::ErrorKind::WriteZero, "the file takes no more bytes"));
            }
            done += wrote;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::fdatasync(&self.0))?)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_back_where_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let disk = BufferedDisk::default();
        let file = disk.create(&dir.path().join("a")).unwrap();
        file.write_at(b"head", b"body", 3).unwrap();
        file.write_at(b"", b"!", 11).unwrap();
        let mut read = Vec::with_capacity(64);
        assert_eq!(file.read_at(&mut read, 5, 3).unwrap(), 5);
        assert_eq!(read, b"headb");
        assert_eq!(file.read_at(&mut read, 100, 8).unwrap(), 4);
        assert_eq!(read, b"headbody!");
        disk.unlink(&dir.path().join("a")).unwrap();
        assert_eq!(file.len().unwrap(), 12);
    }

    #[test]
    fn a_lock_is_held_by_one_and_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (BufferedDisk::default(), BufferedDisk::default());
        let path = dir.path().join(".lock");
        let held = one.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(other.lock(&path).unwrap().is_none());
        drop(held);
        assert!(other.lock(&path).unwrap().is_some());
    }

    #[test]
    fn a_whole_file_system_and_one_directory_are_synced() {
        let dir = tempfile::tempdir().unwrap();
        let disk = BufferedDisk::default();
        disk.create_dir(&dir.path().join("a/b")).unwrap();
        disk.create(&dir.path().join("a/f")).unwrap();
        disk.sync_dir(&dir.path().join("a")).unwrap();
        disk.sync_all_dirty(dir.path()).unwrap();
        let names: Vec<String> =
            disk.list(&dir.path().join("a")).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["b", "f"]);
    }
}
