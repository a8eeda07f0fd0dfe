//! Rules 1, 2, 8 and 15: what may be shown and when, and what a failing disk does to whom.

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::Notify;

use super::*;
use crate::log::error::{AppendError, ConditionalAppendError, LogError};
use crate::log::io::faulty::WriteFault;
use crate::log::write::producers::RESERVED_PRODUCER_IDS;

#[tokio::test]
async fn rule_2_nothing_is_shown_or_answered_before_its_sync() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), config()).unwrap();
    settle(&partition, "old").await;
    bench.disk.hold_syncs(true);
    let notify = Arc::new(Notify::new());
    let _watch = partition.watch(&notify);

    let appended = partition.append(stamped("new", 5, 0), Origin::Client);
    let again = partition.append(stamped("new", 5, 0), Origin::Client);
    assert!(again.placed().unwrap().duplicate);
    let refused = partition.append(stamped("gap", 5, 9), Origin::Client);
    let wrong_end = partition.append_if_end(batch("b"), Origin::Client, Offset(1));

    assert_eq!(values(&partition), ["old"]);
    assert!(partition.read(Offset(1), 100).unwrap().is_empty());
    assert!(matches!(partition.read(Offset(2), 100), Err(LogError::OutOfRange { end: Offset(1), .. })));
    assert_eq!(partition.find_time(TimestampMs(0)).unwrap().unwrap().offset, Offset(0));
    assert_eq!(partition.epoch_end(LeaderEpoch(0)), Some((LeaderEpoch(0), Offset(1))));
    assert!(appended.clone().durable().now_or_never().is_none());
    assert!(again.clone().durable().now_or_never().is_none(), "a duplicate reveals what it repeats");
    assert!(refused.clone().durable().now_or_never().is_none(), "an error reveals what it compares with");
    assert!(wrong_end.clone().durable().now_or_never().is_none(), "so does the end of the log");
    let unrelated = partition.append(stamped("v", RESERVED_PRODUCER_IDS.0, 0), Origin::Client);
    assert!(matches!(unrelated.durable().now_or_never(), Some(Err(AppendError::ReservedProducerId { .. }))));
    assert!(notify.notified().now_or_never().is_none());

    bench.disk.hold_syncs(false);
    assert_eq!(bounded_wait(appended.durable()).await.unwrap().base_offset, Offset(1));
    assert_eq!(bounded_wait(again.durable()).await.unwrap().base_offset, Offset(1));
    assert!(matches!(
        bounded_wait(refused.durable()).await,
        Err(AppendError::OutOfOrderSequence { expected: Sequence(1), .. })
    ));
    assert!(matches!(
        bounded_wait(wrong_end.durable()).await,
        Err(ConditionalAppendError::WrongEnd { end: Offset(2) })
    ));
    bounded_wait(notify.notified()).await;
    assert_eq!(values(&partition), ["old", "new"]);
    let offsets = partition.offsets();
    assert_eq!((offsets.hw, offsets.lso, offsets.leo), (Offset(2), Offset(2), Offset(2)));
}

#[tokio::test]
async fn rule_1_without_waiting_for_syncs_hw_is_leo_and_only_a_sync_moves_the_recovery_point() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), LogConfig { sync: false, ..config() }).unwrap();
    bench.disk.hold_syncs(true);
    let appended = append(&partition, "a");
    bounded_wait(appended.clone().durable()).await.unwrap();
    assert_eq!(values(&partition), ["a"]);
    let offsets = partition.offsets();
    assert_eq!((offsets.recovery_point, offsets.hw, offsets.leo), (Offset(0), Offset(1), Offset(1)));
    bench.disk.hold_syncs(false);
    partition.flushed().await.unwrap();
    assert_eq!(
        partition.offsets().recovery_point,
        Offset(0),
        "only the epoch entry of the term's first append was synced"
    );
    // Rule 18: a deduplicated append is synced all the same.
    bounded_wait(appended.synced()).await.unwrap();
    assert_eq!(partition.offsets().recovery_point, Offset(1));
}

