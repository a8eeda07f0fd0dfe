//! What members of type `consumer` tell each other in bytes that the coordinator passes on unread: Kafka's
//! `ConsumerProtocolSubscription` (v0 to v3 are read, v1 is written) and `ConsumerProtocolAssignment`, and Kafka's range
//! assignor. For members inside of the broker, and for retention, which asks which topics a group still reads (KIP-211).
//! What a group decides about its members must never depend on these bytes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};

use super::records::{Cursor, put_text};
use crate::ids::{PartitionId, TopicName, TopicPartition};

/// The type of such groups.
pub(crate) const PROTOCOL_TYPE: &str = "consumer";
/// The version with the partitions that a member owns. Every client reads it: later ones only add fields at the end.
const SUBSCRIPTION_VERSION: i16 = 1;
/// All versions have the same fields.
const ASSIGNMENT_VERSION: i16 = 1;
/// A null of `user_data`.
const NULL: i32 = -1;

/// A subscription to these topics by an eager member: it owns nothing while it joins.
pub(crate) fn subscription(topics: &[TopicName]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(SUBSCRIPTION_VERSION);
    put_count(&mut out, topics.len());
    for topic in topics {
        put_text(&mut out, topic.as_str());
    }
    out.put_i32(NULL);
    put_count(&mut out, 0);
    out.freeze()
}

/// The topics of a subscription; `None` when the bytes do not follow the schema. What comes behind the topics is not needed.
/// Names that no topic can have are left out.
pub(crate) fn subscribed(subscription: &Bytes) -> Option<BTreeSet<TopicName>> {
    let mut topics = BTreeSet::new();
    each_topic(subscription, |topic| topics.extend(TopicName::new(topic)))?;
    Some(topics)
}

/// The same one by one and unchecked; `None` when the bytes do not follow the schema: what came before does not count then.
pub(super) fn each_topic(subscription: &Bytes, mut each: impl FnMut(&str)) -> Option<()> {
    let mut from = Cursor::plain(subscription);
    from.i16().ok().filter(|version| *version >= 0)?;
    for _ in 0..from.array_length().ok()? {
        each(&from.text().ok()?);
    }
    Some(())
}

/// An assignment of these partitions.
pub(crate) fn assignment(partitions: &[TopicPartition]) -> Bytes {
    let mut topics: BTreeMap<&TopicName, Vec<PartitionId>> = BTreeMap::new();
    for TopicPartition { topic, partition } in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let mut out = BytesMut::new();
    out.put_i16(ASSIGNMENT_VERSION);
    put_count(&mut out, topics.len());
    for (topic, partitions) in topics {
        put_text(&mut out, topic.as_str());
        put_count(&mut out, partitions.len());
        partitions.iter().for_each(|partition| out.put_i32(partition.0));
    }
    out.put_i32(NULL);
    out.freeze()
}

/// The partitions of an assignment, in order; `None` when the bytes do not follow the schema. A member that its leader left
/// out has no bytes, and nothing to read.
pub(crate) fn assigned(assignment: &Bytes) -> Option<Vec<TopicPartition>> {
    let mut partitions = BTreeSet::new();
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    let mut from = Cursor::plain(assignment);
    from.i16().ok().filter(|version| *version >= 0)?;
    for _ in 0..from.array_length().ok()? {
        let topic = TopicName::new(&from.text().ok()?).ok()?;
        for _ in 0..from.array_length().ok()? {
            let partition = PartitionId(from.i32().ok().filter(|number| *number >= 0)?);
            partitions.insert(TopicPartition { topic: topic.clone(), partition });
        }
    }
    Some(partitions.into_iter().collect())
}

/// Kafka's `RangeAssignor` without racks: of each topic, its subscribers in the order of their ids get consecutive partitions,
/// and the first of them one more where they do not divide evenly. `counts` has the partitions of each topic that exists.
pub(crate) fn range(
    members: &BTreeMap<String, BTreeSet<TopicName>>,
    counts: &BTreeMap<TopicName, i32>,
) -> BTreeMap<String, Vec<TopicPartition>> {
    let mut parts: BTreeMap<String, Vec<TopicPartition>> =
        members.keys().map(|member| (member.clone(), Vec::new())).collect();
    for (topic, count) in counts {
        let subscribers: Vec<&String> =
            members.iter().filter(|(_, topics)| topics.contains(topic)).map(|(member, _)| member).collect();
        let Ok(shares) = i32::try_from(subscribers.len()) else { continue };
        let mut numbers = 0..*count;
        for (member, place) in subscribers.into_iter().zip(0..shares) {
            let share = count / shares + i32::from(place < count % shares);
            let share = usize::try_from(share).unwrap_or(0);
            let numbers = numbers.by_ref().take(share);
            let part = numbers.map(|n| TopicPartition { topic: topic.clone(), partition: PartitionId(n) });
            parts.entry(member.clone()).or_default().extend(part);
        }
    }
    parts
}

