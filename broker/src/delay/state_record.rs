//! The records of `__sluice_delays`, pure: what one proxy partition has delivered (`done`), and the step under way. A step
//! is durable here before its first append, so that after a crash it is repeated word for word (delay contract, "The store").
//!
//! ```text
//! key    i16 version 0 · 16 bytes proxy topic id · i32 partition
//! value  i16 version 0 · i64 done · i64 stream (-1: none yet) · i64 until (-1: no step) · varint lanes, each:
//!        16 bytes target topic id · i32 partition · i32 first sequence
//!        varint 1 + bytes of the dead-letter reason, UTF-8 (0: none) · varint records, each: varint offset - the one before
//! ```
//! Lanes of one target partition take their sequences one after the other; a lane is one append, so its bounds are kept.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::ids::{Offset, PartitionId, ProducerId, Sequence, TopicId};
use crate::varint;

/// Which proxy partition a state is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProxyKey {
    pub(super) topic: TopicId,
    pub(super) partition: PartitionId,
}

/// The progress of a proxy partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Every record below is delivered, durably.
    pub(super) done: Offset,
    /// The producer id of its deduplicated appends; one for all targets, sequences count by target partition.
    pub(super) stream: Option<ProducerId>,
    pub(super) step: Option<Step>,
}

/// Records that are being delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// `done` when the step is.
    pub(super) until: Offset,
    pub(super) lanes: Vec<Lane>,
}

/// One deduplicated append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) topic: TopicId,
    pub(super) partition: PartitionId,
    pub(super) first: Sequence,
    /// These records go to the dead-letter topic, and why.
    pub(super) reason: Option<String>,
    /// Offsets in the proxy partition, rising.
    pub(super) offsets: Vec<Offset>,
}

/// A record that is not ours or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of the delay service's topic is damaged: {0}")]
pub(super) struct BadState(&'static str);

const SHORT: BadState = BadState("it ends too early");

impl ProxyKey {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(22);
        out.put_i16(0);
        out.put_slice(self.topic.0.as_bytes());
        out.put_i32(self.partition.0);
        out.freeze()
    }

    pub(super) fn decode(mut from: &[u8]) -> Result<ProxyKey, BadState> {
        version(&mut from)?;
        let topic = topic_id(&mut from)?;
        Ok(ProxyKey { topic, partition: PartitionId(from.try_get_i32().map_err(|_| SHORT)?) })
    }
}

impl State {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_i16(0);
        out.put_i64(self.done.0);
        out.put_i64(self.stream.map_or(-1, |stream| stream.0));
        out.put_i64(self.step.as_ref().map_or(-1, |step| step.until.0));
        let lanes = self.step.as_ref().map_or(&[][..], |step| &step.lanes);
        varint::write_unsigned(&mut out, lanes.len() as u64);
        for lane in lanes {
            lane.encode(self.done, &mut out);
        }
        out.freeze()
    }

    pub(super) fn decode(mut from: &[u8]) -> Result<State, BadState> {
        version(&mut from)?;
        let done = Offset(from.try_get_i64().map_err(|_| SHORT)?);
        let stream = from.try_get_i64().map_err(|_| SHORT)?;
        let until = from.try_get_i64().map_err(|_| SHORT)?;
        let count = length(&mut from)?;
        let mut lanes = Vec::new();
        for _ in 0..count {
            lanes.push(Lane::decode(done, &mut from)?);
        }
        let step = (until >= 0).then_some(Step { until: Offset(until), lanes });
        Ok(State { done, stream: (stream >= 0).then_some(ProducerId(stream)), step })
    }
}

impl Lane {
    fn encode(&self, done: Offset, out: &mut BytesMut) {
        out.put_slice(self.topic.0.as_bytes());
        out.put_i32(self.partition.0);
        out.put_i32(self.first.0);
        match &self.reason {
            Some(reason) => {
                varint::write_unsigned(out, reason.len() as u64 + 1);
                out.put_slice(reason.as_bytes());
            }
            None => varint::write_unsigned(out, 0),
        }
        varint::write_unsigned(out, self.offsets.len() as u64);
        let mut before = done.0;
        for offset in &self.offsets {
            varint::write_unsigned(out, offset.0.wrapping_sub(before).cast_unsigned());
            before = offset.0;
        }
    }

