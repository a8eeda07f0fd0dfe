//! Once for every reader, whatever the moment at which the process ends.

use super::*;
use crate::delay::plan::Destination;
use crate::delay::state_record::Step;
use crate::door::messages::StreamTarget;
use crate::door::reading::Followed;

/// Up to a durable step of everything that is due: what the service does before its first append.
async fn planned(proxy: &mut Proxy) -> (Step, HashMap<Offset, Followed>) {
    let now = proxy.shared.clock.wall();
    let head = due_now(proxy, proxy.state.done, now).await;
    let Head::Due { records, until } = head else { panic!("nothing is due: {head:?}") };
    let destinations: Vec<Destination> = proxy.router.route(&records).await.expect("routes");
    let routed: Vec<_> = records.iter().map(|found| found.record.offset).zip(destinations).collect();
    let step = proxy.begin(&routed, until, Vec::new()).await.expect("a durable step");
    (step, records.into_iter().map(|found| (found.record.offset, found)).collect())
}

#[tokio::test]
async fn a_record_is_delivered_once_when_it_is_due_and_never_before() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    rig.produce(0, &[message("a")]).await;
    let mut proxy = rig.proxy(0);
    assert_eq!(settle(&mut proxy).await, Turn::NotYet(Duration::from_secs(1)));
    rig.pass(Duration::from_millis(4_999));
    assert_eq!(settle(&mut proxy).await, Turn::NotYet(Duration::from_millis(1)));
    assert!(rig.values("orders", 0).is_empty());
    rig.pass(Duration::from_millis(1));
    assert_eq!(settle(&mut proxy).await, Turn::Idle);
    assert_eq!(rig.values("orders", 0), ["a"]);
    assert_eq!(settle(&mut rig.proxy(0)).await, Turn::Idle);
    assert_eq!(rig.values("orders", 0), ["a"]);
}

#[tokio::test]
async fn a_crash_before_the_step_is_durable_delivers_once() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    rig.produce(0, &[message("a"), message("b")]).await;
    rig.pass(Duration::from_secs(5));
    let proxy = rig.proxy(0);
    let head = due_now(&proxy, Offset::ZERO, rig.clock.wall()).await;
    assert!(matches!(head, Head::Due { .. }));
    drop(proxy);
    let rig = rig.restarted().await;
    settle(&mut rig.proxy(0)).await;
    assert_eq!(rig.values("orders", 0), ["a", "b"]);
}

#[tokio::test]
async fn a_crash_between_the_step_and_its_appends_delivers_once() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    rig.produce(0, &[message("a"), message("b")]).await;
    rig.pass(Duration::from_secs(5));
    planned(&mut rig.proxy(0)).await;
    assert!(rig.values("orders", 0).is_empty());
    let rig = rig.restarted().await;
    let mut proxy = rig.proxy(0);
    assert!(proxy.state.step.is_some(), "the step under way is in the log");
    settle(&mut proxy).await;
    assert_eq!(rig.values("orders", 0), ["a", "b"]);
}

