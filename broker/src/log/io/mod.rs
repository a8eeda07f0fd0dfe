//! The seam to the disk: everything the log does to files goes through `Disk`. `buffered` is the real one; `faulty`
//! tears, loses and lies, for tests. What a call promises here is what power-cut tests hold the log to: nothing is
//! durable, neither bytes nor names, before a sync of that file or that directory has returned.

pub mod buffered;
mod disk;
#[cfg(any(test, feature = "faulty-disk"))]
pub mod faulty;

pub use buffered::BufferedDisk;
pub use disk::{DirEntry, DirLock, Disk, DiskFile, MappedBytes, OpenFiles, SharedFile};
