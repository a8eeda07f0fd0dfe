//! Record batch v2 (Kafka's message format 2): check, view, build, compress. Rank 1: knows bytes, no files.
//! A `ProducedBatch` comes only from `check_produced` or the builder, a `StoredBatch` only from `check_stored`.

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
mod decoder;
pub mod error;
mod filter;
mod header;
mod message;
pub mod murmur2;
mod parse;
pub mod raw;
pub mod records;
mod stream;
pub mod validate;

pub(crate) use batch::check_stored_in;
pub use batch::{ProducedBatch, StampedBatch, StoredBatch, check_produced, check_stored, records};
pub(crate) use builder::build_within;
pub use builder::{build, size_bound};
pub(crate) use compression::closing_bytes;
pub use compression::{Compression, Levels};
pub use control::{ControlType, ProducerIdent};
pub(crate) use decoder::Input;
pub(crate) use error::ReadFailed;
pub use error::{RecordError, Rejection};
pub use filter::{Filtered, Keyed};
pub use header::{BatchHeader, ProducerStamp, TimestampType};
pub use message::{Header, Message};
pub use murmur2::{murmur2, partition_for_key};
pub(crate) use records::{Met, RecordTimes, Records};
pub use records::{RecordIter, RecordView};
pub(crate) use stream::{Bounds, Means, Stop, Unopened};
pub use validate::AppendRules;
