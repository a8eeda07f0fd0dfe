//! Timers become commands, in the order of their deadlines, and never a loop.

use std::time::Duration;

use super::*;

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
    while shard.read(|numbers| numbers.storms).expect("loaded") < 3 {
        tokio::task::yield_now().await;
    }
    runtime.stop();
    runtime.closed().await;
}
