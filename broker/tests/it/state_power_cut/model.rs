//! What must be there, kept in the simplest way. A change that was not answered is remembered in order: afterwards all of
//! it, or none from some point on, may have happened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use sluice_broker::auth;
use sluice_broker::coordinator::group::{GroupError, Membership};
use sluice_broker::engine::EngineError;
use sluice_broker::engine::groups::{CommitPartition, CommitTopic};
use sluice_broker::ids::{LeaderEpoch, Offset, PartitionId, TimestampMs, TopicId, TopicName, TopicRef};
use sluice_broker::log::io::Disk;
use sluice_broker::log::io::faulty::{Dice, FaultyDisk};
use sluice_broker::log::{AppendError, LogError, Offline, Origin, Partition};
use sluice_broker::record::{Compression, Message, build, check_stored, records};
use sluice_broker::topics::{ConfigChange, ConfigOp, NewTopic, Topic, TopicError};

use super::{DATA, Open};
use crate::rooms::http;

/// The last two are delay topics: they make their targets with them.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "a.delay.1s", "d.delay.2m"];
const GROUPS: u64 = 4;
const PARTITIONS_MAX: i32 = 4;

/// A topic as it should be. `id` is not known of one whose creation was not answered.
#[derive(Clone, Debug)]
struct Wanted {
    id: Option<TopicId>,
    partitions: i32,
    configs: BTreeMap<String, String>,
}

/// Several topics at once: `None` is gone.
type Change = Vec<(String, Option<Wanted>)>;
/// An offset belongs to the topic that it was committed for, not to a later one of that name.
type Commit = Vec<((String, i32), (i64, TopicId))>;

#[derive(Default)]
struct Group {
    committed: BTreeMap<(String, i32), (i64, TopicId)>,
    perhaps: Vec<Commit>,
}

#[derive(Default)]
pub(crate) struct Model {
    topics: BTreeMap<String, Wanted>,
    perhaps: Vec<Change>,
    /// Ids of topics that are gone.
    gone: BTreeSet<TopicId>,
    groups: BTreeMap<String, Group>,
    /// First ids of blocks that were given out.
    blocks: BTreeSet<i64>,
    /// Values that were ever written, and those that were answered, by topic and partition.
    may: BTreeMap<(TopicId, i32), BTreeSet<String>>,
    must: BTreeMap<(TopicId, i32), BTreeSet<String>>,
    next_value: u64,
    last_term: Option<LeaderEpoch>,
    /// A start since the last term served was an unclean one.
    pub(crate) unclean: bool,
    /// Directories that no topic knows.
    pub(crate) strays: BTreeSet<String>,
}

fn as_it_is(topic: &Topic) -> Wanted {
    let (partitions, configs) = (topic.partition_count(), topic.configs().set().clone());
    Wanted { id: Some(topic.id()), partitions, configs }
}

fn same(wanted: &Wanted, found: &Wanted) -> bool {
    (wanted.id.is_none() || wanted.id == found.id)
        && wanted.partitions == found.partitions
        && wanted.configs == found.configs
}

fn agree(wanted: &BTreeMap<String, Wanted>, found: &BTreeMap<String, Wanted>) -> bool {
    wanted.keys().eq(found.keys()) && wanted.iter().all(|(name, topic)| same(topic, &found[name]))
}

fn visible(open: &Open) -> BTreeMap<String, Wanted> {
    let topics = open.catalog.topics();
    let ours = topics.iter().filter(|topic| !topic.internal());
    ours.map(|topic| (topic.name().as_str().to_owned(), as_it_is(topic))).collect()
}

fn apply(topics: &mut BTreeMap<String, Wanted>, change: &Change) {
    for (name, wanted) in change {
        match wanted {
            Some(wanted) => topics.insert(name.clone(), wanted.clone()),
            None => topics.remove(name),
        };
    }
}

fn permit<R: auth::Right, T: auth::Resource>(open: &Open, resource: T) -> auth::Granted<R, T> {
    open.engine.auth().ask(&http(), resource).expect("everything is granted")
}

/// After a failed sync nobody knows what the disk has; what was not written at all is certainly not there.
fn unsure(error: &EngineError) -> bool {
    matches!(of_log(error), Some(LogError::Poisoned { .. } | LogError::Offline { why: Offline::Closed, .. }))
}

