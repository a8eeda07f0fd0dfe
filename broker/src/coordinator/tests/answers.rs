//! When an answer is let out, and what a read shows meanwhile.

use super::*;
use crate::coordinator::machine::Reveals;

#[tokio::test]
async fn an_answer_is_let_out_when_its_records_are_below_the_high_watermark_rule_2() {
    let bench = Bench::new().await;
    bench.settle(0, &[("a", 1)]).await;
    bench.disk.hold_syncs(true);
    let ticket = bench.put(0, &[("a", 2)]).expect("appended");
    let mut answer = Box::pin(ticket.durable());
    bench.disk.await_held_sync();
    assert!(answer.as_mut().now_or_never().is_none(), "nothing is synced");
    assert_eq!(bench.durable(0), map(&[("a", 1)]), "a read does not wait, and shows what is durable");
    bench.disk.hold_syncs(false);
    bounded_wait(answer).await.expect("durable");
    assert_eq!(bench.durable(0), map(&[("a", 2)]));
    bench.end().await;
}

#[tokio::test]
async fn an_answer_without_records_waits_for_what_it_has_seen_unless_it_is_of_the_machines_own_state() {
    let bench = Bench::new().await;
    bench.begun(0).await;
    bench.disk.hold_syncs(true);
    let put = bench.put(0, &[("a", 1)]).expect("appended");
    let mut seen = Box::pin(bench.all(0));
    assert!(seen.as_mut().now_or_never().is_none(), "it says 'a', which a crash may take back");
    let own = bench.shard(0).run(|numbers, _| Outcome::of_own_state(numbers.storms, Plan::nothing()));
    let own = own.expect("carried out").durable().now_or_never().expect("at once");
    assert_eq!(own.expect("an answer"), 0);
    let other = bench.all(1).now_or_never().expect("another shard has nothing on its way");
    assert_eq!(other.expect("an answer"), map(&[]));
    bench.disk.hold_syncs(false);
    assert_eq!(bounded_wait(seen).await.expect("durable"), map(&[("a", 1), ("begun", 0)]));
    bounded_wait(put.durable()).await.expect("durable");
    assert_eq!(Outcome::<Numbers, ()>::new((), Plan::nothing()).reveals, Reveals::Records, "the default waits");
    bench.end().await;
}

#[tokio::test]
async fn the_records_of_a_command_are_one_batch() {
    let bench = Bench::new().await;
    bench.settle(0, &[("a", 1), ("b", 2), ("c", 3)]).await;
    let log = bench.shard(0).partition().read(crate::ids::Offset::ZERO, 1 << 20).expect("readable");
    let batch = crate::record::check_stored(log.clone()).expect("a batch");
    assert_eq!((batch.header().record_count, batch.header().size), (3, log.len()));
    bench.end().await;
}

#[tokio::test]
async fn what_waits_for_records_is_called_when_they_are_durable_and_not_before() {
    let bench = Bench::new().await;
    bench.begun(0).await;
    bench.disk.hold_syncs(true);
    let plan = || Plan { then: vec!["then"], ..plan_of(&[("a", 1)]) };
    let ticket = bench.shard(0).run(|_, _| Outcome::new((), plan())).expect("appended");
    bench.disk.await_held_sync();
    tokio::task::yield_now().await;
    assert_eq!(bench.shard(0).read(|numbers| numbers.stored.len()).expect("loaded"), 0);
    bench.disk.hold_syncs(false);
    bounded_wait(ticket.durable()).await.expect("durable");
    bench.runtime.stop();
    bounded_wait(bench.runtime.closed()).await;
    assert_eq!(bench.shard(0).read(|numbers| numbers.stored.clone()).expect("loaded"), ["then"]);
    bench.end().await;
}

#[tokio::test]
async fn work_done_elsewhere_comes_back_as_a_command_and_its_panic_as_an_error() {
    let bench = Bench::new().await;
    let plan = || Plan { work: vec![Box::new(|| 7), Box::new(|| panic!("of the work"))], ..Plan::nothing() };
    let begun = bench.shard(0).run(|_, _| Outcome::new((), plan())).expect("carried out");
    bounded_wait(begun.durable()).await.expect("an answer");
    bench.runtime.stop();
    bounded_wait(bench.runtime.closed()).await;
    let mut results = bench.shard(0).read(|numbers| numbers.results.clone()).expect("loaded");
    results.sort();
    assert_eq!(results[0], Ok(7));
    assert!(results[1].as_ref().is_err_and(|error| error.contains("of the work")), "{results:?}");
    assert_eq!(bench.all(0).await.expect("durable"), map(&[("result", 7)]));
    bench.end().await;
}
