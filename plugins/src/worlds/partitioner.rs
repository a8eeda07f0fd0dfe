//! The world `partitioner`: chooses the partition of each record before it is appended.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{Instance, TypedFunc};

use crate::binding::Binding;
use crate::config::HostConfig;
use crate::error::CallError;
use crate::guest::border::Batch;
use crate::guest::call::CallContext;
use crate::guest::sandbox::Sandbox;
use crate::world::{Entry, Limits, World, WrongExport, export};

/// The world.
pub(crate) struct PartitionerWorld;

type Partition = TypedFunc<(CallContext, u32, Batch), (Vec<u32>,)>;

impl World for PartitionerWorld {
    const NAME: &'static str = "partitioner";
    const EXPORT: &'static str = "partition";

    type Exports = Partition;

    fn limits(config: &HostConfig) -> Limits {
        Limits { memory_bytes: config.memory_bytes, call_time: config.partitioner_timeout }
    }

    fn exports(instance: &Instance, store: &mut Store<Sandbox>) -> Result<Partition, WrongExport> {
        export(instance, store, "partition")
    }
}

/// A bound partitioner with its kept instances. Cheap to call, safe to share.
#[derive(Debug)]
pub struct Partitioner(Binding<PartitionerWorld>);

impl Partitioner {
    pub(crate) fn new(binding: Binding<PartitionerWorld>) -> Partitioner {
        Partitioner(binding)
    }

    /// One number below `partition_count` for each record of `batch`, in order.
    ///
    /// # Errors
    /// Why the plugin returned no answer; the instance that failed is dropped, and others go on.
    pub async fn partition(
        &self,
        ctx: &CallContext,
        partition_count: u32,
        batch: Batch,
    ) -> Result<Vec<u32>, CallError> {
        if batch.records() == 0 {
            return Ok(Vec::new());
        }
        // On the heap, so that no caller's future holds the guest's: the compiler gives up on types nested that deep.
        Box::pin(self.0.call(PartitionCall { ctx: ctx.clone(), partition_count, batch })).await
    }
}

/// One call of `partition`.
struct PartitionCall {
    ctx: CallContext,
    partition_count: u32,
    batch: Batch,
}

impl Entry for PartitionCall {
    type World = PartitionerWorld;
    type Answer = Vec<u32>;

    fn topic(&self) -> &Arc<str> {
        &self.ctx.topic
    }

    fn answer_bytes_max(&self) -> usize {
        self.batch.records() * size_of::<u32>()
    }

    async fn enter(
        self,
        partition: &Partition,
        store: &mut Store<Sandbox>,
    ) -> wasmtime::Result<Result<Vec<u32>, CallError>> {
        let records = self.batch.records();
        let (chosen,) = partition.call_async(store, (self.ctx, self.partition_count, self.batch)).await?;
        Ok(check(chosen, records, self.partition_count))
    }
}

/// The contract of `partition`: one legal number a record.
fn check(chosen: Vec<u32>, records: usize, partition_count: u32) -> Result<Vec<u32>, CallError> {
    if chosen.len() != records {
        let reason = format!("{} partitions for {records} records", chosen.len());
        return Err(CallError::BadAnswer { reason });
    }
    match chosen.iter().position(|&partition| partition >= partition_count) {
        Some(at) => Err(CallError::BadAnswer {
            reason: format!("partition {} for record {at}, the topic has {partition_count}", chosen[at]),
        }),
        None => Ok(chosen),
    }
}