#[tokio::test]
async fn a_change_of_flush_is_in_force_at_once() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), config()).unwrap();
    settle(&partition, "first").await;
    bench.disk.hold_syncs(true);
    let appended = append(&partition, "a");
    partition.reconfigure(LogConfig { sync: false, ..config() });
    bounded_wait(appended.clone().durable()).await.unwrap();
    bench.disk.hold_syncs(false);
    partition.reconfigure(config());
    bounded_wait(appended.synced()).await.unwrap();
    assert_eq!(partition.offsets().recovery_point, Offset(2));
}

#[tokio::test]
async fn rule_2_what_was_begun_before_the_topic_syncs_is_not_shown_before_its_sync_either() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), LogConfig { sync: false, ..config() }).unwrap();
    add(&partition, "a");
    bench.disk.hold_syncs(true);
    partition.reconfigure(config());
    let appended = append(&partition, "b");
    // The last step of an append that looked at the config before it was changed.
    partition.show_everything();
    assert_eq!(partition.offsets().hw, Offset(1));
    assert!(appended.clone().durable().now_or_never().is_none());
    bench.disk.hold_syncs(false);
    bounded_wait(appended.durable()).await.unwrap();
}

#[tokio::test]
async fn rule_8_a_failed_sync_poisons_until_restart_and_leaves_the_others_alone() {
    let mut bench = Bench::new();
    {
        let dir = bench.open();
        let (bad, good) = (dir.create(ident("bad"), config()).unwrap(), dir.create(ident("good"), config()).unwrap());
        settle(&bad, "kept").await;
        settle(&good, "kept").await;
        let notify = Arc::new(Notify::new());
        let _watch = bad.watch(&notify);
        bench.disk.fail_sync(1);
        let lost = append(&bad, "lost");
        assert!(matches!(bounded_wait(lost.clone().durable()).await, Err(AppendError::Log(LogError::Poisoned { .. }))));
        bounded_wait(notify.notified()).await;
        assert!(dir.first_failure().unwrap().contains("bad-0"));
        let refused = bad.append(batch("more"), Origin::Client).placed().unwrap_err().clone();
        assert!(matches!(refused, AppendError::Log(LogError::Poisoned { .. })));
        assert_eq!((bad.offsets().hw, values(&bad)), (Offset(1), vec!["kept".to_owned()]));
        settle(&good, "fine").await;
        // The pages are clean now: whoever syncs them again is told that all is well. Nobody does.
        let syncs = bench.disk.syncs();
        assert!(matches!(bounded_wait(lost.synced()).await, Err(AppendError::Log(LogError::Poisoned { .. }))));
        assert_eq!(bench.disk.syncs(), syncs);
        assert!(matches!(dir.close(), Err(LogError::Poisoned { .. })));
    }
    bench.kill();
    let dir = bench.open();
    assert!(dir.was_unclean(), "no marker after a failed sync");
    assert_eq!(values(&dir.open_existing(ident("good"), config()).unwrap()), ["kept", "fine"]);
    let bad = dir.open_existing(ident("bad"), config()).unwrap();
    bad.usable().unwrap();
    settle(&bad, "again").await;
}

#[tokio::test]
async fn rule_8_a_failed_sync_of_many_poisons_all_that_it_was_for() {
    let bench = Bench::new();
    let dir = bench.open();
    let partitions: Vec<_> = ["a", "b", "c"].map(|name| dir.create(ident(name), config()).unwrap()).into();
    for partition in &partitions {
        settle(partition, "kept").await;
    }
    bench.disk.hold_syncs(true);
    let first = append(&partitions[0], "in the group that is being synced");
    bench.disk.await_held_sync();
    let waits: Vec<_> = partitions[1..].iter().map(|partition| append(partition, "in the next group")).collect();
    bench.disk.fail_sync(1);
    bench.disk.hold_syncs(false);
    bounded_wait(first.durable()).await.unwrap();
    for appended in waits {
        let outcome = bounded_wait(appended.durable()).await;
        assert!(matches!(outcome, Err(AppendError::Log(LogError::Poisoned { .. }))), "{outcome:?}");
    }
}

