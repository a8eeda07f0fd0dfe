//! What a topic's configs mean for its logs, as plain values: `topics/` translates the configs, the log reads these at each
//! append and pass. Nothing here is validated again.

use crate::log::upkeep::policy::Cleanup;
use crate::record::TimestampType;

/// What the topic's configs mean for its logs; may change while the log is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A segment is sealed before it has more bytes than this (`segment.bytes`).
    pub segment_bytes: u64,
    /// A segment is sealed when a batch is this many ms later than its first (`segment.ms`).
    pub segment_ms: i64,
    /// Bytes of log between index entries (`index.interval.bytes`).
    pub index_interval_bytes: u64,
    /// Bytes of the largest batch (`max.message.bytes`).
    pub message_bytes_max: usize,
    /// Whose time records carry (`message.timestamp.type`).
    pub timestamp_type: TimestampType,
    /// `true`: HW waits for the sync (the default). `false` is `sluice.flush=os`.
    pub sync: bool,
    /// When a log with `sluice.flush=os` is synced.
    pub flush: FlushEvery,
    /// What is removed, and when.
    pub cleanup: Cleanup,
}

#[cfg(any(test, feature = "faulty-disk"))]
impl LogConfig {
    /// For tests: every answer waits for its sync, nothing is sealed or removed soon.
    #[must_use]
    pub fn for_tests() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            index_interval_bytes: 4_096,
            message_bytes_max: crate::limits::MESSAGE_BYTES_MAX,
            timestamp_type: TimestampType::CreateTime,
            sync: true,
            flush: FlushEvery::NEVER,
            cleanup: Cleanup::default(),
        }
    }
}

/// How much of a `sluice.flush=os` log may stay unsynced. A sync is requested then; no answer waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlushEvery {
    /// Messages (`flush.messages`).
    pub messages: i64,
    /// Milliseconds since the first of them (`flush.ms`).
    pub ms: i64,
}

impl FlushEvery {
    /// The operating system decides.
    pub const NEVER: FlushEvery = FlushEvery { messages: i64::MAX, ms: i64::MAX };
}
