//! One partition's log: append, read, sync, recover; and the log directory that holds them. Rank 2.
//! The rules it keeps are numbered in the log contract; tests quote them.

pub mod error;
pub mod log_dir;
pub mod partition;
pub mod watch;

pub use error::{AppendError, AppendRefused, LogError};
pub use log_dir::{LogDir, LogDirSettings};
pub use partition::{
    Appended, LogConfig, Offsets, Origin, Partition, PartitionIdent, ReadSlice, StreamLast, TimedOffset,
};
