//! The seam to the disk: everything the log does to files goes through `Disk`. `buffered` is the real one; `faulty`
//! tears, loses and lies, `watched` notes who calls, both for tests. What a call promises here is what power-cut tests hold the log to: nothing is
//! durable, neither bytes nor names, before a sync of that file or that directory has returned.

pub(crate) mod buffered;
mod cached;
mod disk;
#[cfg(any(test, feature = "faulty-disk"))]
pub mod faulty;
#[cfg(any(test, feature = "faulty-disk"))]
pub mod watched;

pub use buffered::BufferedDisk;
pub(in crate::log) use cached::CachedOnly;
pub(crate) use disk::{DirEntry, DirLock, DiskFile, SharedFile};
pub use disk::{Disk, OpenFiles};
