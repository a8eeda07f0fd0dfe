//! Record batch v2 (Kafka's message format 2): check, view, build, compress. Rank 1: knows bytes, no files.
//! A `ProducedBatch` comes only from `check_produced` or the builder, a `StoredBatch` only from `check_stored`.

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
pub mod error;
mod filter;
mod header;
mod message;
pub mod murmur2;
pub mod raw;
pub mod records;
pub mod validate;

pub use batch::{ProducedBatch, StampedBatch, StoredBatch, check_produced, check_stored, records};
pub use builder::{build, size_bound};
pub use compression::{Compression, Levels};
pub use control::{ControlType, ProducerIdent};
pub use error::{RecordError, Rejection};
pub use filter::{Filtered, Keyed};
pub use header::{BatchHeader, ProducerStamp, TimestampType};
pub use message::{Header, Message};
pub use murmur2::{murmur2, partition_for_key};
pub use records::{RecordIter, RecordView};
pub use validate::AppendRules;
