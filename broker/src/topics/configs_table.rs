//! The table of topic configs: every key that Kafka 4.4 knows (`LogConfig.CONFIG` in its sources) and ours, each with
//! type, default, rule and documentation. `configs.rs` reads it; nothing else decides what a key may hold.
//! A key of Kafka's that is not in force yet takes its default value only: accepting more would be a promise not kept.

use self::ConfigType::{Boolean, Double, Int, List, Long, String as Text};
use crate::limits;

/// Kafka's types of configs, as far as topics have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A number.
    Double,
    /// Words separated by commas.
    List,
}

/// What a key's value must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// A whole number in this range.
    Range(i64, i64),
    /// A number from 0 to 1.
    Ratio,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of these words, at least one.
    AnyOf(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A plugin's name, or `name@version`.
    Plugin,
    /// Nothing but 1: one broker holds one replica.
    OneReplica,
    /// Nothing but the default: not in force yet.
    NotYet,
}

/// One key.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) kind: ConfigType,
    /// `None`: not set means nothing.
    pub(super) default: Option<&'static str>,
    pub(super) rule: Rule,
    pub(super) doc: &'static str,
}

/// The start of a family of keys, one for each plugin: its configuration as a JSON object.
pub(super) const PLUGIN_CONFIG: &str = "sluice.plugin.config.";
/// The start of another: what happens to records when that plugin fails.
pub(super) const PLUGIN_FAILURE: &str = "sluice.plugin.failure.";

/// A segment smaller than this would make a file for every few batches. (Kafka's own floor is 1 MiB since 4.1.)
const SEGMENT_BYTES_MIN: i64 = 16 * 1024;

/// `limits::MESSAGE_BYTES_MAX` in writing.
const MESSAGE_BYTES: &str = match std::str::from_utf8(&MESSAGE_BYTES_DIGITS) {
    Ok(text) => text,
    Err(_) => panic!("digits are UTF-8"),
};
const MESSAGE_BYTES_DIGITS: [u8; 7] = digits(limits::MESSAGE_BYTES_MAX);

/// The decimal digits of a number of exactly `N` digits.
const fn digits<const N: usize>(mut number: usize) -> [u8; N] {
    let mut text = [b'0'; N];
    let mut at = N;
    while at > 0 {
        at -= 1;
        text[at] += (number % 10) as u8;
        number /= 10;
    }
    assert!(number == 0 && text[0] != b'0', "it has another number of digits");
    text
}

const fn row(key: &'static str, kind: ConfigType, default: &'static str, rule: Rule, doc: &'static str) -> Row {
    Row { key, kind, default: Some(default), rule, doc }
}

/// A key of Kafka's that is not in force yet.
const fn later(key: &'static str, kind: ConfigType, default: &'static str, doc: &'static str) -> Row {
    row(key, kind, default, Rule::NotYet, doc)
}

