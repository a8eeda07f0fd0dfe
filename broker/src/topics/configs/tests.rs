//! What a topic's configs accept, refuse and mean.

use super::*;

fn reason(result: Result<TopicConfigs, BadConfig>) -> String {
    result.unwrap_err().to_string()
}

fn change(key: &str, op: ConfigOp) -> ConfigChange {
    ConfigChange { key: key.into(), op }
}

#[test]
fn every_default_of_the_table_is_accepted_and_described_as_set() {
    for row in TABLE {
        let Some(default) = row.default else { continue };
        let configs = TopicConfigs::from_pairs([(row.key, default)]).unwrap();
        let entry = configs.describe().into_iter().find(|entry| entry.key == row.key).unwrap();
        assert_eq!((entry.value.as_str(), entry.source), (default, ConfigSource::Topic), "{}", row.key);
    }
}

#[test]
fn a_kafka_key_that_is_not_in_force_takes_its_default_only() {
    for (key, value) in [("compression.lz4.level", "3"), ("preallocate", "true"), ("segment.jitter.ms", "nonsense")] {
        let why = reason(TopicConfigs::from_pairs([(key, value)]));
        assert!(why.contains(key) && why.contains("not supported yet"), "{why}");
    }
    let spelled_otherwise = [("preallocate", "FALSE"), ("segment.jitter.ms", "00")];
    assert!(TopicConfigs::from_pairs(spelled_otherwise).is_ok());
}

#[test]
fn what_cannot_be_is_refused_with_the_key_and_the_reason() {
    for (key, value, why) in [
        ("segment.bytes", "1", "from 16384"),
        ("segment.bytes", "1x", "whole number"),
        ("segment.ms", "0", "from 1"),
        ("retention.ms", "-2", "from -1"),
        ("min.cleanable.dirty.ratio", "1.5", "from 0 to 1"),
        ("min.cleanable.dirty.ratio", "NaN", "from 0 to 1"),
        ("retention.bytes", "-2", "from -1"),
        ("max.message.bytes", "104857601", "to 104857600"),
        ("max.message.bytes", "-1", "from 0"),
        ("message.timestamp.type", "createtime", "CreateTime, LogAppendTime"),
        ("cleanup.policy", "delete,shred", "'shred'"),
        ("cleanup.policy", " , ", "at least one"),
        ("min.insync.replicas", "2", "one replica"),
        ("min.insync.replicas", "0", "must be 1"),
        ("sluice.flush", "never", "sync, os"),
        ("sluice.partitioner", "", "plugin's name"),
        ("sluice.partitioner", "Geo", "plugin's name"),
        ("sluice.partitioner", "geo@0", "plugin's name"),
        ("sluice.replication.accept", "yes", "true or false"),
        ("sluice.plugin.config.geo", "[1]", "JSON object"),
        ("sluice.plugin.config.", "{}", "plugin's name"),
        ("sluice.plugin.failure.geo", "skip", "not supported yet"),
        ("retention.m", "1", "did you mean 'retention.ms'"),
    ] {
        let text = reason(TopicConfigs::from_pairs([(key, value)]));
        assert!(text.contains(key) && text.contains(why), "{text}");
    }
}

#[test]
fn values_are_kept_in_one_spelling() {
    let configs = TopicConfigs::from_pairs([
        ("segment.bytes", " 0020000 "),
        ("sluice.replication.accept", "TRUE"),
        ("cleanup.policy", "compact , delete"),
    ]);
    let configs = configs.unwrap();
    assert_eq!(configs.get("segment.bytes"), Some("20000"));
    assert_eq!(configs.get("sluice.replication.accept"), Some("true"));
    assert_eq!(configs.get("cleanup.policy"), Some("compact,delete"));
}

