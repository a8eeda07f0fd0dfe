//! What the broker shows of itself at `/metrics`. Rank 0. Each part of the broker counts with the atomics of `counts.rs`, owns
//! them, and is a `Section` of the page; `node.rs` and the gateway add the sections. Everything that can be looked at when somebody
//! asks (offsets, sizes, groups) is not counted but looked at, on a blocking thread. docs/metrics.md lists every metric, and a
//! test holds the two together.
//!
//! ```text
//! connection, flusher, proxy … ─ counts (atomics)
//!                                   ▲ read when somebody asks
//! GET /metrics ─ scrape (one page for all who ask at once) ─ page ─ sections
//! ```

mod counts;
mod page;
mod process;
mod scrape;

pub use counts::{Counter, Histogram, Level, Up};
pub use page::{Bounds, Page, Rows, Section};
pub(crate) use process::{Process, anonymous_bytes};
pub use scrape::Metrics;
