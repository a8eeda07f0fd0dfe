//! Batches: what a producer sends (`check_produced`) and what a file holds (`check_stored`), with everything that a log
//! and its readers do with what either lets in. Checksums are made right, so that the fuzzer gets behind them.

use bytes::Bytes;
use sluice_broker::ids::{LeaderEpoch, Offset, TimestampMs};
use sluice_broker::limits::BATCH_HEADER_BYTES;
use sluice_broker::record::raw::RawHeader;
use sluice_broker::record::{check_produced, check_stored, records};

use super::files::mended;

/// Bytes as a producer's batch, and as batches one after the other in a file.
pub fn run(bytes: &[u8]) {
    drop(check_produced(bytes.to_vec().into(), usize::MAX));
    drop(check_stored(bytes.to_vec().into()));
    let mended = Bytes::from(mended(bytes));
    produced(&mended);
    let mut rest = mended;
    while let Some(size) = stored(&rest) {
        rest = rest.slice(size..);
    }
}

fn produced(bytes: &Bytes) {
    let Ok(batch) = check_produced(bytes.clone(), 1 << 20) else { return };
    let opened = batch.check_records();
    let count = batch.header().record_count;
    let stamped = batch.stamp(Offset(1 << 40), LeaderEpoch(7), Some(TimestampMs(1)));
    let written = [&stamped.head[..], &stamped.body[..]].concat();
    let stored = check_stored(written.into()).expect("what was let in can be read back");
    assert_eq!(stored.header(), &stamped.header);
    let Ok(records) = stored.iter() else {
        assert!(opened.is_err(), "it was opened before");
        return;
    };
    let mut good = 0;
    let mut bad = None;
    for record in records {
        match record {
            Ok(_) => good += 1,
            Err(error) => bad = Some(error.to_string()),
        }
    }
    if opened.is_ok() && good != count as usize {
        // The one thing that a walk lets through and a view does not.
        assert!(bad.is_some_and(|bad| bad.contains("too much for one record")), "{good} of {count} records");
    }
}

/// The first batch, and what the dump tool makes of it; its size.
fn stored(bytes: &Bytes) -> Option<usize> {
    if let Some(head) = bytes.first_chunk::<BATCH_HEADER_BYTES>() {
        let raw = RawHeader::read(head);
        let shown = raw.records(&bytes.slice(BATCH_HEADER_BYTES..)).map(|records| records.take(1_000).count());
        drop((shown, raw.last_offset(), raw.last_sequence(), raw.delete_horizon_ms()));
    }
    let batch = check_stored(bytes.clone()).ok()?;
    let header = batch.header();
    assert!(header.size <= bytes.len() && header.next_offset() > header.base_offset);
    if let Ok(records) = records(&batch) {
        assert_eq!(records.len(), header.record_count as usize);
        assert!(records.iter().all(|record| record.offset >= header.base_offset));
        assert!(records.iter().all(|record| record.offset <= header.last_offset()));
        let size = header.size;
        let raw = RawHeader::read(bytes.first_chunk().expect("a batch has a header"));
        let shown = raw.records(&bytes.slice(BATCH_HEADER_BYTES..size)).expect("it was opened before");
        assert!(shown.zip(&records).all(|(raw, record)| raw.is_ok_and(|raw| raw.offset == record.offset.0)));
    }
    Some(header.size)
}
