//! Batches that open large, in a delay topic: nobody has to read it, the service does.

use futures::FutureExt;

use super::*;

const LETTERS: &str = "orders.delay.5s.dead-letter";

#[tokio::test]
async fn a_record_that_opens_too_large_is_a_dead_letter_with_its_batch_and_the_others_are_delivered() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    let huge = || Message { value: Some(vec![0; 40 << 20].into()), ..Message::default() };
    rig.produce_as(0, &[message("a"), huge(), message("b"), huge(), message("c")], Compression::Zstd).await;
    rig.produce(0, &[message("d")]).await;
    rig.pass(Duration::from_secs(5));
    assert_eq!(settle(&mut rig.proxy(0)).await, Turn::Idle);
    assert_eq!(rig.values("orders", 0), ["a", "b", "c", "d"]);
    let letters = rig.read(LETTERS, 0);
    assert_eq!(letters.len(), 2, "never dropped in silence");
    let (first, second) = (&letters[0], &letters[1]);
    assert!(header(first, "sluice-dead-letter-reason").is_some_and(|why| why.contains("when opened")), "{first:?}");
    assert_eq!(header(first, "sluice-origin-offset"), Some("1"));
    let batch = record::check_stored(first.value.clone().expect("the batch")).expect("as it was stored");
    assert_eq!(batch.header().record_count, 5);
    assert_eq!((header(second, "sluice-origin-offset"), &second.value), (Some("3"), &None), "once is enough");
    assert_eq!(settle(&mut rig.proxy(0)).await, Turn::Idle);
    assert_eq!(rig.read(LETTERS, 0).len(), 2, "nor again after a restart");
}

#[tokio::test]
async fn a_batch_that_opens_large_is_delivered_in_steps_that_are_small() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    let one = || Message { value: Some(vec![0; 300 << 10].into()), ..Message::default() };
    let messages: Vec<Message> = (0..40).map(|_| one()).collect();
    rig.produce_as(0, &messages, Compression::Gzip).await;
    rig.pass(Duration::from_secs(5));
    let proxy = rig.proxy(0);
    let Head::Due { records, until } = due_now(&proxy, Offset::ZERO, rig.clock.wall()).await else { panic!() };
    assert_eq!((records.len(), until), (3, Offset(3)), "a MiB of them");
    assert_eq!(settle(&mut rig.proxy(0)).await, Turn::Idle);
    assert_eq!(rig.read("orders", 0).len(), 40);
}

#[tokio::test]
async fn empty_headers_fill_a_step() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    let header = Header { key: String::new(), value: None };
    let one = Message { headers: vec![header; 10_000], ..message("x") };
    rig.produce_as(0, &vec![one; 30], Compression::Zstd).await;
    rig.pass(Duration::from_secs(5));
    let proxy = rig.proxy(0);
    let Head::Due { records, .. } = due_now(&proxy, Offset::ZERO, rig.clock.wall()).await else { panic!() };
    assert!((1..3).contains(&records.len()), "{}", records.len());
}

#[tokio::test]
async fn a_large_record_waits_for_leave_and_holds_none_meanwhile() {
    let rig = Rig::new().await;
    rig.topics(1).await;
    let large = Message { value: Some(vec![7; 5 << 20].into()), ..Message::default() };
    rig.produce_as(0, &[large], Compression::Zstd).await;
    rig.pass(Duration::from_secs(5));
    let mut proxy = rig.proxy(0);
    assert_eq!(proxy.turn().await.expect("a turn"), Turn::Moved);
    assert_eq!((proxy.steps, rig.shared.steps.available_permits()), (5, crate::limits::DELAY_STEPS_AT_ONCE));
    assert_eq!(settle(&mut proxy).await, Turn::Idle);
    assert_eq!(proxy.steps, 1);
    assert_eq!(rig.read(LETTERS, 0).len(), 1, "larger than the target takes, so it goes where any size goes");
}

#[tokio::test]
async fn a_partition_whose_reads_are_long_waits_for_its_turn_without_a_step() {
    let rig = Rig::new().await;
    rig.topics(2).await;
    let one = || Message { value: Some(vec![0; 900 << 10].into()), ..Message::default() };
    let messages: Vec<Message> = (0..12).map(|_| one()).collect();
    rig.produce_as(0, &messages, Compression::Zstd).await;
    rig.produce(1, &[message("small")]).await;
    rig.pass(Duration::from_secs(5));
    let (mut large, mut small) = (rig.proxy(0), rig.proxy(1));
    while !large.long {
        assert_eq!(
            large.turn().await.expect("a turn"),
            Turn::Moved,
            "its later records are behind much that is opened"
        );
    }
    let others = rig.shared.long_reads.acquire_many(2).await.expect("never closed");
    assert!(large.turn().now_or_never().is_none(), "others open much");
    assert_eq!(rig.shared.steps.available_permits(), crate::limits::DELAY_STEPS_AT_ONCE);
    assert_eq!(settle(&mut small).await, Turn::Idle, "nobody small waits behind them");
    drop(others);
    assert_eq!(settle(&mut large).await, Turn::Idle);
    assert!(!large.long, "the batch is behind it");
    assert_eq!((rig.read("orders", 0).len(), rig.values("orders", 1)), (12, vec!["small".to_owned()]));
}
