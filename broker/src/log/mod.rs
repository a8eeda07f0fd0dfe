//! One partition's log: append, read, sync, recover; and the log directory that holds them. Rank 2.
//! The rules it keeps are numbered in the log contract; tests quote them. Each room is a phase of a record's life:
//!
//! ```text
//! write/     append ─ producers (KIP-98) ─ epochs ─ segment ─ io ── page cache
//! sync/      queue ─ flusher: commit decides, io syncs ─ HW ─ durability answers;   registry, checkpoint: on disk
//! read/      spans ─ locate, batches, open_batch, find_time ─ below HW ─ scan ─ io;     watch wakes long polls
//! index/     offset and time index of a segment; sealed ones are read in their files
//! recovery/  log_dir ─ open ─ quick or walk ─ a partition
//! upkeep/    passes: retention decides, log_start moves; compaction decides, rewrite writes, swap replaces; unlinker
//! dump/ repair/   for tools: print any of the files; find damage and remove it
//! ```

mod config;
pub mod dump;
mod error;
mod guarded;
mod ident;
mod index;
pub mod io;
pub mod layout;
mod partition;
mod positions;
mod read;
mod recovery;
pub mod repair;
mod replay;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod ticket;
mod turn;
mod upkeep;
mod write;

pub use config::{FlushEvery, LogConfig};
pub use error::{AppendError, LogError, Offline};
pub(crate) use error::{ConditionalAppendError, ReplayFault};
pub use ident::PartitionIdent;
pub use partition::Partition;
pub(crate) use positions::Offsets;
pub(crate) use read::find_time::LookUpEnd;
pub(crate) use read::find_time::TimedOffset;
pub(crate) use read::locate::{FileSlice, Located, Patience};
pub(crate) use read::look::{Look, Place};
pub(crate) use read::open_batch::NotOpened;
pub(crate) use read::watch::Moved;
pub(crate) use read::watch::WatchGuard;
pub use recovery::log_dir::{LogDir, LogDirSettings};
pub(crate) use replay::Replayed;
pub(crate) use ticket::Appended;
pub use ticket::Ticket;
pub(crate) use turn::Turn;
pub(crate) use upkeep::delete_records::{DeleteRecordsError, DeleteUntil};
pub(crate) use upkeep::passes::UpkeepSettings;
pub use upkeep::policy::Cleanup;
pub(crate) use upkeep::policy::Compaction;
pub use write::producers::Origin;
pub(crate) use write::producers::RESERVED_PRODUCER_IDS;
