//! What a partition knows of its idempotent producers (KIP-98) and internal streams (rules 18 and 19): the epoch and
//! the last five batches of each. Pure: `check` decides before an append, `record` remembers after it, and recovery
//! calls `record` for every batch header of the log. Sources: Kafka's `ProducerAppendInfo`, `ProducerStateEntry`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs};
use crate::limits::{
    PRODUCER_BATCHES_KEPT, PRODUCER_IDLE_MS_MIN, PRODUCERS_MAX, PRODUCERS_PER_PARTITION_MAX,
    PRODUCERS_PER_PARTITION_MIN,
};
use crate::log::error::{AppendError, Refused};
use crate::log::write::producer_snapshot::SnapshotEntry;
use crate::record::{BatchHeader, ProducerStamp};

/// Producer ids at and above this belong to internal streams (rule 19); ids below are given to clients.
pub(crate) const RESERVED_PRODUCER_IDS: ProducerId = ProducerId(1 << 62);

/// Sequences this far apart, or further, may have wrapped.
const HALF_CIRCLE: i64 = 1 << 30;

/// Who appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Over the Kafka port: reserved producer ids are refused.
    Client,
    /// The broker: coordinators and gateway batches without identity.
    Broker,
    /// A deduplicated append: the batch carries a reserved producer id; exactly last + 1, or a duplicate (rule 18).
    Stream,
}

/// The last thing that an internal stream wrote here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamLast {
    /// The last record's sequence.
    pub(crate) sequence: Sequence,
    /// The last record's offset.
    pub(crate) offset: Offset,
}

/// How many producers all partitions of a data directory remember.
pub(in crate::log) type AllProducers = Arc<AtomicUsize>;

/// The known producers of one partition.
#[derive(Debug, Default)]
pub(in crate::log) struct Producers {
    known: HashMap<ProducerId, Producer>,
    all: AllProducers,
    /// All that are known have written too lately to be forgotten before this time.
    full_until: Option<TimestampMs>,
}

#[derive(Debug)]
struct Producer {
    epoch: ProducerEpoch,
    /// Every batch of this epoch was seen, from sequence 0 on: an older sequence than those kept was written.
    whole: bool,
    /// Oldest first; never empty.
    batches: VecDeque<BatchKept>,
    last_seen: TimestampMs,
}

/// A batch that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct BatchKept {
    pub(in crate::log) first: Sequence,
    pub(in crate::log) last: Sequence,
    pub(in crate::log) base_offset: Offset,
    pub(in crate::log) last_offset: Offset,
    /// Under LogAppendTime.
    pub(in crate::log) append_time: Option<TimestampMs>,
}

/// What the append does with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) enum Verdict {
    /// Append it.
    Append,
    /// The log has it: the answer is these offsets, once they are durable.
    Duplicate {
        base_offset: Offset,
        last_offset: Offset,
        append_time: Option<TimestampMs>,
        /// The end of the batch that holds it.
        durable_at: Offset,
    },
}

impl Producers {
    /// Counts these, and those to come, with those of other partitions.
    pub(in crate::log) fn count_with(&mut self, all: &AllProducers) {
        all.fetch_add(self.known.len(), Ordering::Relaxed);
        self.all.fetch_sub(self.known.len(), Ordering::Relaxed);
        self.all = Arc::clone(all);
    }

    /// Makes room for a client's producer that is new here. Where there is none, those are forgotten that have been idle for
    /// longer than any client tries a batch again; what a producer wrote lately is a promise, and newcomers are refused.
    pub(in crate::log) fn admit(&mut self, id: ProducerId, origin: Origin, now: TimestampMs) -> Result<(), Refused> {
        if origin != Origin::Client || self.known.contains_key(&id) || !self.is_full() {
            return Ok(());
        }
        if self.full_until.is_none_or(|until| now >= until) {
            self.expire(now, PRODUCER_IDLE_MS_MIN);
            if !self.is_full() {
                return Ok(());
            }
            // Looked through once until the first of them may go.
            let oldest = self.known.values().map(|producer| producer.last_seen.0).min().unwrap_or(now.0);
            self.full_until = Some(TimestampMs(oldest.saturating_add(PRODUCER_IDLE_MS_MIN).max(now.0 + 1)));
        }
        Err(Refused::reveals_nothing(AppendError::TooManyProducers { producer: id, known: self.known.len() }))
    }

    fn is_full(&self) -> bool {
        let (known, all) = (self.known.len(), self.all.load(Ordering::Relaxed));
        known >= PRODUCERS_PER_PARTITION_MAX || (known >= PRODUCERS_PER_PARTITION_MIN && all >= PRODUCERS_MAX)
    }

