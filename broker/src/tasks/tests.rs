//! Vital tasks and request tasks that end, panic, or are stopped: who notices, and what follows.

use std::sync::atomic::AtomicBool;

use tokio::sync::oneshot;

use super::*;

fn poisoned() -> (Arc<AtomicBool>, impl FnOnce(&TaskFailure) + Send + 'static) {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    (flag, move |_| set.store(true, Ordering::SeqCst))
}

#[tokio::test]
async fn a_vital_task_that_ends_when_it_was_asked_to_is_no_failure() {
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let waits = stop.clone();
    let task = tasks.vital(Vital::new("t", stop.clone()), async move { waits.cancelled().await });
    stop.cancel();
    task.ended().await;
    assert_eq!(tasks.failure(), None);
}

#[tokio::test]
async fn a_vital_task_that_returns_too_early_poisons_and_is_named() {
    let tasks = Tasks::new();
    let (flag, poison) = poisoned();
    let task = tasks.vital(Vital::new("t", CancellationToken::new()).poisons(poison), async {});
    task.ended().await;
    assert!(flag.load(Ordering::SeqCst));
    assert_eq!(tasks.failed().await, TaskFailure { task: "t".into(), end: AbnormalEnd::Returned });
}

#[tokio::test]
async fn a_vital_task_that_panics_poisons_and_is_named_with_the_message() {
    let tasks = Tasks::new();
    let (flag, poison) = poisoned();
    let task = tasks.vital(Vital::new("t", CancellationToken::new()).poisons(poison), async { panic!("of {}", "t") });
    task.ended().await;
    assert!(flag.load(Ordering::SeqCst));
    assert_eq!(tasks.failure().unwrap().to_string(), "t panicked: of t");
}

#[tokio::test]
async fn a_vital_thread_that_panics_or_returns_too_early_is_a_failure_and_one_that_was_asked_is_not() {
    let tasks = Tasks::new();
    let stop = CancellationToken::new();
    let (asked, wake) = (stop.clone(), Arc::new((Mutex::new(()), Condvar::new())));
    let (of_wake, of_thread) = (Arc::clone(&wake), wake);
    let notify = move || {
        let _held = of_wake.0.lock();
        of_wake.1.notify_all();
    };
    let good = tasks.vital_thread(Vital::new("good", stop), notify, move |_| {
        let mut held = of_thread.0.lock();
        while !asked.is_cancelled() {
            of_thread.1.wait(&mut held);
        }
    });
    good.unwrap().end();
    assert_eq!(tasks.failure(), None);
    let (flag, poison) = poisoned();
    let bad = Vital::new("bad", CancellationToken::new()).poisons(poison);
    let bad = tasks.vital_thread(bad, || {}, |_| panic!("bad")).unwrap();
    assert_eq!(tasks.failed().await.to_string(), "bad panicked: bad");
    bad.end();
    assert!(flag.load(Ordering::SeqCst));
    let early = Tasks::new();
    let _thread = early.vital_thread(Vital::new("early", CancellationToken::new()), || {}, |_| {}).unwrap();
    assert_eq!(early.failed().await.end, AbnormalEnd::Returned);
}

#[tokio::test]
async fn a_poison_that_panics_itself_leaves_the_failure_as_it_is() {
    let tasks = Tasks::new();
    let vital = Vital::new("t", CancellationToken::new()).poisons(|_| panic!("again"));
    tasks.vital(vital, async { panic!("first") }).ended().await;
    assert_eq!(tasks.failure().unwrap().end, AbnormalEnd::Panicked("first".to_owned()));
}