/// Arrays here are as long as a broker has topics or a topic has partitions: far below the field's limit.
fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedTopic;
    use kafka_protocol::messages::consumer_protocol_subscription::TopicPartition as OwnedTopic;
    use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicName as WireName};
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    fn part(name: &str, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic(name), partition: PartitionId(partition) }
    }

    fn of_codec(version: i16, message: &impl Encodable) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_i16(version);
        message.encode(&mut bytes, version).unwrap();
        bytes.freeze()
    }

    #[test]
    fn a_subscription_is_what_the_codec_writes_and_every_version_of_it_is_read() {
        let names = ["a", "b"].map(StrBytes::from_static_str).to_vec();
        let plain = ConsumerProtocolSubscription::default().with_topics(names.clone());
        assert_eq!(subscription(&[topic("a"), topic("b")]), of_codec(1, &plain.with_user_data(None)));
        for version in 0..=3 {
            let owned =
                OwnedTopic::default().with_topic(WireName(StrBytes::from_static_str("a"))).with_partitions(vec![3]);
            let mut full = ConsumerProtocolSubscription::default()
                .with_topics(names.clone())
                .with_user_data(Some(Bytes::from_static(b"sticky")));
            if version >= 1 {
                full = full.with_owned_partitions(vec![owned]);
            }
            if version >= 2 {
                full = full.with_generation_id(7);
            }
            if version >= 3 {
                full = full.with_rack_id(Some(StrBytes::from_static_str("r")));
            }
            let read = subscribed(&of_codec(version, &full)).unwrap();
            assert_eq!(read, BTreeSet::from([topic("a"), topic("b")]), "version {version}");
        }
    }

    #[test]
    fn an_assignment_is_what_the_codec_writes_and_comes_back() {
        let parts = [part("a", 0), part("a", 2), part("b", 1)];
        let of = |name: &'static str, partitions: Vec<i32>| {
            AssignedTopic::default().with_topic(WireName(StrBytes::from_static_str(name))).with_partitions(partitions)
        };
        let theirs = ConsumerProtocolAssignment::default()
            .with_assigned_partitions(vec![of("a", vec![0, 2]), of("b", vec![1])])
            .with_user_data(None);
        let ours = assignment(&parts);
        assert_eq!(ours, of_codec(1, &theirs));
        let mut bytes = ours.slice(2..);
        assert_eq!(ConsumerProtocolAssignment::decode(&mut bytes, 1).unwrap(), theirs);
        for version in 0..=3 {
            assert_eq!(assigned(&of_codec(version, &theirs)).unwrap(), parts, "version {version}");
        }
        assert_eq!(assigned(&Bytes::new()), Some(Vec::new()), "left out by the leader");
    }

    #[test]
    fn bytes_that_end_early_or_count_too_much_are_refused() {
        let (whole, parts) = (subscription(&[topic("abc")]), assignment(&[part("abc", 1)]));
        for end in 0..11 {
            assert_eq!(subscribed(&whole.slice(..end)), None, "{end} bytes");
        }
        for end in 1..19 {
            assert_eq!(assigned(&parts.slice(..end)), None, "{end} bytes");
        }
        let many = Bytes::from_static(&[0, 1, 0x7f, 0xff, 0xff, 0xff, 0, 1, b'a']);
        assert_eq!((subscribed(&many), assigned(&many)), (None, None));
    }

    #[test]
    fn range_deals_each_topic_in_the_order_of_the_members_ids() {
        let both = BTreeSet::from([topic("a"), topic("b"), topic("missing")]);
        let members = BTreeMap::from([
            ("m1".to_owned(), both.clone()),
            ("m2".to_owned(), both),
            ("m3".to_owned(), BTreeSet::from([topic("b")])),
            ("m4".to_owned(), BTreeSet::new()),
        ]);
        let parts = range(&members, &BTreeMap::from([(topic("a"), 3), (topic("b"), 2)]));
        assert_eq!(parts["m1"], [part("a", 0), part("a", 1), part("b", 0)]);
        assert_eq!(parts["m2"], [part("a", 2), part("b", 1)]);
        assert_eq!((parts["m3"].len(), parts["m4"].len()), (0, 0), "fewer partitions than members, and no topics");
    }
}
