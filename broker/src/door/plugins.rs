//! STUB to be replaced. Plugins uploaded, listed, removed.
#![allow(missing_docs)]
use bytes::Bytes;

use super::{Context, Door};
pub use sluice_plugins::{PluginInfo, UploadError, VersionInfo};

#[derive(Clone, Debug, thiserror::Error)]
pub enum PluginError {
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error("there is no plugin '{name}'")]
    NotFound { name: String },
    #[error("plugin '{name}' is in use by {topics:?}: unbind it there first")]
    InUse { name: String, topics: Vec<String> },
}

impl Door {
    pub async fn upload_plugin(&self, _ctx: &Context, _name: &str, _wasm: Bytes) -> Result<VersionInfo, PluginError> {
        todo!()
    }
    pub fn plugins(&self, _ctx: &Context) -> Vec<PluginInfo> {
        todo!()
    }
    pub fn plugin(&self, _ctx: &Context, _name: &str) -> Result<PluginInfo, PluginError> {
        todo!()
    }
    pub async fn delete_plugin(&self, _ctx: &Context, _name: &str) -> Result<(), PluginError> {
        todo!()
    }
}
