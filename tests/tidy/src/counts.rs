//! Numbers that may only sink: public items of the broker, files of one folder, contexts that a function takes and does
//! not use. Today's numbers stand in `exceptions.rs`.

use std::collections::BTreeMap;

use crate::Finding;
use crate::source::{Source, has_word};
use crate::tree::Tree;

/// Files of one folder: more cannot be taken in at a glance.
pub const FOLDER_FILES_MAX: usize = 20;

/// Folders of generated or recorded bytes that nobody reads as a list.
const RECORDED: [&str; 2] = ["fuzz/seeds/", "tests/fixtures/"];

/// What a public item can be; fields are left out.
const KINDS: [&str; 9] = ["fn", "struct", "enum", "trait", "type", "mod", "use", "const", "static"];

/// Public items of the broker crate: what other crates could come to lean on.
#[must_use]
pub fn public_items(sources: &[Source]) -> Vec<Finding> {
    let broker = sources.iter().filter(|source| source.path.starts_with("broker/src/"));
    let amount = broker.flat_map(Source::product_lines).filter(|(_, text)| is_public_item(text)).count();
    if amount == 0 {
        return vec![];
    }
    let advice = format!("{amount} public items: write `pub(crate)` or less where no other crate needs it");
    vec![Finding { rule: "pub-items", place: "broker/src".to_owned(), line: 1, amount, advice }]
}

fn is_public_item(text: &str) -> bool {
    let Some(rest) = text.trim_start().strip_prefix("pub ") else { return false };
    let mut words = rest.split_whitespace().filter(|word| !["async", "unsafe"].contains(word));
    words.next().is_some_and(|word| KINDS.contains(&word))
}

/// Folders with too many files.
#[must_use]
pub fn folders(tree: &Tree) -> Vec<Finding> {
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    for path in tree.paths() {
        if let Some((folder, _)) = path.rsplit_once('/')
            && !RECORDED.iter().any(|recorded| path.starts_with(recorded))
        {
            *files.entry(folder).or_default() += 1;
        }
    }
    let crowded = files.into_iter().filter(|(_, amount)| *amount > FOLDER_FILES_MAX);
    crowded
        .map(|(folder, amount)| Finding {
            rule: "folder-files",
            place: folder.to_owned(),
            line: 1,
            amount,
            advice: format!("{amount} files, {FOLDER_FILES_MAX} are allowed: give what belongs together a folder"),
        })
        .collect()
}

/// Contexts that are taken and not used: nobody was asked whether the caller may.
#[must_use]
pub fn unused_contexts(source: &Source) -> Vec<Finding> {
    let is_ours = source.path.starts_with("broker/src/") || source.path.starts_with("gateway/src/");
    let lines = source.product_lines().filter(|(_, text)| is_ours && has_word(text, "_ctx"));
    lines
        .map(|(line, _)| Finding {
            rule: "unused-ctx",
            place: source.path.clone(),
            line,
            amount: 1,
            advice: "ask `auth` with the context, or do not take it".to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Other;

    #[test]
    fn public_items_are_counted_and_fields_are_not() {
        let text = "pub struct A {\n    pub field: u8,\n    pub(crate) other: u8,\n}\npub(crate) fn a() {}\n\
                    impl A {\n    pub async fn b() {}\n    pub const C: u8 = 0;\n}\n";
        let found = public_items(&[Source::scan("broker/src/a.rs", text), Source::scan("gateway/src/a.rs", text)]);
        assert_eq!(found[0].amount, 3);
    }

    #[test]
    fn a_crowded_folder_is_found_and_recorded_bytes_are_not() {
        let other = |folder: &str, n: usize| Other { path: format!("{folder}/{n}.txt"), text: String::new() };
        let many = (0..21).flat_map(|n| [other("a/b", n), other("fuzz/seeds/x", n), other("c", n / 2)]).collect();
        let mut tree = Tree { rust: vec![], others: many };
        tree.others.dedup_by(|a, b| a.path == b.path);
        let places: Vec<(String, usize)> = folders(&tree).into_iter().map(|f| (f.place, f.amount)).collect();
        assert_eq!(places.first(), Some(&("a/b".to_owned(), 21)));
        assert!(places.iter().all(|(place, _)| !place.starts_with("fuzz")), "{places:?}");
    }

    #[test]
    fn a_context_that_is_not_used_is_found() {
        let text = "fn a(_ctx: &Context) {}\nfn b(ctx: &Context) { ask(ctx) }\n#[cfg(test)]\nmod tests {\n    fn c(_ctx: u8) {}\n}\n";
        let found = unused_contexts(&Source::scan("broker/src/a.rs", text));
        assert_eq!(found.iter().map(|f| f.line).collect::<Vec<_>>(), [1]);
    }
}
