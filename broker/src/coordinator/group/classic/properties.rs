//! What must hold after any events in any order: no request waits for ever, none is answered twice, one leader,
//! generations that only rise, and a tick that leaves nothing due behind, whatever time-outs the members ask for.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tests::{Bench, as_member, client, instance, log_failure, rules};
use super::*;
use crate::coordinator::group::requests::JoinRequest;

#[derive(Clone, Debug)]
enum Event {
    Join { who: u8, instance: bool, ask_first: bool, changed: bool, asks: Asks },
    Rejoin { who: usize, changed: bool },
    Sync { who: usize },
    Beat { who: usize },
    Leave { who: usize },
    Pass { ms: u64 },
    Stored { failed: bool },
}

/// What a join asks for beside a place: time-outs in ms, and which protocols, the preferred one first.
#[derive(Clone, Copy, Debug)]
struct Asks {
    session_ms: u64,
    rebalance_ms: u64,
    protocols: &'static [&'static str],
}

fn asks() -> impl Strategy<Value = Asks> {
    let session_ms = prop_oneof![4 => Just(10_000), 1 => Just(0), 1 => Just(1), 1 => Just(i32::MAX as u64)];
    let rebalance_ms = prop_oneof![4 => Just(60_000), 2 => Just(0), 1 => Just(1), 1 => Just(i32::MAX as u64)];
    let range = Just(&["range"][..]);
    let protocols = prop_oneof![4 => range, 1 => Just(&["sticky", "range"][..]), 1 => Just(&["range", "range"][..])];
    (session_ms, rebalance_ms, protocols).prop_map(|(session_ms, rebalance_ms, protocols)| Asks {
        session_ms,
        rebalance_ms,
        protocols,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let who = any::<usize>();
    prop_oneof![
        3 => (0..4u8, any::<bool>(), any::<bool>(), any::<bool>(), asks()).prop_map(
            |(who, instance, ask_first, changed, asks)| Event::Join { who, instance, ask_first, changed, asks }
        ),
        6 => (who, any::<bool>()).prop_map(|(who, changed)| Event::Rejoin { who, changed }),
        6 => who.prop_map(|who| Event::Sync { who }),
        3 => who.prop_map(|who| Event::Beat { who }),
        1 => who.prop_map(|who| Event::Leave { who }),
        2 => prop_oneof![2 => (0..70u64).prop_map(|s| s * 1_000), 1 => 0..3u64].prop_map(|ms| Event::Pass { ms }),
        4 => any::<bool>().prop_map(|failed| Event::Stored { failed }),
    ]
}

fn request(who: u8, is_static: bool, changed: bool, asks: Asks) -> JoinRequest {
    let name = ["a", "b", "c", "d"][usize::from(who % 4)];
    let base = if is_static { instance(name) } else { client(name) };
    let (session_timeout, rebalance_timeout) =
        (Duration::from_millis(asks.session_ms), Duration::from_millis(asks.rebalance_ms));
    let protocols = subscriptions(asks.protocols, if changed { "new" } else { "sub" });
    JoinRequest { protocols, session_timeout, rebalance_timeout, ..base }
}

fn subscriptions(protocols: &[&str], subscription: &'static str) -> Vec<(String, Bytes)> {
    let of = |name: &&str| ((*name).to_owned(), Bytes::from_static(subscription.as_bytes()));
    protocols.iter().map(of).collect()
}

/// Every id that anybody was given, with the request that it stands for.
fn ids(bench: &Bench, joins: &[(u64, JoinRequest)]) -> Vec<(String, JoinRequest)> {
    let id = |(at, request): &(u64, JoinRequest)| match bench.joined(*at)? {
        Ok(answer) => Some((answer.member.clone(), request.clone())),
        Err(GroupError::MemberIdRequired { member }) => Some((member.clone(), request.clone())),
        Err(_) => None,
    };
    joins.iter().filter_map(id).collect()
}

fn check(bench: &Bench, last: Generation) {
    let group = &bench.group;
    assert!(group.generation >= last, "the generation went back");
    assert_eq!(group.joining, group.members.values().filter(|member| member.join.is_some()).count());
    assert_eq!(group.members.is_empty(), group.leader.is_none());
    assert!(group.leader.iter().all(|leader| group.members.contains_key(leader)), "the leader is a member");
    let bytes: usize = group.members.iter().map(|(id, member)| member.record_bytes(id)).sum();
    assert_eq!(group.members_bytes, bytes);
    let statics: BTreeSet<&String> = group.statics.values().collect();
    let named: BTreeSet<&String> =
        group.members.iter().filter(|(_, member)| member.instance.is_some()).map(|(id, _)| id).collect();
    assert_eq!(statics, named, "one member an instance");
    assert!(group.pending_sync.iter().all(|id| group.members.contains_key(id)));
    assert!(group.pending.keys().all(|id| !group.members.contains_key(id)));
    match group.phase.state {
        GroupState::Empty => assert!(group.members.is_empty()),
        GroupState::PreparingRebalance => assert!(group.due.join.is_some(), "somebody must end the join phase"),
        GroupState::CompletingRebalance | GroupState::Stable => {
            assert!(!group.members.is_empty());
            // A static member's change of id waits for the log, everybody else has an answer.
            assert!(group.phase.state == GroupState::Stable || group.joining == 0);
            for member in group.members.values() {
                let vouched = member.deadline.is_some() || member.join.is_some() || member.sync.is_some();
                assert!(vouched, "a member that nothing would ever remove");
            }
            assert!(group.due.sync.is_some() || group.pending_sync.is_empty());
        }
        GroupState::Dead => panic!("nothing ends a group"),
    }
    let sessions = group.members.values().filter_map(|member| member.deadline);
    let phases = group.due.join.map(|deadline| deadline.at).into_iter().chain(group.due.sync);
    let next = sessions.chain(phases).chain(group.pending.values().map(|promise| promise.until)).min();
    assert!(next.is_none_or(|next| group.due.wake_by.is_some_and(|by| by <= next)), "it would oversleep");
}

fn play(bench: &mut Bench, event: &Event, joins: &mut Vec<(u64, JoinRequest)>, syncs: &mut Vec<u64>) {
    let known = ids(bench, joins);
    let pick = |who: usize| if known.is_empty() { None } else { known.get(who % known.len()).cloned() };
    let generation = bench.group.generation.0;
    match *event {
        Event::Join { who, instance, ask_first, changed, asks } => {
            let wish = JoinRequest { require_known_member: ask_first, ..request(who, instance, changed, asks) };
            joins.push((bench.join(&wish), wish));
        }
        Event::Rejoin { who, changed } => {
            let Some((id, wish)) = pick(who) else { return };
            let names: Vec<&str> = wish.protocols.iter().map(|(name, _)| name.as_str()).collect();
            let protocols = subscriptions(&names, if changed { "other" } else { "sub" });
            let wish = JoinRequest { protocols, ..wish };
            joins.push((bench.join(&as_member(&wish, &id)), wish));
        }
        Event::Sync { who } => {
            let Some((id, _)) = pick(who) else { return };
            syncs.push(bench.sync(&id, generation, &[(&id, "part")]));
        }
        Event::Beat { who } => {
            let Some((id, _)) = pick(who) else { return };
            let _ = bench.beat(&id, generation);
        }
        Event::Leave { who } => {
            let Some((id, _)) = pick(who) else { return };
            bench.leave(&[(&id, None)]);
        }
        Event::Pass { ms } => pass(bench, Duration::from_millis(ms)),
        Event::Stored { failed } => bench.stored(&if failed { log_failure() } else { Ok(()) }),
    }
}

/// One tick does all that is due: the next deadline is later than now, so the timer comes back at another time.
fn pass(bench: &mut Bench, time: Duration) {
    bench.pass(time);
    let (next, now) = (bench.group.wake_by(), bench.now().mono);
    assert!(next.is_none_or(|next| next > now), "the tick has left something due: {:?}", bench.group);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_request_is_answered_whatever_happens(
        delay in 0..4u64,
        events in proptest::collection::vec(event(), 1..120),
    ) {
        let any_session = Rules { session_min: Duration::ZERO, session_max: Duration::MAX, ..rules(Duration::from_secs(delay)) };
        let mut bench = Bench::with(any_session);
        let (mut joins, mut syncs) = (Vec::new(), Vec::new());
        for event in &events {
            let last = bench.group.generation;
            play(&mut bench, event, &mut joins, &mut syncs);
            check(&bench, last);
        }
        // Nobody calls any more: time and the log alone bring every wait to its end.
        for step in [30; 40].into_iter().chain([i32::MAX as u64 / 1_000 + 1; 6]) {
            bench.stored(&Ok(()));
            pass(&mut bench, Duration::from_secs(step));
            check(&bench, Generation(0));
        }
        for (at, _) in &joins {
            prop_assert!(bench.joined(*at).is_some(), "a join still waits");
        }
        for at in &syncs {
            prop_assert!(bench.synced(*at).is_some(), "a sync still waits");
        }
        prop_assert!(bench.group.is_vacant(), "a silent group empties itself");
        bench.stored(&Ok(()));
        prop_assert_eq!(bench.memory.state().usage().held, 0, "and what it was charged is free again");
    }
}
