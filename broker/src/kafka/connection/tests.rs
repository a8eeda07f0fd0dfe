//! Rule 7 of the log contract: what overlaps and what does not. The engine is a script: each request waits for a word.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::kafka::write::ReplyBuilder;
use crate::memory::{Budget, Line};

/// What happened, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    ProduceBegins(i32),
    OtherBegins(i32),
}

/// Correlation ids decide: requests begin when they come, and end when `finish` is called.
#[derive(Clone)]
struct Script {
    events: mpsc::Sender<Event>,
    ends: Arc<Mutex<HashMap<i32, oneshot::Sender<Outcome>>>>,
}

impl Script {
    fn register(&self, correlation: i32) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.ends.lock().insert(correlation, sender);
        receiver
    }

    fn finish(&self, correlation: i32, outcome: Outcome) {
        let sender = self.ends.lock().remove(&correlation).expect("the request has begun");
        sender.send(outcome).expect("the connection waits for it");
    }
}

impl Answering for Script {
    async fn produce(&self, request: Request) -> InFlight {
        let outcome = self.register(request.correlation);
        self.events.send(Event::ProduceBegins(request.correlation)).await.expect("the test listens");
        async move { outcome.await.unwrap_or(Outcome::Silent) }.boxed()
    }

    async fn answer(&self, request: Request) -> Outcome {
        let outcome = self.register(request.correlation);
        self.events.send(Event::OtherBegins(request.correlation)).await.expect("the test listens");
        outcome.await.unwrap_or(Outcome::Silent)
    }
}

struct Harness {
    client: DuplexStream,
    script: Script,
    events: mpsc::Receiver<Event>,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<Ended>,
}

fn start() -> Harness {
    let (client, server) = tokio::io::duplex(1 << 20);
    let (reading, writing) = tokio::io::split(server);
    let (sender, events) = mpsc::channel(100);
    let script = Script { events: sender, ends: Arc::default() };
    let long = Duration::from_secs(600);
    let budget = Budget::new(256 * 1024 * 1024).kafka().clone();
    let line = Line::default();
    let frames = FrameReader::new(reading, budget.clone(), line.clone(), long);
    let stop = CancellationToken::new();
    let connection = Connection::new(frames, Sending::new(writing, budget, line, long), script.clone());
    let running = tokio::spawn(connection.run(stop.clone()));
    Harness { client, script, events, stop, running }
}

impl Harness {
    async fn send(&mut self, key: ApiKey, version: i16, correlation: i32) {
        self.send_padded(key, version, correlation, 0).await;
    }

    async fn send_padded(&mut self, key: ApiKey, version: i16, correlation: i32, padding: usize) {
        let mut frame = BytesMut::new();
        frame.put_i32(i32::try_from(10 + padding).unwrap());
        frame.put_i16(key as i16);
        frame.put_i16(version);
        frame.put_i32(correlation);
        frame.put_i16(-1);
        frame.put_bytes(0, padding);
        self.client.write_all(&frame).await.unwrap();
    }

    async fn event(&mut self) -> Event {
        self.events.recv().await.expect("the connection runs")
    }

    /// Lets every other task run until none has anything to do.
    async fn nothing_happens(&mut self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(self.events.try_recv().is_err());
    }

    async fn answered(&mut self) -> i32 {
        let length = self.client.read_i32().await.unwrap();
        assert_eq!(length, 4);
        self.client.read_i32().await.unwrap()
    }
}

fn reply(correlation: i32) -> Outcome {
    Outcome::Reply(ReplyBuilder::new(correlation, false, 0).finish().unwrap())
}

fn throttled_reply(correlation: i32, ms: u64) -> Outcome {
    let Outcome::Reply(reply) = reply(correlation) else { unreachable!("a reply") };
    Outcome::Reply(reply.throttled(Throttle::of(Duration::from_millis(ms))))
}

