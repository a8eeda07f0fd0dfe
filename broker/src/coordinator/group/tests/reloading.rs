//! What the log makes of groups at a start is what live requests had made of them: group records and offsets, after any
//! requests in any order. And batches for many groups, and shards that fail.

use proptest::prelude::*;

use super::*;
use crate::log::io::faulty::{FaultyDisk, WriteFault};

/// The durable state of every group: the generation of its last record, and its offsets.
type Durable = std::collections::BTreeMap<String, (Option<Generation>, Vec<(TopicPartition, i64)>)>;

#[derive(Clone, Debug)]
enum Event {
    Commit { group: u8, offsets: Vec<(u8, i64)> },
    Join { group: u8 },
    Sync { group: u8 },
    Leave { group: u8 },
    Delete { topic: u8 },
    Pass { hours: u64 },
    Fault { nth: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let group = 0..3u8;
    let offsets = proptest::collection::vec((0..3u8, 0..100i64), 1..4);
    prop_oneof![
        6 => (group.clone(), offsets).prop_map(|(group, offsets)| Event::Commit { group, offsets }),
        3 => group.clone().prop_map(|group| Event::Join { group }),
        3 => group.clone().prop_map(|group| Event::Sync { group }),
        2 => group.prop_map(|group| Event::Leave { group }),
        1 => (0..3u8).prop_map(|topic| Event::Delete { topic }),
        2 => (0..100u64).prop_map(|hours| Event::Pass { hours }),
        1 => (1..3u64).prop_map(|nth| Event::Fault { nth }),
    ]
}

fn group(of: u8) -> String {
    format!("g{of}")
}

fn topic(of: u8) -> String {
    format!("t{of}")
}

/// The rig on a disk that can be made to fail, with the last answer to a join of each group.
struct World {
    rig: Rig,
    disk: FaultyDisk,
    members: std::collections::BTreeMap<u8, JoinAnswer>,
}

impl World {
    async fn new() -> World {
        let disk = FaultyDisk::new();
        let rig = Rig::on(disk.clone(), 1_000_000_000).await;
        for of in 0..3 {
            rig.topic(&topic(of), 1).await;
        }
        World { rig, disk, members: std::collections::BTreeMap::new() }
    }

    async fn take(&mut self, event: Event) {
        let groups = &self.rig.groups;
        match event {
            Event::Commit { group: of, offsets } => {
                let offset = |(of, offset): &(u8, i64)| OffsetToCommit {
                    target: target(&topic(*of), 0),
                    offset: Offset(*offset),
                    epoch: None,
                    metadata: None,
                };
                let who = self.members.get(&of).map(member_of).unwrap_or_default();
                let offsets = offsets.iter().map(offset).collect();
                let _ = groups.commit(CommitFrom::Member, &group(of), &who, offsets, &owner()).await;
            }
            Event::Join { group: of } => {
                // A second member would wait for the first, who sends one request at a time here.
                let member = self.members.get(&of).map(|joined| joined.member.clone());
                let request = JoinRequest { group: group(of), member, ..client("a") };
                match groups.join(request).await {
                    Ok(joined) => drop(self.members.insert(of, joined)),
                    Err(_) => drop(self.members.remove(&of)),
                }
            }
            Event::Sync { group: of } => {
                if let Some(joined) = self.members.get(&of) {
                    let part = vec![(joined.member.clone(), Bytes::from_static(b"all"))];
                    let _ = groups.sync(SyncRequest { group: group(of), ..sync_of(joined, part) }).await;
                }
            }
            Event::Leave { group: of } => {
                if let Some(joined) = self.members.remove(&of) {
                    let _ = groups.leave(&group(of), &[LeavingMember { member: joined.member, instance: None }]).await;
                }
            }
            Event::Delete { topic: of } => {
                if let Ok(deleted) = self.rig.catalog.delete(&topic(of)).await {
                    let _ = groups.forget_topic(deleted.name(), deleted.id()).await;
                }
            }
            Event::Pass { hours } => {
                self.rig.pass(Duration::from_secs(hours * 3_600));
                self.members.retain(|_, _| hours == 0);
            }
            Event::Fault { nth } => self.disk.fail_write(nth, WriteFault::NoSpace),
        }
    }

