//! The records of `__consumer_offsets`, in Kafka's own schemas (`OffsetCommitKey`, `OffsetCommitValue`,
//! `GroupMetadataKey`, `GroupMetadataValue`), so that Kafka's tools read ours and we read Kafka's.
//! Written as OffsetCommitKey v1, OffsetCommitValue v4 (with the topic's id, as Kafka since 4.1), GroupMetadataKey v2 and
//! GroupMetadataValue v3 (the newest that older tools read, KIP-915); values v0 to v4 are read. Bytes from a log are not trusted: every length is checked before it is used.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::payer::Paid;
use super::requests::CommittedOffset;
use crate::coordinator::error::BadRecord;
use crate::ids::{Generation, LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId, TopicName, TopicPartition};
use crate::record::{Message, RecordView};
use crate::varint;

/// Texts on the wire and in these records have a length of 16 bits.
pub(super) const TEXT_BYTES_MAX: usize = i16::MAX as usize;
/// The tagged field of OffsetCommitValue that holds the topic's id (KAFKA-19141).
const TOPIC_ID_TAG: u8 = 0;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A committed offset.
    Offset { group: String, target: TopicPartition },
    /// A group's members.
    Group { group: String },
    /// Of a later protocol (KIP-848 and on): not ours to judge.
    Later { version: i16 },
}

/// The durable part of a group: written when a generation is assigned and when the group becomes empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupMetadata {
    pub(super) protocol_type: Option<String>,
    pub(super) generation: Generation,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    /// When the group entered its state, by the wall clock.
    pub(super) state_since: Option<TimestampMs>,
    pub(super) members: Vec<StoredMember>,
}

/// One member of a stored group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredMember {
    pub(super) member: String,
    pub(super) instance: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout: Duration,
    pub(super) session_timeout: Duration,
    pub(super) subscription: Bytes,
    pub(super) assignment: Bytes,
}

/// A change of the groups' durable state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GroupRecord {
    /// A committed offset; `None` is its tombstone.
    Offset { group: Arc<str>, target: TopicPartition, value: Option<CommittedOffset>, paid: Paid },
    /// A group's members; `None` is its tombstone.
    Group { group: Arc<str>, value: Option<GroupMetadata> },
}

impl GroupRecord {
    pub(super) fn group(&self) -> &Arc<str> {
        match self {
            GroupRecord::Offset { group, .. } | GroupRecord::Group { group, .. } => group,
        }
    }
}

/// The record as the log stores it.
pub(super) fn message(record: &GroupRecord) -> Message {
    let (key, value) = match record {
        GroupRecord::Offset { group, target, value, .. } => {
            (offset_key(group, target), value.as_ref().map(offset_value))
        }
        GroupRecord::Group { group, value } => (group_key(group), value.as_ref().map(group_value)),
    };
    Message { key: Some(key), value, ..Message::default() }
}

/// The reverse of `message`. `None`: a record of a later group protocol, which is left alone.
pub(super) fn parse(record: &RecordView) -> Result<Option<GroupRecord>, BadRecord> {
    let key = record.key.as_ref().ok_or(BadRecord { reason: "it has no key" })?;
    Ok(Some(match parse_key(key)? {
        Key::Offset { group, target } => {
            let value = record.value.as_ref().map(parse_offset).transpose()?;
            GroupRecord::Offset { group: group.into(), target, value, paid: Paid::default() }
        }
        Key::Group { group } => {
            let value = record.value.as_ref().map(parse_group).transpose()?;
            GroupRecord::Group { group: group.into(), value }
        }
        Key::Later { version } => {
            tracing::debug!(version, "a record of a later group protocol is left alone");
            return Ok(None);
        }
    }))
}

/// The partition of `__consumer_offsets` that a group lives in: Java's `String.hashCode`, which counts UTF-16 units,
/// without its sign (`Utils.abs`: the mask, so that `i32::MIN` is 0), modulo the partition count.
pub(super) fn partition_of(group: &str, partitions: i32) -> PartitionId {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    PartitionId((hash & i32::MAX) % partitions.max(1))
}

/// OffsetCommitKey v1.
pub(super) fn offset_key(group: &str, target: &TopicPartition) -> Bytes {
    let mut out = BytesMut::with_capacity(10 + group.len() + target.topic.as_str().len());
    out.put_i16(1);
    put_text(&mut out, group);
    put_text(&mut out, target.topic.as_str());
    out.put_i32(target.partition.0);
    out.freeze()
}

