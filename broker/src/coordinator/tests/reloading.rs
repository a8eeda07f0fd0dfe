//! A load of the log makes what live commands had made, whatever they were and whatever failed; and what was answered is
//! in it.

use proptest::prelude::*;

use super::*;
use crate::log::io::faulty::WriteFault;

#[derive(Clone, Debug)]
enum Step {
    Put { shard: usize, names: Vec<(u8, i64)>, wait: bool },
    Remove { shard: usize, name: u8 },
    Count { shard: usize },
    Fault { nth: u64, short: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let shard = 0..3usize;
    let names = proptest::collection::vec((0..6u8, 0..100i64), 1..4);
    prop_oneof![
        6 => (shard.clone(), names, any::<bool>()).prop_map(|(shard, names, wait)| Step::Put { shard, names, wait }),
        2 => (shard.clone(), 0..6u8).prop_map(|(shard, name)| Step::Remove { shard, name }),
        2 => shard.prop_map(|shard| Step::Count { shard }),
        1 => (1..4u64, any::<bool>()).prop_map(|(nth, short)| Step::Fault { nth, short }),
    ]
}

fn name(of: u8) -> String {
    format!("n{of}")
}

async fn take(bench: &Bench, step: Step) {
    match step {
        Step::Put { shard, names, wait } => {
            let records = names.iter().map(|(of, value)| Set { name: name(*of), value: Some(*value) }).collect();
            let put = bench.shard(shard).run(|_, _| Outcome::new((), Plan { records, ..Plan::nothing() }));
            if let (Ok(ticket), true) = (put, wait) {
                bounded_wait(ticket.durable()).await.expect("no sync fails here");
                let durable = bench.durable(shard);
                let last: BTreeMap<u8, i64> = names.iter().copied().collect();
                assert!(last.iter().all(|(of, value)| durable.get(&name(*of)) == Some(value)), "answered, so shown");
            }
        }
        Step::Remove { shard, name: of } => {
            let records = vec![Set { name: name(of), value: None }];
            drop(bench.shard(shard).run(|_, _| Outcome::new((), Plan { records, ..Plan::nothing() })));
        }
        Step::Count { shard } => {
            let set = |_: &mut Numbers, now: Now| {
                let timers = vec![(Timed::Count("count"), Some(now.mono))];
                Outcome::of_own_state((), Plan { timers, ..Plan::nothing() })
            };
            drop(bench.shard(shard).run(set));
            bench.runtime.run_due();
        }
        Step::Fault { nth, short } => {
            bench.disk.fail_write(nth, if short { WriteFault::Short } else { WriteFault::NoSpace });
        }
    }
}

async fn run(steps: Vec<Step>) {
    let bench = Bench::new().await;
    for step in steps {
        take(&bench, step).await;
    }
    let mut live = Vec::new();
    for shard in 0..3 {
        live.push(bench.all(shard).await.expect("durable"));
    }
    let bench = bench.restarted().await;
    let loaded: Vec<_> = (0..3).map(|shard| bench.durable(shard)).collect();
    assert_eq!(live, loaded);
    bench.end().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_load_makes_what_live_commands_have_made(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(run(steps));
    }
}