#[tokio::test]
async fn rule_7_produces_overlap_and_are_answered_in_order_whichever_is_durable_first() {
    let mut it = start();
    for correlation in 1..=3 {
        it.send(ApiKey::Produce, 3, correlation).await;
        assert_eq!(it.event().await, Event::ProduceBegins(correlation));
    }
    it.script.finish(3, reply(3));
    it.script.finish(2, reply(2));
    it.nothing_happens().await;
    it.script.finish(1, reply(1));
    for correlation in 1..=3 {
        assert_eq!(it.answered().await, correlation);
    }
}

#[tokio::test]
async fn rule_7_another_request_begins_when_all_before_it_are_answered_and_nothing_begins_behind_it() {
    let mut it = start();
    it.send(ApiKey::Produce, 3, 1).await;
    it.send(ApiKey::Metadata, 0, 2).await;
    it.send(ApiKey::Produce, 3, 3).await;
    assert_eq!(it.event().await, Event::ProduceBegins(1));
    it.nothing_happens().await;
    it.script.finish(1, reply(1));
    assert_eq!(it.event().await, Event::OtherBegins(2));
    assert_eq!(it.answered().await, 1);
    it.nothing_happens().await;
    it.script.finish(2, reply(2));
    assert_eq!(it.event().await, Event::ProduceBegins(3));
    assert_eq!(it.answered().await, 2);
}

#[tokio::test]
async fn rule_7_at_most_sixteen_answers_wait() {
    let mut it = start();
    let most = i32::try_from(limits::PRODUCE_WAITING_MAX).unwrap();
    for correlation in 1..=most + 1 {
        it.send(ApiKey::Produce, 3, correlation).await;
    }
    for correlation in 1..=most {
        assert_eq!(it.event().await, Event::ProduceBegins(correlation));
    }
    it.nothing_happens().await;
    it.script.finish(1, reply(1));
    assert_eq!(it.event().await, Event::ProduceBegins(most + 1));
}

