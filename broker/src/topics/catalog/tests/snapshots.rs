//! The metadata log written anew: nothing of what there is changes by it, wherever the power goes.

use std::path::PathBuf;

use super::*;
use crate::log::io::Disk;
use crate::log::io::faulty::FaultyDisk;

/// A topic as callers see it.
type Seen = (String, TopicId, i32, Option<String>);

/// Name, partitions, and whether a config is set.
type Shape = (&'static str, i32, bool);

/// What there is before and after each step of a life.
const STATES: [&[Shape]; 10] = [
    &[],
    &[("a", 2, false)],
    &[("a", 2, false), ("b", 1, false)],
    &[("a", 2, false)],
    &[("a", 3, false)],
    &[("a", 3, false)],
    &[("a", 3, false), ("b", 1, false)],
    &[("a", 3, true), ("b", 1, false)],
    &[("a", 3, true), ("b", 1, false)],
    &[("b", 1, false)],
];

struct OnDisk {
    dir: Arc<LogDir>,
    catalog: Arc<Catalog>,
}

impl OnDisk {
    async fn open(disk: &FaultyDisk) -> Result<OnDisk, TopicError> {
        let clock: SharedClock = Arc::new(ManualClock::at(1_700_000_000_000));
        let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk.clone()) };
        let dir = LogDir::open(settings, Arc::clone(&clock))?;
        let catalog = Catalog::open(Arc::clone(&dir), &BrokerConfig::default(), clock).await?;
        Ok(OnDisk { dir, catalog })
    }

    async fn create(&self, name: &str, partitions: i32) -> Result<(), TopicError> {
        let request = NewTopic { partitions: Some(partitions), ..NewTopic::named(name) };
        self.catalog.create(request).await.map(drop)
    }

    async fn snapshot(&self) -> Result<(), TopicError> {
        let _turn = self.catalog.shared.turn.lock().await;
        self.catalog.shared.snapshot().await
    }

    fn topics(&self) -> Vec<Seen> {
        let topic = |topic: &Arc<Topic>| {
            let bytes = topic.configs().set().get("segment.bytes").cloned();
            (topic.name().to_string(), topic.id(), topic.partition_count(), bytes)
        };
        self.catalog.topics().iter().map(topic).collect()
    }

    /// The steps of a life, the first time that something fails ends it. What there is after each step.
    async fn live(&self, seen: &mut Vec<Vec<Seen>>) -> Result<(), TopicError> {
        seen.push(self.topics());
        for step in 0..9 {
            match step {
                0 => self.create("a", 2).await?,
                1 => self.create("b", 1).await?,
                2 => drop(self.catalog.delete("b").await?),
                3 => self.catalog.grow("a", 3, false).await?,
                4 | 7 => self.snapshot().await?,
                5 => self.create("b", 1).await?,
                6 => self.catalog.alter_configs("a", &[set("segment.bytes", "20000")], false).await?,
                _ => drop(self.catalog.delete("a").await?),
            }
            self.dir.retain();
            seen.push(self.topics());
        }
        Ok(())
    }
}

fn metadata_bytes(disk: &FaultyDisk) -> usize {
    let dir = PathBuf::from("/data/__sluice_metadata-0");
    let names = disk.list(&dir).unwrap().into_iter().filter(|entry| entry.name.ends_with(".log"));
    names.map(|entry| disk.bytes(&dir.join(entry.name)).unwrap().len()).sum()
}

#[tokio::test]
async fn topics_that_come_and_go_leave_nothing_in_a_log_that_was_written_anew() {
    let disk = FaultyDisk::new();
    let broker = OnDisk::open(&disk).await.unwrap();
    broker.create("kept", 3).await.unwrap();
    for _ in 0..50 {
        broker.create("gone", 1).await.unwrap();
        broker.catalog.delete("gone").await.unwrap();
    }
    let block = broker.catalog.reserve_producer_ids(false).await.unwrap();
    let before = metadata_bytes(&disk);
    broker.snapshot().await.unwrap();
    broker.dir.retain();
    assert!(metadata_bytes(&disk) < before / 10, "{} of {before} bytes are left", metadata_bytes(&disk));
    broker.create("later", 1).await.unwrap();
    let (cluster, topics) = (broker.catalog.cluster_id().to_owned(), broker.topics());
    let disk = disk.kill();
    drop(broker);
    let again = OnDisk::open(&disk).await.unwrap();
    assert_eq!((again.catalog.cluster_id(), again.topics()), (&*cluster, topics));
    assert!(again.catalog.reserve_producer_ids(false).await.unwrap().start >= block.end, "rule 6");
    assert_eq!(again.catalog.shared.log.records(), 3, "a topic, a term and a block since the snapshot");
}

#[tokio::test]
async fn wherever_the_power_goes_everything_that_was_answered_is_there_and_a_topic_that_went_stays_away() {
    for stop in 0.. {
        let disk = FaultyDisk::new();
        let broker = OnDisk::open(&disk).await.unwrap();
        disk.stop_after(stop);
        let mut seen = Vec::new();
        let done = broker.live(&mut seen).await.is_ok();
        let next = disk.power_cut(stop);
        drop(broker);
        let again = OnDisk::open(&next).await.unwrap_or_else(|error| panic!("stopped after {stop}: {error}"));
        let found = again.topics();
        // The step that was under way has happened or not.
        let (step, answered) = (seen.len() - 1, seen.last().unwrap());
        let shape: Vec<(&str, i32, bool)> =
            found.iter().map(|(name, _, count, bytes)| (&**name, *count, bytes.is_some())).collect();
        let allowed = &STATES[step..STATES.len().min(step + 2)];
        assert!(allowed.contains(&&*shape), "stopped after {stop}, in step {step}: {shape:?}");
        for (name, id, ..) in answered {
            let same = found.iter().find(|(found, ..)| found == name);
            assert!(same.is_none_or(|(_, found, ..)| found == id), "stopped after {stop}: {name} is another topic");
        }
        if done {
            assert_eq!(found, *answered, "everything was answered");
            assert!(stop > 50, "{stop} operations");
            return;
        }
    }
}
