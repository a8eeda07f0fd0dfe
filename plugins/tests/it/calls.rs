//! What a call answers, and what a hostile guest costs: its caller an error, everybody else nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sluice_plugins::{BindError, CallError, HostConfig};

use crate::guests::{BEYOND, GOOD, HOGS, LOOPS, SHORT, TRAPS, batch, bind, caller, host, module, refusing};

/// Binds a guest with these lines in `partition`, and calls it once with three records for four partitions.
async fn one_call(partition: &str) -> Result<Vec<u32>, CallError> {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    host.upload("guest", &module("", partition)).await.unwrap();
    let bound = bind(&host, "guest", "{}").await.unwrap();
    bound.partition(&caller(), 4, batch(&[b"\x01", b"\x02", b"\x07"])).await
}

#[tokio::test]
async fn a_core_module_of_a_plain_compiler_partitions() {
    assert_eq!(one_call(GOOD).await, Ok(vec![1, 2, 3]));
}

#[tokio::test]
async fn an_empty_batch_is_answered_without_the_guest() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    host.upload("guest", &module("", TRAPS)).await.unwrap();
    let bound = bind(&host, "guest", "{}").await.unwrap();
    assert_eq!(bound.partition(&caller(), 4, batch(&[])).await, Ok(vec![]));
}

#[tokio::test]
async fn a_trap_is_an_error_with_its_reason() {
    let failed = one_call(TRAPS).await.unwrap_err();
    assert!(matches!(&failed, CallError::Trap { reason } if reason.contains("unreachable")), "{failed}");
}

#[tokio::test]
async fn a_guest_that_takes_memory_gets_no_more_than_its_limit() {
    assert_eq!(one_call(HOGS).await, Err(CallError::Memory { limit: 64 * 1024 * 1024 }));
}

#[tokio::test]
async fn an_answer_must_have_one_legal_partition_a_record() {
    for guest in [SHORT, BEYOND] {
        let failed = one_call(guest).await.unwrap_err();
        assert!(matches!(failed, CallError::BadAnswer { .. }), "{failed}");
    }
    // Longer than anything a host would copy.
    let failed = one_call("(local.set $records (i32.const 500000000)) (return (i32.const 32))").await.unwrap_err();
    assert!(matches!(failed, CallError::Trap { .. } | CallError::BadAnswer { .. }), "{failed}");
}

/// The broker's network threads are these: a single one here, so whatever else runs does so between the guest's slices.
#[tokio::test(flavor = "current_thread")]
async fn a_looping_guest_costs_its_caller_an_error_while_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    host.upload("guest", &module("", LOOPS)).await.unwrap();
    let bound = bind(&host, "guest", "{}").await.unwrap();
    let (done, turns) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let other = tokio::spawn({
        let (done, turns) = (Arc::clone(&done), Arc::clone(&turns));
        async move {
            while !done.load(Ordering::SeqCst) {
                turns.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        }
    });
    let answer = bound.partition(&caller(), 4, batch(&[b"\x01"])).await;
    assert_eq!(answer, Err(CallError::Timeout { limit_ms: 10 }));
    // 10 ms in slices of at most 2 ms: the other task had its turn between them, on the only thread there is.
    assert!(turns.load(Ordering::SeqCst) >= 3, "{turns:?}");
    done.store(true, Ordering::SeqCst);
    other.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_guests_are_served_beside_a_looping_one() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    host.upload("loops", &module("", LOOPS)).await.unwrap();
    host.upload("good", &module("", GOOD)).await.unwrap();
    let (loops, good) = (bind(&host, "loops", "{}").await.unwrap(), bind(&host, "good", "{}").await.unwrap());
    let looping = tokio::spawn(async move { loops.partition(&caller(), 4, batch(&[b"\x01"])).await });
    for _ in 0..100 {
        assert_eq!(good.partition(&caller(), 4, batch(&[b"\x02"])).await, Ok(vec![2]));
    }
    assert!(matches!(looping.await.unwrap(), Err(CallError::Timeout { .. })));
}

