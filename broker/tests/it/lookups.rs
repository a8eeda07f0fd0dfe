//! Look-ups by time: where they wait for the disk.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use sluice_broker::door::Message;
use sluice_broker::door::produce::ProduceWish;
use sluice_broker::engine::produce::Acks;
use sluice_broker::ids::{Offset, PartitionId, TimestampMs};
use sluice_broker::record::Compression;

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
        let wish = ProduceWish {
            topic: "t".to_owned(),
            messages: vec![(Some(P0), message)],
            acks: Acks::Durable,
            compression: Compression::None,
            expected_offset: None,
        };
        rooms.door.produce(&http(), wish).await.unwrap();
        // The only thread that may wait for a disk is busy.
        let (release, released) = mpsc::sync_channel::<()>(1);
        let busy = tokio::task::spawn_blocking(move || released.recv());
        let ctx = http();
        let mut found = Box::pin(rooms.door.offset_for_time(&ctx, "t", P0, TimestampMs(0)));
        assert!((&mut found).now_or_never().is_none());
        release.send(()).unwrap();
        assert_eq!(found.await.unwrap(), Some(Offset(0)));
        busy.await.unwrap().unwrap();
        drop(rooms);
    });
    runtime.shutdown_timeout(Duration::ZERO);
}
