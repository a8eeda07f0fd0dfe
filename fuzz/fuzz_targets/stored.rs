//! What a log file may hold, damage included: `check_stored` and the records, batch after batch.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sluice_broker::record::{check_stored, records};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    loop {
        let Ok(batch) = check_stored(sluice_fuzz::mended(rest).into()) else { break };
        let header = batch.header();
        assert!(header.size <= rest.len() && header.next_offset() > header.base_offset);
        if let Ok(records) = records(&batch) {
            assert_eq!(records.len(), header.record_count as usize);
            assert!(records.iter().all(|record| record.offset >= header.base_offset));
            assert!(records.iter().all(|record| record.offset <= header.last_offset()));
        }
        rest = &rest[header.size..];
    }
    drop(check_stored(bytes.to_vec().into()));
});