#[test]
fn configs_reach_the_log() {
    let plain = TopicConfigs::default().log_config();
    assert_eq!(plain.segment_bytes, 1 << 30);
    assert_eq!(plain.message_bytes_max, limits::MESSAGE_BYTES_MAX);
    assert_eq!(plain.timestamp_type, TimestampType::CreateTime);
    assert!(plain.sync && plain.cleanup.compact.is_none());

    let pairs = [
        ("segment.bytes", "20000"),
        ("segment.ms", "5"),
        ("index.interval.bytes", "0"),
        ("max.message.bytes", "7"),
        ("message.timestamp.type", "LogAppendTime"),
        ("sluice.flush", "os"),
        ("flush.messages", "500"),
        ("flush.ms", "2000"),
        ("cleanup.policy", "compact"),
        ("retention.ms", "-1"),
        ("retention.bytes", "9"),
        ("file.delete.delay.ms", "3"),
        ("min.cleanable.dirty.ratio", "0.25"),
        ("delete.retention.ms", "11"),
    ];
    let set = TopicConfigs::from_pairs(pairs).unwrap().log_config();
    let compact =
        Compaction { min_dirty_millionths: 250_000, min_lag_ms: 0, max_lag_ms: i64::MAX, delete_retention_ms: 11 };
    let expected = LogConfig {
        segment_bytes: 20_000,
        segment_ms: 5,
        index_interval_bytes: 1_024,
        message_bytes_max: 7,
        timestamp_type: TimestampType::LogAppendTime,
        sync: false,
        flush: FlushEvery { messages: 500, ms: 2_000 },
        cleanup: Cleanup {
            delete: false,
            retention_ms: None,
            retention_bytes: Some(9),
            file_delete_delay_ms: 3,
            compact: Some(compact),
        },
    };
    assert_eq!(set, expected);
}

#[test]
fn changes_set_delete_append_and_subtract() {
    let before = TopicConfigs::from_pairs([("segment.ms", "5")]).unwrap();
    let after = before.changed(&[
        change("segment.ms", ConfigOp::Delete),
        change("segment.bytes", ConfigOp::Set("20000".into())),
        change("cleanup.policy", ConfigOp::Append("compact,delete".into())),
        change("retention.ms", ConfigOp::Delete),
    ]);
    let after = after.unwrap();
    assert_eq!(after.get("segment.ms"), Some("604800000"));
    assert_eq!(after.get("cleanup.policy"), Some("delete,compact"));
    assert_eq!(after.set().len(), 2);

    let less = after.changed(&[change("cleanup.policy", ConfigOp::Subtract("delete".into()))]).unwrap();
    assert_eq!(less.get("cleanup.policy"), Some("compact"));
    let none = less.changed(&[change("cleanup.policy", ConfigOp::Subtract("compact".into()))]);
    assert!(reason(none).contains("at least one"));
    assert!(reason(before.changed(&[change("segment.ms", ConfigOp::Append("1".into()))])).contains("no list"));
    assert!(reason(before.changed(&[change("nonsense", ConfigOp::Delete)])).contains("not a topic config"));
}

#[test]
fn plugins_are_bound_and_configured_by_name() {
    let configs = TopicConfigs::from_pairs([
        ("sluice.partitioner", "geo@3"),
        ("sluice.plugin.config.geo", r#"{"field":"region"}"#),
        ("sluice.plugin.failure.geo", "reject"),
    ]);
    let configs = configs.unwrap();
    assert_eq!(configs.partitioner(), Some("geo@3"));
    assert_eq!(configs.plugin_config("geo"), r#"{"field":"region"}"#);
    assert_eq!(configs.plugin_config("other"), "{}");
    assert_eq!(TopicConfigs::default().partitioner(), None);
    let keys: Vec<_> = configs.describe().into_iter().map(|entry| entry.key).collect();
    assert!(keys.is_sorted() && keys.contains(&Cow::Borrowed("sluice.plugin.config.geo")));
}

#[test]
fn configs_are_bounded() {
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(limits::CONFIG_VALUE_BYTES_MAX));
    assert!(reason(TopicConfigs::from_pairs([("sluice.plugin.config.a", long.as_str())])).contains("at most"));
    let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(limits::CONFIG_VALUE_BYTES_MAX - 100));
    let keys: Vec<String> = (0..5).map(|n| format!("sluice.plugin.config.p{n}")).collect();
    let all = keys.iter().map(|key| (key.as_str(), fits.as_str()));
    assert!(reason(TopicConfigs::from_pairs(all)).contains("the topic's configs"));
}