fn of_log(error: &EngineError) -> Option<&LogError> {
    match error {
        EngineError::Log(error)
        | EngineError::Append(AppendError::Log(error))
        | EngineError::Topic(TopicError::Log(error))
        | EngineError::Group(
            GroupError::Log(error)
            | GroupError::Append(AppendError::Log(error))
            | GroupError::Topic(TopicError::Log(error)),
        ) => Some(error),
        _ => None,
    }
}

/// Nothing has failed that lasts.
fn healthy(open: &Open, disk: &FaultyDisk) -> bool {
    open.log_dir.first_failure().is_none() && disk.list(Path::new(DATA)).is_ok()
}

impl Model {
    /// Rule 5, at every start that got so far.
    pub(crate) fn served(&mut self, term: LeaderEpoch) {
        if let Some(last) = self.last_term {
            assert!(term >= last, "the term went back from {last} to {term}");
            assert_eq!(term > last, self.unclean, "from {last} to {term}, unclean: {}", self.unclean);
        }
        (self.last_term, self.unclean) = (Some(term), false);
    }

    /// One step, and what can be seen after it.
    pub(crate) async fn step(&mut self, open: &Open, disk: &FaultyDisk, dice: &mut Dice) {
        let name = NAMES[usize::try_from(dice.roll(NAMES.len() as u64)).expect("few")];
        match dice.roll(12) {
            0..=2 => drop(self.create(open, disk, name, dice).await),
            3 => self.delete(open, name).await,
            4 => self.grow(open, name, dice).await,
            5 => self.alter(open, name, dice).await,
            6 => self.reserve(open, dice).await,
            7..=9 => self.commit(open, dice).await,
            _ => self.append(open, name, dice).await,
        }
        self.check_groups(open, false).await;
    }

    /// What came of a change: it is visible (then it is durable), it certainly failed, or nobody knows.
    fn settle(&mut self, open: &Open, answered: Result<(), EngineError>, change: Change) {
        let found = visible(open);
        let mut after = self.topics.clone();
        apply(&mut after, &change);
        if agree(&after, &found) {
            self.gone.extend(self.topics.values().filter_map(|topic| topic.id));
            self.topics = found;
            let topics = &self.topics;
            self.gone.retain(|id| topics.values().all(|topic| topic.id != Some(*id)));
            return;
        }
        let error = answered.expect_err("what was answered is visible");
        assert!(agree(&self.topics, &found), "after '{error}': {found:?} of {:?}", self.topics);
        if unsure(&error) {
            self.perhaps.push(change);
        }
    }

    /// `true`: answered as made.
    pub(crate) async fn create(&mut self, open: &Open, disk: &FaultyDisk, name: &str, dice: &mut Dice) -> bool {
        let partitions = 1 + i32::try_from(dice.roll(3)).expect("few");
        let mut configs = BTreeMap::new();
        if dice.roll(2) == 0 {
            configs.insert("max.message.bytes".to_owned(), (10_000 + dice.roll(3)).to_string());
        }
        let wish = NewTopic {
            partitions: Some(partitions),
            configs: configs.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
            ..NewTopic::named(name)
        };
        let answer = open.engine.create_topic(&permit(open, TopicRef::name(name)), wish, false).await.map(drop);
        if self.topics.contains_key(name) {
            assert!(answer.is_err(), "made twice");
            return false;
        }
        if let Err(error) = &answer {
            let refused = healthy(open, disk) && matches!(error, EngineError::Topic(TopicError::Exists { .. }));
            assert!(!refused, "the name must be free: {error}");
        }
        let mut change: Change = Vec::new();
        if let Some((target, _)) = name.split_once(".delay.") {
            configs.insert("message.timestamp.type".to_owned(), "LogAppendTime".to_owned());
            if !self.topics.contains_key(target) {
                change.push((target.to_owned(), Some(Wanted { id: None, partitions, configs: BTreeMap::new() })));
            }
        }
        change.push((name.to_owned(), Some(Wanted { id: None, partitions, configs })));
        let made = answer.is_ok();
        self.settle(open, answer, change);
        let reused = self.topics.values().filter_map(|topic| topic.id).find(|id| self.gone.contains(id));
        assert_eq!(reused, None, "an id of a deleted topic");
        made
    }

    async fn delete(&mut self, open: &Open, name: &str) {
        let answer = open.engine.delete_topic(&permit(open, TopicRef::name(name))).await;
        let answer = answer.map(drop);
        if self.topics.contains_key(name) {
            self.settle(open, answer, vec![(name.to_owned(), None)]);
        } else {
            assert!(answer.is_err());
        }
    }

