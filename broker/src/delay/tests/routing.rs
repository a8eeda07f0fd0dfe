//! Where records end up: partitions, headers, and the dead-letter topic for what cannot be delivered.

use super::*;
use crate::delay::message::{ORIGIN_TIMESTAMP, REASON};
use crate::ids::TimestampMs;
use crate::topics::{ConfigChange, ConfigOp};

const LETTERS: &str = "orders.delay.5s.dead-letter";

#[tokio::test]
async fn a_record_keeps_its_partition_number_where_the_counts_are_equal() {
    let rig = Rig::new().await;
    rig.topics(3).await;
    rig.produce(2, &[keyed("k", "a"), message("b")]).await;
    rig.pass(Duration::from_secs(5));
    settle(&mut rig.proxy(2)).await;
    assert_eq!(rig.values("orders", 2), ["a", "b"]);
}

#[tokio::test]
async fn other_counts_hash_the_key_as_java_does_and_keyless_records_stay_together() {
    let rig = Rig::new().await;
    rig.topics(2).await;
    rig.catalog.grow("orders", 5, false).await.expect("more partitions");
    rig.produce(1, &[keyed("k", "a"), message("b"), keyed("k", "c")]).await;
    rig.pass(Duration::from_secs(5));
    settle(&mut rig.proxy(1)).await;
    let hashed = record::partition_for_key(b"k", 5).0;
    let keyless: Vec<String> = rig.values("orders", 1).into_iter().filter(|value| value == "b").collect();
    let keyed: Vec<String> = rig.values("orders", hashed).into_iter().filter(|value| value != "b").collect();
    assert_eq!((keyless, keyed), (vec!["b".to_owned()], vec!["a".to_owned(), "c".to_owned()]));
}

#[tokio::test]
async fn a_delivered_record_has_the_time_of_delivery_and_its_own_in_a_header() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    let forged = Header { key: ORIGIN_TIMESTAMP.into(), value: Some(Bytes::from_static(b"1")) };
    let own = Header { key: "h".into(), value: Some(Bytes::from_static(b"v")) };
    let sent = Message { headers: vec![forged, own.clone()], timestamp: Some(TimestampMs(777)), ..keyed("k", "v") };
    rig.produce(0, &[sent]).await;
    rig.pass(Duration::from_secs(6));
    settle(&mut rig.proxy(0)).await;
    let record = rig.read("orders", 0).remove(0);
    assert_eq!(record.timestamp, rig.clock.wall());
    assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"k"[..]), Some(&b"v"[..])));
    let origin = Header { key: ORIGIN_TIMESTAMP.into(), value: Some(Bytes::from_static(b"777")) };
    assert_eq!(record.headers, vec![own, origin]);
}

#[tokio::test]
async fn a_deleted_target_is_made_again_for_later_steps() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    rig.produce(0, &[message("a")]).await;
    rig.catalog.delete("orders").await.expect("deleted");
    rig.pass(Duration::from_secs(5));
    settle(&mut rig.proxy(0)).await;
    assert_eq!(rig.values("orders", 0), ["a"]);
}

#[tokio::test]
async fn without_auto_create_a_missing_target_means_dead_letters() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    rig.produce(0, &[keyed("k", "a")]).await;
    rig.catalog.delete("orders").await.expect("deleted");
    let Rig { folder, config, clock, log_dir, catalog, groups, door, shared } = rig;
    groups.stop();
    groups.closed().await;
    catalog.closed().await;
    drop((catalog, groups, door, shared));
    log_dir.close().expect("a clean stop");
    drop(log_dir);
    let config = BrokerConfig { auto_create_topics: false, ..config };
    let rig = Rig::over(folder, config, clock.wall().0).await;
    rig.pass(Duration::from_secs(5));
    assert_eq!(settle(&mut rig.proxy(0)).await, Turn::Idle);
    let letter = rig.read(LETTERS, 0).remove(0);
    assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(&b"k"[..]), Some(&b"a"[..])));
    assert!(header(&letter, REASON).is_some_and(|reason| reason.contains("there is no topic 'orders'")));
    assert_eq!(header(&letter, "sluice-origin-offset"), Some("0"));
}

#[tokio::test]
async fn a_step_whose_target_was_recreated_goes_to_the_dead_letters_once() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    rig.produce(0, &[message("a"), message("b")]).await;
    rig.pass(Duration::from_secs(5));
    let mut proxy = rig.proxy(0);
    let head = due_now(&proxy, Offset::ZERO, rig.clock.wall()).await;
    let Head::Due { records, until } = head else { panic!("nothing is due") };
    let to = proxy.router.route(&records).await.expect("routes");
    let routed: Vec<_> = records.iter().map(|found| found.record.offset).zip(to).collect();
    proxy.begin(&routed, until, Vec::new()).await.expect("a step bound to the first 'orders'");
    drop(proxy);
    rig.catalog.delete("orders").await.expect("deleted");
    rig.catalog.create(NewTopic::named("orders")).await.expect("recreated");
    settle(&mut rig.proxy(0)).await;
    assert!(rig.values("orders", 0).is_empty());
    assert_eq!(rig.values(LETTERS, 0), ["a", "b"]);
    rig.produce(0, &[message("c")]).await;
    rig.pass(Duration::from_secs(5));
    settle(&mut rig.proxy(0)).await;
    assert_eq!(rig.values("orders", 0), ["c"], "the next step takes the topic of that name");
    assert_eq!(rig.values(LETTERS, 0), ["a", "b"]);
}

