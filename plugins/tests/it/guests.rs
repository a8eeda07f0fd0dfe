//! Guests as text: one frame with the canonical ABI's plumbing, into which each test puts the lines it is about.

use sluice_plugins::{Batch, BindError, CallContext, Host, HostConfig, Partitioner, Source};

/// A guest that puts each record on the partition that its value's first byte says, modulo the count.
pub(crate) const GOOD: &str = "";
/// One that never ends.
pub(crate) const LOOPS: &str = "(loop $for_ever (br $for_ever))";
/// One that traps.
pub(crate) const TRAPS: &str = "unreachable";
/// One that takes memory until it is refused, and dies of the refusal.
pub(crate) const HOGS: &str =
    "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
/// One that forgets the last record.
pub(crate) const SHORT: &str = "(local.set $records (i32.sub (local.get $records) (i32.const 1)))";
/// One that names a partition that is not there.
pub(crate) const BEYOND: &str = "(local.set $add (local.get $count))";

/// A core module, in binary: `init` and `partition` run these lines before what they do otherwise. `partition` may use
/// the locals `$records`, `$count`, `$add` (added to every answer). `init` keeps its configuration's length in `$config`.
pub(crate) fn module(init: &str, partition: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
        (import "sluice:plugin/host@0.1.0" "log" (func $log (param i32 i32 i32)))
        (import "sluice:plugin/host@0.1.0" "now-ms" (func $now (result i64)))
        (memory (export "memory") 1)
        (global $heap (mut i32) (i32.const 4096))
        (global $config (mut i32) (i32.const 0))
        (global $calls (mut i32) (i32.const 0))
        (data (i32.const 64) "no such field")
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
            (global.set $heap (i32.add (local.get $at) (local.get 3)))
            (loop $room (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
                (then (drop (memory.grow (i32.const 1))) (br $room))))
            (local.get $at))
        (func (export "init") (param $text i32) (param $length i32) (result i32)
            (global.set $config (local.get $length))
            (i32.store (i32.const 16) (i32.const 0))
            {init}
            (i32.const 16))
        (func (export "partition")
            (param $topic i32) (param $topic_length i32) (param i32 i32) (param i32 i32) (param $source i32)
            (param $count i32) (param $data i32) (param i32) (param $index i32) (param $words i32)
            (result i32)
            (local $records i32) (local $i i32) (local $add i32) (local $entry i32)
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (local.set $records (i32.div_u (local.get $words) (i32.const 8)))
            {partition}
            (loop $each (if (i32.lt_u (local.get $i) (local.get $records)) (then
                (local.set $entry (i32.add (local.get $index) (i32.mul (local.get $i) (i32.const 32))))
                (i32.store (i32.add (global.get $heap) (i32.mul (local.get $i) (i32.const 4)))
                    (i32.add (local.get $add) (i32.rem_u
                        (i32.load8_u (i32.add (local.get $data) (i32.load offset=8 (local.get $entry))))
                        (local.get $count))))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br $each))))
            (i32.store (i32.const 32) (global.get $heap))
            (i32.store (i32.const 36) (local.get $records))
            (i32.const 32))
        (func (export "cabi_post_partition") (param i32) (global.set $heap (i32.const 4096))))"#
    );
    wat::parse_str(text).expect("the frame and the test's lines are legal")
}

/// A guest whose `init` answers an error.
pub(crate) fn refusing() -> Vec<u8> {
    module(REFUSES, "")
}

/// For `init`: an error, unless the configuration is `{}`.
pub(crate) const REFUSES: &str = "(if (i32.ne (local.get $length) (i32.const 2)) (then
    (i32.store (i32.const 16) (i32.const 1))
    (i32.store (i32.const 20) (i32.const 64))
    (i32.store (i32.const 24) (i32.const 13))))";

pub(crate) fn host(dir: &tempfile::TempDir) -> Host {
    Host::open(HostConfig { concurrency: 1, ..HostConfig::new(dir.path()) }).expect("a new folder")
}

/// Binds by the text that a topic's config has.
pub(crate) async fn bind(host: &Host, reference: &str, config: &str) -> Result<Partitioner, BindError> {
    host.bind(&reference.parse()?, config).await
}

pub(crate) fn caller() -> CallContext {
    CallContext {
        topic: "orders".into(),
        principal: "User:ANONYMOUS".into(),
        client_id: "tests".into(),
        source: Source::Http,
    }
}

/// A batch of records with these values.
pub(crate) fn batch(values: &[&[u8]]) -> Batch {
    let mut batch = Batch::default();
    for value in values {
        batch.push(None, Some(value), [], 0).expect("a small batch");
    }
    batch
}
