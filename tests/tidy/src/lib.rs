//! Structure as a test. Each module measures one kind of thing over the text of the tree and returns findings;
//! `judge` holds them against the list of exceptions. Nothing here compiles, runs or changes what it reads, and
//! all of it together stays under a second. Only `subjects` starts a program: it asks git for the history.
//!
//! To satisfy a finding, change the code it names. An exception is for what cannot be otherwise today: it has a
//! ceiling, and the ceiling may only sink.

pub mod counts;
pub mod exceptions;
pub mod gates;
pub mod imports;
pub mod judge;
pub mod keys;
pub mod layers;
pub mod names;
pub mod references;
pub mod sizes;
pub mod source;
pub mod subjects;
pub mod tree;
pub mod words;

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's short name, as the exceptions use it.
    pub rule: &'static str,
    /// The file, from the root of the tree; `file::item` where a rule measures an item.
    pub place: String,
    /// The line, from 1.
    pub line: usize,
    /// How much: lines or fields for a size, 1 for an occurrence.
    pub amount: usize,
    /// What is wrong and what to do about it.
    pub advice: String,
}
