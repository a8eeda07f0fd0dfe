//! Every fixed bound of the gateway, with its reason. What an operator would want to change is in `config.rs` instead.

use std::time::Duration;

/// Bytes of a request head with its request line: keys and record headers of raw records are in it.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header lines of a request.
pub const HEADERS_MAX: usize = 128;
/// The longest pause between two pieces of a body.
pub const BODY_PAUSE_MAX: Duration = Duration::from_secs(15);
/// How long the rest of a body that is too large is read and dropped before the refusal is sent. A client that writes first
/// and reads later then gets the answer instead of a reset.
pub const REFUSED_BODY_DRAIN_TIME_MAX: Duration = Duration::from_secs(3);
/// Bytes of it that are dropped.
pub const REFUSED_BODY_DRAIN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The connection of a peer that reads nothing of its answer for this long is closed (TCP_USER_TIMEOUT).
pub const UNREAD_ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Connections over the limit that get a 503 at the same time; more than that are closed without an answer.
pub const REFUSALS_AT_ONCE_MAX: usize = 32;
/// How long requests may take to end once the broker stops.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

/// An uploaded plugin, in bytes: what the plugin host takes.
pub const PLUGIN_BYTES_MAX: usize = sluice_broker::door::plugins::UPLOAD_BYTES_MAX;
/// A body of an administration request, in bytes.
pub const ADMIN_BYTES_MAX: usize = 1024 * 1024;
/// Records of one v2 request. A parsed record takes more memory than its text; this keeps it to a small multiple of the body.
pub const RECORDS_PER_REQUEST_MAX: usize = 100_000;
/// Record headers of one record.
pub const HEADERS_PER_RECORD_MAX: usize = 1_000;
/// Offsets of one commit.
pub const OFFSETS_PER_COMMIT_MAX: usize = 10_000;

/// The longest wait of a long poll.
pub const POLL_TIME_MAX: Duration = Duration::from_secs(60);
/// Records of one fetch answer unless the request says `count`.
pub const FETCH_RECORDS_DEFAULT: usize = 500;
/// Records of one fetch answer, whatever the request says.
pub const FETCH_RECORDS_MAX: usize = 10_000;
/// Bytes of one fetch answer unless the request says `max_bytes`.
pub const FETCH_BYTES_DEFAULT: usize = 1024 * 1024;
/// Bytes of one fetch answer, whatever the request says. The first record is sent even if it is larger.
pub const FETCH_BYTES_MAX: usize = 8 * 1024 * 1024;

const _: () = assert!(PLUGIN_BYTES_MAX <= REFUSED_BODY_DRAIN_BYTES_MAX);
