//! The rules of the budget, each by itself, then all of them with random peers and a clock of their own: everybody who waits
//! is served, nobody small waits behind somebody large, and nothing is held when all are gone.

use std::time::{Duration, Instant};

use futures::poll;
use proptest::prelude::*;

use super::class::{Class, MIDDLE_BYTES_MAX};
use super::pool::{Grant, Pool, Request, Shares, Ticket};
use super::slow::PATIENCE;
use super::*;
use crate::clock::timeout;

const KIB: usize = 1024;
const MIB: usize = 1024 * 1024;

fn budget() -> Budget {
    Budget::new(MEMORY_BYTES_MIN)
}

fn held(budget: &Budget) -> usize {
    budget.max() - budget.free()
}

/// Takes all that the class of such a frame may have, without the completion reserve.
fn fill(budget: &Budget, line: &Line, length: usize) -> Receipt {
    let mut receipt = budget.kafka().receipt(line, length);
    while receipt.try_room_for(receipt.room() + 1) {}
    receipt
}

/// Returns when `waiter` is served, and ends the holders of `line` when they are told to.
async fn until_ended<T>(line: &Line, holders: T) {
    line.ended().await;
    drop(holders);
}

#[tokio::test]
async fn the_pools_never_lend_to_each_other() {
    let budget = budget();
    let line = Line::default();
    let max = budget.kafka().usage()[1].max;
    assert!(budget.kafka().work("a test", max).is_err(), "the shares of the smaller classes stay");
    let error = budget.kafka().work("a test", 7 * MIB / 2 + 3 * MIB).unwrap_err();
    assert!(error.forever() && error.max < max);
    let _all = fill(&budget, &line, 10 * MIB);
    assert!(budget.http().try_output(&line, MIB).is_some());
    assert!(budget.http().receipt(&line, 10 * MIB / 2).try_room_for(1));
    assert!(budget.kafka().try_output(&line, MIB).is_some());
    assert!(budget.kafka().work("a test", MIB).is_ok());
}

#[tokio::test]
async fn work_is_taken_at_once_or_refused_and_what_a_permit_had_it_keeps() {
    let budget = budget();
    let mut permit = budget.work(Source::Kafka, "a request", 2 * MIB).unwrap();
    let error = permit.resize(100 * MIB).unwrap_err();
    assert!(error.forever() && error.to_string().contains("a request"), "{error}");
    assert_eq!((permit.bytes(), held(&budget)), (2 * MIB, 2 * MIB));
    permit.grow(MIB).unwrap();
    let refused = budget.work(Source::Kafka, "a request", 3 * MIB).unwrap_err();
    assert!(!refused.forever());
    permit.resize(10).unwrap();
    assert!(budget.work(Source::Kafka, "a request", 3 * MIB).is_ok());
    drop(permit);
    assert_eq!((held(&budget), budget.kafka().usage()[1].refused), (0, 2));
}

#[test]
fn what_can_never_be_had_is_refused_with_the_setting_that_would_do() {
    let refused = budget().http().work("a decoded request", 7 * MIB).unwrap_err();
    let setting = (0..1_000).find(|mib| refused.to_string().ends_with(&format!("set memory_max_bytes to {mib} MiB")));
    let setting = setting.unwrap_or_else(|| panic!("{refused}"));
    assert!(refused.to_string().contains("where memory_max_bytes is 67108864"), "{refused}");
    let take = |mib: u64| Budget::new(mib << 20).http().work("a decoded request", 7 * MIB);
    assert!(take(setting).is_ok() && take(setting - 2).is_err(), "{refused}");
}

#[test]
fn what_could_be_had_later_is_refused_with_what_is_free_for_it() {
    let budget = budget();
    let _held = budget.http().work("a request", 4 * MIB).unwrap();
    let refused = budget.http().work("a decoded request", 2 * MIB).unwrap_err();
    assert!(!refused.forever() && refused.free <= refused.max, "{refused}");
    assert!(refused.to_string().starts_with("2097152 bytes of memory are needed for a decoded request, "), "{refused}");
}

