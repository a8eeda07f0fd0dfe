//! What a world of `sdk-wasm/wit/plugin.wit` must say of itself so that this host can run its guests. Instances, pools
//! and bindings are generic over it: a new world is one file under `worlds/` and one row in `worlds/mod.rs`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, Instance, Lift, Lower, TypedFunc};

use crate::config::HostConfig;
use crate::error::CallError;
use crate::guest::sandbox::Sandbox;

/// A world. Every world exports `init: func(config: string) -> result<_, string>`, which the host calls once an instance.
pub(crate) trait World: 'static {
    /// Its name in the contract and in listings.
    const NAME: &'static str;
    /// The export by which a component of this world is recognised.
    const EXPORT: &'static str;

    /// The functions of one instance, `init` left out.
    type Exports: Send + Sync;

    /// What an instance may use.
    fn limits(config: &HostConfig) -> Limits;

    /// Finds the functions of an instance.
    ///
    /// # Errors
    /// An export that is missing or has another type.
    fn exports(instance: &Instance, store: &mut Store<Sandbox>) -> Result<Self::Exports, WrongExport>;
}

/// One kind of call into a guest of a world, with its arguments.
pub(crate) trait Entry: Send {
    /// The world that has this call.
    type World: World;
    /// What the caller gets.
    type Answer: Send;

    /// The topic that log lines of this call are about.
    fn topic(&self) -> &Arc<str>;

    /// The most bytes that a legal answer has, texts left out.
    fn answer_bytes_max(&self) -> usize;

    /// Calls the guest. The outer error is a trap; the inner one is an answer that breaks the contract.
    fn enter(
        self,
        exports: &<Self::World as World>::Exports,
        store: &mut Store<Sandbox>,
    ) -> impl Future<Output = wasmtime::Result<Result<Self::Answer, CallError>>> + Send;
}

/// What one instance of a world may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Linear memories and tables together, in bytes.
    pub(crate) memory_bytes: u64,
    /// One call's own time on a core.
    pub(crate) call_time: Duration,
}

/// An export that is missing or has another type.
#[derive(Debug)]
pub(crate) struct WrongExport {
    pub(crate) name: &'static str,
    pub(crate) cause: wasmtime::Error,
}

/// One export, with the type that the world gives it.
pub(crate) fn export<P, R>(
    instance: &Instance,
    store: &mut Store<Sandbox>,
    name: &'static str,
) -> Result<TypedFunc<P, R>, WrongExport>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    instance.get_typed_func(store, name).map_err(|cause| WrongExport { name, cause })
}
