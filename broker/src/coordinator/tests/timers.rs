//! Timers become commands, in the order of their deadlines, and never a loop.

use std::sync::Weak;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::numbers::Meanwhile;
use super::*;
use crate::coordinator::runtime::run_timer;

fn set(bench: &Bench, timer: Timed, after: Option<Duration>) {
    let command = |_: &mut Numbers, now: Now| {
        let timers = vec![(timer, after.map(|after| now.mono + after))];
        Outcome::of_own_state((), Plan { timers, ..Plan::nothing() })
    };
    drop(bench.shard(0).run(command).expect("loaded"));
}

#[tokio::test]
async fn a_timer_is_due_once_at_its_deadline_and_not_when_it_was_cancelled() {
    let bench = Bench::new().await;
    set(&bench, Timed::Count("kept"), Some(Duration::from_millis(10)));
    set(&bench, Timed::Count("cancelled"), Some(Duration::from_millis(10)));
    set(&bench, Timed::Count("cancelled"), None);
    bench.clock.advance_ms(9);
    bench.runtime.run_due();
    assert_eq!(bench.all(0).await.expect("durable"), map(&[]));
    bench.clock.advance_ms(1);
    bench.runtime.run_due();
    bench.runtime.run_due();
    assert_eq!(bench.all(0).await.expect("durable"), map(&[("kept", 1)]));
    bench.end().await;
}

#[tokio::test]
async fn a_machine_that_sets_its_timer_to_now_gets_one_call_a_pass() {
    let bench = Bench::new().await;
    bench.runtime.stop();
    bench.runtime.closed().await;
    set(&bench, Timed::Storm, Some(Duration::ZERO));
    for pass in 1..=3 {
        bench.runtime.run_due();
        assert_eq!(bench.shard(0).read(|numbers| numbers.storms).expect("loaded"), pass);
    }
    bench.end().await;
}

#[tokio::test]
async fn the_timers_task_runs_what_is_due_by_itself() {
    let disk = FaultyDisk::new();
    let settings = LogDirSettings { path: "/data".into(), disk: Arc::new(disk) };
    let log_dir = LogDir::open(settings, Arc::new(MachineClock)).expect("a log directory");
    let partitions = Arc::new(vec![partition(&log_dir, LogDir::create, 0)]);
    let runtime: Arc<Runtime<Numbers>> = Runtime::start(NAMES, &Tasks::new(), Arc::new(MachineClock));
    runtime.load(partitions, Numbers::default).await.expect("it is loaded");
    let shard = Arc::clone(&runtime.shards().expect("it is loaded")[0]);
    let storm = |_: &mut Numbers, now: Now| {
        Outcome::of_own_state((), Plan { timers: vec![(Timed::Storm, Some(now.mono))], ..Plan::nothing() })
    };
    drop(shard.run(storm).expect("loaded"));
    bounded_wait_until(|| shard.read(|numbers| numbers.storms).expect("loaded") >= 3).await;
    runtime.stop();
    bounded_wait(runtime.closed()).await;
}

#[tokio::test]
async fn a_timer_that_is_due_before_the_shards_are_set_is_not_lost() {
    let bench = Bench::unloaded(FaultyDisk::new());
    let runtime = Arc::downgrade(&bench.runtime);
    let machine = move || {
        let runtime = Weak::clone(&runtime);
        // The timers of the shards that have begun before this one are due.
        let pass = move || assert!(!runtime.upgrade().expect("it loads").run_due(), "no shard takes commands yet");
        Numbers {
            at_load: Some(Timed::Count("early")),
            while_loading: Some(Meanwhile(Box::new(pass))),
            ..Numbers::default()
        }
    };
    bench.load(LogDir::create, machine).await;
    bench.runtime.run_due();
    for shard in 0..3 {
        assert_eq!(bench.all(shard).await.expect("durable"), map(&[("early", 1)]), "shard {shard}");
    }
    bench.end().await;
}

#[tokio::test]
async fn the_timers_task_of_a_runtime_that_is_being_dropped_waits_until_it_is_asked_to_stop() {
    let stopping = CancellationToken::new();
    let mut timer = Box::pin(run_timer(Weak::<Runtime<Numbers>>::new(), stopping.clone()));
    assert!(timer.as_mut().now_or_never().is_none(), "a vital task that ends early ends the broker");
    stopping.cancel();
    timer.await;
}
