//! A second world, of these tests only: what instance, pool, limits and binding do for partitioners they do for any world.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::{Instance, TypedFunc};

use crate::config::HostConfig;
use crate::error::{BindError, CallError, UploadError};
use crate::guest::sandbox::Sandbox;
use crate::host::Host;
use crate::world::{Entry, Limits, World, WrongExport, export};
use crate::worlds::partitioner::PartitionerWorld;

/// A world whose guests measure a text.
pub(crate) struct LengthWorld;

type Length = TypedFunc<(String,), (u32,)>;

impl World for LengthWorld {
    const NAME: &'static str = "length";
    const EXPORT: &'static str = "length";

    type Exports = Length;

    fn limits(_: &HostConfig) -> Limits {
        Limits { memory_bytes: 65_536, call_time: Duration::from_millis(5) }
    }

    fn exports(instance: &Instance, store: &mut Store<Sandbox>) -> Result<Length, WrongExport> {
        export(instance, store, "length")
    }
}

/// One call of `length`; an answer above 100 breaks this world's contract.
struct LengthCall {
    topic: Arc<str>,
    text: String,
}

impl Entry for LengthCall {
    type World = LengthWorld;
    type Answer = u32;

    fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    fn answer_bytes_max(&self) -> usize {
        0
    }

    async fn enter(self, length: &Length, store: &mut Store<Sandbox>) -> wasmtime::Result<Result<u32, CallError>> {
        let (answer,) = length.call_async(store, (self.text,)).await?;
        let bad = || CallError::BadAnswer { reason: format!("{answer} is above 100") };
        Ok(if answer > 100 { Err(bad()) } else { Ok(answer) })
    }
}

/// A component of the world: `length` runs these lines and then returns the text's length.
fn guest(lines: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
        (core module $module
            (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
            (func (export "init") (param i32 i32) (result i32) (i32.const 16))
            (func (export "length") (param $text i32) (param $length i32) (result i32)
                {lines}
                (local.get $length)))
        (core instance $guest (instantiate $module))
        (alias core export $guest "memory" (core memory $memory))
        (alias core export $guest "realloc" (core func $realloc))
        (alias core export $guest "init" (core func $init))
        (alias core export $guest "length" (core func $measure))
        (func (export "init") (param "config" string) (result (result (error string)))
            (canon lift (core func $init) (memory $memory) (realloc $realloc)))
        (func (export "length") (param "text" string) (result u32)
            (canon lift (core func $measure) (memory $memory) (realloc $realloc))))"#
    );
    wat::parse_str(text).expect("the frame and the test's lines are legal")
}

async fn measured(lines: &str, text: &str) -> Result<u32, CallError> {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(HostConfig::new(dir.path())).unwrap();
    assert_eq!(host.upload("guest", &guest(lines)).await.unwrap().world, "length");
    let bound = host.bind_to::<LengthWorld>(&"guest".parse().unwrap(), "{}").await.unwrap();
    bound.call(LengthCall { topic: "orders".into(), text: text.into() }).await
}

#[tokio::test]
async fn a_guest_of_another_world_is_recognised_bound_and_called() {
    assert_eq!(measured("", "twelve bytes").await, Ok(12));
}

#[tokio::test]
async fn a_world_has_limits_and_a_contract_of_its_own() {
    assert_eq!(measured("(loop $for_ever (br $for_ever))", "").await, Err(CallError::Timeout { limit_ms: 5 }));
    let grows = "(if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))";
    assert_eq!(measured(grows, "").await, Err(CallError::Memory { limit: 65_536 }));
    let long = measured("", &"x".repeat(101)).await;
    assert!(matches!(&long, Err(CallError::BadAnswer { reason }) if reason == "101 is above 100"), "{long:?}");
}

#[tokio::test]
async fn a_plugin_is_bound_only_where_its_world_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(HostConfig::new(dir.path())).unwrap();
    host.upload("guest", &guest("")).await.unwrap();
    let refused = host.bind_to::<PartitionerWorld>(&"guest".parse().unwrap(), "{}").await.unwrap_err();
    let expected = BindError::OtherWorld { name: "guest".into(), has: "length".into(), wanted: "partitioner" };
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn a_module_of_no_world_is_refused_with_the_exports_that_would_make_one() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::open(HostConfig::new(dir.path())).unwrap();
    let refused = host.upload("guest", &wat::parse_str("(component)").unwrap()).await.unwrap_err();
    let UploadError::WrongWorld { reason } = refused else { panic!("{refused}") };
    assert_eq!(reason, "it has no export 'partition' or 'length'");
}