#[tokio::test]
async fn a_request_that_panics_drops_what_it_holds_and_is_counted_and_others_go_on() {
    let tasks = Tasks::new();
    let mut requests = tasks.requests("r");
    let (held, connection) = oneshot::channel::<()>();
    let (go, going) = oneshot::channel::<()>();
    let (done, other) = oneshot::channel();
    requests.spawn(async move {
        let _held = held;
        panic!("by a stranger");
    });
    requests.spawn(async move {
        going.await.unwrap();
        done.send(7).unwrap();
    });
    assert!(connection.await.is_err(), "its connection is closed");
    go.send(()).unwrap();
    assert_eq!(other.await, Ok(7));
    requests.all_ended().await;
    assert_eq!((tasks.request_panics(), tasks.failure()), (1, None));
    assert!(requests.next_ended().await.is_none(), "nothing is kept of those that have ended");
}

#[tokio::test]
async fn requests_that_do_not_end_are_cut_off() {
    let mut requests = Tasks::new().requests("r");
    requests.spawn(std::future::pending());
    assert_eq!(requests.cut_off().await, 1);
}

#[tokio::test]
async fn a_change_goes_on_without_its_caller_and_closing_waits_for_it() {
    let tasks = Tasks::new();
    let changes = tasks.changes("c");
    let (go, going) = oneshot::channel::<()>();
    let done = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&done);
    let mut caller = Box::pin(changes.run(async move {
        going.await.unwrap();
        set.store(true, Ordering::SeqCst);
    }));
    assert!((&mut caller).now_or_never().is_none());
    drop(caller);
    go.send(()).unwrap();
    changes.closed().await;
    assert!(done.load(Ordering::SeqCst));
    let failure = changes.run(async { panic!("c") }).await.unwrap_err();
    assert_eq!(failure.end, AbnormalEnd::Panicked("c".to_owned()));
    assert_eq!((tasks.request_panics(), tasks.failure()), (1, None));
}

#[tokio::test]
async fn a_panic_in_blocking_work_is_the_callers_error() {
    assert_eq!(blocking("b", || 7).await, Ok(7));
    let failure = blocking("b", || -> u8 { panic!("b") }).await.unwrap_err();
    assert_eq!(failure.to_string(), "b panicked: b");
}

#[test]
fn the_last_resort_comes_when_the_time_is_over_also_if_it_was_set_after_the_failure() {
    let failure = TaskFailure { task: "t".into(), end: AbnormalEnd::Returned };
    for after_the_failure in [false, true] {
        let tasks = Tasks::new();
        let (said, heard) = std::sync::mpsc::sync_channel(1);
        let resort = move |failure: &TaskFailure| said.send(failure.clone()).unwrap();
        if after_the_failure {
            tasks.report(failure.clone());
            tasks.last_resort(Duration::ZERO, resort);
        } else {
            tasks.last_resort(Duration::ZERO, resort);
            tasks.report(failure.clone());
        }
        assert_eq!(heard.recv(), Ok(failure.clone()));
        for later in ["second", "third"] {
            tasks.report(TaskFailure { task: later.into(), end: AbnormalEnd::Returned });
            assert!(matches!(*tasks.shared.last_resort.lock(), LastResort::Begun), "it is never unset again");
        }
        assert_eq!(tasks.failure(), Some(failure.clone()), "the first one is kept");
        assert!(heard.recv().is_err(), "and it comes once");
    }
}

#[tokio::test]
async fn an_injected_panic_hits_one_running_task_of_that_name() {
    let tasks = Tasks::new();
    let mut requests = tasks.requests("r");
    requests.spawn(std::future::pending());
    requests.spawn(std::future::pending());
    tasks.inject_panic("r");
    requests.next_ended().await.unwrap();
    assert_eq!(tasks.request_panics(), 1);
    assert_eq!(requests.cut_off().await, 1);
    let stop = CancellationToken::new();
    tasks.inject_panic("port");
    tasks.vital(Vital::new("ports", stop.clone()), std::future::ready(())).ended().await;
    assert_eq!(tasks.failed().await.end, AbnormalEnd::Returned, "another name");
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let port = tasks.vital(Vital::new("port 1.2.3.4:5", stop), std::future::pending());
    tasks.inject_panic("port");
    port.ended().await;
    assert_eq!(tasks.failure().unwrap().end, AbnormalEnd::Panicked("injected".to_owned()));
}