/// OffsetCommitValue v4, the first in the compact encoding; the topic's id is its tagged field 0.
pub(super) fn offset_value(committed: &CommittedOffset) -> Bytes {
    let mut out = BytesMut::with_capacity(48 + committed.metadata.len());
    out.put_i16(4);
    out.put_i64(committed.offset.0);
    out.put_i32(committed.epoch.map_or(-1, |epoch| epoch.0));
    varint::write_unsigned(&mut out, (committed.metadata.len() + 1) as u64);
    out.put_slice(committed.metadata.as_bytes());
    out.put_i64(committed.committed_at.0);
    match committed.topic_id {
        Some(id) => {
            out.put_slice(&[1, TOPIC_ID_TAG, 16]);
            out.put_slice(id.0.as_bytes());
        }
        None => out.put_u8(0),
    }
    out.freeze()
}

/// What the record of a commit takes in a batch, at most: its texts, 22 bytes of numbers and lengths in the key, 46 in the
/// value, and 32 around both (record batch v2).
pub(super) fn offset_bytes_max(group: &str, target: &TopicPartition, metadata_bytes: usize) -> usize {
    100 + group.len() + target.topic.as_str().len() + metadata_bytes
}

/// GroupMetadataKey v2.
pub(super) fn group_key(group: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(4 + group.len());
    out.put_i16(2);
    put_text(&mut out, group);
    out.freeze()
}

/// GroupMetadataValue v3.
pub(super) fn group_value(group: &GroupMetadata) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(3);
    put_text(&mut out, group.protocol_type.as_deref().unwrap_or(""));
    out.put_i32(group.generation.0);
    put_optional_text(&mut out, group.protocol.as_deref());
    put_optional_text(&mut out, group.leader.as_deref());
    out.put_i64(group.state_since.map_or(-1, |at| at.0));
    out.put_i32(i32::try_from(group.members.len()).expect("invariant: a group has at most GROUP_MEMBERS_MAX members"));
    for member in &group.members {
        put_text(&mut out, &member.member);
        put_optional_text(&mut out, member.instance.as_deref());
        put_text(&mut out, &member.client_id);
        put_text(&mut out, &member.client_host);
        out.put_i32(millis(member.rebalance_timeout));
        out.put_i32(millis(member.session_timeout));
        put_bytes(&mut out, &member.subscription);
        put_bytes(&mut out, &member.assignment);
    }
    out.freeze()
}

pub(super) fn put_text(out: &mut BytesMut, text: &str) {
    out.put_i16(i16::try_from(text.len()).expect("invariant: texts are bounded where requests enter"));
    out.put_slice(text.as_bytes());
}

fn put_optional_text(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_text(out, text),
        None => out.put_i16(-1),
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).expect("invariant: a frame is smaller than 2 GiB"));
    out.put_slice(bytes);
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// What a record's key says it is about.
pub(super) fn parse_key(key: &Bytes) -> Result<Key, BadRecord> {
    let mut from = Cursor { rest: key.clone(), flexible: false };
    match from.i16()? {
        0 | 1 => {
            let group = from.text()?;
            let topic = TopicName::new(&from.text()?).map_err(|_| BadRecord { reason: "not a topic name" })?;
            let partition = PartitionId(from.i32()?);
            Ok(Key::Offset { group, target: TopicPartition { topic, partition } })
        }
        2 => Ok(Key::Group { group: from.text()? }),
        version => Ok(Key::Later { version }),
    }
}

/// OffsetCommitValue v0 to v4. The expiry time of v1 is not kept: retention counts from the commit.
pub(super) fn parse_offset(value: &Bytes) -> Result<CommittedOffset, BadRecord> {
    let (mut from, version) = Cursor::versioned(value)?;
    let offset = Offset(from.i64()?);
    let epoch = if version >= 3 { from.i32()? } else { -1 };
    let metadata = from.text()?;
    let committed_at = TimestampMs(from.i64()?);
    let mut topic_id = None;
    if version >= 4 {
        from.tags(|tag, bytes| {
            if tag == u32::from(TOPIC_ID_TAG) {
                topic_id = uuid::Uuid::from_slice(bytes).ok().filter(|id| !id.is_nil()).map(TopicId);
            }
        })?;
    }
    let epoch = (epoch >= 0).then_some(LeaderEpoch(epoch));
    Ok(CommittedOffset { offset, epoch, metadata, committed_at, topic_id })
}

/// GroupMetadataValue v0 to v4.
pub(super) fn parse_group(value: &Bytes) -> Result<GroupMetadata, BadRecord> {
    let (mut from, version) = Cursor::versioned(value)?;
    let protocol_type = Some(from.text()?).filter(|name| !name.is_empty());
    let generation = Generation(from.i32()?);
    let protocol = from.optional_text()?;
    let leader = from.optional_text()?;
    let since = if version >= 2 { from.i64()? } else { -1 };
    let count = from.array_length()?;
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(parse_member(&mut from, version)?);
    }
    let state_since = (since >= 0).then_some(TimestampMs(since));
    Ok(GroupMetadata { protocol_type, generation, protocol, leader, state_since, members })
}