    async fn grow(&mut self, open: &Open, name: &str, dice: &mut Dice) {
        let Some(before) = self.topics.get(name).cloned() else { return };
        let partitions = before.partitions + 1 + i32::try_from(dice.roll(2)).expect("few");
        if partitions > PARTITIONS_MAX {
            return;
        }
        let answer = open.engine.grow_topic(&permit(open, TopicRef::name(name)), partitions, false).await;
        let after = Wanted { partitions, ..before };
        self.settle(open, answer, vec![(name.to_owned(), Some(after))]);
    }

    async fn alter(&mut self, open: &Open, name: &str, dice: &mut Dice) {
        let Some(before) = self.topics.get(name).cloned() else { return };
        let key = "index.interval.bytes".to_owned();
        let mut after = before.clone();
        let op = match dice.roll(3) {
            0 => {
                after.configs.remove(&key);
                ConfigOp::Delete
            }
            _ => {
                let value = (1_000 + dice.roll(100)).to_string();
                after.configs.insert(key.clone(), value.clone());
                ConfigOp::Set(value)
            }
        };
        let answer = open.catalog.alter_configs(name, &[ConfigChange { key, op }], false).await;
        self.settle(open, answer.map_err(EngineError::from), vec![(name.to_owned(), Some(after))]);
    }

    /// Rule 6.
    async fn reserve(&mut self, open: &Open, dice: &mut Dice) {
        let Ok(block) = open.catalog.reserve_producer_ids(dice.roll(2) == 0).await else { return };
        assert_eq!(block.end - block.start, sluice_broker::limits::PRODUCER_ID_BLOCK);
        assert!(self.blocks.insert(block.start), "producer ids from {} are given twice", block.start);
    }

    async fn commit(&mut self, open: &Open, dice: &mut Dice) {
        let group = format!("g{}", dice.roll(GROUPS));
        let mut commit: Commit = Vec::new();
        for (name, topic) in &self.topics {
            if dice.roll(2) == 0 {
                let partition = i32::try_from(dice.roll(u64::try_from(topic.partitions).expect("few"))).expect("few");
                let id = topic.id.expect("known of what is visible");
                commit.push(((name.clone(), partition), (i64::try_from(dice.roll(1_000)).expect("small"), id)));
            }
        }
        let wish = |((name, partition), (offset, _)): &((String, i32), (i64, TopicId))| CommitTopic {
            topic: permit(open, TopicName::new(name).expect("a topic's name")),
            partitions: vec![CommitPartition {
                partition: PartitionId(*partition),
                offset: Offset(*offset),
                epoch: None,
                metadata: None,
            }],
        };
        let wishes = commit.iter().map(wish).collect();
        let nobody = Membership { generation: None, member: String::new(), instance: None };
        let answer =
            open.engine.commit_offsets(&http(), &permit(open, auth::Group::named(&group)), &nobody, wishes).await;
        let known = self.groups.entry(group).or_default();
        match answer {
            Ok(outcomes) => {
                assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
                known.committed.extend(commit);
            }
            Err(error) if unsure(&error.clone().into()) => known.perhaps.push(commit),
            Err(_) => {}
        }
    }

    /// What `committed` says is what the model says; after a restart perhaps more of what was not answered.
    async fn check_groups(&mut self, open: &Open, restarted: bool) {
        for (id, group) in &mut self.groups {
            let answer = open.engine.all_committed_offsets(&http(), &permit(open, auth::Group::named(id))).await;
            let Ok(found) = answer else {
                assert!(!restarted, "{answer:?}");
                continue;
            };
            let found: BTreeMap<(String, i32), i64> = found
                .into_iter()
                .filter_map(|(at, value)| Some(((at.topic.as_str().to_owned(), at.partition.0), value?.offset.0)))
                .collect();
            let shown = |committed: &BTreeMap<(String, i32), (i64, TopicId)>| -> BTreeMap<(String, i32), i64> {
                let of_now = |name: &str, id: TopicId| self.topics.get(name).is_some_and(|topic| topic.id == Some(id));
                let kept = committed.iter().filter(|((name, _), (_, id))| of_now(name, *id));
                kept.map(|(at, (offset, _))| (at.clone(), *offset)).collect()
            };
            let mut possible = group.committed.clone();
            let mut more = std::mem::take(&mut group.perhaps).into_iter();
            while restarted && shown(&possible) != found {
                let Some(next) = more.next() else { break };
                possible.extend(next);
            }
            assert_eq!(shown(&possible), found, "group {id}, of {possible:?}");
            group.committed = possible;
            if !restarted {
                group.perhaps = more.collect();
            }
        }
    }

