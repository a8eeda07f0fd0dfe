//! Disks that fail and commands that panic: what a shard answers then, and that the others go on.

use tokio::sync::oneshot;

use super::*;
use crate::log::io::faulty::WriteFault;

/// A request that waits in the machine, as a join does.
fn wait(bench: &Bench, shard: usize) -> oneshot::Receiver<ShardError> {
    let (waiter, answer) = oneshot::channel();
    let waiting = |numbers: &mut Numbers, _| {
        numbers.waiters.push(waiter);
        Outcome::of_own_state((), Plan::nothing())
    };
    drop(bench.shard(shard).run(waiting).expect("loaded"));
    answer
}

#[tokio::test]
async fn a_refused_batch_leaves_the_shard_as_it_was_and_is_given_back() {
    let bench = Bench::new().await;
    bench.settle(0, &[("a", 1)]).await;
    for fault in [WriteFault::Io, WriteFault::NoSpace, WriteFault::Short] {
        bench.disk.fail_write(1, fault);
        let plan = || Plan { then: vec!["then"], ..plan_of(&[("a", 2), ("b", 2)]) };
        let refused = bench.shard(0).run(|_, _| Outcome::new((), plan()));
        assert!(matches!(refused, Err(ShardError::Append(_))), "{refused:?}");
        assert_eq!(bench.all(0).await.expect("loaded"), map(&[("a", 1)]), "none of the batch, or all of it");
    }
    let (refused, stored) = bench.shard(0).read(|n| (n.refused.len(), n.stored.clone())).expect("loaded");
    assert_eq!((refused, stored), (6, vec!["refused"; 3]));
    bench.settle(0, &[("a", 3)]).await;
    let bench = bench.restarted().await;
    assert_eq!(bench.durable(0), map(&[("a", 3)]));
    bench.end().await;
}

#[tokio::test]
async fn a_partition_whose_sync_fails_unloads_its_shard_and_answers_who_waits() {
    let bench = Bench::new().await;
    bench.begun(0).await;
    let waiting = wait(&bench, 0);
    bench.disk.fail_sync(1);
    let ticket = bench.put(0, &[("a", 1)]).expect("appended");
    assert!(matches!(bounded_wait(ticket.durable()).await, Err(ShardError::Log(_))));
    assert!(matches!(bounded_wait(waiting).await, Ok(ShardError::Log(_))), "nobody has sent a command since");
    assert!(matches!(bench.put(0, &[("a", 2)]), Err(ShardError::Log(_))));
    assert!(matches!(bench.shard(0).read(|_| ()), Err(ShardError::Log(_))));
    let bench = bench.restarted().await;
    assert!(bench.put(0, &[("a", 3)]).is_ok(), "a restart loads it again");
    bench.end().await;
}

#[tokio::test]
async fn a_panic_in_a_command_unloads_its_shard_and_no_other() {
    let bench = Bench::new().await;
    bench.settle(0, &[("a", 1)]).await;
    let waiting = wait(&bench, 0);
    let panicked = bench.shard(0).run(|numbers, _| -> Outcome<Numbers, ()> {
        // Half of a change.
        numbers.durable.clear();
        panic!("a command's bug");
    });
    assert!(
        matches!(&panicked, Err(ShardError::Internal { what }) if what.contains("a command's bug")),
        "{panicked:?}"
    );
    assert!(matches!(bounded_wait(waiting).await, Ok(ShardError::Unavailable { .. })));
    assert!(matches!(bench.put(0, &[("a", 2)]), Err(ShardError::Unavailable { .. })));
    assert!(matches!(bench.shard(0).read(|_| ()), Err(ShardError::Unavailable { .. })), "not even a read");
    assert!(bench.runtime.failure().is_some_and(|failure| failure.contains("__numbers-0")));
    bench.settle(1, &[("b", 1)]).await;
    let bench = bench.restarted().await;
    assert_eq!((bench.durable(0), bench.runtime.failure()), (map(&[("a", 1)]), None));
    bench.end().await;
}

#[tokio::test]
async fn a_panic_of_a_timer_unloads_its_shard_and_the_timer_goes_on() {
    let bench = Bench::new().await;
    let set = |shard: usize, timer: Timed| {
        let set = |_: &mut Numbers, now: Now| {
            Outcome::of_own_state((), Plan { timers: vec![(timer, Some(now.mono))], ..Plan::nothing() })
        };
        drop(bench.shard(shard).run(set).expect("loaded"));
    };
    set(0, Timed::Panic);
    set(1, Timed::Count("ticks"));
    bench.runtime.run_due();
    assert!(matches!(bench.put(0, &[("a", 1)]), Err(ShardError::Unavailable { .. })));
    assert_eq!(bench.all(1).await.expect("durable"), map(&[("ticks", 1)]));
    bench.end().await;
}

