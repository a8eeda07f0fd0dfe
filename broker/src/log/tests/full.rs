//! Rule 8 on a full disk: what is there is served, also by a start that finds no room, and the log goes on when there is some.

use super::*;
use crate::log::error::AppendError;

fn refused_for_space(partition: &Arc<Partition>) -> bool {
    let refused = partition.append(batch("no room"), Origin::Client);
    matches!(refused.placed(), Err(AppendError::Log(error)) if error.is_no_space())
}

#[tokio::test]
async fn rule_8_a_start_on_a_full_disk_serves_what_is_there_and_goes_on_when_there_is_room() {
    let mut bench = Bench::new();
    let config = LogConfig { index_interval_bytes: 1, ..config() };
    {
        let dir = bench.open();
        let partition = dir.create(ident("t"), config.clone()).unwrap();
        for value in ["a", "b", "c"] {
            settle(&partition, value).await;
        }
        assert_eq!(bench.len("/data/t-0/00000000000000000000.index"), 0, "entries are in memory until a checkpoint");
    }
    bench.kill();
    bench.disk.set_space(Some(1));
    let dir = bench.open();
    let partition = dir.open_existing(ident("t"), config.clone()).unwrap();
    partition.usable().unwrap();
    assert_eq!(values(&partition), ["a", "b", "c"]);
    assert!(refused_for_space(&partition));
    assert_eq!(partition.offsets().recovery_point, Offset(0), "what has no index on disk is looked at again");
    bench.disk.set_space(None);
    settle(&partition, "d").await;
    dir.close().unwrap();
    drop((partition, dir));
    let entries = bench.len("/data/t-0/00000000000000000000.index");
    assert!(entries > 0);
    bench.kill();
    let dir = bench.open();
    assert!(!dir.was_unclean());
    let partition = dir.open_existing(ident("t"), config).unwrap();
    assert_eq!(
        (values(&partition), partition.offsets().recovery_point),
        (vec!["a".into(), "b".into(), "c".into(), "d".into()], Offset(4))
    );
}