#[tokio::test]
async fn a_small_request_is_served_while_large_ones_have_all_they_may_have() {
    let budget = budget();
    let line = Line::default();
    let _large = fill(&budget, &line, 10 * MIB);
    let mut waits = budget.kafka().receipt(&line, 10 * MIB);
    waits.room_for(1).await;
    let mut more = budget.kafka().receipt(&line, 10 * MIB);
    assert!(poll!(std::pin::pin!(more.room_for(1))).is_pending());
    for small in [1, 64 * KIB, MIB] {
        assert!(budget.kafka().receipt(&line, small).try_room_for(1), "{small}");
    }
}

#[tokio::test]
async fn the_oldest_frame_that_waits_finishes_out_of_the_completion_reserve_and_then_the_next() {
    let budget = budget();
    let line = Line::default();
    let full = fill(&budget, &line, 10 * MIB);
    let (mut older, mut younger) = (budget.kafka().receipt(&line, 10 * MIB), budget.kafka().receipt(&line, 10 * MIB));
    // The younger one asks first, and is not the oldest only when the older one waits too.
    let reserve_is_free = poll!(std::pin::pin!(older.room_for(64 * KIB))).is_ready();
    assert!(reserve_is_free);
    {
        let mut waiting = std::pin::pin!(younger.room_for(1));
        assert!(poll!(&mut waiting).is_pending());
        older.room_for(10 * MIB).await;
        assert_eq!(older.room(), 10 * MIB);
        assert!(poll!(&mut waiting).is_pending(), "the reserve is for one");
        drop(older);
        assert!(poll!(&mut waiting).is_ready());
    }
    drop((younger, full));
    assert_eq!(held(&budget), 0);
}

