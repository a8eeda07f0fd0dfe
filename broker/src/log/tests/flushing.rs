//! `flush.messages` and `flush.ms`: when a log that does not wait for syncs gets one all the same.

use futures::FutureExt;

use super::*;

#[tokio::test]
async fn without_waiting_for_syncs_one_is_asked_for_after_so_many_messages_or_so_long() {
    let bench = Bench::new();
    let dir = bench.open();
    let os = |messages, ms| LogConfig { sync: false, flush: FlushEvery { messages, ms }, ..config() };
    let counted = dir.create(ident("counted"), os(3, i64::MAX)).unwrap();
    append(&counted, "a");
    let second = append(&counted, "b");
    assert!(counted.synced.until(second.durable_at).now_or_never().is_none(), "two are not three");
    let third = append(&counted, "c");
    counted.synced.until(third.durable_at).await.unwrap();
    assert_eq!(counted.offsets().recovery_point, Offset(3));

    let timed = dir.create(ident("timed"), os(i64::MAX, 5_000)).unwrap();
    let first = append(&timed, "a");
    let last = append(&timed, "b");
    assert!(timed.synced.until(first.durable_at).now_or_never().is_none(), "its time is not up");
    bench.clock.advance_ms(5_001);
    // The flusher looks at the clock when anything happens.
    append(&counted, "d");
    append(&counted, "e");
    append(&counted, "f");
    timed.synced.until(last.durable_at).await.unwrap();
    assert_eq!(timed.offsets().recovery_point, Offset(2));
}
