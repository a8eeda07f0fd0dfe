//! Opens a log that is there. What a producer snapshot and the index files vouch for below the recovery point is taken
//! as it is (`quick`); the rest is walked (`walk`): producers and epochs are rebuilt from headers, what lies above the
//! recovery point is verified and rewritten (rules 9 and 14), a torn tail is cut and its bytes are kept (rule 10), and
//! indexes that disagree are rebuilt. Repeats itself after a crash in any place: nothing is removed before it is kept.

mod indexes;
pub(in crate::log) mod log_dir;
pub(in crate::log) mod open;
pub(in crate::log) mod progress;
mod quick;
mod run;
mod swaps;
mod tail;
pub(in crate::log) mod version;
mod walk;
