//! What the records of the metadata log add up to. Pure: takes records in order, knows no files. A record that
//! contradicts those before it is an error: the log is the truth, so nothing may be guessed past it.

use std::collections::{BTreeMap, HashMap};

use super::metadata_fault::RecordFault;
use super::metadata_record::MetadataRecord;
use crate::ids::{LeaderEpoch, TopicId, TopicName};
use crate::log::RESERVED_PRODUCER_IDS;

/// A topic as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicState {
    pub(super) name: TopicName,
    pub(super) partitions: i32,
    pub(super) configs: BTreeMap<String, String>,
    pub(super) internal: bool,
    pub(super) delay: bool,
}

/// Everything that is remembered.
#[derive(Debug)]
pub(super) struct MetadataState {
    pub(super) cluster_id: Option<String>,
    pub(super) term: Option<LeaderEpoch>,
    pub(super) topics: HashMap<TopicId, TopicState>,
    pub(super) next_producer_id: i64,
    pub(super) next_stream_id: i64,
    /// Topics that are no more: their directories may have outlived a crash.
    pub(super) deleted: HashMap<TopicId, TopicName>,
    /// How many records there were since the last snapshot.
    pub(super) records: u64,
    names: HashMap<TopicName, TopicId>,
    /// What the parts of a snapshot add up to that is not complete.
    begun: Option<Box<Begun>>,
}

#[derive(Debug)]
struct Begun {
    next_part: u32,
    of: u32,
    state: MetadataState,
}

impl MetadataState {
    /// Before the first record.
    pub(super) fn new() -> MetadataState {
        MetadataState {
            cluster_id: None,
            term: None,
            topics: HashMap::new(),
            next_producer_id: 0,
            next_stream_id: RESERVED_PRODUCER_IDS.0,
            deleted: HashMap::new(),
            records: 0,
            names: HashMap::new(),
            begun: None,
        }
    }

    /// Takes the next record, or says what it contradicts.
    pub(super) fn apply(&mut self, record: MetadataRecord) -> Result<(), RecordFault> {
        if !matches!(record, MetadataRecord::Snapshot { .. }) {
            // A crash, or a full disk, has ended it half way.
            self.begun = None;
            self.records += 1;
        }
        match record {
            MetadataRecord::Snapshot { part, of, records } => return self.take_part(part, of, records),
            MetadataRecord::Cluster { id } => self.cluster_id = Some(id),
            MetadataRecord::Term { term } => {
                if let Some(last) = self.term.filter(|last| term <= *last) {
                    return Err(RecordFault::OldTerm { term, last });
                }
                self.term = Some(term);
            }
            MetadataRecord::Topic { id, name, partitions, configs, internal, delay } => {
                if let Some(other) = self.names.insert(name.clone(), id) {
                    return Err(RecordFault::NameTaken { name, id, other });
                }
                if self.topics.insert(id, TopicState { name, partitions, configs, internal, delay }).is_some() {
                    return Err(RecordFault::IdTaken { id });
                }
            }
            MetadataRecord::Partitions { topic, count } => {
                let known = self.known(topic)?;
                if count <= known.partitions {
                    return Err(RecordFault::Shrinks { name: known.name.clone(), from: known.partitions, to: count });
                }
                known.partitions = count;
            }
            MetadataRecord::Configs { topic, configs } => self.known(topic)?.configs = configs,
            MetadataRecord::TopicDeleted { topic } => {
                let name = self.known(topic)?.name.clone();
                self.names.remove(&name);
                self.topics.remove(&topic);
                self.deleted.insert(topic, name);
            }
            // Reservations of two callers may reach the log in either order: the larger one counts.
            MetadataRecord::ProducerIds { next } => self.next_producer_id = self.next_producer_id.max(next),
            MetadataRecord::StreamIds { next } => self.next_stream_id = self.next_stream_id.max(next),
        }
        Ok(())
    }

    fn take_part(&mut self, part: u32, of: u32, records: Vec<MetadataRecord>) -> Result<(), RecordFault> {
        let mut begun = match self.begun.take() {
            _ if part == 0 => Box::new(Begun { next_part: 0, of, state: MetadataState::new() }),
            Some(begun) => begun,
            None => return Err(RecordFault::AlonePart { part, of }),
        };
        if (begun.next_part, begun.of) != (part, of) || part >= of {
            return Err(RecordFault::AlonePart { part, of });
        }
        records.into_iter().try_for_each(|record| begun.state.apply(record))?;
        begun.next_part += 1;
        if begun.next_part == of {
            *self = MetadataState { records: 0, ..begun.state };
        } else {
            self.begun = Some(begun);
        }
        Ok(())
    }

