//! A partitioner: one function. `cargo test` runs it here, without WebAssembly.

use sluice_plugin::{Context, Message, partition_for_key, partitioner};

/// By the header `region`, or by the key where there is none.
fn partition(_ctx: &Context, message: &Message, partitions: u32) -> u32 {
    let by = message.header("region").or(message.key()).unwrap_or_default();
    partition_for_key(by, partitions)
}

partitioner!(partition);

#[cfg(test)]
mod tests {
    use sluice_plugin::testing::{Batch, caller};

    use super::*;

    #[test]
    fn records_of_a_region_stay_together() {
        let batch = Batch::new()
            .record(Some(b"a"), Some(b"1"), &[("region", b"eu")])
            .record(Some(b"b"), Some(b"2"), &[("region", b"eu")]);
        let places: Vec<u32> = batch.records().map(|message| partition(&caller("t"), &message, 12)).collect();
        assert_eq!(places[0], places[1]);
    }
}
