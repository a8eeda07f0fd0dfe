//! The border, generated from `sdk-wasm/wit`; authors do not see it. Turns what comes over into the types of `message`.
#![allow(missing_docs, unreachable_pub, reason = "generated")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "partitioner",
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "sluice_plugin::border",
});

use crate::message;
use crate::partitioner::Partitioner;

pub fn partition(plugin: &mut impl Partitioner, ctx: Context, partitions: u32, batch: &Batch) -> Vec<u32> {
    let ctx = message::Context {
        topic: ctx.topic,
        principal: ctx.principal,
        client_id: ctx.client_id,
        source: match ctx.source {
            sluice::plugin::types::Source::Kafka => message::Source::Kafka,
            sluice::plugin::types::Source::Http => message::Source::Http,
            sluice::plugin::types::Source::Delay => message::Source::Delay,
        },
    };
    plugin.partition_all(&ctx, message::Records::new(&batch.data, &batch.index), partitions)
}
