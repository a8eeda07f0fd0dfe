//! `flush.messages` and `flush.ms`: when a log that does not wait for syncs gets one all the same.

use futures::FutureExt;

use super::*;

fn end(ticket: &Ticket) -> Offset {
    ticket.placed().unwrap().last_offset.next()
}

#[tokio::test]
async fn without_waiting_for_syncs_one_is_asked_for_after_so_many_messages_or_so_long() {
    let bench = Bench::new();
    let dir = bench.open();
    let os = |messages, ms| LogConfig { sync: false, flush: FlushEvery { messages, ms }, ..config() };
    let counted = dir.create(ident("counted"), os(3, i64::MAX)).unwrap();
    add(&counted, "a");
    let second = append(&counted, "b");
    assert!(counted.synced.until(end(&second)).now_or_never().is_none(), "two are not three");
    let third = append(&counted, "c");
    counted.synced.until(end(&third)).await.unwrap();
    assert_eq!(counted.offsets().recovery_point, Offset(3));

    let timed = dir.create(ident("timed"), os(i64::MAX, 5_000)).unwrap();
    let first = append(&timed, "a");
    let last = append(&timed, "b");
    assert!(timed.synced.until(end(&first)).now_or_never().is_none(), "its time is not up");
    bench.clock.advance_ms(5_001);
    // The flusher looks at the clock when anything happens.
    add(&counted, "d");
    add(&counted, "e");
    add(&counted, "f");
    timed.synced.until(end(&last)).await.unwrap();
    assert_eq!(timed.offsets().recovery_point, Offset(2));
}

#[tokio::test]
async fn syncs_after_so_many_messages_leave_no_more_than_one_time_running() {
    let bench = Bench::new();
    let dir = bench.open();
    let os = LogConfig { sync: false, flush: FlushEvery { messages: 2, ms: 86_400_000 }, ..config() };
    let partition = dir.create(ident("t"), os).unwrap();
    for _ in 0..50 {
        add(&partition, "a");
        let second = append(&partition, "b");
        partition.synced.until(end(&second)).await.unwrap();
    }
    assert!(partition.around.queue.timed() <= 1, "{} times run", partition.around.queue.timed());
}

#[tokio::test]
async fn a_shorter_time_is_in_force_for_what_is_there_already() {
    let bench = Bench::new();
    let dir = bench.open();
    let os = |ms| LogConfig { sync: false, flush: FlushEvery { messages: i64::MAX, ms }, ..config() };
    let partition = dir.create(ident("t"), os(86_400_000)).unwrap();
    let appended = append(&partition, "a");
    partition.reconfigure(os(5_000));
    bench.clock.advance_ms(5_001);
    // The flusher looks at the clock when anything happens.
    let other = dir.create(ident("other"), config()).unwrap();
    settle(&other, "b").await;
    partition.synced.until(end(&appended)).await.unwrap();
}
