//! What the log must hold, kept in the simplest way: for each partition which values may be at an offset, which must.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use sluice_broker::ids::{Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId, TopicName};
use sluice_broker::log::io::faulty::Dice;
use sluice_broker::log::{Cleanup, FlushEvery, LogConfig, LogDir, LogError, Origin, Partition, PartitionIdent, Ticket};
use sluice_broker::record::{
    Compression, Message, ProducedBatch, ProducerStamp, TimestampType, build, check_stored, records,
};

/// Partitions; the last one has `flush=os`.
pub(crate) const TOPICS: usize = 3;
const PRODUCERS: u64 = 2;

#[derive(Default)]
pub(crate) struct Model {
    slots: [Slot; TOPICS],
    pub(crate) term: i32,
    pub(crate) lost_power: bool,
    next_value: u64,
}

#[derive(Default)]
struct Slot {
    generation: u128,
    /// `create` has returned.
    created: bool,
    open: Option<Arc<Partition>>,
    /// Values ever appended at an offset.
    may: BTreeMap<i64, BTreeSet<String>>,
    /// Values that were durable, or read.
    must: BTreeMap<i64, String>,
    /// Appended, not known to be durable: the tickets and their values.
    waiting: Vec<(Ticket, Vec<(i64, String)>)>,
    /// Batches in the log, as the last look found them.
    batches: Vec<(ProducerStamp, usize, Offset)>,
    next_sequence: BTreeMap<i64, Sequence>,
    /// `next_sequence` says what the log says.
    looked: bool,
}

pub(crate) fn batch(text: &str, count: usize, producer: Option<ProducerStamp>) -> ProducedBatch {
    let message = |n| Message { value: Some(Bytes::from(format!("{text}/{n}"))), ..Message::default() };
    let messages: Vec<Message> = (0..count).map(message).collect();
    build(&messages, TimestampMs(1), Compression::None, producer).expect("a small batch is built")
}

fn config(topic: usize) -> LogConfig {
    LogConfig {
        segment_bytes: 3_000,
        segment_ms: i64::MAX,
        index_interval_bytes: 400,
        message_bytes_max: 1 << 20,
        timestamp_type: TimestampType::CreateTime,
        sync: topic + 1 < TOPICS,
        flush: FlushEvery { messages: 7, ms: 500 },
        cleanup: Cleanup::default(),
    }
}

impl Slot {
    fn ident(&self, topic: usize) -> PartitionIdent {
        PartitionIdent {
            topic: TopicName::new(&format!("t{topic}")).expect("a legal name"),
            topic_id: self.topic_id(topic),
            partition: PartitionId(0),
        }
    }

    fn topic_id(&self, topic: usize) -> TopicId {
        TopicId(uuid::Uuid::from_u128(1_000 * (topic as u128 + 1) + self.generation))
    }

    fn renew(&mut self) {
        *self = Slot { generation: self.generation + 1, ..Slot::default() };
    }

    /// Reads everything below HW: all of it must be there from now on.
    fn read(&mut self, strict: bool) {
        let Some(partition) = self.open.clone() else { return };
        let offsets = partition.offsets();
        assert!(offsets.log_start <= offsets.recovery_point, "rule 1: {offsets:?}");
        assert!(offsets.recovery_point <= offsets.hw && offsets.hw <= offsets.leo, "rule 1: {offsets:?}");
        self.batches.clear();
        let mut found = BTreeMap::new();
        let mut at = offsets.log_start;
        while at < offsets.hw {
            let mut slice = match partition.read(at, 700) {
                Ok(slice) => slice,
                Err(LogError::Io { .. } | LogError::Poisoned { .. }) if !strict => return,
                Err(error) => panic!("{error}"),
            };
            assert!(!slice.is_empty(), "at least one batch below HW at {at} of {offsets:?}");
            while !slice.is_empty() {
                let stored = check_stored(slice.clone()).expect("whole batches");
                assert_eq!(stored.header().base_offset, at, "no holes");
                for record in records(&stored).expect("readable records") {
                    let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
                    found.insert(record.offset.0, value);
                }
                if let Some(stamp) = stored.header().producer {
                    self.batches.push((stamp, found.len(), at));
                    let next = stored.header().last_sequence().expect("stamped").advance(1);
                    // Later on it is the appends that say what comes next: HW may be behind them.
                    if !self.looked {
                        self.next_sequence.insert(stamp.id.0, next);
                    }
                }
                at = stored.header().next_offset();
                slice = slice.split_off(stored.header().size);
            }
        }
        for (offset, value) in &self.must {
            assert_eq!(
                found.get(offset),
                Some(value),
                "offset {offset} of {} changed or went: {offsets:?}",
                partition.ident().topic
            );
        }
        for (offset, value) in &found {
            let known = self.may.get(offset).is_some_and(|values| values.contains(value));
            assert!(known, "offset {offset} holds {value}, which nobody wrote there");
        }
        self.must.extend(found);
        self.looked = true;
    }
}

