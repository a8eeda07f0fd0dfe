//! Record batch v2 (Kafka's message format 2): check, view, build, compress. Rank 1: knows bytes, no files.
//! A `ProducedBatch` comes only from `check_produced` or the builder, a `StoredBatch` only from `check_stored`.

pub(crate) mod batch;
pub(crate) mod builder;
pub(crate) mod compression;
pub(crate) mod control;
mod decoder;
pub(crate) mod error;
mod filter;
mod header;
mod message;
pub(crate) mod murmur2;
mod parse;
pub mod raw;
pub mod records;
mod stream;
pub(crate) mod validate;

pub(crate) use batch::check_stored_in;
pub use batch::{ProducedBatch, StoredBatch, check_produced, check_stored, records};
pub use builder::build;
pub(crate) use builder::{build_within, bytes_bound, size_bound};
pub use compression::Compression;
pub(crate) use compression::Levels;
pub(crate) use compression::closing_bytes;
pub(crate) use control::{ControlType, ProducerIdent};
pub(crate) use decoder::Input;
pub(crate) use error::ReadFailed;
pub(crate) use error::{RecordError, Rejection};
pub(crate) use filter::Filtered;
pub use header::{BatchHeader, ProducerStamp, TimestampType};
pub use message::{Header, Message};
pub use murmur2::partition_for_key;
pub use records::RecordView;
pub(crate) use records::{Met, RecordTimes, Records};
pub(crate) use stream::{Bounds, Means, Stop, Unopened};
pub(crate) use validate::AppendRules;
