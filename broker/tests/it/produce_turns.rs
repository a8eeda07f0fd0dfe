//! Rule 7 of the log contract, through the engine: a produce whose batch has to be opened keeps its place, the next one for that
//! partition waits behind it, and other partitions do not wait.

use std::sync::mpsc;
use std::time::Duration;

use futures::FutureExt;
use sluice_broker::auth;
use sluice_broker::context::Context;
use sluice_broker::engine::Engine;
use sluice_broker::engine::produce::{BegunProduce, ProducePartition, ProduceRecords, ProduceTopic, QueuedProduce};
use sluice_broker::ids::{Offset, PartitionId, ProducerEpoch, ProducerId, Sequence, TopicRef};
use sluice_broker::record::{Compression, ProducerStamp};

use crate::kafka_client::batch_of;
use crate::rooms::Rooms;

/// Runs with a single thread for what may block, which is busy until the test lets it go.
fn with_busy_thread<F: Future<Output = ()>>(test: impl FnOnce(Rooms, mpsc::SyncSender<()>) -> F) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let rooms = Rooms::open(folder.path()).await;
        // Stored in another compression than it is sent in: every batch has to be opened.
        rooms.topic("heavy", 2, &[("compression.type", "zstd")]).await;
        let (release, released) = mpsc::sync_channel::<()>(1);
        let busy = tokio::task::spawn_blocking(move || released.recv());
        test(rooms, release).await;
        assert!(busy.await.unwrap().is_ok());
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
}

fn client() -> Context {
    Context::kafka("test".into(), "test".into(), ([127, 0, 0, 1], 1).into())
}

/// One batch of one record of producer 7.
fn part(engine: &Engine, partition: i32, sequence: i32, compression: Compression) -> ProduceTopic {
    part_of("heavy", engine, partition, sequence, compression)
}

fn part_of(topic: &str, engine: &Engine, partition: i32, sequence: i32, compression: Compression) -> ProduceTopic {
    let topic: auth::Granted<auth::Write, _> = engine.auth().ask(&client(), TopicRef::name(topic)).unwrap();
    let stamp = ProducerStamp { id: ProducerId(7), epoch: ProducerEpoch(0), first: Sequence(sequence) };
    let records = ProduceRecords::Received(Some(batch_of(&["a"], compression, Some(stamp))));
    let partitions = vec![ProducePartition { partition: PartitionId(partition), records }];
    ProduceTopic { topic, create: None, partitions }
}

async fn queued(engine: &Engine, part: ProduceTopic) -> QueuedProduce {
    match engine.begin_produce(&client(), vec![part]).await {
        BegunProduce::Queued(queued) => queued,
        BegunProduce::Appended(_) => panic!("it has to wait"),
    }
}

#[test]
fn rule_7_a_batch_that_has_to_be_opened_keeps_its_place_and_holds_up_its_own_partition_alone() {
    with_busy_thread(async |rooms, release| {
        let engine = &rooms.engine;
        let first = queued(engine, part(engine, 0, 0, Compression::None)).await;
        // Nothing of this one has to be opened, yet it comes after the first.
        let second = queued(engine, part(engine, 0, 1, Compression::Zstd)).await;
        let BegunProduce::Appended(other) =
            engine.begin_produce(&client(), vec![part(engine, 1, 0, Compression::Zstd)]).await
        else {
            panic!("another partition does not wait")
        };
        assert_eq!(other.outcome().await[0].as_ref().unwrap().base_offset, Offset(0));
        let mut second = Box::pin(engine.finish_produce(second));
        assert!((&mut second).now_or_never().is_none(), "the turn of the second has not come");
        let first = engine.finish_produce(first);
        release.send(()).unwrap();
        let (first, second) = futures::join!(first, second);
        assert_eq!(first.outcome().await[0].as_ref().unwrap().base_offset, Offset(0));
        assert_eq!(second.outcome().await[0].as_ref().unwrap().base_offset, Offset(1), "sequences kept their order");
    });
}

#[test]
fn rule_7_a_request_that_is_given_up_in_the_queue_lets_the_next_one_begin() {
    with_busy_thread(async |rooms, release| {
        let engine = &rooms.engine;
        let first = queued(engine, part(engine, 0, 0, Compression::None)).await;
        let second = queued(engine, part(engine, 0, 0, Compression::Zstd)).await;
        drop(first);
        let appended = engine.finish_produce(second).await;
        assert_eq!(appended.outcome().await[0].as_ref().unwrap().base_offset, Offset(0));
        release.send(()).unwrap();
    });
}

#[test]
fn rule_7_a_request_holds_no_place_while_another_of_its_topics_is_created() {
    with_busy_thread(async |rooms, release| {
        let engine = &rooms.engine;
        // The busy thread is the one that would create it.
        let create = engine.auth().ask(&client(), TopicRef::name("missing")).ok();
        let missing = ProduceTopic { create, ..part_of("missing", engine, 0, 0, Compression::None) };
        let both = vec![part(engine, 0, 1, Compression::None), missing];
        let context = client();
        let mut both = Box::pin(engine.begin_produce(&context, both));
        assert!((&mut both).now_or_never().is_none(), "a topic has to be created");
        let BegunProduce::Appended(other) =
            engine.begin_produce(&client(), vec![part(engine, 0, 0, Compression::Zstd)]).await
        else {
            panic!("another request waits for the creation")
        };
        assert_eq!(other.outcome().await[0].as_ref().unwrap().base_offset, Offset(0));
        release.send(()).unwrap();
        let BegunProduce::Queued(both) = both.await else { panic!("the batch has to be opened") };
        let outcomes = engine.finish_produce(both).await.outcome().await;
        let offsets: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().unwrap().base_offset).collect();
        assert_eq!(offsets, [Offset(1), Offset(0)]);
    });
}
