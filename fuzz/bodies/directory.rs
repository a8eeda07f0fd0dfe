//! Recovery of a whole partition from hostile files: logs, indexes, time indexes, producer snapshots, epochs, the topic
//! id and the checkpoints. Whatever is in them, it opens or says why not; what can be read is read to its end, in
//! order; above the recovery point every batch is whole; and the log takes appends or says that it does not.

use sluice_broker::ids::{Offset, TimestampMs};
use sluice_broker::log::io::faulty::FaultyDisk;
use sluice_broker::log::{LogDir, LogError, Partition};
use sluice_broker::record::{BatchHeader, check_stored};

use super::files::{append, clock, config, edited, ident, recovery_point, settings};

/// The first byte chooses how much is read at once; the rest are edits.
pub fn run(bytes: &[u8]) {
    let Some((max_bytes, edits)) = bytes.split_first() else { return };
    let disk = edited(edits);
    let trusted = recovery_point(&disk);
    let Some((dir, partition)) = opened(&disk) else { return };
    let end = read_all(&partition, trusted, usize::from(*max_bytes) * 8);
    for time in [0, 1_005, 1_009, i64::MAX] {
        drop(partition.find_time(TimestampMs(time)));
    }
    drop((partition.find_max_time(), partition.epoch_at(end), partition.current_epoch()));
    if partition.usable().is_err() {
        return;
    }
    let leo = partition.offsets().leo;
    if (100..103).all(|number| append(&partition, number * 2 + 1)) {
        dir.close().expect("nothing hinders it");
        drop((dir, partition));
        let again = disk.kill();
        let (_dir, partition) = opened(&again).expect("it was opened before");
        partition.usable().expect("it was stopped in order");
        assert_eq!(partition.offsets().leo, Offset(leo.0 + 3), "what was appended is there");
        read_all(&partition, trusted, 1 << 20);
    }
}

fn opened(disk: &FaultyDisk) -> Option<(std::sync::Arc<LogDir>, std::sync::Arc<Partition>)> {
    let dir = LogDir::open(settings(disk), clock()).ok()?;
    let partition = dir.open_existing(ident(), config()).expect("trouble is the partition's state");
    Some((dir, partition))
}

/// Reads from the start to HW, as a consumer does; returns where it came to.
pub fn read_all(partition: &Partition, trusted: Option<Offset>, max_bytes: usize) -> Offset {
    let offsets = partition.offsets();
    let mut at = offsets.log_start;
    while at < offsets.hw {
        let mut records = match partition.read(at, max_bytes) {
            Ok(slice) => slice,
            Err(
                LogError::Corrupt { .. } | LogError::Offline { .. } | LogError::OutOfRange { .. } | LogError::Io { .. },
            ) => return at,
            Err(error) => panic!("reading at {at}: {error}"),
        };
        assert!(!records.is_empty(), "nothing is read at {at} below {}", offsets.hw);
        while !records.is_empty() {
            let header = BatchHeader::parse(&records).expect("whole batches are read");
            if header.next_offset() <= at {
                // Damage below the recovery point that a start does not see: it does not read sealed segments.
                let below = trusted.is_none_or(|trusted| at <= trusted || header.next_offset() <= trusted);
                assert!(below, "offsets rise: {at}, then up to {}", header.last_offset());
                return at;
            }
            // By where it stands: an offset below the recovery point may have rotted into one above.
            if trusted.is_some_and(|trusted| at >= trusted) {
                check_stored(records.clone()).expect("above the recovery point every batch is whole");
            }
            at = header.next_offset();
            records = records.slice(header.size..);
        }
    }
    at
}
