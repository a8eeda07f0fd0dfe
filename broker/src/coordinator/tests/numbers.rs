//! The machine of these tests: numbers under names, some of them written by transactions.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::*;
use crate::coordinator::error::BadRecord;
use crate::ids::{Offset, ProducerId};
use crate::record::{Message, RecordView};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) value: Option<i64>,
}

/// What timers do when they are due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timed {
    /// Adds one to the number of this name, as a record.
    Count(&'static str),
    /// Counts its calls, and is due again at once.
    Storm,
    Panic,
}

#[derive(Debug, Default)]
pub(super) struct Numbers {
    pub(super) durable: BTreeMap<String, i64>,
    pub(super) waiting: VecDeque<(Offset, Set)>,
    pub(super) open: HashMap<ProducerId, Vec<Set>>,
    pub(super) storms: u64,
    pub(super) refused: Vec<Set>,
    pub(super) stored: Vec<&'static str>,
    pub(super) results: Vec<Result<i64, String>>,
    /// Requests that wait for something that never comes.
    pub(super) waiters: Vec<oneshot::Sender<ShardError>>,
    /// Set to "now" when the log is replayed.
    pub(super) at_load: Option<Timed>,
    pub(super) while_loading: Option<Meanwhile>,
}

/// Something that happens at a moment of the test's.
pub(super) struct Meanwhile(pub(super) Box<dyn Fn() + Send>);

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

impl Numbers {
    /// What will be there when all is durable.
    pub(super) fn latest(&self) -> BTreeMap<String, i64> {
        let mut latest = self.durable.clone();
        self.waiting.iter().for_each(|(_, set)| apply(&mut latest, set.clone()));
        latest
    }
}

fn apply(numbers: &mut BTreeMap<String, i64>, Set { name, value }: Set) {
    match value {
        Some(value) => numbers.insert(name, value),
        None => numbers.remove(&name),
    };
}

impl Machine for Numbers {
    type Record = Set;
    type Timer = Timed;
    type Then = &'static str;
    type Done = i64;

    fn message(Set { name, value }: &Set) -> Message {
        let value = value.map(|value| value.to_string().into());
        Message { key: Some(Bytes::copy_from_slice(name.as_bytes())), value, ..Message::default() }
    }

    fn parse(record: &RecordView) -> Result<Option<Set>, BadRecord> {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let name = text(record.key.as_ref().ok_or(BadRecord { reason: "it has no key" })?);
        let value = record.value.as_ref().map(|value| text(value).parse());
        let value = value.transpose().map_err(|_| BadRecord { reason: "it is no number" })?;
        Ok(Some(Set { name, value }))
    }

    fn replay(&mut self, at: Offset, producer: Option<ProducerId>, record: Set) {
        match producer {
            Some(producer) => self.open.entry(producer).or_default().push(record),
            None => self.waiting.push_back((at, record)),
        }
    }

    fn end_transaction(&mut self, at: Offset, producer: ProducerId, committed: bool) {
        let written = self.open.remove(&producer).unwrap_or_default();
        self.waiting.extend(written.into_iter().filter(|_| committed).map(|set| (at, set)));
    }

    fn durable(&mut self, hw: Offset) {
        while let Some((_, set)) = self.waiting.pop_front_if(|(at, _)| *at < hw) {
            apply(&mut self.durable, set);
        }
    }

    fn loaded(&mut self, now: Now) -> Plan<Numbers> {
        if let Some(Meanwhile(happens)) = &self.while_loading {
            happens();
        }
        let mut plan = Plan::nothing();
        self.at_load.iter().for_each(|timer| plan.set(timer.clone(), Some(now.mono)));
        plan
    }

    fn due(&mut self, timer: Timed, now: Now) -> Plan<Numbers> {
        let mut plan = Plan::nothing();
        match timer {
            Timed::Count(name) => {
                let value = self.latest().get(name).copied().unwrap_or(0) + 1;
                plan.records.push(Set { name: name.to_owned(), value: Some(value) });
            }
            Timed::Storm => {
                self.storms += 1;
                plan.set(Timed::Storm, Some(now.mono));
            }
            Timed::Panic => panic!("a timer's bug"),
        }
        plan
    }

    fn stored(&mut self, then: &'static str, outcome: Result<(), ShardError>, _now: Now) -> Plan<Numbers> {
        self.stored.push(if outcome.is_ok() { then } else { "refused" });
        Plan::nothing()
    }

    fn finished(&mut self, done: Result<i64, ShardError>, _now: Now) -> Plan<Numbers> {
        self.results.push(done.clone().map_err(|error| error.to_string()));
        done.map_or_else(|_| Plan::nothing(), |value| plan_of(&[("result", value)]))
    }

    fn refused(&mut self, records: Vec<Set>) -> Plan<Numbers> {
        self.refused.extend(records);
        Plan::nothing()
    }

    fn unloaded(&mut self, why: &ShardError) {
        self.waiters.drain(..).for_each(|waiter| drop(waiter.send(why.clone())));
    }
}
