//! What can be wrong with a record batch.

use crate::ids::TimestampMs;

/// Why records of a batch were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Too far from the broker's time.
    #[error(
        "its timestamp is further from the broker's time, {now}, than message.timestamp.before.max.ms={before_max_ms} and \
         message.timestamp.after.max.ms={after_max_ms} allow"
    )]
    Timestamp {
        /// The broker's time.
        now: TimestampMs,
        /// How far behind it a record may be.
        before_max_ms: i64,
        /// How far ahead of it.
        after_max_ms: i64,
    },
    /// No key, in a compacted topic.
    #[error("a compacted topic takes no record without a key")]
    NoKey,
}

/// Why a batch was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Magic 0 or 1: message formats that Kafka 4 no longer accepts (KIP-724).
    #[error("message format {magic} is not supported, only format 2 (record batches) is")]
    Magic {
        /// The batch's magic byte.
        magic: i8,
    },
    /// The bytes contradict themselves: lengths, CRC, counts.
    #[error("the record batch is corrupt: {reason}")]
    Corrupt {
        /// What was found.
        reason: String,
    },
    /// The batch is whole but says what a producer may not say.
    #[error("the record batch is invalid: {reason}")]
    Invalid {
        /// What was found.
        reason: String,
    },
    /// Larger than `max.message.bytes`.
    #[error("the record batch has {size} bytes, the topic takes at most {limit} (max.message.bytes)")]
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The topic's limit in bytes.
        limit: usize,
    },
    /// Some of its records are not what the topic takes.
    #[error("{count} of its records are refused, the first is record {first}: {why}", first = records.first().copied().unwrap_or(0))]
    Rejected {
        /// What is wrong with them.
        why: Rejection,
        /// How many.
        count: usize,
        /// Their places in the batch, from 0, in order; at most `limits::REJECTED_RECORDS_TOLD_MAX`.
        records: Vec<i32>,
    },
    /// The disk failed while the records were read.
    #[error("the record batch cannot be read: {reason}")]
    Unread {
        /// The system's answer.
        reason: String,
    },
    /// It cannot be decompressed, or grows beyond `limits::DECOMPRESSED_BYTES_MAX`.
    #[error("the compressed records cannot be opened: {reason}")]
    Compression {
        /// What was found.
        reason: String,
    },
}

/// The disk's failure inside of what looks like a decoder's.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct ReadFailed(std::io::Error);

impl ReadFailed {
    /// For whoever hands bytes of a file to a decoder, which passes errors on as they are.
    pub(crate) fn wrap(error: std::io::Error) -> std::io::Error {
        std::io::Error::other(ReadFailed(error))
    }
}

/// What reading compressed bytes failed with: a decoder's verdict, or the disk.
pub(super) fn not_opened(error: std::io::Error) -> RecordError {
    let reason = error.to_string();
    if error.get_ref().is_some_and(|inner| inner.is::<ReadFailed>()) {
        return RecordError::Unread { reason };
    }
    RecordError::Compression { reason }
}

/// Bytes that are no batch.
pub(super) fn corrupt(reason: impl Into<String>) -> RecordError {
    RecordError::Corrupt { reason: reason.into() }
}