#[tokio::test]
async fn an_instance_is_kept_between_calls_and_gone_after_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    // Answers how often it was called, and traps on the third call.
    let counting = "(local.set $add (global.get $calls))
        (if (i32.eq (global.get $calls) (i32.const 3)) (then unreachable))";
    host.upload("guest", &module("", counting)).await.unwrap();
    let bound = bind(&host, "guest", "{}").await.unwrap();
    for expected in [Some(1), Some(2), None, Some(1), Some(2), None] {
        let answer = bound.partition(&caller(), 4, batch(&[b"\x00"])).await;
        assert_eq!(answer.ok(), expected.map(|calls| vec![calls]));
    }
    let info = host.get("guest").unwrap();
    assert_eq!((info.calls, info.failures, info.quarantined), (6, 2, false));
}

#[tokio::test]
async fn every_instance_gets_the_configuration_once() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    let guest = module(
        "",
        "(local.set $add (global.get $config)) (if (i32.eq (global.get $calls) (i32.const 2)) (then unreachable))",
    );
    host.upload("guest", &guest).await.unwrap();
    let bound = bind(&host, "guest", r#"{"a":1}"#).await.unwrap();
    for expected in [Some(7), None, Some(7), None] {
        assert_eq!(bound.partition(&caller(), 8, batch(&[b"\x00"])).await.ok(), expected.map(|length| vec![length]));
    }
}

#[tokio::test]
async fn a_configuration_that_init_refuses_is_not_bound() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    host.upload("guest", &refusing()).await.unwrap();
    let refused = bind(&host, "guest", r#"{"field":1}"#).await.unwrap_err();
    assert!(matches!(&refused, BindError::Init { reason, .. } if reason == "no such field"), "{refused}");
    assert!(bind(&host, "guest", "{}").await.is_ok());
}

#[tokio::test]
async fn an_init_that_never_ends_is_not_bound() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    host.upload("guest", &module(LOOPS, GOOD)).await.unwrap();
    let refused = bind(&host, "guest", "{}").await.unwrap_err();
    assert!(matches!(&refused, BindError::Init { reason, .. } if reason.contains("1000 ms")), "{refused}");
}

#[tokio::test]
async fn a_plugin_that_fails_ten_times_rests_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let host = host(&dir);
    // Traps while its configuration's first record is an empty one, that is: as the caller likes.
    let guest = "(if (i32.eqz (i32.load8_u (local.get $data))) (then unreachable))";
    host.upload("guest", &module("", guest)).await.unwrap();
    let bound = bind(&host, "guest", "{}").await.unwrap();
    for _ in 0..10 {
        let failed = bound.partition(&caller(), 4, batch(&[b"\x00"])).await.unwrap_err();
        assert!(matches!(failed, CallError::Trap { .. }), "{failed}");
    }
    let resting = bound.partition(&caller(), 4, batch(&[b"\x01"])).await.unwrap_err();
    let CallError::Quarantined { for_ms: 1..=1000 } = resting else { panic!("{resting}") };
    assert!(host.get("guest").unwrap().quarantined);
    // It rests for a second, during which good records are refused too; then it is tried again.
    let answer = loop {
        match bound.partition(&caller(), 4, batch(&[b"\x01"])).await {
            Err(CallError::Quarantined { for_ms }) => {
                let rest = std::time::Duration::from_millis(for_ms);
                assert!(tokio::time::timeout(rest, std::future::pending::<()>()).await.is_err());
            }
            answer => break answer,
        }
    };
    assert_eq!(answer, Ok(vec![1]));
    assert!(!host.get("guest").unwrap().quarantined);
}

#[tokio::test]
async fn a_caller_that_goes_away_costs_an_instance_only() {
    let dir = tempfile::tempdir().unwrap();
    let config = HostConfig {
        concurrency: 1,
        partitioner_timeout: std::time::Duration::from_secs(3600),
        ..HostConfig::new(dir.path())
    };
    let host = sluice_plugins::Host::open(config).unwrap();
    let guest = "(if (i32.eqz (i32.load8_u (local.get $data))) (then (loop $for_ever (br $for_ever))))";
    host.upload("guest", &module("", guest)).await.unwrap();
    let bound = Arc::new(bind(&host, "guest", "{}").await.unwrap());
    let leaving = tokio::spawn({
        let bound = Arc::clone(&bound);
        async move { bound.partition(&caller(), 4, batch(&[b"\x00"])).await }
    });
    let called = async {
        while host.get("guest").unwrap().calls == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), called).await.expect("the guest is called");
    leaving.abort();
    assert!(leaving.await.unwrap_err().is_cancelled());
    assert_eq!(bound.partition(&caller(), 4, batch(&[b"\x03"])).await, Ok(vec![3]));
}
