//! What a producer may send: `check_produced`, then everything that a log and its readers do with what it lets in.
//! The CRC is made right first, so that the fuzzer gets behind it; the untouched bytes are tried as well.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_broker::ids::{LeaderEpoch, Offset, TimestampMs};
use sluice_broker::record::{check_produced, check_stored};

fuzz_target!(|bytes: &[u8]| {
    drop(check_produced(bytes.to_vec().into(), usize::MAX));
    let Ok(batch) = check_produced(sluice_fuzz::mended(bytes).into(), 1 << 20) else { return };
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
    let good = records.take_while(Result::is_ok).count();
    if opened.is_ok() && good != count as usize {
        // The one thing that a walk lets through and a view does not.
        assert!(bytes.len() > sluice_broker::limits::HEADERS_VIEWED_MAX, "{good} of {count} records");
    }
});