    /// What is durable, when everything on its way is.
    async fn durable(&self) -> Durable {
        let mut all = Durable::new();
        for of in 0..3 {
            let Some(shard) = self.rig.groups.find(&group(of)) else { continue };
            let home = shard.partition();
            home.durable(home.offsets().leo).await.expect("no sync fails here");
            let found = shard.read(|groups| {
                let found = groups.groups.get(&*group(of))?;
                let offsets = found.offsets.iter().map(|(target, value)| (target.clone(), value.offset.0)).collect();
                Some((found.stored, offsets))
            });
            if let Some(found) = found.expect("loaded") {
                all.insert(group(of), found);
            }
        }
        // A group in memory of which nothing is durable has nothing to be loaded.
        all.retain(|_, (stored, offsets)| stored.is_some() || !offsets.is_empty());
        all
    }
}

async fn run(events: Vec<Event>) {
    let mut world = World::new().await;
    for event in events {
        world.take(event).await;
    }
    let live = world.durable().await;
    let World { rig, disk, members } = world;
    use crate::clock::Clock;
    let (wall, after) = (rig.clock.wall().0, disk.kill());
    rig.groups.stop();
    rig.groups.closed().await;
    let rig = Rig::on(after.clone(), wall).await;
    let world = World { rig, disk: after, members };
    assert_eq!(live, world.durable().await);
    world.rig.groups.stop();
    world.rig.groups.closed().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_start_makes_of_the_log_what_live_requests_had_made(events in proptest::collection::vec(event(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(run(events));
    }
}

/// Group ids that live in the same partition of the offsets topic.
fn neighbours(count: usize) -> Vec<String> {
    let home = |group: &String| super::super::records::partition_of(group, crate::limits::OFFSETS_PARTITIONS);
    let names = (0..).map(|n| format!("group-{n}"));
    let first = home(&"group-0".to_owned());
    names.filter(|name| home(name) == first).take(count).collect()
}

#[tokio::test]
async fn a_deleted_topics_tombstones_for_all_groups_of_a_shard_are_one_batch() {
    let rig = Rig::new().await;
    rig.topic("t", 1).await;
    let groups = neighbours(3);
    for group in &groups {
        let offset = OffsetToCommit { target: target("t", 0), offset: Offset(1), epoch: None, metadata: None };
        let nobody = Membership::default();
        rig.groups.commit(CommitFrom::Member, group, &nobody, vec![offset], &owner()).await.expect("outcomes");
    }
    let home = Arc::clone(rig.groups.find(&groups[0]).expect("the topic exists").partition());
    let before = home.offsets().leo;
    let deleted = rig.catalog.delete("t").await.expect("deleted");
    rig.groups.forget_topic(deleted.name(), deleted.id()).await.expect("forgotten");
    assert_eq!(home.offsets().hw.0, before.0 + 3, "durable when it returns");
    let records = home.read(before, 1 << 20).expect("readable");
    let batch = crate::record::check_stored(records).expect("a batch");
    assert_eq!(batch.header().record_count, 3, "none of them, or all");
    assert!(rig.list().await.is_empty());
}

#[tokio::test]
async fn more_tombstones_than_a_batch_takes_are_all_written() {
    let rig = Rig::new().await;
    let count = i32::try_from(crate::limits::TOMBSTONES_PER_BATCH).expect("few") + 100;
    rig.topic("t", count).await;
    let offsets: Vec<(&str, i32, i64)> = (0..count).map(|partition| ("t", partition, 1)).collect();
    rig.commit(&Membership::default(), &offsets).await.expect("outcomes");
    let deleted = rig.catalog.delete("t").await.expect("deleted");
    rig.groups.forget_topic(deleted.name(), deleted.id()).await.expect("forgotten");
    assert!(rig.list().await.is_empty(), "every offset has its tombstone");
}

#[tokio::test]
async fn a_poisoned_partition_answers_who_waits_and_who_comes_with_the_coordinators_error() {
    let disk = FaultyDisk::new();
    let rig = Rig::on(disk.clone(), 1_000_000_000).await;
    rig.topic("t", 1).await;
    rig.stable_member().await;
    let waiting = rig.groups.join(client("b"));
    let mut waiting = std::pin::pin!(waiting);
    arrived(waiting.as_mut()).await;
    disk.fail_sync(1);
    // From outside, as an administrator: leave is the one request that writes while a member waits.
    let members = rig.groups.describe("g").expect("a group").members;
    let leaving: Vec<LeavingMember> =
        members.iter().map(|member| LeavingMember { member: member.member.clone(), instance: None }).collect();
    let left = rig.groups.leave("g", &leaving).await;
    assert!(matches!(left, Err(GroupError::Log(_))), "{left:?}");
    assert!(waiting.await.is_err());
    assert!(matches!(rig.groups.join(client("c")).await, Err(GroupError::Log(_))));
    assert!(matches!(rig.groups.committed("g", None).await, Err(GroupError::Log(_))));
    assert!(rig.groups.failure().is_some_and(|failure| failure.contains(OFFSETS_TOPIC)));
    let (other, nobody) = (neighbours(1).remove(0), Membership::default());
    let offset = OffsetToCommit { target: target("t", 0), offset: Offset(1), epoch: None, metadata: None };
    let outcomes = rig.groups.commit(CommitFrom::Member, &other, &nobody, vec![offset], &owner()).await;
    assert!(outcomes.expect("another shard goes on")[0].is_ok());
}

#[tokio::test]
async fn a_refused_commit_leaves_neither_an_offset_nor_a_group() {
    let disk = FaultyDisk::new();
    let rig = Rig::on(disk.clone(), 1_000_000_000).await;
    rig.topic("t", 1).await;
    rig.stable_member().await;
    disk.fail_write(1, WriteFault::NoSpace);
    let offset =
        |offset| OffsetToCommit { target: target("t", 0), offset: Offset(offset), epoch: None, metadata: None };
    let nobody = Membership::default();
    let refused = rig.groups.commit(CommitFrom::Member, "new", &nobody, vec![offset(1)], &owner()).await;
    assert!(matches!(refused, Err(GroupError::Append(_))), "{refused:?}");
    assert_eq!(rig.list().await.len(), 1);
    rig.groups
        .commit(CommitFrom::Member, "new", &nobody, vec![offset(2)], &owner())
        .await
        .expect("there is room again");
    assert_eq!(rig.list().await.len(), 2);
}