impl Model {
    /// Ids of the topics that there should be.
    pub(crate) fn known(&self) -> BTreeSet<TopicId> {
        let made = self.slots.iter().enumerate().filter(|(_, slot)| slot.created);
        made.map(|(topic, slot)| slot.topic_id(topic)).collect()
    }

    /// Opens what was made, makes what was not; `false` when the disk stopped.
    pub(crate) fn open(&mut self, dir: &LogDir, dice: &mut Dice) -> bool {
        let lost_power = self.lost_power;
        for (topic, slot) in self.slots.iter_mut().enumerate() {
            let os = topic + 1 == TOPICS;
            if os && lost_power {
                // Nothing was promised; but what is there must be whole, and what nobody wrote is not there.
                slot.must.clear();
            }
            let partition = if slot.created {
                match dir.open_existing(slot.ident(topic), config(topic)) {
                    Ok(partition) => partition,
                    Err(_) => return false,
                }
            } else {
                match dir.create(slot.ident(topic), config(topic)) {
                    Ok(partition) => partition,
                    Err(_) => return false,
                }
            };
            match partition.usable() {
                // The power may go at any step of opening, the last sync included.
                Err(error) if error.to_string().contains("no power") => return false,
                other => other.unwrap_or_else(|error| panic!("a partition must open: {error}")),
            }
            slot.created = true;
            slot.open = Some(partition);
            slot.next_sequence.clear();
            slot.looked = false;
        }
        // A stopped disk cannot be told from a working one yet when nothing was written: look at it later.
        if dice.roll(2) == 0 {
            for topic in 0..TOPICS {
                self.look(topic);
            }
        }
        self.lost_power = false;
        true
    }

    pub(crate) fn forget_open(&mut self) {
        for slot in &mut self.slots {
            slot.open = None;
            slot.waiting.clear();
        }
    }

    pub(crate) fn partition(&self, topic: usize) -> Arc<Partition> {
        Arc::clone(self.slots[topic].open.as_ref().expect("everything is open"))
    }