    /// Decides about a batch of `count` sequences; `Append` changes nothing until `record`.
    pub(in crate::log) fn check(&self, stamp: ProducerStamp, count: i32, origin: Origin) -> Result<Verdict, Refused> {
        let known = self.known.get(&stamp.id);
        match origin {
            // Kafka checks no sequences of its own coordinators either.
            Origin::Broker => return check_epoch(known, stamp).map(|()| Verdict::Append),
            Origin::Client if stamp.id >= RESERVED_PRODUCER_IDS => {
                return Err(Refused::reveals_nothing(AppendError::ReservedProducerId { producer: stamp.id }));
            }
            Origin::Client | Origin::Stream => check_epoch(known, stamp)?,
        }
        let last = stamp.first.advance(count - 1);
        let Some(producer) = known else {
            // A client's producer of which nothing is known may have been forgotten: any sequence is taken (KIP-360).
            return match origin {
                Origin::Stream if stamp.first != Sequence(0) => Err(out_of_order(stamp, Sequence(0), None)),
                _ => Ok(Verdict::Append),
            };
        };
        let reveals = Some(producer.end());
        let expected = producer.last().last.advance(1);
        if stamp.epoch > producer.epoch && origin == Origin::Client {
            return match stamp.first {
                Sequence(0) => Ok(Verdict::Append),
                _ => Err(out_of_order(stamp, Sequence(0), reveals)),
            };
        }
        if let Some(batch) = producer.holding(stamp.first, last, origin) {
            return Ok(batch);
        }
        if stamp.first == expected {
            return Ok(Verdict::Append);
        }
        // Written before the batches that are remembered: certain when the whole epoch was seen, and for a stream,
        // which allocates its sequences itself (rule 18).
        let written = producer.whole || origin == Origin::Stream;
        if written && is_below(last, expected) && is_below(stamp.first, expected) {
            let error = AppendError::DuplicateSequence { producer: stamp.id, got: stamp.first };
            return Err(Refused { error, reveals });
        }
        Err(out_of_order(stamp, expected, reveals))
    }

    /// Remembers an appended batch; `now` is the time it was seen.
    pub(in crate::log) fn record(&mut self, header: &BatchHeader, append_time: Option<TimestampMs>, now: TimestampMs) {
        let (Some(stamp), Some(last)) = (header.producer, header.last_sequence()) else { return };
        if header.control {
            return;
        }
        let batch = BatchKept {
            first: stamp.first,
            last,
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            append_time,
        };
        self.remember(stamp, batch, now);
    }

    fn remember(&mut self, stamp: ProducerStamp, batch: BatchKept, now: TimestampMs) {
        let producer = self.known.entry(stamp.id).or_insert_with(|| {
            self.all.fetch_add(1, Ordering::Relaxed);
            Producer::new(stamp, now)
        });
        if producer.epoch != stamp.epoch && stamp.id < RESERVED_PRODUCER_IDS {
            *producer = Producer::new(stamp, now);
        }
        producer.epoch = stamp.epoch;
        producer.last_seen = now;
        if producer.batches.len() == PRODUCER_BATCHES_KEPT {
            producer.batches.pop_front();
        }
        // One more at a time: most ids that strangers invent write once.
        producer.batches.reserve_exact(1);
        producer.batches.push_back(batch);
    }

    /// The last thing a stream wrote.
    pub(in crate::log) fn stream_last(&self, stream: ProducerId) -> Option<StreamLast> {
        let last = self.known.get(&stream)?.last();
        Some(StreamLast { sequence: last.last, offset: last.last_offset })
    }

    /// Everything that is remembered, for a snapshot: each producer's batches, oldest first.
    pub(in crate::log) fn entries(&self) -> Vec<SnapshotEntry> {
        let of_producer = |(id, producer): (&ProducerId, &Producer)| {
            let (id, epoch, last_seen) = (*id, producer.epoch, producer.last_seen);
            let entry = move |batch: &BatchKept| SnapshotEntry {
                producer: id,
                epoch,
                last_sequence: batch.last,
                last_offset: batch.last_offset,
                offset_delta: i32::try_from(batch.last_offset.0 - batch.base_offset.0).unwrap_or(i32::MAX),
                timestamp: batch.append_time.unwrap_or(last_seen),
                coordinator_epoch: LeaderEpoch(-1),
                transaction_from: None,
            };
            producer.batches.iter().map(entry).collect::<Vec<_>>()
        };
        self.known.iter().flat_map(of_producer).collect()
    }

