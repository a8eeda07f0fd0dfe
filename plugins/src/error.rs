//! Everything that can go wrong with a plugin: at the start, at upload, at binding, in a call.

use std::path::{Path, PathBuf};

use crate::reference::BadReference;

/// The host itself cannot work.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HostError {
    /// A file cannot be read or written, or its content is not understood.
    #[error("{doing} {path}: {cause}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// It is being closed.
    #[error("the plugin host is closing")]
    Closing,
    /// wasmtime cannot run here.
    #[error("the WebAssembly engine does not start: {cause}")]
    Engine {
        /// What it said.
        cause: String,
    },
}

impl HostError {
    pub(crate) fn io(doing: &'static str, path: &Path, cause: impl std::fmt::Display) -> HostError {
        HostError::Io { doing, path: path.to_owned(), cause: cause.to_string() }
    }
}

/// Why an upload was refused. Nothing has changed then.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UploadError {
    /// Not a name that can stand in a topic config.
    #[error("'{name}' is not a plugin name: 1 to 64 of a-z, 0-9, '-' and '_', the first a letter")]
    BadName {
        /// What was given.
        name: String,
    },
    /// More bytes than a plugin may have.
    #[error("{size} bytes are more than the {limit} that a plugin may have")]
    TooLarge {
        /// Bytes uploaded.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Neither a component nor a core module that is valid.
    #[error("not a WebAssembly component or module that can be used: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// Valid, but not a plugin.
    #[error("the component exports no world of this broker: {reason}")]
    WrongWorld {
        /// Which export is missing or has another type.
        reason: String,
    },
    /// It wants more than log and clock.
    #[error("the component imports {import}, which plugins do not get")]
    ForbiddenImport {
        /// The import's name.
        import: String,
    },
    /// Larger or more twisted than the compiler is let loose on.
    #[error("compiling takes too much: {reason}")]
    Compile {
        /// Which bound was met.
        reason: String,
    },
    /// It traps or takes too much before its first call.
    #[error("it does not start: {reason}")]
    Start {
        /// What happened.
        reason: String,
    },
    /// It refuses the configuration of topics that are bound to it.
    #[error("it refuses the configuration of {topics:?}, which are bound to it: {reason}")]
    Init {
        /// Topics whose configuration was refused.
        topics: Vec<String>,
        /// What `init` said of the first of them.
        reason: String,
    },
    /// As many plugins or versions as are kept.
    #[error("there are {limit} {what} already, which is the most that are kept")]
    TooMany {
        /// Plugins or versions.
        what: &'static str,
        /// How many.
        limit: usize,
    },
    /// Other uploads wait already.
    #[error("{waiting} uploads wait already; try again")]
    Busy {
        /// How many.
        waiting: usize,
    },
    /// The host failed.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Why a plugin could not be bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// No plugin of that name.
    #[error("there is no plugin '{name}'")]
    NotFound {
        /// The name.
        name: String,
    },
    /// The plugin never had that version.
    #[error("plugin '{name}' has no version {version}")]
    NoVersion {
        /// The plugin.
        name: String,
        /// The version.
        version: u32,
    },
    /// The reference is neither `name` nor `name@version`.
    #[error(transparent)]
    BadReference(#[from] BadReference),
    /// The plugin is of another world.
    #[error("plugin '{name}' is {has}, not {wanted}")]
    OtherWorld {
        /// The plugin.
        name: String,
        /// Its world.
        has: String,
        /// The world that the binding needs.
        wanted: &'static str,
    },
    /// Its file is missing, has changed, or does not compile any more.
    #[error("plugin '{name}' is damaged on disk: {reason}")]
    Damaged {
        /// The plugin.
        name: String,
        /// What was found.
        reason: String,
    },
    /// `init` said no, trapped or took too long.
    #[error("plugin '{name}' refuses its configuration: {reason}")]
    Init {
        /// The plugin.
        name: String,
        /// What it said.
        reason: String,
    },
    /// The host is being closed.
    #[error("the plugin host is closing")]
    Closing,
}

/// Why a call returned no answer. The instance that failed is dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was on a core for longer than it may.
    #[error("it ran longer than {limit_ms} ms")]
    Timeout {
        /// The limit in ms.
        limit_ms: u64,
    },
    /// It asked for more memory than it may have, and did not survive the refusal.
    #[error("it used more than {limit} bytes of memory")]
    Memory {
        /// The limit in bytes.
        limit: u64,
    },
    /// It trapped.
    #[error("it trapped: {reason}")]
    Trap {
        /// The trap.
        reason: String,
    },
    /// It answered, but not with one legal number a record.
    #[error("it answered wrongly: {reason}")]
    BadAnswer {
        /// What was wrong.
        reason: String,
    },
    /// It failed too often.
    #[error("it failed too often and rests for {for_ms} ms")]
    Quarantined {
        /// Until it is tried again, in ms.
        for_ms: u64,
    },
    /// It was deleted since, is damaged, or its active version refuses the configuration.
    #[error("it cannot be used: {cause}")]
    Unavailable {
        /// Why.
        cause: BindError,
    },
}