#[tokio::test]
async fn a_crash_between_the_appends_and_done_delivers_once() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    rig.produce(0, &[message("a"), message("b")]).await;
    rig.pass(Duration::from_secs(5));
    let mut proxy = rig.proxy(0);
    let (step, records) = planned(&mut proxy).await;
    proxy.append(step, records).await.expect("appends");
    assert!(proxy.unsaved, "done is not durable yet");
    drop(proxy);
    let rig = rig.restarted().await;
    let mut proxy = rig.proxy(0);
    assert!(proxy.state.step.is_some());
    rig.produce(0, &[message("c")]).await;
    settle(&mut proxy).await;
    rig.pass(Duration::from_secs(5));
    settle(&mut proxy).await;
    assert_eq!(rig.values("orders", 0), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_crash_in_the_midst_of_the_appends_delivers_once_to_each_target_partition() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    rig.catalog.grow("orders", 3, false).await.expect("more partitions");
    let messages: Vec<Message> = (0..30).map(|n| keyed(&format!("k{n}"), &n.to_string())).collect();
    rig.produce(0, &messages).await;
    rig.pass(Duration::from_secs(5));
    let mut proxy = rig.proxy(0);
    let (step, records) = planned(&mut proxy).await;
    assert!(step.lanes.len() > 1);
    let lane = &step.lanes[0];
    let first: Vec<Message> =
        lane.offsets.iter().map(|at| super::super::message::delivered(&records[at].record, false)).collect();
    let stream = proxy.state.stream.expect("a stream");
    let target = StreamTarget { stream, topic: lane.topic, partition: lane.partition };
    rig.door.append_once(&proxy.router.ctx, target, lane.first, &first).await.expect("one lane");
    drop(proxy);
    let rig = rig.restarted().await;
    settle(&mut rig.proxy(0)).await;
    let mut all: Vec<i32> =
        (0..3).flat_map(|p| rig.values("orders", p)).map(|value| value.parse().expect("a number")).collect();
    all.sort_unstable();
    assert_eq!(all, (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn crash_upon_crash_delivers_once_and_in_order() {
    let mut rig = Rig::new().await;
    rig.topics(1).await;
    let mut expected = Vec::new();
    for round in 0..6 {
        let batch: Vec<String> = (0..3).map(|n| format!("{round}-{n}")).collect();
        rig.produce(0, &batch.iter().map(|value| message(value)).collect::<Vec<_>>()).await;
        expected.extend(batch);
        rig.pass(Duration::from_secs(5));
        let mut proxy = rig.proxy(0);
        if proxy.state.step.is_some() {
            proxy.turn().await.expect("the step before");
        }
        let (step, records) = planned(&mut proxy).await;
        if round % 2 == 0 {
            proxy.append(step, records).await.expect("appends");
        }
        drop(proxy);
        rig = rig.restarted().await;
    }
    settle(&mut rig.proxy(0)).await;
    assert_eq!(rig.values("orders", 0), expected);
}

#[tokio::test]
async fn a_year_later_everything_is_delivered_in_order_in_steps() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    for part in 0..5 {
        let messages: Vec<Message> = (0..500).map(|n| message(&(part * 500 + n).to_string())).collect();
        rig.produce(0, &messages).await;
        rig.pass(Duration::from_millis(10));
    }
    rig.pass(Duration::from_secs(365 * 86_400));
    let mut proxy = rig.proxy(0);
    assert_eq!(proxy.turn().await.expect("a turn"), Turn::Moved);
    assert_eq!(rig.values("orders", 0).len(), crate::limits::DELAY_STEP_RECORDS_MAX);
    settle(&mut proxy).await;
    let numbers: Vec<String> = (0..2_500).map(|n: i32| n.to_string()).collect();
    assert_eq!(rig.values("orders", 0), numbers);
}

#[tokio::test]
async fn a_step_ends_at_a_mebibyte() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    for _ in 0..3 {
        rig.produce(0, &[message(&"x".repeat(700_000))]).await;
    }
    rig.pass(Duration::from_secs(5));
    let mut proxy = rig.proxy(0);
    proxy.turn().await.expect("a turn");
    assert_eq!(rig.read("orders", 0).len(), 1);
    settle(&mut proxy).await;
    assert_eq!(rig.read("orders", 0).len(), 3);
}

#[tokio::test]
async fn a_clock_that_jumps_back_makes_records_wait_and_delivers_none_twice() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    rig.produce(0, &[message("a")]).await;
    rig.pass(Duration::from_secs(5));
    let mut proxy = rig.proxy(0);
    settle(&mut proxy).await;
    rig.produce(0, &[message("b")]).await;
    assert_eq!(settle(&mut proxy).await, Turn::NotYet(Duration::from_secs(1)));
    rig.clock.advance_ms(-3_600_000);
    assert_eq!(settle(&mut proxy).await, Turn::NotYet(Duration::from_secs(1)));
    rig.pass(Duration::from_secs(3_605));
    settle(&mut proxy).await;
    assert_eq!(rig.values("orders", 0), ["a", "b"]);
}

#[tokio::test]
async fn a_deleted_delay_topic_ends_its_task() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    rig.produce(0, &[message("a")]).await;
    let mut proxy = rig.proxy(0);
    rig.catalog.delete(PROXY).await.expect("deleted");
    assert_eq!(proxy.turn().await.expect("a turn"), Turn::Deleted);
}