    fn known(&mut self, id: TopicId) -> Result<&mut TopicState, RecordFault> {
        self.topics.get_mut(&id).ok_or(RecordFault::NoTopic { id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(id: TopicId, name: &str) -> MetadataRecord {
        MetadataRecord::Topic {
            id,
            name: TopicName::new(name).unwrap(),
            partitions: 2,
            configs: BTreeMap::new(),
            internal: false,
            delay: false,
        }
    }

    #[test]
    fn a_name_is_free_again_after_its_topic_was_deleted() {
        let (first, second) = (TopicId::random(), TopicId::random());
        let mut state = MetadataState::new();
        state.apply(topic(first, "a")).unwrap();
        assert!(state.apply(MetadataRecord::Partitions { topic: first, count: 2 }).is_err());
        state.apply(MetadataRecord::Partitions { topic: first, count: 3 }).unwrap();
        state.apply(MetadataRecord::TopicDeleted { topic: first }).unwrap();
        state.apply(topic(second, "a")).unwrap();
        assert_eq!(state.topics.keys().collect::<Vec<_>>(), [&second]);
        assert_eq!(state.topics[&second].partitions, 2);
    }

    #[test]
    fn a_record_that_contradicts_those_before_it_is_an_error() {
        let (known, unknown) = (TopicId::random(), TopicId::random());
        for wrong in [
            topic(unknown, "a"),
            topic(known, "b"),
            MetadataRecord::Term { term: LeaderEpoch(0) },
            MetadataRecord::TopicDeleted { topic: unknown },
            MetadataRecord::Partitions { topic: unknown, count: 9 },
            MetadataRecord::Partitions { topic: known, count: 1 },
            MetadataRecord::Configs { topic: unknown, configs: BTreeMap::new() },
        ] {
            let mut state = MetadataState::new();
            state.apply(topic(known, "a")).unwrap();
            state.apply(MetadataRecord::Term { term: LeaderEpoch(0) }).unwrap();
            assert!(state.apply(wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    fn part(part: u32, of: u32, records: Vec<MetadataRecord>) -> MetadataRecord {
        MetadataRecord::Snapshot { part, of, records }
    }

    #[test]
    fn a_snapshot_counts_when_all_its_parts_came_one_after_another() {
        let (old, new, late) = (TopicId::random(), TopicId::random(), TopicId::random());
        let term = |term| MetadataRecord::Term { term: LeaderEpoch(term) };
        let mut state = MetadataState::new();
        for record in [term(3), topic(old, "a"), MetadataRecord::TopicDeleted { topic: old }, topic(new, "a")] {
            state.apply(record).unwrap();
        }
        assert_eq!((state.records, state.deleted.len()), (4, 1));
        state.apply(part(0, 2, vec![term(3)])).unwrap();
        state.apply(topic(late, "b")).unwrap();
        assert_eq!((state.records, state.topics.len()), (5, 2), "half a snapshot is none");
        assert!(state.apply(part(1, 2, vec![])).is_err(), "it was interrupted");
        // The next one begins again, also where the one before was not finished.
        state.apply(part(0, 3, vec![])).unwrap();
        state.apply(part(0, 2, vec![term(3), topic(new, "a")])).unwrap();
        assert_eq!(state.topics.len(), 2, "not yet");
        state.apply(part(1, 2, vec![MetadataRecord::ProducerIds { next: 7 }])).unwrap();
        assert_eq!((state.records, state.deleted.len(), state.next_producer_id), (0, 0, 7));
        assert_eq!(state.topics.keys().collect::<Vec<_>>(), [&new]);
        state.apply(term(4)).unwrap();
        assert_eq!(state.records, 1);
        assert!(state.apply(topic(late, "a")).is_err(), "the name is taken");
    }

    #[test]
    fn reservations_count_whatever_their_order_rule_6() {
        let mut state = MetadataState::new();
        for next in [1_000, 3_000, 2_000] {
            state.apply(MetadataRecord::ProducerIds { next }).unwrap();
        }
        assert_eq!(state.next_producer_id, 3_000);
        assert_eq!(state.next_stream_id, RESERVED_PRODUCER_IDS.0);
    }
}