#[tokio::test]
async fn a_wait_that_is_dropped_leaves_the_queue_and_gives_back_what_it_was_granted() {
    let budget = budget();
    let line = Line::default();
    let first = fill(&budget, &line, 10 * MIB);
    let mut owner = budget.kafka().receipt(&line, 10 * MIB);
    owner.room_for(1).await;
    let (mut second, mut third) = (budget.kafka().receipt(&line, 10 * MIB), budget.kafka().receipt(&line, 10 * MIB));
    let mut third_waits = Box::pin(third.room_for(1));
    {
        let mut second_waits = std::pin::pin!(second.room_for(1));
        assert!(poll!(&mut second_waits).is_pending() && poll!(&mut third_waits).is_pending());
        // Now both are granted, and the second goes without having looked.
        drop(first);
    }
    assert!(poll!(&mut third_waits).is_ready());
    drop(third_waits);
    drop((owner, second, third));
    assert_eq!(held(&budget), 0);
    assert_eq!(budget.kafka().usage()[0].waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_holder_is_ended_when_somebody_has_waited_for_half_a_second_and_not_before() {
    let budget = budget();
    let (slow, other) = (Line::default(), Line::default());
    let at_peer = slow.at_peer();
    let mut owner = budget.kafka().receipt(&slow, 10 * MIB);
    let full = fill(&budget, &slow, 10 * MIB);
    owner.room_for(1).await;
    assert!(timeout(Duration::from_secs(3_600), slow.ended()).await.is_err(), "nobody waits");
    let mut waiter = budget.kafka().receipt(&other, 10 * MIB);
    {
        let mut waiting = std::pin::pin!(waiter.room_for(1));
        assert!(timeout(Duration::from_millis(450), &mut waiting).await.is_err());
        assert!(!slow.has_ended(), "the waiter is younger than half a second");
        let ended = until_ended(&slow, (owner, full, at_peer));
        let both = timeout(Duration::from_millis(300), futures::future::join(&mut waiting, ended)).await;
        assert!(both.is_ok(), "ended, and the waiter is served");
    }
    assert_eq!(budget.kafka().usage()[0].ended, 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_moves_256_kib_a_second_and_one_for_whom_the_broker_works_are_left_alone() {
    let budget = budget();
    let (fast, busy, other) = (Line::default(), Line::default(), Line::default());
    let _at_peer = fast.at_peer();
    let _full = fill(&budget, &busy, 10 * MIB);
    let mut owner = budget.kafka().receipt(&fast, 10 * MIB);
    owner.room_for(1).await;
    let mut waiter = budget.kafka().receipt(&other, 10 * MIB);
    let mut waiting = std::pin::pin!(waiter.room_for(1));
    for _ in 0..200 {
        fast.moved(27 * KIB);
        assert!(timeout(Duration::from_millis(100), &mut waiting).await.is_err());
    }
    assert!(!fast.has_ended() && !busy.has_ended());
    for _ in 0..30 {
        assert!(timeout(Duration::from_millis(100), &mut waiting).await.is_err());
        fast.moved(KIB);
    }
    assert!(fast.has_ended() && !busy.has_ended(), "it has become slow");
}

#[tokio::test(start_paused = true)]
async fn the_largest_of_the_slow_holders_is_ended_first_and_one_at_a_time() {
    let budget = budget();
    let (lesser, largest, other) = (Line::default(), Line::default(), Line::default());
    let _at_peers = (lesser.at_peer(), largest.at_peer());
    let mut small = budget.kafka().receipt(&lesser, 10 * MIB);
    small.room_for(64 * KIB).await;
    let full = fill(&budget, &largest, 10 * MIB);
    let mut owner = budget.kafka().receipt(&lesser, 10 * MIB);
    owner.room_for(1).await;
    let mut waiter = budget.kafka().receipt(&other, 10 * MIB);
    let waiting = waiter.room_for(1);
    let ended = until_ended(&largest, full);
    assert!(timeout(Duration::from_secs(2), futures::future::join(waiting, ended)).await.is_ok());
    assert!(!lesser.has_ended(), "the waiter was served without it");
}

#[test]
fn a_look_that_comes_late_counts_what_the_one_before_it_has_seen() {
    let mut pool = Pool::new(shares());
    let line = Line::default();
    let _at_peer = line.at_peer();
    let request =
        |ticket| Request { ticket, class: Class::Small, bytes: 64 * KIB, line: Some(line.clone()), is_step: true };
    let full = (0..).find(|ticket| pool.take(&request(*ticket)).is_none()).expect("the pool has an end");
    let began = crate::clock::runtime_now();
    pool.wait(request(full), began, &mut Vec::new());
    assert!(pool.check(began).is_empty());
    // A machine that is busy wakes nobody at the very millisecond.
    assert_eq!(pool.check(began + PATIENCE + Duration::from_millis(30)).len(), 1);
}

/// Each holds one step, as a hundred connections do that announce a frame and send a byte.
#[tokio::test(start_paused = true)]
async fn a_large_frame_behind_many_half_sent_ones_does_not_wait_for_each_of_them() {
    let budget = budget();
    let mut half_sent = Vec::new();
    loop {
        let line = Line::default();
        let mut receipt = budget.kafka().receipt(&line, 10 * MIB);
        // The last one has the completion reserve.
        let has_step = poll!(std::pin::pin!(receipt.room_for(1))).is_ready();
        if !has_step {
            break;
        }
        let at_peer = line.at_peer();
        half_sent.push(async move { until_ended(&line, (receipt, at_peer)).await });
    }
    assert!(half_sent.len() > 20, "{}", half_sent.len());
    let honest = Line::default();
    let mut frame = budget.kafka().receipt(&honest, 10 * MIB);
    let ending = async {
        futures::future::join_all(half_sent).await;
        std::future::pending::<()>().await;
    };
    let mut ending = std::pin::pin!(ending);
    let mut whole = std::pin::pin!(frame.room_for(10 * MIB));
    let served = timeout(Duration::from_millis(1_600), futures::future::select(&mut whole, &mut ending)).await;
    assert!(matches!(served, Ok(futures::future::Either::Left(_))), "{} were ended", budget.kafka().usage()[0].ended);
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_takes_are_ended_and_a_small_answer_never_waits_for_a_large_one() {
    let budget = budget();
    let (unread, other) = (Line::default(), Line::default());
    let mut answers = Vec::new();
    while let Some(permit) = budget.kafka().try_output(&unread, 2 * MIB) {
        answers.push(permit.hold(bytes::Bytes::from_static(b"answer")));
    }
    assert!(!answers.is_empty());
    assert!(budget.kafka().try_output(&other, 64 * KIB).is_some(), "the small have a share of their own");
    let waiting = budget.kafka().output(&other, 2 * MIB);
    let ended = until_ended(&unread, answers);
    let served = timeout(Duration::from_millis(800), futures::future::join(waiting, ended)).await;
    assert!(served.expect("in time").0.is_ok());
}

#[tokio::test]
async fn an_answer_that_is_larger_than_any_may_be_is_refused_and_the_largest_goes_alone() {
    let budget = budget();
    let line = Line::default();
    let max = budget.kafka().output_max();
    assert!(budget.kafka().output(&line, max + 1).await.unwrap_err().forever());
    let largest = budget.kafka().output(&line, max).await.unwrap();
    assert!(budget.kafka().try_output(&line, max).is_none());
    drop(largest);
    assert_eq!(held(&budget), 0);
}

/// One connection of the game: a frame on its way in, or an answer on its way out.
#[derive(Debug)]
struct Player {
    line: Line,
    at_peer: Option<AtPeer>,
    ticket: Ticket,
    length: usize,
    is_step: bool,
    held: Grant,
    /// Bytes that the peer has moved, of those that it may.
    moved: usize,
    bytes_per_tick: usize,
    waits: bool,
    gone: bool,
}

const TICK: Duration = Duration::from_millis(100);
/// What a peer must move in a tick to be left alone.
const HONEST: usize = 27 * KIB;

fn shares() -> Shares {
    // A pool of the smallest size with which the rules hold.
    Shares { reserved: [64 * KIB, MIDDLE_BYTES_MAX, 2 * MIB], common: 512 * KIB, completion: [0, MIB, 4 * MIB] }
}

impl Player {
    fn class(&self) -> Class {
        Class::of(self.length)
    }

    fn wanted(&self) -> usize {
        let held = self.held.regular + self.held.completion;
        if self.is_step { (64 * KIB).min(self.length - held) } else { self.length.min(2 * MIB) - held }
    }

    fn asks(&mut self, pool: &mut Pool, now: Instant) {
        let (class, line) = (self.class(), Some(self.line.clone()));
        let request = Request { ticket: self.ticket, class, bytes: self.wanted(), line, is_step: self.is_step };
        match pool.take(&request) {
            Some(grant) => self.granted(grant),
            None => {
                (self.waits, self.at_peer) = (true, None);
                pool.wait(request, now, &mut Vec::new());
            }
        }
    }

    fn granted(&mut self, grant: Grant) {
        self.held.regular += grant.regular;
        self.held.completion += grant.completion;
        self.waits = false;
        self.at_peer = Some(self.line.at_peer());
    }

    fn leaves(&mut self, pool: &mut Pool) {
        if self.waits {
            pool.give_up(self.ticket, self.class(), &mut Vec::new());
        }
        pool.release(self.ticket, self.class(), self.held, Some(&self.line), &mut Vec::new());
        (self.held, self.gone, self.waits, self.at_peer) = (Grant::default(), true, false, None);
    }

    /// One tick of its peer; asks for more, or is done.
    fn plays(&mut self, pool: &mut Pool, now: Instant) {
        if self.gone {
            return;
        }
        if self.line.has_ended() {
            return self.leaves(pool);
        }
        if self.waits {
            let waker = std::task::Waker::noop();
            match pool.poll(self.ticket, self.class(), waker) {
                Some(grant) => self.granted(grant),
                None => return,
            }
        }
        let mut may = self.bytes_per_tick;
        while !self.waits && !self.gone {
            let held = self.held.regular + self.held.completion;
            let moves = may.min(if self.is_step { held } else { self.length } - self.moved);
            self.moved += moves;
            may -= moves;
            self.line.moved(moves);
            if self.moved == self.length {
                self.leaves(pool);
            } else if self.is_step && self.moved == held {
                self.asks(pool, now);
            } else {
                return;
            }
        }
    }
}

fn player() -> impl Strategy<Value = (usize, usize, bool)> {
    let length = prop_oneof![1..64 * KIB, 64 * KIB..MIB, MIB..4 * MIB];
    let pace = prop_oneof![Just(0), Just(1), 1..HONEST, HONEST..MIB];
    (length, pace, any::<bool>())
}

fn check_pool(pool: &Pool, players: &[Player]) {
    let held: usize = players.iter().map(|one| one.held.regular + one.held.completion).sum();
    let granted_and_not_picked_up = pool.usage().held - held;
    assert!(granted_and_not_picked_up <= shares().total());
    assert!(pool.usage().held <= shares().total(), "never more than there is");
    if granted_and_not_picked_up > 0 {
        return;
    }
    for class in Class::ALL {
        let of_class = || players.iter().filter(|one| !one.gone && one.class() == class);
        let Some(oldest) = of_class().filter(|one| one.waits).min_by_key(|one| one.ticket) else { continue };
        let regular: usize = of_class().map(|one| one.held.regular).sum();
        let share = shares().reserved[class as usize];
        assert!(regular + oldest.wanted() > share, "{class:?} waits for somebody of another class");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// IN (all frames) and OUT (all answers) are the same pool with different players.
    #[test]
    fn everybody_who_waits_is_served_or_ended_and_all_is_given_back(
        players in proptest::collection::vec(player(), 1..40),
        frames in any::<bool>(),
    ) {
        let mut pool = Pool::new(shares());
        let mut now = crate::clock::runtime_now();
        let mut all: Vec<Player> = Vec::new();
        for (ticket, (length, bytes_per_tick, _)) in (1..).zip(players) {
            let line = Line::default();
            let held = Grant::default();
            let mut one = Player {
                line, at_peer: None, ticket, length, is_step: frames, held, moved: 0, bytes_per_tick, waits: false, gone: false,
            };
            one.asks(&mut pool, now);
            all.push(one);
        }
        // Every player ahead of a waiter needs at most its bytes at 256 KiB a second, or two seconds to be ended.
        let patience = all.len() * 4 * MIB / HONEST + all.len() * 25;
        let mut since_a_wait = 0;
        for _ in 0..patience {
            for one in &mut all {
                one.plays(&mut pool, now);
            }
            check_pool(&pool, &all);
            now += TICK;
            for line in pool.check(now) {
                prop_assert!(pool.usage().waiting > 0, "somebody is ended only while somebody waits");
                let slow = all.iter().find(|one| one.line.id() == line.id()).unwrap();
                prop_assert!(slow.bytes_per_tick < HONEST && !slow.waits, "an honest peer is ended: {slow:?}");
                line.end(SlowPeer { reads: false });
            }
            if pool.usage().waiting == 0 {
                since_a_wait += 1;
            }
            if since_a_wait > 3 && all.iter().all(|one| !one.waits) {
                break;
            }
        }
        prop_assert_eq!(pool.usage().waiting, 0, "somebody waits for ever");
        for one in &mut all {
            if !one.gone {
                one.leaves(&mut pool);
            }
        }
        prop_assert_eq!(pool.usage().held, 0);
    }
}