/// In order of keys.
pub(super) const TABLE: &[Row] = &[
    row(
        "cleanup.policy",
        List,
        "delete",
        Rule::AnyOf(&["delete", "compact"]),
        "What happens to old segments: 'delete' or 'compact', or both. 'compact' keeps the last record of each key.",
    ),
    row(
        "compression.gzip.level",
        Int,
        "-1",
        Rule::OneOf(&["-1", "1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        "Level of gzip where compression.type asks for it; -1 is the codec's own choice.",
    ),
    later("compression.lz4.level", Int, "9", "Level of lz4. Not in force: this broker's lz4 has one."),
    row(
        "compression.type",
        Text,
        "producer",
        Rule::OneOf(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        "How batches are stored: as the producer compressed them, or compressed anew where they differ from this.",
    ),
    row(
        "compression.zstd.level",
        Int,
        "3",
        Rule::Range(-131_072, 22),
        "Level of zstd where compression.type asks for it.",
    ),
    row(
        "delete.retention.ms",
        Long,
        "86400000",
        Rule::Range(0, i64::MAX),
        "How long a compacted topic keeps a tombstone after the first pass that met it.",
    ),
    row(
        "file.delete.delay.ms",
        Long,
        "60000",
        Rule::Range(0, i64::MAX),
        "How long the files of a removed segment stay before they are unlinked; whoever reads one goes on in any case.",
    ),
    row(
        "flush.messages",
        Long,
        "9223372036854775807",
        Rule::Range(1, i64::MAX),
        "Messages between two syncs of a partition with sluice.flush=os; otherwise every answer waits for its sync anyway.",
    ),
    row(
        "flush.ms",
        Long,
        "9223372036854775807",
        Rule::Range(0, i64::MAX),
        "Time from an append to its sync in a topic with sluice.flush=os; otherwise every answer waits for its sync anyway.",
    ),
    later("follower.replication.throttled.replicas", List, "", "Replicas that are throttled. There are none."),
    row(
        "index.interval.bytes",
        Int,
        "4096",
        Rule::Range(0, i32::MAX as i64),
        "Bytes of log between two entries of the offset index; less than 1024 counts as 1024.",
    ),
    later("leader.replication.throttled.replicas", List, "", "Replicas that are throttled. There are none."),
    later("local.retention.bytes", Long, "-2", "Bytes kept locally under tiered storage. Not in force yet."),
    later("local.retention.ms", Long, "-2", "How long data stays local under tiered storage. Not in force yet."),
    row(
        "max.compaction.lag.ms",
        Long,
        "9223372036854775807",
        Rule::Range(1, i64::MAX),
        "The longest time that a record stays uncompacted: then a pass is due, however little is new.",
    ),
    row(
        "max.message.bytes",
        Int,
        MESSAGE_BYTES,
        Rule::Range(0, limits::FRAME_BYTES_MAX as i64),
        "The largest record batch that is taken, in bytes, as it is stored.",
    ),
    row(
        "message.timestamp.after.max.ms",
        Long,
        "3600000",
        Rule::Range(0, i64::MAX),
        "How far a producer's timestamp may lie ahead of the broker's clock. Not asked under LogAppendTime.",
    ),
    row(
        "message.timestamp.before.max.ms",
        Long,
        "9223372036854775807",
        Rule::Range(0, i64::MAX),
        "How far a producer's timestamp may lie behind the broker's clock; where it is set, compressed batches are opened.",
    ),
    row(
        "message.timestamp.type",
        Text,
        "CreateTime",
        Rule::OneOf(&["CreateTime", "LogAppendTime"]),
        "Whose time a record carries: the producer's, or the broker's at the append.",
    ),
    row(
        "min.cleanable.dirty.ratio",
        Double,
        "0.5",
        Rule::Ratio,
        "A log is compacted when more than this part of its sealed bytes is new since the last pass.",
    ),
    row(
        "min.compaction.lag.ms",
        Long,
        "0",
        Rule::Range(0, i64::MAX),
        "The shortest time that a record stays uncompacted, by its timestamp.",
    ),
    row("min.insync.replicas", Int, "1", Rule::OneReplica, "Replicas that must have a record. There is one."),
    later("preallocate", Boolean, "false", "Segment files are allocated at their full size. Not in force yet."),
    later("remote.copy.lag.bytes", Long, "0", "Part of tiered storage. Not in force yet."),
    later("remote.copy.lag.ms", Long, "0", "Part of tiered storage. Not in force yet."),
    later("remote.log.copy.disable", Boolean, "false", "Part of tiered storage. Not in force yet."),
    later("remote.log.delete.on.disable", Boolean, "false", "Part of tiered storage. Not in force yet."),
    later("remote.storage.enable", Boolean, "false", "Tiered storage. Not in force yet."),
    row(
        "retention.bytes",
        Long,
        "-1",
        Rule::Range(-1, i64::MAX),
        "Bytes a partition keeps: its oldest segments go while so many are left without them. -1: no bound.",
    ),
    row(
        "retention.ms",
        Long,
        "604800000",
        Rule::Range(-1, i64::MAX),
        "How long records are kept: a segment goes when its newest record is older. -1: for ever.",
    ),
    row(
        "segment.bytes",
        Int,
        "1073741824",
        Rule::Range(SEGMENT_BYTES_MIN, i32::MAX as i64),
        "Bytes after which a new segment is begun.",
    ),
    later("segment.index.bytes", Int, "10485760", "Size of an index file. Not in force: indexes grow as needed."),
    later("segment.jitter.ms", Long, "0", "Random part of segment.ms. Not in force yet."),
    row(
        "segment.ms",
        Long,
        "604800000",
        Rule::Range(1, i64::MAX),
        "Time after which a new segment is begun though the last is not full.",
    ),
    row(
        "sluice.flush",
        Text,
        "sync",
        Rule::OneOf(&["sync", "os"]),
        "'sync': nothing is answered or shown before it is on disk. 'os': the page cache is enough, a power cut loses it.",
    ),
    Row {
        key: "sluice.partitioner",
        kind: Text,
        default: None,
        rule: Rule::Plugin,
        doc: "The plugin that chooses partitions for records whose producer did not: its name, or name@version.",
    },
    row(
        "sluice.replication.accept",
        Boolean,
        "false",
        Rule::Flag,
        "A replication factor above 1 is accepted, and still means one replica on this broker.",
    ),
    row(
        "sluice.validate",
        Text,
        "header",
        Rule::OneOf(&["header", "records"]),
        "'records': compressed batches are opened and every record is looked at before it is taken. 'header': not opened.",
    ),
    later("unclean.leader.election.enable", Boolean, "false", "Not in force: there is one replica."),
];

/// The rule and the like of one key of a family.
pub(super) fn family_doc(key: &str) -> &'static str {
    if key.starts_with(PLUGIN_CONFIG) {
        "The plugin's configuration, a JSON object that it is given when it is bound."
    } else {
        "What happens to records on which the plugin fails: 'reject'."
    }
}

/// The row of a key that is in the table.
pub(super) fn find(key: &str) -> Option<&'static Row> {
    TABLE.binary_search_by(|row| row.key.cmp(key)).ok().map(|at| &TABLE[at])
}

/// The known key that was probably meant.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    let families = [PLUGIN_CONFIG, PLUGIN_FAILURE];
    // The text asked for may be of any length; the known ones are short.
    let key: String = key.chars().take(100).collect();
    let known = TABLE.iter().map(|row| row.key).chain(families);
    let scored = known.map(|known| (known, strsim::jaro_winkler(&key, known)));
    let (best, score) = scored.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (score > 0.85).then_some(best)
}

/// The words of a list; empty ones do not count.
pub(super) fn words(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_so_that_every_key_is_found() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].key < pair[1].key, "{} {}", pair[0].key, pair[1].key);
        }
        assert!(TABLE.iter().all(|row| find(row.key).is_some()));
    }

    #[test]
    fn the_key_that_was_meant_is_found() {
        for (asked, meant) in [
            ("retention", Some("retention.ms")),
            ("retention.m", Some("retention.ms")),
            ("retention_ms", Some("retention.ms")),
            ("sluice.partitoner", Some("sluice.partitioner")),
            ("cleanup.polciy", Some("cleanup.policy")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(asked), meant, "{asked}");
        }
    }
}