#[tokio::test]
async fn a_partition_that_cannot_be_read_at_load_answers_why_and_the_others_work() {
    let bench = Bench::new().await;
    bench.settle(0, &[("a", 1)]).await;
    bench.settle(1, &[("b", 1)]).await;
    // A record that the machine does not understand, in the first partition.
    let bad = crate::record::Message { key: Some("a".into()), value: Some("no number".into()), ..Default::default() };
    let batch = crate::record::build(&[bad], crate::ids::TimestampMs(1), crate::record::Compression::None, None);
    let ticket = bench.shard(0).partition().append(batch.expect("a batch"), crate::log::Origin::Broker);
    bounded_wait(ticket.durable()).await.expect("durable");
    let bench = bench.restarted().await;
    assert!(matches!(bench.put(0, &[("a", 2)]), Err(ShardError::Log(_))));
    assert!(matches!(bench.shard(0).read(|_| ()), Err(ShardError::Log(_))), "never as if it had nothing");
    assert_eq!(bench.durable(1), map(&[("b", 1)]));
    bench.end().await;
}

#[tokio::test]
async fn a_panic_of_the_timers_task_answers_who_waits_in_every_shard() {
    let bench = Bench::new().await;
    let waiting = [wait(&bench, 0), wait(&bench, 2)];
    bench.tasks.inject_panic(NAMES.timer);
    for waiting in waiting {
        assert!(matches!(bounded_wait(waiting).await, Ok(ShardError::Unavailable { .. })));
    }
    assert!(matches!(bench.put(1, &[("a", 1)]), Err(ShardError::Unavailable { .. })), "no deadline would ever end");
    bench.end().await;
}

#[tokio::test]
async fn a_panic_of_a_shards_watch_unloads_that_shard_and_no_other() {
    let bench = Bench::new().await;
    let waiting = wait(&bench, 1);
    bench.tasks.inject_panic("numbers-shard __numbers-1");
    assert!(matches!(bounded_wait(waiting).await, Ok(ShardError::Unavailable { .. })));
    assert!(matches!(bench.put(1, &[("a", 1)]), Err(ShardError::Unavailable { .. })), "its failures go unseen");
    bench.settle(0, &[("a", 1)]).await;
    bench.end().await;
}

#[tokio::test]
async fn a_panic_of_the_task_that_follows_records_unloads_the_shard_instead_of_losing_what_waits_for_them() {
    let bench = Bench::new().await;
    bench.begun(0).await;
    let waiting = wait(&bench, 0);
    bench.disk.hold_syncs(true);
    let plan = || Plan { then: vec!["then"], ..plan_of(&[("a", 1)]) };
    let ticket = bench.shard(0).run(|_, _| Outcome::new((), plan())).expect("appended");
    bench.tasks.inject_panic(NAMES.under_way);
    assert!(matches!(bounded_wait(waiting).await, Ok(ShardError::Unavailable { .. })));
    assert!(matches!(bench.put(0, &[("a", 2)]), Err(ShardError::Unavailable { .. })));
    bench.disk.hold_syncs(false);
    bounded_wait(ticket.durable()).await.expect("the record itself is on its way");
    bench.end().await;
}

#[tokio::test]
async fn an_answer_that_stands_is_given_although_the_log_refuses_its_records() {
    let bench = Bench::new().await;
    bench.begun(0).await;
    bench.disk.fail_write(1, WriteFault::NoSpace);
    let plan = || Plan { then: vec!["then"], ..plan_of(&[("a", 1)]) };
    let stands = bench.shard(0).run(|_, _| Outcome::new(7, plan()).standing()).expect("carried out");
    assert_eq!(bounded_wait(stands.durable()).await.expect("an answer"), 7);
    let (refused, stored) = bench.shard(0).read(|n| (n.refused.len(), n.stored.clone())).expect("loaded");
    assert_eq!((refused, stored), (1, vec!["refused"]), "the machine learns of it");
    assert_eq!(bench.all(0).await.expect("durable"), map(&[("begun", 0)]));
    bench.end().await;
}
