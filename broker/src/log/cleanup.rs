//! What may be removed from a log, and when: `cleanup.policy` and the configs that go with it, as the log takes them.
//! The default keeps everything, for the broker's own logs that nothing may be removed from.

/// `cleanup.policy` and its kin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cleanup {
    /// `cleanup.policy` has `delete`: old segments go, and clients may delete records.
    pub delete: bool,
    /// A segment goes when its newest record is older than so many ms (`retention.ms`); `None`: never.
    pub retention_ms: Option<i64>,
    /// The oldest segments go while so many bytes are left without them (`retention.bytes`); `None`: never.
    pub retention_bytes: Option<u64>,
    /// How long the files of a removed segment stay, in ms (`file.delete.delay.ms`).
    pub file_delete_delay_ms: u64,
}