#[tokio::test]
async fn a_record_larger_than_the_target_takes_is_a_dead_letter_and_blocks_nothing() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    let small = ConfigChange { key: "max.message.bytes".into(), op: ConfigOp::Set("2000".into()) };
    rig.catalog.alter_configs("orders", &[small], false).await.expect("a smaller limit");
    let large = "x".repeat(3_000);
    rig.produce(0, &[message("a"), message(&large), message("b")]).await;
    rig.pass(Duration::from_secs(5));
    settle(&mut rig.proxy(0)).await;
    assert_eq!(rig.values("orders", 0), ["a", "b"]);
    let letter = rig.read(LETTERS, 0).remove(0);
    assert_eq!(letter.value.as_ref().map(Bytes::len), Some(3_000));
    assert!(header(&letter, REASON).is_some_and(|reason| reason.contains("max.message.bytes")));
}

#[tokio::test]
async fn a_record_of_just_the_targets_size_is_delivered_with_our_headers_on_top() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    let sent = message(&"x".repeat(1_500));
    let exact = record::size_bound(&sent).expect("a size") + crate::limits::BATCH_HEADER_BYTES;
    let limit = ConfigChange { key: "max.message.bytes".into(), op: ConfigOp::Set(exact.to_string()) };
    rig.catalog.alter_configs("orders", &[limit], false).await.expect("a limit");
    rig.produce(0, &[sent]).await;
    rig.pass(Duration::from_secs(5));
    settle(&mut rig.proxy(0)).await;
    assert_eq!(rig.read("orders", 0).len(), 1);
}

#[tokio::test]
async fn a_batch_that_cannot_be_opened_is_one_dead_letter_and_the_next_ones_go_on() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    let topic = rig.catalog.topic(PROXY).expect("the delay topic");
    let partition = topic.partition(PartitionId(0)).expect("a partition");
    let good = record::build(&[message("lost"), message("lost")], rig.clock.wall(), Compression::Gzip, None);
    let mut bytes = good.expect("a batch").bytes().to_vec();
    bytes[61..].fill(0xee);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let batch = record::check_produced(bytes.into(), 1 << 20).expect("compressed records are not opened");
    partition.append(batch, Origin::Client).durable().await.expect("durable");
    rig.produce(0, &[message("b")]).await;
    rig.pass(Duration::from_secs(5));
    settle(&mut rig.proxy(0)).await;
    assert_eq!(rig.values("orders", 0), ["b"]);
    let letters = rig.read(LETTERS, 0);
    assert_eq!(letters.len(), 1);
    assert!(header(&letters[0], REASON).is_some_and(|reason| reason.contains("cannot be opened")));
}

#[tokio::test]
async fn a_delay_topic_may_deliver_to_a_delay_topic_and_the_first_time_stays() {
    let rig = Rig::new().await;
    let chain = "orders.delay.5s.delay.2s";
    rig.catalog.create(NewTopic { partitions: Some(1), ..NewTopic::named(chain) }).await.expect("three topics");
    let outer = rig.catalog.topic(chain).expect("the outer delay topic");
    let partition = outer.partition(PartitionId(0)).expect("a partition");
    let sent = Message { timestamp: Some(TimestampMs(777)), ..message("a") };
    let batch = record::build(&[sent], rig.clock.wall(), Compression::None, None).expect("a batch");
    partition.append(batch, Origin::Broker).durable().await.expect("durable");
    let mut first = rig.proxy(0);
    first.key.topic = outer.id();
    first.delay = Duration::from_secs(2);
    first.partition = rig.door.follow(&first.router.ctx, outer.id(), PartitionId(0)).expect("a partition");
    first.router.proxy = proxy_topic(&outer);
    rig.pass(Duration::from_secs(2));
    settle(&mut first).await;
    let mut second = rig.proxy(0);
    rig.pass(Duration::from_millis(4_999));
    settle(&mut second).await;
    assert!(rig.read("orders", 0).is_empty(), "the second delay counts from the first delivery");
    rig.pass(Duration::from_millis(1));
    settle(&mut second).await;
    assert_eq!(header(&rig.read("orders", 0)[0], ORIGIN_TIMESTAMP), Some("777"));
}