#[tokio::test]
async fn rule_8_a_failed_sync_of_many_is_believed_by_nobody_also_when_its_partition_is_deleted_by_then() {
    let bench = Bench::new();
    let dir = bench.open();
    let going = dir.create(ident("going"), small_segments()).unwrap();
    let others: Vec<_> = ["b", "c"].map(|name| dir.create(ident(name), config()).unwrap()).into();
    for partition in others.iter().chain([&going, &going, &going]) {
        settle(partition, "kept").await;
    }
    bench.disk.hold_syncs(true);
    bench.disk.fail_sync(1);
    // It rolls: several files are dirty, one sync of the file system is for all of them.
    let lost = append(&going, "a batch that does not fit into the segment any more");
    bench.disk.await_held_sync();
    let waits: Vec<_> = others.iter().map(|partition| append(partition, "written meanwhile")).collect();
    let removing = std::thread::spawn({
        let (dir, going) = (Arc::clone(&dir), Arc::clone(&going));
        move || dir.remove(&going)
    });
    assert!(matches!(bounded_wait(lost.durable()).await, Err(AppendError::Log(LogError::Deleted { .. }))));
    bench.disk.hold_syncs(false);
    for appended in waits {
        let outcome = bounded_wait(appended.durable()).await;
        assert!(matches!(outcome, Err(AppendError::Log(LogError::Poisoned { .. }))), "{outcome:?}");
    }
    removing.join().unwrap().unwrap();
}

#[tokio::test]
async fn rule_8_a_failed_write_is_no_poison() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), config()).unwrap();
    settle(&partition, "a").await;
    let whole = bench.len("/data/t-0/00000000000000000000.log");
    for fault in [WriteFault::Short, WriteFault::NoSpace, WriteFault::Io] {
        bench.disk.fail_write(1, fault);
        let refused = partition.append(batch("does not fit"), Origin::Client).placed().unwrap_err().clone();
        assert!(matches!(refused, AppendError::Log(LogError::Io { .. })), "{fault:?}: {refused}");
        assert_eq!(bench.len("/data/t-0/00000000000000000000.log"), whole, "rule 15: cut back to the last whole batch");
        partition.usable().unwrap();
    }
    bench.disk.set_space(Some(0));
    assert!(partition.append(batch("no room"), Origin::Client).placed().is_err());
    bench.disk.set_space(None);
    assert_eq!(settle(&partition, "b").await.base_offset, Offset(1));
    assert_eq!(values(&partition), ["a", "b"]);
}

#[tokio::test]
async fn a_sequence_that_was_refused_for_want_of_room_is_taken_when_there_is_some() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), config()).unwrap();
    partition.append(stamped("0", 5, 0), Origin::Client).placed().unwrap();
    bench.disk.fail_write(1, WriteFault::Short);
    assert!(partition.append(stamped("1", 5, 1), Origin::Client).placed().is_err());
    let retried = partition.append(stamped("1", 5, 1), Origin::Client).placed().cloned().unwrap();
    assert!(!retried.duplicate);
    assert_eq!(retried.base_offset, Offset(1));
}

