//! One partition's log: append, read, sync, recover; and the log directory that holds them. Rank 2.
//! The rules it keeps are numbered in the log contract; tests quote them.
//!
//! ```text
//! append ─ producers (KIP-98) ─ segment ─ io ── page cache
//!    └ flusher: commit decides, io syncs ─ HW ─ durability answers, watch wakes
//! locate, read, find_time ─ view (below HW) ─ index, time_index ─ scan ─ io
//! upkeep ─ retention decides, log_start removes             delete_records moves the log start as well
//!    └ compaction decides, clean writes, swap replaces
//! log_dir ─ open ─ recovery ─ a partition        registry, checkpoint: what is durable, on disk
//! dump: shows any of the files, whatever is in them      repair: looks for damage, and takes it out
//! ```

mod append;
mod checkpoint;
mod clean;
mod cleanup;
mod commit;
mod compaction;
mod delete_records;
pub mod dump;
mod durability;
mod epochs;
pub mod error;
mod find_time;
mod flusher;
mod index;
mod index_maps;
pub mod io;
mod latest;
pub mod layout;
pub mod locate;
pub mod log_dir;
mod log_start;
mod mmap;
mod open;
pub mod partition;
pub mod producer_snapshot;
mod producers;
mod read;
mod recovery;
mod registry;
mod remover;
pub mod repair;
mod retention;
mod scan;
mod segment;
mod swap;
#[cfg(test)]
mod tests;
mod time_index;
mod upkeep;
pub mod watch;

pub use cleanup::{Cleanup, Compaction};
pub use delete_records::{DeleteRecordsError, DeleteUntil};
pub use error::{AppendError, AppendRefused, ConditionalAppendError, LogError};
pub use locate::{FileSlice, Located, Patience};
pub use log_dir::{LogDir, LogDirSettings};
pub use partition::{
    Appended, FlushEvery, LogConfig, Offsets, Origin, Partition, PartitionIdent, ReadSlice, StreamLast, TimedOffset,
};
pub use recovery::CutReport;
pub use upkeep::UpkeepSettings;
