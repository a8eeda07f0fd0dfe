//! Look-ups by time: where they wait for the disk, and what they cost.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use sluice_broker::door::messages::{Acks, Compression, Message, ProduceRequest};
use sluice_broker::door::topics::TopicRef;
use sluice_broker::ids::{Offset, PartitionId, TimestampMs};
use sluice_broker::log::Origin;
use sluice_broker::record::build;

use crate::rooms::{Rooms, http};

const P0: PartitionId = PartitionId(0);

#[test]
fn a_look_up_by_time_waits_for_the_disk_elsewhere_than_on_a_network_thread() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let rooms = Rooms::open(folder.path()).await;
        let message = Message { value: Some(Bytes::from_static(b"a")), ..Message::default() };
        let request = ProduceRequest {
            topic: "t".to_owned(),
            messages: vec![(Some(P0), message)],
            acks: Acks::Durable,
            compression: Compression::None,
            expected_offset: None,
        };
        rooms.door.produce(&http(), request).await.unwrap();
        // The only thread that may wait for a disk is busy.
        let (release, released) = mpsc::sync_channel::<()>(1);
        let busy = tokio::task::spawn_blocking(move || released.recv());
        let (ctx, topic) = (http(), TopicRef::name("t"));
        let mut found = Box::pin(rooms.door.offset_for_time(&ctx, &topic, P0, TimestampMs(0)));
        assert!((&mut found).now_or_never().is_none());
        release.send(()).unwrap();
        assert_eq!(found.await.unwrap(), Some(Offset(0)));
        busy.await.unwrap().unwrap();
        drop(rooms);
    });
    runtime.shutdown_timeout(Duration::ZERO);
}

#[tokio::test]
async fn a_legal_batch_of_more_than_a_million_records_is_looked_up_to_its_last() {
    let folder = tempfile::tempdir().unwrap();
    let rooms = Rooms::open(folder.path()).await;
    rooms.topic("t", 1, &[("message.timestamp.after.max.ms", "9223372036854775807")]).await;
    let mut messages = vec![Message { timestamp: Some(TimestampMs(5)), ..Message::default() }; 1_000_010];
    messages[1_000_005].timestamp = Some(TimestampMs(70));
    let batch = build(&messages, TimestampMs(5), Compression::Zstd, None).unwrap();
    assert!(batch.header().size < 1 << 20, "as any client may send it");
    let partition = rooms.catalog.topic("t").unwrap().partition(P0).unwrap();
    partition.append(batch, Origin::Client).durable().await.unwrap();
    let found = rooms.door.offset_for_time(&http(), &TopicRef::name("t"), P0, TimestampMs(6)).await;
    assert_eq!(found.unwrap(), Some(Offset(1_000_005)));
    rooms.close().await;
}
