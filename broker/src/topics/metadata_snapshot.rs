//! When the metadata log is written anew, and what it says then. A client that creates and deletes topics in a loop would make
//! it, and every start that reads it, grow for ever. Stands beside `create.rs` and `change.rs`: called in the turn of changes,
//! so that what is in memory is what the log adds up to.

use super::catalog::Shared;
use super::error::TopicError;
use super::metadata_record::MetadataRecord;
use super::topic::Topic;

/// So many records may follow a snapshot, and five times as many as there are topics: writing anew costs what it spares.
const RECORDS_MIN: u64 = 10_000;
const RECORDS_PER_TOPIC: u64 = 5;

impl Shared {
    /// Writes the log anew if it has grown enough. With the turn of changes, or before anything is served.
    pub(super) async fn snapshot_if_due(&self) {
        let topics = self.topics.read().len() as u64;
        if self.log.records() < RECORDS_MIN + RECORDS_PER_TOPIC * topics {
            return;
        }
        if let Err(cause) = self.snapshot().await {
            tracing::warn!("the metadata log was not written anew, it goes on to grow: {cause}");
        }
    }

    /// # Errors
    /// The log's.
    pub(super) async fn snapshot(&self) -> Result<(), TopicError> {
        self.log.write_anew(|| self.everything()).await
    }

    /// The fewest records that add up to what there is.
    fn everything(&self) -> Vec<MetadataRecord> {
        // They may be above what the log says: a block whose record has not been written yet counts as given.
        let (clients, streams) = {
            let next_ids = self.next_ids.lock();
            (next_ids.clients, next_ids.streams)
        };
        let mut records = vec![
            MetadataRecord::Cluster { id: self.cluster_id.clone() },
            MetadataRecord::Term { term: self.term },
            MetadataRecord::ProducerIds { next: clients },
            MetadataRecord::StreamIds { next: streams },
        ];
        // Before those that live: one of them may have the name.
        for gone in self.lingering.lock().iter() {
            records.extend([as_made(gone), MetadataRecord::TopicDeleted { topic: gone.id() }]);
        }
        records.extend(self.topics.read().all().map(as_made));
        records
    }
}

fn as_made(topic: &Topic) -> MetadataRecord {
    MetadataRecord::Topic {
        id: topic.id(),
        name: topic.name().clone(),
        partitions: topic.partition_count(),
        configs: topic.configs().set().clone(),
        internal: topic.internal(),
        delay: topic.delay().is_some(),
    }
}
