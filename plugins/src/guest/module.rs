//! One version of a plugin, compiled and linked, ready to be instantiated.

use std::sync::Arc;

use wasmtime::component::{Component, InstancePre};

use crate::error::UploadError;
use crate::guest::engine::Wasm;
use crate::guest::sandbox::Sandbox;

/// A linked component.
pub(crate) struct Module {
    plugin: Arc<str>,
    version: u32,
    pre: InstancePre<Sandbox>,
}

impl Module {
    /// Meets the component's imports with what guests get.
    pub(crate) fn link(
        wasm: &Wasm,
        plugin: Arc<str>,
        version: u32,
        component: &Component,
    ) -> Result<Module, UploadError> {
        let pre = wasm.linker.instantiate_pre(component).map_err(|cause| UploadError::ForbiddenImport {
            import: format!("something that does not fit: {cause:#}"),
        })?;
        Ok(Module { plugin, version, pre })
    }

    pub(crate) fn plugin(&self) -> &Arc<str> {
        &self.plugin
    }

    pub(crate) fn version(&self) -> u32 {
        self.version
    }

    pub(crate) fn pre(&self) -> &InstancePre<Sandbox> {
        &self.pre
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.plugin, self.version)
    }
}
