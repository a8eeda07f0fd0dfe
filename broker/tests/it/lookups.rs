//! Look-ups by time: where they wait for the disk.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use sluice_broker::door::messages::{Acks, Compression, Message, ProduceRequest};
use sluice_broker::door::topics::TopicRef;
use sluice_broker::ids::{Offset, PartitionId, TimestampMs};

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