    pub(crate) fn append(&mut self, dir: &LogDir, topic: usize, dice: &mut Dice) {
        self.next_value += 1;
        let text = format!("{}:{}", self.next_value, "x".repeat(usize::try_from(dice.roll(300)).expect("small")));
        let slot = &mut self.slots[topic];
        if slot.open.is_none() {
            match dir.create(slot.ident(topic), config(topic)) {
                Ok(partition) => {
                    slot.created = true;
                    slot.open = Some(partition);
                }
                Err(_) => return,
            }
        }
        let partition = self.partition(topic);
        let slot = &mut self.slots[topic];
        if !slot.looked {
            slot.read(false);
        }
        let count = 1 + usize::try_from(dice.roll(4)).expect("small");
        let id = i64::try_from(dice.roll(2 * PRODUCERS)).expect("small");
        let producer = (slot.looked && id < PRODUCERS as i64).then(|| ProducerStamp {
            id: ProducerId(id),
            epoch: ProducerEpoch(0),
            first: slot.next_sequence.get(&id).copied().unwrap_or_default(),
        });
        // Whatever comes of it, these values may be at the log's end.
        let base = partition.offsets().leo;
        let values: Vec<(i64, String)> = (0..count).map(|n| (base.0 + n as i64, format!("{text}/{n}"))).collect();
        for (offset, value) in &values {
            slot.may.entry(*offset).or_default().insert(value.clone());
        }
        let ticket = partition.append(batch(&text, count, producer), Origin::Client);
        let Ok(appended) = ticket.placed() else { return };
        assert!(!appended.duplicate);
        assert_eq!(appended.base_offset, base);
        if let Some(stamp) = producer {
            let next = stamp.first.advance(i32::try_from(count).expect("small"));
            slot.next_sequence.insert(stamp.id.0, next);
        }
        slot.waiting.push((ticket, values));
    }

    /// Waits for everything that waits.
    pub(crate) async fn settle(&mut self, topic: usize) {
        let slot = &mut self.slots[topic];
        let Some(partition) = slot.open.clone() else { return };
        for (ticket, values) in std::mem::take(&mut slot.waiting) {
            if let Ok(appended) = ticket.durable().await {
                assert!(partition.offsets().hw > appended.last_offset);
                slot.must.extend(values);
            }
        }
    }

    /// Sends a batch again that the log has: one of the last five of its producer is answered with its offset.
    pub(crate) fn repeat(&mut self, topic: usize, dice: &mut Dice) {
        self.look(topic);
        let slot = &mut self.slots[topic];
        let Some(partition) = slot.open.clone() else { return };
        if !slot.waiting.is_empty() || partition.usable().is_err() {
            return;
        }
        let id = ProducerId(i64::try_from(dice.roll(PRODUCERS)).expect("small"));
        let of_producer: Vec<_> = slot.batches.iter().filter(|(stamp, ..)| stamp.id == id).collect();
        for (stamp, _, offset) in of_producer.iter().rev().take(5) {
            // The flusher may meet the end of the power at any moment, also between two steps of ours.
            let mut slice = match partition.read(*offset, 1) {
                Err(error) if error.to_string().contains("no power") => return,
                other => other.expect("it was read before"),
            };
            let count = check_stored(slice.split_to(slice.len())).expect("whole").header().record_count;
            let again = batch("again", usize::try_from(count).expect("small"), Some(*stamp));
            let ticket = partition.append(again, Origin::Client);
            let answer = match ticket.placed() {
                // So may a sync of this partition fail (rule 8).
                Err(_) if partition.usable().is_err() => return,
                Err(refused) if refused.to_string().contains("no power") => return,
                other => other.expect("a duplicate is answered"),
            };
            assert!(answer.duplicate, "{stamp:?} at {offset}");
            assert_eq!(answer.base_offset, *offset);
            assert!(answer.last_offset < partition.offsets().hw);
        }
    }

    pub(crate) fn look(&mut self, topic: usize) {
        self.slots[topic].read(false);
    }

    pub(crate) fn remove(&mut self, dir: &LogDir, topic: usize) {
        let slot = &mut self.slots[topic];
        let Some(partition) = slot.open.take() else { return };
        // The delete record would be durable before: from here on the topic does not exist.
        let _ = dir.remove(&partition);
        assert!(matches!(partition.usable(), Err(LogError::Deleted { .. })), "rule 16");
        slot.renew();
    }

    /// After a clean close everything that was appended is durable.
    pub(crate) fn closed(&mut self, clean: bool) {
        for slot in &mut self.slots {
            let waiting = std::mem::take(&mut slot.waiting);
            if clean && slot.open.is_some() {
                waiting.into_iter().for_each(|(_, values)| slot.must.extend(values));
            }
        }
    }

    pub(crate) fn check_all(&mut self) {
        for slot in &mut self.slots {
            slot.read(true);
        }
    }
}