    async fn append(&mut self, open: &Open, name: &str, dice: &mut Dice) {
        let Ok(topic) = open.catalog.topic(name) else { return };
        let number = i32::try_from(dice.roll(u64::try_from(topic.partition_count()).expect("few"))).expect("few");
        self.next_value += 1;
        let value = self.next_value.to_string();
        let at = (topic.id(), number);
        self.may.entry(at).or_default().insert(value.clone());
        let partition = topic.partition(PartitionId(number)).expect("it has that many");
        let message = Message { value: Some(Bytes::from(value.clone())), ..Message::default() };
        let batch = build(&[message], TimestampMs(1), Compression::None, None).expect("a small batch is built");
        if partition.append(batch, Origin::Client).durable().await.is_ok() {
            self.must.entry(at).or_default().insert(value);
        }
    }

    /// All is well again: what is there now is what counts from here on.
    pub(crate) async fn reopened(&mut self, open: &Open, disk: &FaultyDisk) {
        let found = visible(open);
        let mut possible = self.topics.clone();
        let mut more = std::mem::take(&mut self.perhaps).into_iter();
        while !agree(&possible, &found) {
            let Some(next) = more.next() else { panic!("found {found:?}, of {:?}", self.topics) };
            apply(&mut possible, &next);
        }
        for (name, topic) in &found {
            assert!(!self.gone.contains(&topic.id.expect("found")), "'{name}' came back");
        }
        let before = std::mem::replace(&mut self.topics, found);
        self.gone.extend(before.values().filter_map(|topic| topic.id));
        let topics = &self.topics;
        self.gone.retain(|id| topics.values().all(|topic| topic.id != Some(*id)));
        for topic in open.catalog.topics() {
            for partition in topic.partitions().iter() {
                partition.usable().unwrap_or_else(|error| panic!("a partition must open: {error}"));
                assert_eq!(partition.current_epoch(), open.catalog.term(), "rule 5");
                self.check_records(topic.id(), partition, topic.internal());
            }
        }
        self.check_groups(open, true).await;
        self.check_strays(disk);
    }

    fn check_records(&self, id: TopicId, partition: &Partition, internal: bool) {
        if internal {
            return;
        }
        let at = (id, partition.ident().partition.0);
        let nothing = BTreeSet::new();
        let (may, must) = (self.may.get(&at).unwrap_or(&nothing), self.must.get(&at).unwrap_or(&nothing));
        let slice = partition.read(Offset::ZERO, 1 << 20);
        let mut slice = slice.expect("what is open is read");
        let mut found = BTreeSet::new();
        while !slice.is_empty() {
            let stored = check_stored(slice.clone()).expect("whole batches");
            for record in records(&stored).expect("readable records") {
                found.insert(String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned());
            }
            slice = slice.split_off(stored.header().size);
        }
        assert!(must.is_subset(&found), "{must:?} was answered, {found:?} is there");
        assert!(found.is_subset(may), "{found:?} is there, {may:?} was written");
    }

    /// Rule 17: every stranger is somewhere, with what was in it.
    fn check_strays(&self, disk: &FaultyDisk) {
        let names = disk.list(Path::new(DATA)).expect("a disk that works");
        for stray in &self.strays {
            let kept = names.iter().find(|entry| entry.name.starts_with(&format!("{stray}.")));
            let kept = kept.unwrap_or_else(|| panic!("{stray} is lost"));
            assert!(kept.name.ends_with("-stray"), "{}", kept.name);
            let inside = disk.list(&Path::new(DATA).join(&kept.name)).expect("a directory");
            assert_eq!(inside.len(), 1, "{inside:?}");
        }
    }

    /// After a clean stop nothing is left over of what was deleted.
    pub(crate) fn closed(&self, disk: &FaultyDisk) {
        for entry in disk.list(Path::new(DATA)).expect("a disk that works").iter().filter(|entry| entry.dir) {
            assert!(!entry.name.ends_with("-delete"), "{} is left", entry.name);
        }
    }
}
