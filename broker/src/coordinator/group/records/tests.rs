//! Known bytes for every schema that is written, and the older and newer versions that are read.

use super::*;

fn target(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: TopicName::new(topic).expect("a topic name"), partition: PartitionId(partition) }
}

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let nibble = |c: u8| u8::try_from(char::from(c).to_digit(16).expect("a hex digit")).expect("a nibble");
    digits.chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect::<Vec<u8>>().into()
}

fn committed() -> CommittedOffset {
    CommittedOffset {
        offset: Offset(258),
        epoch: Some(LeaderEpoch(3)),
        metadata: "m".into(),
        committed_at: TimestampMs(0x0102_0304),
        topic_id: Some(TopicId(uuid::Uuid::from_u128(0x0a0b))),
    }
}

fn group() -> GroupMetadata {
    GroupMetadata {
        protocol_type: Some("consumer".into()),
        generation: Generation(7),
        protocol: Some("range".into()),
        leader: Some("a".into()),
        state_since: Some(TimestampMs(9)),
        members: vec![StoredMember {
            member: "a".into(),
            instance: Some("i".into()),
            client_id: "c".into(),
            client_host: "/h".into(),
            rebalance_timeout: Duration::from_millis(300_000),
            session_timeout: Duration::from_millis(45_000),
            subscription: Bytes::from_static(b"S"),
            assignment: Bytes::from_static(b"A"),
        }],
    }
}

const GROUP_V3: &str = "0003 0008 636f6e73756d6572 00000007 0005 72616e6765 0001 61 0000000000000009 00000001 \
     0001 61 0001 69 0001 63 0002 2f68 000493e0 0000afc8 00000001 53 00000001 41";

#[test]
fn an_offset_key_has_the_bytes_of_version_1() {
    assert_eq!(offset_key("g", &target("t", 5)), hex("0001 0001 67 0001 74 00000005"));
    let parsed = parse_key(&hex("0001 0001 67 0001 74 00000005"));
    assert_eq!(parsed, Ok(Key::Offset { group: "g".into(), target: target("t", 5) }));
}

#[test]
fn an_offset_value_has_the_bytes_of_version_4_with_the_topics_id() {
    let id = "01 00 10 00000000000000000000000000000a0b";
    let bytes = hex(&format!("0004 0000000000000102 00000003 02 6d 0000000001020304 {id}"));
    assert_eq!(offset_value(&committed()), bytes);
    assert_eq!(parse_offset(&bytes), Ok(committed()));
    let less = CommittedOffset { epoch: None, topic_id: None, ..committed() };
    assert_eq!(offset_value(&less), hex("0004 0000000000000102 ffffffff 02 6d 0000000001020304 00"));
    let long = CommittedOffset { metadata: "x".repeat(crate::limits::COMMIT_METADATA_BYTES_MAX), ..committed() };
    assert_eq!(parse_offset(&offset_value(&long)), Ok(long));
}

#[test]
fn offset_values_of_every_version_are_read() {
    let expect = CommittedOffset { epoch: None, topic_id: None, ..committed() };
    for (version, bytes) in [
        (0, "0000 0000000000000102 0001 6d 0000000001020304"),
        (1, "0001 0000000000000102 0001 6d 0000000001020304 0000000000000fff"),
        (2, "0002 0000000000000102 0001 6d 0000000001020304"),
    ] {
        assert_eq!(parse_offset(&hex(bytes)), Ok(expect.clone()), "version {version}");
    }
    let with_epoch = CommittedOffset { epoch: committed().epoch, ..expect };
    let v3 = hex("0003 0000000000000102 00000003 0001 6d 0000000001020304");
    assert_eq!(parse_offset(&v3), Ok(with_epoch.clone()));
    let without_id = hex("0004 0000000000000102 00000003 02 6d 0000000001020304 00");
    assert_eq!(parse_offset(&without_id), Ok(with_epoch));
}

#[test]
fn a_group_value_has_the_bytes_of_version_3() {
    assert_eq!(group_key("g"), hex("0002 0001 67"));
    assert_eq!(parse_key(&hex("0002 0001 67")), Ok(Key::Group { group: "g".into() }));
    assert_eq!(group_value(&group()), hex(GROUP_V3));
    assert_eq!(parse_group(&hex(GROUP_V3)), Ok(group()));
}

#[test]
fn an_empty_group_is_written_as_kafka_writes_it() {
    let empty = GroupMetadata { protocol: None, leader: None, members: Vec::new(), ..group() };
    let bytes = hex("0003 0008 636f6e73756d6572 00000007 ffff ffff 0000000000000009 00000000");
    assert_eq!(group_value(&empty), bytes);
    assert_eq!(parse_group(&bytes), Ok(empty));
}

#[test]
fn group_values_of_every_version_are_read() {
    let mut plain = group();
    plain.members[0].instance = None;
    let mut v1 = plain.clone();
    v1.state_since = None;
    let mut v0 = v1.clone();
    v0.members[0].rebalance_timeout = v0.members[0].session_timeout;
    let head = "0008 636f6e73756d6572 00000007 0005 72616e6765 0001 61";
    let tail = "0000afc8 00000001 53 00000001 41";
    let member = "0001 61 0001 63 0002 2f68";
    for (version, bytes, expect) in [
        (0, format!("0000 {head} 00000001 {member} {tail}"), v0),
        (1, format!("0001 {head} 00000001 {member} 000493e0 {tail}"), v1),
        (2, format!("0002 {head} 0000000000000009 00000001 {member} 000493e0 {tail}"), plain),
    ] {
        assert_eq!(parse_group(&hex(&bytes)), Ok(expect), "version {version}");
    }
    let flexible = "0004 09 636f6e73756d6572 00000007 06 72616e6765 02 61 0000000000000009 02 \
         02 61 02 69 02 63 03 2f68 000493e0 0000afc8 02 53 02 41 01 05 02 beef 00";
    assert_eq!(parse_group(&hex(flexible)), Ok(group()));
}

#[test]
fn records_of_later_protocols_are_recognised_as_such() {
    assert_eq!(parse_key(&hex("0003 0001 67")), Ok(Key::Later { version: 3 }));
}

#[test]
fn a_record_cut_anywhere_is_an_error_and_never_a_panic() {
    let whole = hex(GROUP_V3);
    for cut in 0..whole.len() {
        assert!(parse_group(&whole.slice(..cut)).is_err(), "cut at {cut}");
    }
    let huge_array = hex("0003 0000 00000007 ffff ffff 0000000000000009 7fffffff");
    assert_eq!(parse_group(&huge_array), Err(SHORT));
    assert!(parse_offset(&hex("0009 00")).is_err());
}

#[test]
fn groups_are_placed_as_java_places_them() {
    // "abc".hashCode() = 96354; "polygenelubricants".hashCode() = Integer.MIN_VALUE, whose Utils.abs is 0.
    assert_eq!(partition_of("abc", 50), PartitionId(96_354 % 50));
    assert_eq!(partition_of("polygenelubricants", 50), PartitionId(0));
    assert_eq!(partition_of("", 50), PartitionId(0));
    // Outside of the first plane Java counts two units: "\u{1F600}".hashCode() = 0xD83D * 31 + 0xDE00.
    assert_eq!(partition_of("\u{1F600}", 50), PartitionId((0xD83D * 31 + 0xDE00) % 50));
}
