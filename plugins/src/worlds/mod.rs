//! The worlds that this host runs, one file each. `HOSTED` is the list by which an upload's world is recognised.

pub(crate) mod partitioner;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use wasmtime::component::Component;

use crate::error::UploadError;
use crate::guest::engine::Wasm;
use crate::guest::module::Module;
use crate::upload::trial::{Bound, try_out};
use crate::world::World;

type Trial<'a> = Pin<Box<dyn Future<Output = Result<(), UploadError>> + Send + 'a>>;

/// One world as an upload meets it.
pub(crate) struct Hosted {
    pub(crate) name: &'static str,
    export: &'static str,
    try_out: for<'a> fn(&'a Wasm, &'a Arc<Module>, &'a [Bound]) -> Trial<'a>,
}

/// Every world, in the order in which a component is compared with them.
const HOSTED: &[Hosted] = &[
    Hosted::of::<partitioner::PartitionerWorld>(),
    #[cfg(test)]
    Hosted::of::<tests::LengthWorld>(),
];

impl Hosted {
    const fn of<W: World>() -> Hosted {
        Hosted {
            name: W::NAME,
            export: W::EXPORT,
            try_out: |wasm, module, bound| Box::pin(try_out::<W>(wasm, module, bound)),
        }
    }

    /// Starts a module once, and once more with each configuration that it will be used with.
    ///
    /// # Errors
    /// What keeps the module from being used.
    pub(crate) async fn try_out(&self, wasm: &Wasm, module: &Arc<Module>, bound: &[Bound]) -> Result<(), UploadError> {
        (self.try_out)(wasm, module, bound).await
    }
}

/// The world of a component.
///
/// # Errors
/// `WrongWorld` when it has the exports of none.
pub(crate) fn of_component(component: &Component) -> Result<&'static Hosted, UploadError> {
    let found = HOSTED.iter().find(|world| component.get_export_index(None, world.export).is_some());
    found.ok_or_else(|| UploadError::WrongWorld { reason: format!("it has no export {}", exports()) })
}

/// The world of a core module, by the names of its exports.
///
/// # Errors
/// `WrongWorld` when it has the exports of none.
pub(crate) fn of_core_exports(names: &[String]) -> Result<&'static str, UploadError> {
    let found = HOSTED.iter().find(|world| names.iter().any(|name| name == world.export));
    found.map(|world| world.name).ok_or_else(|| {
        let reason = format!("it has neither an interface nor an export {}", exports());
        UploadError::WrongWorld { reason }
    })
}

fn exports() -> String {
    let names: Vec<String> = HOSTED.iter().map(|world| format!("'{}'", world.export)).collect();
    names.join(" or ")
}