    fn decode(done: Offset, from: &mut &[u8]) -> Result<Lane, BadState> {
        let topic = topic_id(from)?;
        let partition = PartitionId(from.try_get_i32().map_err(|_| SHORT)?);
        let first = Sequence(from.try_get_i32().map_err(|_| SHORT)?);
        let reason = match length(from)? {
            0 => None,
            length => {
                let (text, rest) = from.split_at_checked(length - 1).ok_or(SHORT)?;
                *from = rest;
                Some(std::str::from_utf8(text).map_err(|_| BadState("a reason is not UTF-8"))?.to_owned())
            }
        };
        let count = length(from)?;
        let mut offsets = Vec::new();
        let mut before = done.0;
        for _ in 0..count {
            before = before.wrapping_add(number(from)?.cast_signed());
            offsets.push(Offset(before));
        }
        Ok(Lane { topic, partition, first, reason, offsets })
    }
}

fn version(from: &mut &[u8]) -> Result<(), BadState> {
    match from.try_get_i16() {
        Ok(0) => Ok(()),
        Ok(_) => Err(BadState("its version is not known")),
        Err(_) => Err(SHORT),
    }
}

fn topic_id(from: &mut &[u8]) -> Result<TopicId, BadState> {
    let (id, rest) = from.split_first_chunk::<16>().ok_or(SHORT)?;
    *from = rest;
    Ok(TopicId(uuid::Uuid::from_bytes(*id)))
}

/// A count or a length: never more than there are bytes left, so that a damaged one reserves nothing.
fn length(from: &mut &[u8]) -> Result<usize, BadState> {
    let length = usize::try_from(number(from)?).map_err(|_| SHORT)?;
    // A length of a text is one more than its bytes.
    if length > from.len() + 1 { Err(SHORT) } else { Ok(length) }
}

fn number(from: &mut &[u8]) -> Result<u64, BadState> {
    varint::take_unsigned(from, 10).ok_or(BadState("a number is cut short or too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> TopicId {
        TopicId(uuid::Uuid::from_u128(n))
    }

    fn full() -> State {
        let lane = |reason: Option<&str>, offsets: &[i64]| Lane {
            topic: id(7),
            partition: PartitionId(3),
            first: Sequence(i32::MAX),
            reason: reason.map(str::to_owned),
            offsets: offsets.iter().copied().map(Offset).collect(),
        };
        let lanes = vec![lane(None, &[100, 101, 5_000]), lane(Some("gone"), &[4_000]), lane(Some(""), &[])];
        State { done: Offset(100), stream: Some(ProducerId(1 << 62)), step: Some(Step { until: Offset(5_001), lanes }) }
    }

    #[test]
    fn a_state_comes_back_as_it_was_written() {
        for state in [
            State::default(),
            full(),
            State { step: None, ..full() },
            State { step: Some(Step { until: Offset(9), lanes: Vec::new() }), ..full() },
        ] {
            assert_eq!(State::decode(&state.encode()), Ok(state));
        }
        let key = ProxyKey { topic: id(9), partition: PartitionId(2) };
        assert_eq!(ProxyKey::decode(&key.encode()), Ok(key));
    }

    #[test]
    fn the_bytes_are_those_drawn_above() {
        let state = State { done: Offset(1), stream: None, step: None };
        assert_eq!(
            &state.encode()[..],
            b"\0\0\0\0\0\0\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0"
        );
    }

    #[test]
    fn a_thousand_records_of_one_lane_take_about_a_thousand_bytes() {
        let offsets = (0..1_000).map(Offset).collect();
        let lane = Lane { topic: id(1), partition: PartitionId(0), first: Sequence(0), reason: None, offsets };
        let step = Step { until: Offset(1_000), lanes: vec![lane] };
        let state = State { done: Offset(0), stream: Some(ProducerId(5)), step: Some(step) };
        assert!(state.encode().len() < 1_100);
    }

    #[test]
    fn a_state_cut_anywhere_is_an_error_and_never_a_panic() {
        let whole = full().encode();
        for cut in 0..whole.len() {
            assert!(State::decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(State::decode(b"\0\x01").is_err());
        assert!(ProxyKey::decode(b"\0\0abc").is_err());
    }
}
