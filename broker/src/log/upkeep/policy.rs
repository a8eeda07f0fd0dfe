//! What may be removed from a log, and when: `cleanup.policy` and the configs that go with it, as the log takes them.
//! The default keeps everything, for the broker's own logs that nothing may be removed from.

/// `cleanup.policy` and the configs that go with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleanup {
    /// `cleanup.policy` has `delete`: old segments go, and clients may delete records.
    pub(crate) delete: bool,
    /// A segment is removed when its newest record is older than this, in ms (`retention.ms`); `None`: never.
    pub(crate) retention_ms: Option<i64>,
    /// The oldest segments are removed while the rest has at least this many bytes (`retention.bytes`); `None`: never.
    pub(crate) retention_bytes: Option<u64>,
    /// How long the files of a removed segment stay, in ms (`file.delete.delay.ms`).
    pub(crate) file_delete_delay_ms: u64,
    /// `cleanup.policy` has `compact`: of each key only the last record stays.
    pub(crate) compact: Option<Compaction>,
}

/// When a log is compacted, and how long tombstones stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compaction {
    /// A pass is due when more than this part of the bytes is new, in millionths (`min.cleanable.dirty.ratio`).
    pub(crate) min_dirty_millionths: u32,
    /// Segments with a record younger than this, in ms, are not compacted (`min.compaction.lag.ms`).
    pub(crate) min_lag_ms: i64,
    /// A record that has waited this long, in ms, makes a pass due (`max.compaction.lag.ms`).
    pub(crate) max_lag_ms: i64,
    /// How long tombstones stay after the first pass that saw them, in ms (`delete.retention.ms`).
    pub(crate) delete_retention_ms: i64,
}