#[tokio::test]
async fn rule_7_waiting_answers_are_bounded_in_bytes_too() {
    let mut it = start();
    let mut sender = {
        let (client, rest) = tokio::io::duplex(1);
        drop(rest);
        std::mem::replace(&mut it.client, client)
    };
    let half = limits::PRODUCE_WAITING_BYTES_MAX / 2;
    let sending = tokio::spawn(async move {
        for correlation in 1..=3_i32 {
            let mut head = BytesMut::new();
            head.put_i32(i32::try_from(10 + half).unwrap());
            head.put_i16(0);
            head.put_i16(3);
            head.put_i32(correlation);
            head.put_i16(-1);
            sender.write_all(&head).await.unwrap();
            sender.write_all(&Bytes::from(vec![0; half])).await.unwrap();
        }
        sender
    });
    assert_eq!(it.event().await, Event::ProduceBegins(1));
    assert_eq!(it.event().await, Event::ProduceBegins(2));
    it.nothing_happens().await;
    it.script.finish(1, reply(1));
    assert_eq!(it.event().await, Event::ProduceBegins(3));
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn rule_7_a_produce_without_acks_keeps_its_place_and_sends_nothing() {
    let mut it = start();
    for correlation in 1..=3 {
        it.send(ApiKey::Produce, 3, correlation).await;
        assert_eq!(it.event().await, Event::ProduceBegins(correlation));
    }
    it.script.finish(3, reply(3));
    it.script.finish(1, reply(1));
    assert_eq!(it.answered().await, 1);
    it.nothing_happens().await;
    it.script.finish(2, Outcome::Silent);
    assert_eq!(it.answered().await, 3);
}

#[tokio::test]
async fn a_refused_produce_ends_the_connection_after_the_answers_before_it() {
    let mut it = start();
    for correlation in 1..=2 {
        it.send(ApiKey::Produce, 3, correlation).await;
        it.event().await;
    }
    it.script.finish(2, Outcome::Close(Closing::ours("no")));
    it.script.finish(1, reply(1));
    assert_eq!(it.answered().await, 1);
    assert!(matches!(it.running.await.unwrap(), Ended::Refused(_)));
}

#[tokio::test]
async fn rule_7_a_refused_produce_gives_up_the_produces_behind_it() {
    let mut it = start();
    for correlation in 1..=2 {
        it.send(ApiKey::Produce, 3, correlation).await;
        it.event().await;
    }
    it.script.finish(1, Outcome::Close(Closing::ours("no")));
    assert!(matches!(it.running.await.unwrap(), Ended::Refused(_)));
    assert!(it.script.ends.lock()[&2].is_closed(), "nobody polls the second any more");
}

#[tokio::test]
async fn what_came_before_a_request_that_cannot_be_answered_is_answered() {
    let mut it = start();
    it.send(ApiKey::Produce, 3, 1).await;
    it.event().await;
    it.send(ApiKey::Produce, 2, 2).await;
    it.script.finish(1, reply(1));
    assert_eq!(it.answered().await, 1);
    assert!(matches!(it.running.await.unwrap(), Ended::Header(HeaderError::UnknownVersion { version: 2, .. })));
}

#[tokio::test]
async fn a_fetch_ends_with_its_peer_and_another_request_runs_to_its_end() {
    let mut it = start();
    it.send(ApiKey::Fetch, 4, 1).await;
    it.event().await;
    drop(it.client);
    assert!(matches!(it.running.await.unwrap(), Ended::Closed));

    let mut it = start();
    it.send(ApiKey::Metadata, 0, 1).await;
    it.event().await;
    it.client.shutdown().await.unwrap();
    it.nothing_happens().await;
    it.script.finish(1, reply(1));
    assert_eq!(it.answered().await, 1);
    assert!(matches!(it.running.await.unwrap(), Ended::Closed));
}

#[tokio::test]
async fn a_request_sent_behind_a_waiting_fetch_is_not_lost() {
    let mut it = start();
    it.send(ApiKey::Fetch, 4, 1).await;
    it.event().await;
    it.send(ApiKey::Metadata, 0, 2).await;
    it.nothing_happens().await;
    it.script.finish(1, reply(1));
    assert_eq!(it.event().await, Event::OtherBegins(2));
    it.script.finish(2, reply(2));
    assert_eq!((it.answered().await, it.answered().await), (1, 2));
}

#[tokio::test]
async fn a_stop_lets_what_is_in_flight_finish_and_begins_nothing_new() {
    let mut it = start();
    it.send(ApiKey::Produce, 3, 1).await;
    it.event().await;
    it.stop.cancel();
    it.nothing_happens().await;
    it.send(ApiKey::Produce, 3, 2).await;
    it.nothing_happens().await;
    it.script.finish(1, reply(1));
    assert_eq!(it.answered().await, 1);
    assert!(matches!(it.running.await.unwrap(), Ended::Closed));
}

#[tokio::test(start_paused = true)]
async fn kip_219_a_throttled_answer_goes_out_at_once_and_the_next_request_is_not_read_before_its_time() {
    let mut it = start();
    let began = tokio::time::Instant::now();
    it.send(ApiKey::Metadata, 0, 1).await;
    assert_eq!(it.event().await, Event::OtherBegins(1));
    it.script.finish(1, throttled_reply(1, 3_000));
    assert_eq!(it.answered().await, 1);
    assert_eq!(began.elapsed(), Duration::ZERO);
    it.send(ApiKey::Metadata, 0, 2).await;
    it.nothing_happens().await;
    // The clock moves on by itself while everybody waits.
    assert_eq!(it.event().await, Event::OtherBegins(2));
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn kip_219_answers_that_wait_go_out_while_the_connection_is_muted_and_a_shorter_time_ends_no_longer_one() {
    let mut it = start();
    let began = tokio::time::Instant::now();
    for correlation in 1..=2 {
        it.send(ApiKey::Produce, 3, correlation).await;
        assert_eq!(it.event().await, Event::ProduceBegins(correlation));
    }
    it.script.finish(1, throttled_reply(1, 5_000));
    assert_eq!(it.answered().await, 1);
    it.script.finish(2, throttled_reply(2, 1_000));
    assert_eq!(it.answered().await, 2);
    assert_eq!(began.elapsed(), Duration::ZERO);
    it.send(ApiKey::Metadata, 0, 3).await;
    assert_eq!(it.event().await, Event::OtherBegins(3));
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_muted_connection_still_ends_when_the_broker_stops() {
    let mut it = start();
    it.send(ApiKey::Metadata, 0, 1).await;
    assert_eq!(it.event().await, Event::OtherBegins(1));
    it.script.finish(1, throttled_reply(1, 60_000));
    assert_eq!(it.answered().await, 1);
    let began = tokio::time::Instant::now();
    it.stop.cancel();
    assert!(matches!(it.running.await.unwrap(), Ended::Closed));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

/// A connection over this budget, as the listener owns it: ended with all that it holds when the budget says so.
fn start_over(budget: &Budget) -> (DuplexStream, Script, mpsc::Receiver<Event>, tokio::task::JoinHandle<Ended>) {
    let (client, server) = tokio::io::duplex(1 << 16);
    let (reading, writing) = tokio::io::split(server);
    let (sender, events) = mpsc::channel(100);
    let script = Script { events: sender, ends: Arc::default() };
    let (long, line, door) = (Duration::from_secs(600), Line::default(), budget.kafka().clone());
    let frames = FrameReader::new(reading, door.clone(), line.clone(), long);
    let sending = Sending::new(writing, door, line.clone(), long);
    let connection = Connection::new(frames, sending, script.clone());
    let running = tokio::spawn(async move {
        tokio::select! {
            ended = connection.run(CancellationToken::new()) => ended,
            slow = line.ended() => Ended::Slow(slow),
        }
    });
    (client, script, events, running)
}

/// Asks for an answer of so many bytes, and does not read it.
async fn asks_for(bytes: usize, over: &Budget) -> (DuplexStream, tokio::task::JoinHandle<Ended>) {
    let (mut client, script, mut events, running) = start_over(over);
    client.write_all(b"\0\0\0\x0a\0\x03\0\0\0\0\0\x01\xff\xff").await.unwrap();
    assert_eq!(events.recv().await, Some(Event::OtherBegins(1)));
    let mut reply = ReplyBuilder::new(1, false, 0);
    reply.buffer().put_bytes(7, bytes);
    script.finish(1, Outcome::Reply(reply.finish().unwrap()));
    (client, running)
}

#[tokio::test(start_paused = true)]
async fn sockets_that_do_not_read_hold_up_nobody_small_and_are_ended_when_somebody_large_has_waited_for_a_second() {
    let budget = Budget::new(64 * 1024 * 1024);
    let share = budget.kafka().output_share();
    let mut unread = Vec::new();
    for _ in 0..5 {
        unread.push(asks_for(share, &budget).await);
    }
    let (mut small, _running) = asks_for(1_000, &budget).await;
    assert_eq!(small.read_i32().await.unwrap(), 1_004, "its share is its own");
    let (mut large, _running) = asks_for(share, &budget).await;
    let reads = async {
        let mut answer = vec![0; share + 8];
        large.read_exact(&mut answer).await.unwrap();
    };
    // The five, and whoever comes next, one after the other: a second each for the first, then as they are found.
    clock::timeout(Duration::from_secs(30), reads).await.expect("it is answered");
    for (_client, running) in unread {
        assert!(matches!(running.await, Ok(Ended::Slow(slow)) if slow.reads));
    }
    assert_eq!(budget.pools()[2].usage.ended, 5);
}
