//! Record batch v2 (Kafka's message format 2): check, view, build, compress. Rank 1: knows bytes, no files.
//! A `ProducedBatch` comes only from `check_produced` or the builder, a `StoredBatch` only from `check_stored`.

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
pub mod error;
pub mod murmur2;
pub mod raw;
pub mod records;
pub mod thin;
pub mod validate;
mod varint;

pub use batch::{
    BatchHeader, ProducedBatch, ProducerStamp, StampedBatch, StoredBatch, TimestampType, check_produced, check_stored,
};
pub use builder::{Header, Message, build, size_bound};
pub use compression::{Compression, Levels};
pub use control::{ControlType, ProducerIdent};
pub use error::{RecordError, Rejection};
pub use murmur2::{murmur2, partition_for_key};
pub use records::{RecordIter, RecordView, records};
pub use thin::{Keyed, Thinned};
pub use validate::AppendRules;
