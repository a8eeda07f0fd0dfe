//! The seam itself: what the log asks of a disk and of a file, with what each call promises.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

/// An open file, shared by its readers, its writer and the flusher; stays readable after its name is removed.
pub(crate) type SharedFile = Arc<dyn DiskFile>;

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name; one that is not UTF-8 is not ours and not listed.
    pub name: String,
    /// `true` for directories.
    pub dir: bool,
}

/// The files that this process has open, sockets among them, and how many it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// Now.
    pub open: u64,
    /// The most (RLIMIT_NOFILE).
    pub limit: u64,
}

/// Files by name.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// The system's, `NotFound` among them.
    fn open(&self, path: &Path) -> io::Result<SharedFile>;

    /// Creates a file, or empties the one that is there. The name is durable after `sync_dir` of its directory.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path) -> io::Result<SharedFile>;

    /// Replaces `to` if it exists; directories may be renamed too. Durable after `sync_dir`.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Durable after `sync_dir`.
    ///
    /// # Errors
    /// The system's.
    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// Every entry of a directory, in order of names.
    ///
    /// # Errors
    /// The system's, `NotFound` among them.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Creates a directory and its missing parents; no error if it exists. Durable after `sync_dir` of the parent.
    ///
    /// # Errors
    /// The system's.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// The system's.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes everything durable that any file or directory of the file system of `dir` holds (syncfs). An error says
    /// that some page of some file was lost, not which.
    ///
    /// # Errors
    /// The system's.
    fn sync_all_dirty(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock file `path`, creating it where needed; `None` when another process (or another opener in this
    /// one) has it. Dropping the lock gives it back.
    ///
    /// # Errors
    /// The system's.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>>;

    /// `None` where files cost nothing. Looks at each of them.
    fn open_files(&self) -> Option<OpenFiles> {
        None
    }
}

/// A held lock.
pub trait DirLock: Send + Sync + fmt::Debug {}

/// One open file.
#[allow(clippy::len_without_is_empty, reason = "a file's length is asked of the system and may fail")]
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Bytes in the file.
    ///
    /// # Errors
    /// The system's.
    fn len(&self) -> io::Result<u64>;

    /// Appends to `into` the bytes from `at` on, up to `count` or the file's end, and returns how many.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, into: &mut Vec<u8>, count: usize, at: u64) -> io::Result<usize>;

    /// As `read_at`, from memory only: `None` (and nothing appended) where the disk would have to be waited for.
    ///
    /// # Errors
    /// The system's.
    fn read_cached(&self, into: &mut Vec<u8>, count: usize, at: u64) -> io::Result<Option<usize>> {
        self.read_at(into, count, at).map(Some)
    }

    /// The open file, where the system can send it to a socket by itself.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Writes `head` and right behind it `body`, in one call where the system takes it whole. After an error any part
    /// of it may be in the file: the caller cuts it back.
    ///
    /// # Errors
    /// The system's; a write that stays short is an error too.
    fn write_at(&self, head: &[u8], body: &[u8], at: u64) -> io::Result<()>;

    /// Makes the file's bytes and length durable (fdatasync), not its name.
    ///
    /// # Errors
    /// The system's. After one nothing that was written since the last success is known to be durable, and never will
    /// be by syncing again (rule 8).
    fn sync_data(&self) -> io::Result<()>;

    /// Shortens the file to `len` bytes.
    ///
    /// # Errors
    /// The system's.
    fn truncate(&self, len: u64) -> io::Result<()>;
}