#[tokio::test]
async fn rule_8_a_roll_that_finds_no_room_is_tried_again() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), small_segments()).unwrap();
    for n in 0..3 {
        settle(&partition, &n.to_string()).await;
    }
    for nth in 1..=3 {
        bench.disk.fail_write(nth, WriteFault::NoSpace);
        let _ = partition.append(batch("x"), Origin::Client);
    }
    bench.disk.set_space(None);
    for n in 0..20 {
        let _ = partition.append(batch(&format!("later {n}")), Origin::Client);
    }
    let end = partition.offsets().leo;
    partition.durable(end).await.unwrap();
    let offsets: Vec<i64> = read_all(&partition, 100).into_iter().map(|(offset, ..)| offset).collect();
    assert_eq!(offsets, (0..end.0).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_waiters_of_many_partitions_share_few_syncs() {
    let bench = Bench::new();
    let dir = bench.open();
    let partitions: Vec<_> = (0..20).map(|n| dir.create(ident(&format!("t{n}")), config()).unwrap()).collect();
    for partition in &partitions {
        settle(partition, "first").await;
    }
    bench.disk.hold_syncs(true);
    let before = bench.disk.syncs();
    let mut waits = Vec::new();
    for n in 0..50 {
        for partition in &partitions {
            waits.push(append(partition, &n.to_string()));
        }
    }
    bench.disk.hold_syncs(false);
    for ticket in waits {
        bounded_wait(ticket.durable()).await.unwrap();
    }
    assert!(bench.disk.syncs() - before <= 3, "{} syncs for 1,000 appends", bench.disk.syncs() - before);
}

#[test]
fn rule_15_files_end_where_their_content_does() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), small_segments()).unwrap();
    for n in 0..10 {
        add(&partition, &n.to_string());
    }
    dir.close().unwrap();
    let logs: Vec<String> = bench.names("/data/t-0").into_iter().filter(|name| name.ends_with(".log")).collect();
    assert!(logs.len() > 2, "{logs:?}");
    let mut at = 0;
    for log in logs {
        assert_eq!(log, format!("{at:020}.log"));
        let mut bytes = Bytes::from(bench.disk.bytes(&Path::new("/data/t-0").join(&log)).unwrap());
        while !bytes.is_empty() {
            let stored = check_stored(bytes.clone()).unwrap();
            assert_eq!(stored.header().base_offset.0, at);
            at = stored.header().next_offset().0;
            bytes = bytes.split_off(stored.header().size);
        }
    }
    assert_eq!(at, 10);
}

#[tokio::test]
async fn a_panic_in_an_append_takes_the_partition_out_of_service_and_no_other() {
    let mut bench = Bench::new();
    {
        let dir = bench.open();
        let (bad, good) = (dir.create(ident("bad"), config()).unwrap(), dir.create(ident("good"), config()).unwrap());
        settle(&bad, "kept").await;
        settle(&good, "kept").await;
        bench.disk.hold_syncs(true);
        let waiting = append(&bad, "waits for its sync");
        bench.disk.fail_write(1, WriteFault::Panic);
        let panicked = std::thread::spawn({
            let bad = Arc::clone(&bad);
            move || bad.append(batch("half way"), Origin::Client).forget()
        });
        assert!(panicked.join().is_err());
        let ended = |error: &AppendError| matches!(error, AppendError::Log(LogError::Panicked { .. }));
        assert!(ended(&bounded_wait(waiting.durable()).await.unwrap_err()), "who waits is answered");
        assert!(
            ended(&bounded_wait(bad.append(batch("more"), Origin::Client).durable()).await.unwrap_err()),
            "who comes too"
        );
        assert!(matches!(bad.read(Offset(0), 100), Err(LogError::Panicked { .. })), "what is in memory is not shown");
        assert!(dir.first_failure().unwrap().contains("bad-0"), "readiness names it");
        bench.disk.hold_syncs(false);
        settle(&good, "fine").await;
        assert!(dir.close().is_err(), "no clean stop");
    }
    bench.kill();
    let dir = bench.open();
    assert!(dir.was_unclean());
    let bad = dir.open_existing(ident("bad"), config()).unwrap();
    assert_eq!(values(&bad), ["kept", "waits for its sync"]);
    settle(&bad, "again").await;
}

#[tokio::test]
async fn a_broken_rule_1_takes_the_partition_out_of_service() {
    let bench = Bench::new();
    let dir = bench.open();
    let partition = dir.create(ident("t"), LogConfig { sync: false, ..config() }).unwrap();
    let shown = settle(&partition, "not synced").await.last_offset.next();
    // What `move_start` asks first, and what stands behind that.
    assert!(matches!(partition.view().positions.may_begin_at(shown), Err(LogError::Internal { .. })));
    let broken = std::thread::spawn({
        let partition = Arc::clone(&partition);
        move || partition.begin_at(shown)
    });
    assert!(broken.join().is_err());
    assert!(matches!(partition.usable(), Err(LogError::Panicked { .. })));
    assert!(bounded_wait(partition.append(batch("more"), Origin::Client).durable()).await.is_err());
}