    /// What a snapshot says, in its order. `append_times`: the topic's records carry the broker's time.
    pub(in crate::log) fn of_entries(entries: &[SnapshotEntry], append_times: bool) -> Producers {
        let mut producers = Producers::default();
        for entry in entries.iter().filter(|entry| entry.last_sequence.0 >= 0) {
            let first = Sequence(retreat(entry.last_sequence, entry.offset_delta));
            let batch = BatchKept {
                first,
                last: entry.last_sequence,
                base_offset: Offset(entry.last_offset.0 - i64::from(entry.offset_delta)),
                last_offset: entry.last_offset,
                append_time: append_times.then_some(entry.timestamp),
            };
            let stamp = ProducerStamp { id: entry.producer, epoch: entry.epoch, first };
            producers.remember(stamp, batch, entry.timestamp);
        }
        producers
    }

    /// The last offset that each producer has written.
    pub(in crate::log) fn last_offsets(&self) -> HashMap<ProducerId, Offset> {
        self.known.iter().map(|(id, producer)| (*id, producer.last().last_offset)).collect()
    }

    /// Forgets clients that have written nothing for `expiration_ms` (Kafka's `producer.id.expiration.ms`); streams
    /// never (rule 19).
    pub(in crate::log) fn expire(&mut self, now: TimestampMs, expiration_ms: i64) {
        let before = self.known.len();
        self.known.retain(|id, producer| {
            *id >= RESERVED_PRODUCER_IDS || now.0.saturating_sub(producer.last_seen.0) < expiration_ms
        });
        self.all.fetch_sub(before - self.known.len(), Ordering::Relaxed);
    }
}

impl Drop for Producers {
    fn drop(&mut self) {
        self.all.fetch_sub(self.known.len(), Ordering::Relaxed);
    }
}

impl Producer {
    fn new(stamp: ProducerStamp, now: TimestampMs) -> Producer {
        Producer { epoch: stamp.epoch, whole: stamp.first == Sequence(0), batches: VecDeque::new(), last_seen: now }
    }

    fn last(&self) -> BatchKept {
        *self.batches.back().expect("a producer is recorded together with its first batch")
    }

    fn end(&self) -> Offset {
        self.last().last_offset.next()
    }

    /// A remembered batch with these sequences; for a stream also one that holds them among others, whose records are
    /// then counted off (a stream's batches have no holes when they are written).
    fn holding(&self, first: Sequence, last: Sequence, origin: Origin) -> Option<Verdict> {
        self.batches.iter().find_map(|batch| {
            let skip = distance(batch.first, first);
            let end = distance(batch.first, last);
            let held = match origin {
                Origin::Stream => skip <= end && end <= distance(batch.first, batch.last),
                _ => batch.first == first && batch.last == last,
            };
            held.then(|| Verdict::Duplicate {
                base_offset: Offset(batch.base_offset.0 + skip),
                last_offset: Offset(batch.base_offset.0 + end),
                append_time: batch.append_time,
                durable_at: batch.last_offset.next(),
            })
        })
    }
}

fn check_epoch(known: Option<&Producer>, stamp: ProducerStamp) -> Result<(), Refused> {
    match known {
        Some(producer) if stamp.epoch < producer.epoch => {
            let error =
                AppendError::StaleProducerEpoch { producer: stamp.id, got: stamp.epoch, current: producer.epoch };
            Err(Refused { error, reveals: Some(producer.end()) })
        }
        _ => Ok(()),
    }
}

fn out_of_order(stamp: ProducerStamp, expected: Sequence, reveals: Option<Offset>) -> Refused {
    let error = AppendError::OutOfOrderSequence { producer: stamp.id, got: stamp.first, expected };
    Refused { error, reveals }
}

/// The sequence `steps` before `from` on the circle of sequences.
fn retreat(from: Sequence, steps: i32) -> i32 {
    let first = (i64::from(from.0) - i64::from(steps)).rem_euclid(i64::from(i32::MAX) + 1);
    i32::try_from(first).unwrap_or(i32::MAX)
}

/// How many steps `to` is after `from` on the circle of sequences.
fn distance(from: Sequence, to: Sequence) -> i64 {
    (i64::from(to.0) - i64::from(from.0)).rem_euclid(i64::from(i32::MAX) + 1)
}

/// `true` when `sequence` comes before `expected` rather than after it.
fn is_below(sequence: Sequence, expected: Sequence) -> bool {
    (1..HALF_CIRCLE).contains(&distance(sequence, expected))
}

#[cfg(test)]
mod tests;
