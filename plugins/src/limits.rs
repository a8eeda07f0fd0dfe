//! Every fixed bound of the plugin host, with its reason.

use std::time::Duration;

/// An upload: twice the largest guest that a known tool chain leaves (18 MB, Python).
pub const UPLOAD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Functions of one upload, over all its modules: a Python guest has about 30,000.
pub(crate) const FUNCTIONS_MAX: u32 = 150_000;
/// One function's body. Compile time and memory grow faster than its size; interpreters' main loops have about 300 KB.
pub(crate) const FUNCTION_BYTES_MAX: usize = 1024 * 1024;
/// Nested core modules and components: tool chains leave at most four and some adapters.
pub(crate) const MODULES_MAX: u32 = 64;
/// How deep components may nest.
pub(crate) const DEPTH_MAX: u32 = 8;
/// Uploads that may wait for their turn to compile; each holds its bytes.
pub(crate) const UPLOADS_WAITING_MAX: usize = 4;
/// Plugins by name: what is listed must stay readable.
pub(crate) const PLUGINS_MAX: usize = 1_000;
/// Versions of one plugin; all are kept.
pub(crate) const VERSIONS_MAX: usize = 1_000;

/// Instances, memories and tables in one store: a wrapped core module has three, a composed component some dozen.
pub(crate) const STORE_ITEMS_MAX: usize = 64;
/// What one table element costs the host, in bytes, to count tables as memory.
pub(crate) const TABLE_ELEMENT_BYTES: usize = 16;
/// The running time of instantiation and `init`: a Python guest starts in 0.2 s.
pub(crate) const INIT_TIME: Duration = Duration::from_secs(1);
/// What `init` may answer or a log line carry: an error text, not data.
pub(crate) const TEXT_BYTES_MAX: usize = 64 * 1024;
/// A guest's log line in the broker's log is cut here, in bytes.
pub(crate) const LOG_LINE_BYTES_MAX: usize = 1024;
/// An instance is replaced after so many calls: whatever it leaks goes with it.
pub(crate) const CALLS_PER_INSTANCE: u32 = 100_000;
/// How often a running guest gives its thread back.
pub(crate) const TICK: Duration = Duration::from_millis(1);
/// Ticks until a guest yields: with one, a guest that starts just before a tick would yield at once.
pub(crate) const TICKS_PER_SLICE: u64 = 2;
/// Ticks without a running guest after which the ticker goes to sleep: waking it costs a system call.
pub(crate) const IDLE_TICKS: u32 = 50;

const _: () = assert!(FUNCTION_BYTES_MAX < UPLOAD_BYTES_MAX);
const _: () = assert!(LOG_LINE_BYTES_MAX <= TEXT_BYTES_MAX);
