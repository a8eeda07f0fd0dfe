//! A disk that fails: what a client is told, and what readiness says.

use sluice_broker::log::io::faulty::FaultyDisk;

use crate::broker::Broker;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_503_until_there_is_room_and_no_poison() {
    let disk = FaultyDisk::new();
    let broker = Broker::start_on(&disk).await;
    broker.post("/topics/t", "before").await.expect(200);
    disk.set_space(Some(0));
    let full = broker.post("/topics/t", "during").await;
    assert_eq!(full.expect(503)["error_code"], 50003, "rule 8: a write that fails is no poison");
    assert!(full.header("retry-after").is_some());
    assert_eq!(broker.get("/topics/t/partitions/0/records").await.expect(200).as_array().map(Vec::len), Some(1));
    disk.set_space(None);
    assert_eq!(broker.post("/topics/t", "after").await.expect(200)["offsets"][0]["offset"], 1);
    assert_eq!(broker.get("/health/ready").await.status, 200);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_poisons_the_partition_and_readiness_says_so() {
    let disk = FaultyDisk::new();
    let broker = Broker::start_on(&disk).await;
    broker.post("/topics/t", "before").await.expect(200);
    disk.fail_sync(1);
    assert_eq!(broker.post("/topics/t", "lost").await.expect(503)["error_code"], 50003, "rule 8: it was not synced");
    assert_eq!(broker.post("/topics/t", "refused").await.expect(503)["error_code"], 50003);
    let ready = broker.get("/health/ready").await;
    let reason = ready.expect(503)["reason"].to_string();
    assert!(reason.contains("t-0"), "{reason}");
    assert_eq!(broker.get("/health/live").await.status, 200);
    broker.post("/topics/other", "others go on").await.expect(200);
    broker.abandon();
}
