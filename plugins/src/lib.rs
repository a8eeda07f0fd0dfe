//! STUB to be replaced. The WebAssembly host: compiles, keeps and calls uploaded components. Knows batches as bytes and an index and names nothing of
//! the broker.
#![allow(missing_docs)]
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Only the broker writes here: uploaded modules and compiled code.
    pub dir: PathBuf,
    pub memory_bytes: u64,
    pub partitioner_timeout: Duration,
    /// Guests running at once.
    pub concurrency: usize,
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum HostError {
    #[error("{doing} {path}: {cause}")]
    Io { doing: &'static str, path: PathBuf, cause: String },
    #[error("the WebAssembly engine does not start: {cause}")]
    Engine { cause: String },
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum UploadError {
    #[error("'{name}' is not a plugin name: 1 to 64 of a-z, 0-9, '-' and '_', the first a letter")]
    BadName { name: String },
    #[error("{size} bytes are more than the {limit} that a plugin may have")]
    TooLarge { size: usize, limit: usize },
    #[error("not a WebAssembly component or module that can be used: {reason}")]
    Malformed { reason: String },
    #[error("the component exports no world of this broker: {reason}")]
    WrongWorld { reason: String },
    #[error("the component imports {import}, which plugins do not get")]
    ForbiddenImport { import: String },
    #[error("compiling takes too much: {reason}")]
    Compile { reason: String },
    #[error(transparent)]
    Host(#[from] HostError),
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum BindError {
    #[error("there is no plugin '{name}'")]
    NotFound { name: String },
    #[error("plugin '{name}' has no version {version}")]
    NoVersion { name: String, version: u32 },
    #[error("plugin '{name}' is damaged on disk: {reason}")]
    Damaged { name: String, reason: String },
    #[error("plugin '{name}' refuses its configuration: {reason}")]
    Init { name: String, reason: String },
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    #[error("it ran longer than {limit_ms} ms")]
    Timeout { limit_ms: u64 },
    #[error("it used more than {limit} bytes of memory")]
    Memory { limit: u64 },
    #[error("it trapped: {reason}")]
    Trap { reason: String },
    #[error("it answered wrongly: {reason}")]
    BadAnswer { reason: String },
    #[error("it failed too often and rests for {for_ms} ms")]
    Quarantined { for_ms: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    pub name: String,
    pub version: u32,
    pub sha256: String,
    pub size: u64,
    pub world: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginInfo {
    pub name: String,
    pub active: u32,
    pub versions: Vec<VersionInfo>,
    pub calls: u64,
    pub failures: u64,
    pub quarantined: bool,
}

/// Who calls, as the guest sees it.
#[derive(Clone, Debug)]
pub struct CallContext {
    pub topic: String,
    pub principal: String,
    pub client_id: String,
    pub source: &'static str,
}

/// Records as bytes and an index with a fixed stride (the border of the plugin contract). Built with `push`.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub data: Vec<u8>,
    pub index: Vec<u32>,
    pub records: u32,
}

impl Batch {
    pub fn push(
        &mut self,
        _key: Option<&[u8]>,
        _value: Option<&[u8]>,
        _headers: &[(&str, Option<&[u8]>)],
        _timestamp_ms: i64,
    ) {
        todo!()
    }
}

#[derive(Debug)]
pub struct Host {}

impl Host {
    pub fn open(_config: HostConfig) -> Result<Host, HostError> {
        todo!()
    }
    /// A component, or a core module that is wrapped. Durable before it returns. Immutable version; the newest is active.
    pub async fn upload(&self, _name: &str, _wasm: &[u8]) -> Result<VersionInfo, UploadError> {
        todo!()
    }
    pub fn list(&self) -> Vec<PluginInfo> {
        todo!()
    }
    pub fn get(&self, _name: &str) -> Option<PluginInfo> {
        todo!()
    }
    /// `false` when there was none. The caller has made sure that nothing is bound to it.
    pub async fn delete(&self, _name: &str) -> Result<bool, HostError> {
        todo!()
    }
    /// `reference` is `name` (the active version, followed when a newer one is uploaded) or `name@3`. Runs `init(config)` once.
    pub async fn bind(&self, _reference: &str, _config: &str) -> Result<Partitioner, BindError> {
        todo!()
    }
}

/// A bound partitioner with its pool of instances. Cheap to call, safe to share.
#[derive(Debug)]
pub struct Partitioner {}

impl Partitioner {
    /// One number below `partition_count` a record.
    pub async fn partition(
        &self,
        _ctx: &CallContext,
        _partition_count: u32,
        _batch: &Batch,
    ) -> Result<Vec<u32>, CallError> {
        todo!()
    }
}