fn parse_member(from: &mut Cursor, version: i16) -> Result<StoredMember, BadRecord> {
    let member = from.text()?;
    let instance = if version >= 3 { from.optional_text()? } else { None };
    let client_id = from.text()?;
    let client_host = from.text()?;
    let rebalance_ms = if version >= 1 { from.i32()? } else { -1 };
    let session_ms = from.i32()?;
    let subscription = from.bytes()?;
    let assignment = from.bytes()?;
    from.skip_tags()?;
    let positive = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let session_timeout = positive(session_ms);
    // Before v1 there was one time-out for both (KIP-62).
    let rebalance_timeout = if rebalance_ms < 0 { session_timeout } else { positive(rebalance_ms) };
    Ok(StoredMember {
        member,
        instance,
        client_id,
        client_host,
        rebalance_timeout,
        session_timeout,
        subscription,
        assignment,
    })
}

/// Reads a record front to back; `flexible` is Kafka's compact encoding (v4 and on, KIP-482).
pub(super) struct Cursor {
    rest: Bytes,
    flexible: bool,
}

const SHORT: BadRecord = BadRecord { reason: "it ends too early" };

impl Cursor {
    /// Over bytes of the older, wide encoding.
    pub(super) fn plain(bytes: &Bytes) -> Cursor {
        Cursor { rest: bytes.clone(), flexible: false }
    }

    fn versioned(value: &Bytes) -> Result<(Cursor, i16), BadRecord> {
        let mut from = Cursor::plain(value);
        let version = from.i16()?;
        if !(0..=4).contains(&version) {
            return Err(BadRecord { reason: "its version is not known" });
        }
        from.flexible = version >= 4;
        Ok((from, version))
    }

    pub(super) fn i16(&mut self) -> Result<i16, BadRecord> {
        self.rest.try_get_i16().map_err(|_| SHORT)
    }

    pub(super) fn i32(&mut self) -> Result<i32, BadRecord> {
        self.rest.try_get_i32().map_err(|_| SHORT)
    }

    fn i64(&mut self) -> Result<i64, BadRecord> {
        self.rest.try_get_i64().map_err(|_| SHORT)
    }

    fn unsigned_varint(&mut self) -> Result<u32, BadRecord> {
        let too_long = BadRecord { reason: "a number is too long" };
        let mut rest = &self.rest[..];
        let value = varint::take_unsigned(&mut rest, 5).and_then(|value| u32::try_from(value).ok()).ok_or(too_long)?;
        let taken = self.rest.len() - rest.len();
        self.rest.advance(taken);
        Ok(value)
    }

    /// A length as the encoding has it; `None` is null.
    fn length(&mut self, wide: bool) -> Result<Option<usize>, BadRecord> {
        let length = match (self.flexible, wide) {
            (true, _) => i64::from(self.unsigned_varint()?) - 1,
            (false, true) => i64::from(self.i32()?),
            (false, false) => i64::from(self.i16()?),
        };
        Ok(usize::try_from(length).ok())
    }

    fn take(&mut self, length: usize) -> Result<Bytes, BadRecord> {
        if length > self.rest.len() {
            return Err(SHORT);
        }
        Ok(self.rest.split_to(length))
    }

    fn optional_text(&mut self) -> Result<Option<String>, BadRecord> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        if length > TEXT_BYTES_MAX {
            return Err(BadRecord { reason: "a text is too long" });
        }
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| BadRecord { reason: "a text is not UTF-8" })?;
        Ok(Some(text.to_owned()))
    }

    pub(super) fn text(&mut self) -> Result<String, BadRecord> {
        self.optional_text()?.ok_or(BadRecord { reason: "a text is missing" })
    }

    fn bytes(&mut self) -> Result<Bytes, BadRecord> {
        let length = self.length(true)?.ok_or(BadRecord { reason: "bytes are missing" })?;
        // A copy, so that a member does not keep a whole batch of the log in memory.
        Ok(Bytes::copy_from_slice(&self.take(length)?))
    }

    /// Elements of an array; never more than there are bytes left, so that a damaged count reserves nothing.
    pub(super) fn array_length(&mut self) -> Result<usize, BadRecord> {
        let length = self.length(true)?.ok_or(BadRecord { reason: "an array is missing" })?;
        if length > self.rest.len() { Err(SHORT) } else { Ok(length) }
    }

    fn skip_tags(&mut self) -> Result<(), BadRecord> {
        if self.flexible { self.tags(|_, _| {}) } else { Ok(()) }
    }

    fn tags(&mut self, mut each: impl FnMut(u32, &[u8])) -> Result<(), BadRecord> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()?;
            each(tag, &self.take(usize::try_from(size).map_err(|_| SHORT)?)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
