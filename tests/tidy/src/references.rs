//! What a text names must be there: paths that documents and `//!` name, numbered rules that comments and tests quote,
//! settings in tables of documents, answers of `docs/architecture.md` (`path::item`), and files that a table of
//! permissions names.

use std::collections::BTreeSet;

use crate::Finding;
use crate::exceptions::Exception;
use crate::sizes::item_name;
use crate::source::has_word;
use crate::tree::Tree;
use crate::{gates, layers, words};

/// Where the numbered rules stand.
const CONTRACT: &str = "docs/log-contract.md";
/// Where questions about the code are answered by `path::item`.
const ARCHITECTURE: &str = "docs/architecture.md";
/// Where all settings and topic configs stand; made from the code.
const CONFIGURATION: &str = "docs/configuration.md";
/// The fewest answers that make the table worth having.
const ANSWERS_MIN: usize = 20;
/// Endings by which a word is taken for a path.
const PATH_ENDINGS: [&str; 5] = [".rs", ".py", ".wit", ".md", ".sh"];
/// What an answer's item can be.
const KINDS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod"];

/// Paths that a document or a file's `//!` names and that do not exist.
#[must_use]
pub fn paths(tree: &Tree) -> Vec<Finding> {
    let known: BTreeSet<&str> = tree.paths().collect();
    let mut findings = Vec::new();
    let mut check = |place: &str, line: usize, text: &str| {
        for path in named_paths(text).filter(|path| !exists(&known, place, path)) {
            findings.push(Finding {
                rule: "named-path",
                place: place.to_owned(),
                line,
                amount: 1,
                advice: format!("names `{path}`, which does not exist: say where it is now"),
            });
        }
    };
    for file in tree.others.iter().filter(|file| file.path.ends_with(".md")) {
        for (at, text) in file.text.lines().enumerate() {
            check(&file.path, at + 1, text);
        }
    }
    for source in &tree.rust {
        for (at, text) in source.text.lines().enumerate().take_while(|(_, text)| text.starts_with("//!")) {
            check(&source.path, at + 1, text);
        }
    }
    findings
}

/// Words of a line that look like a path of the repository: a known ending, or a folder in backticks.
fn named_paths(text: &str) -> impl Iterator<Item = &str> {
    let separates = |c: char| c.is_whitespace() || "`\"'()[],;|".contains(c);
    let files = text.split(separates).map(|word| word.split("::").next().unwrap_or(word)).filter_map(|word| {
        let word = word.trim_end_matches(['.', ':']).split('#').next().unwrap_or(word);
        PATH_ENDINGS.iter().any(|ending| word.ends_with(ending) && word.len() > ending.len()).then_some(word)
    });
    let folders = text.split('`').skip(1).step_by(2).filter(|word| word.ends_with('/') && word.len() > 1);
    files.chain(folders).filter(|word| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        word.chars().all(plain) && !word.contains("//") && !word.starts_with('/')
    })
}

/// A path is looked for from the root, from the naming file's folder, and as the end of a path of the same crate; a
/// document may name the files of any crate so.
fn exists(known: &BTreeSet<&str>, place: &str, path: &str) -> bool {
    let folder = place.rsplit_once('/').map_or("", |(folder, _)| folder);
    let from_folder = normal(&format!("{folder}/{path}"));
    let is_there = |wanted: &str| {
        let first = known.range(wanted..).next();
        first.is_some_and(|found| *found == wanted || wanted.ends_with('/') && found.starts_with(wanted))
    };
    if is_there(path) || is_there(&from_folder) {
        return true;
    }
    let home = place.split_once("/src/").map_or("", |(root, _)| root);
    let ending = format!("/{path}");
    known
        .iter()
        .filter(|found| found.starts_with(home))
        .any(|found| if ending.ends_with('/') { found.contains(&ending) } else { found.ends_with(&ending) })
}

/// Takes `..` and `.` out of a path.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/").trim_start_matches('/').to_owned()
}

/// Rules of the log contract that a text quotes by a number that is not in force.
#[must_use]
pub fn rules(tree: &Tree) -> Vec<Finding> {
    let Some(contract) = tree.others.iter().find(|file| file.path == CONTRACT) else { return vec![] };
    let in_force: BTreeSet<u32> =
        contract.text.lines().filter_map(|line| line.split_once(". ")?.0.parse().ok()).collect();
    let rust = tree.rust.iter().map(|source| (&source.path, &source.text));
    let others = tree.others.iter().map(|file| (&file.path, &file.text));
    let mut findings = Vec::new();
    // The contract says itself which numbers are reserved; the tests of this crate quote numbers that are not.
    for (path, text) in rust.chain(others).filter(|(path, _)| *path != CONTRACT && !path.starts_with("tests/tidy/")) {
        for (at, line) in text.lines().enumerate() {
            for number in quoted_rules(line).into_iter().filter(|number| !in_force.contains(number)) {
                findings.push(Finding {
                    rule: "quoted-rule",
                    place: path.clone(),
                    line: at + 1,
                    amount: 1,
                    advice: format!("quotes rule {number}, which is not in force in {CONTRACT}"),
                });
            }
        }
    }
    findings
}

/// The numbers of `rule 7`, `rules 9 and 10`, `Rules 1, 2 and 8 to 10`.
fn quoted_rules(line: &str) -> Vec<u32> {
    let lower = line.to_lowercase();
    let mut numbers = Vec::new();
    for start in ["rule ", "rules "] {
        for (at, _) in lower.match_indices(start) {
            if lower[..at].chars().next_back().is_some_and(char::is_alphanumeric) {
                continue;
            }
            let (mut range, mut found) = (false, Vec::new());
            for word in lower[at + start.len()..].split([' ', ',']).filter(|word| !word.is_empty()) {
                let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
                match (digits.parse::<u32>(), word) {
                    (Ok(number), _) => {
                        let from = found.last().filter(|_| range).map_or(number, |last| last + 1);
                        found.extend(from..=number);
                        range = false;
                        if digits.len() < word.len() {
                            break;
                        }
                    }
                    (Err(_), "and" | "or") if !found.is_empty() => {}
                    (Err(_), "to") if !found.is_empty() => range = true,
                    (Err(_), _) => break,
                }
            }
            numbers.extend(found);
        }
    }
    numbers
}

/// Answers of the architecture's table, and every other `path::item` of a document, whose item is not there.
#[must_use]
pub fn answers(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut answers = 0;
    for file in tree.others.iter().filter(|file| file.path.starts_with("docs/") && file.path.ends_with(".md")) {
        for (at, text) in file.text.lines().enumerate() {
            for (path, item) in text.split('`').filter_map(|word| word.split_once(".rs::")) {
                answers += usize::from(file.path == ARCHITECTURE);
                if !defines(tree, path, item) {
                    findings.push(Finding {
                        rule: "answer",
                        place: file.path.clone(),
                        line: at + 1,
                        amount: 1,
                        advice: format!("`{path}.rs` does not define `{item}`: say where the answer is now"),
                    });
                }
            }
        }
    }
    if answers < ANSWERS_MIN && tree.others.iter().any(|file| file.path == ARCHITECTURE) {
        findings.push(Finding {
            rule: "answer",
            place: ARCHITECTURE.to_owned(),
            line: 1,
            amount: 1,
            advice: format!("the table has {answers} answers, it has at least {ANSWERS_MIN}"),
        });
    }
    findings
}

/// Whether the file at `path` (its ending left out) defines `item`: a name, or `Type::method`.
fn defines(tree: &Tree, path: &str, item: &str) -> bool {
    let path = format!("{path}.rs");
    let Some(source) = tree.rust.iter().find(|source| source.path == path) else { return false };
    let (of, name) = item.rsplit_once("::").map_or((None, item), |(of, name)| (Some(of), name));
    let name = name.trim_end_matches("()");
    let is_defined = source.product_lines().any(|(_, text)| {
        KINDS.iter().any(|kind| item_name(text.trim_start(), kind).is_some_and(|found| found == name))
    });
    is_defined && of.is_none_or(|of| source.product_lines().any(|(_, text)| has_word(text, of)))
}

/// Settings in a table of a document whose first column is `setting`, and that the reference of settings does not have.
#[must_use]
pub fn settings(tree: &Tree) -> Vec<Finding> {
    let Some(reference) = tree.others.iter().find(|file| file.path == CONFIGURATION) else { return vec![] };
    let known: BTreeSet<&str> = reference.text.lines().flat_map(in_first_column).collect();
    let mut findings = Vec::new();
    for file in tree.others.iter().filter(|file| file.path.starts_with("docs/") && file.path.ends_with(".md")) {
        let mut inside = false;
        for (at, line) in file.text.lines().enumerate() {
            inside = line.starts_with("| setting |") || inside && line.starts_with('|');
            let names = in_first_column(line).filter(|_| inside);
            for name in names.filter(|name| !known.contains(name) && !known.contains(format!("http.{name}").as_str())) {
                findings.push(Finding {
                    rule: "named-setting",
                    place: file.path.clone(),
                    line: at + 1,
                    amount: 1,
                    advice: format!("`{name}` is no setting that {CONFIGURATION} has"),
                });
            }
        }
    }
    findings
}

/// What stands in backticks in the first column of a table's row.
fn in_first_column(line: &str) -> impl Iterator<Item = &str> {
    let cell = line.strip_prefix("| ").and_then(|row| row.split_once(" |")).map_or("", |(cell, _)| cell);
    cell.split('`').skip(1).step_by(2)
}

/// Permissions and exceptions for files that do not exist.
#[must_use]
pub fn permissions(tree: &Tree, exceptions: &[Exception]) -> Vec<Finding> {
    let tables = [
        ("gates.rs", gates::places().collect()),
        ("layers.rs", layers::places().collect()),
        ("words.rs", words::places().collect::<Vec<_>>()),
    ];
    let mut findings = Vec::new();
    let mut check = |table: &str, place: &str| {
        if !tree.paths().any(|path| path.starts_with(place)) {
            findings.push(Finding {
                rule: "stale-permission",
                place: format!("tests/tidy/src/{table}"),
                line: 1,
                amount: 1,
                advice: format!("permits something to {place}, which does not exist: remove it"),
            });
        }
    };
    for (table, places) in tables {
        places.into_iter().for_each(|place| check(table, place));
    }
    for exception in exceptions {
        check("exceptions.rs", exception.place.split("::").next().unwrap_or_default());
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::tree::Other;

    fn tree(rust: &[(&str, &str)], others: &[(&str, &str)]) -> Tree {
        Tree {
            rust: rust.iter().map(|(path, text)| Source::scan(path, text)).collect(),
            others: others
                .iter()
                .map(|(path, text)| Other { path: (*path).to_owned(), text: (*text).to_owned() })
                .collect(),
        }
    }

    fn advice(findings: Vec<Finding>) -> Vec<(usize, String)> {
        findings.into_iter().map(|found| (found.line, found.advice)).collect()
    }

    #[test]
    fn a_path_that_a_document_or_a_header_names_exists() {
        let tree = tree(
            &[
                (
                    "broker/src/log/write/append.rs",
                    "//! After `frame.rs`, before `write/segment.rs`; see `log/` and `sync/`.\n",
                ),
                ("broker/src/kafka/frame.rs", "//! See https://example.org/x.rs, <path>.rs and docs/a.md.\n"),
            ],
            &[("docs/a.md", "`log/write/append.rs`, [b](../docs/b.md), `kafka/`\n`frames.rs` and `wire/`\n")],
        );
        let found: Vec<(usize, String)> = advice(paths(&tree));
        let named: Vec<&str> = found.iter().map(|(_, advice)| advice.split('`').nth(1).unwrap_or_default()).collect();
        assert_eq!(named, ["../docs/b.md", "frames.rs", "wire/", "write/segment.rs", "sync/"]);
    }

    #[test]
    fn a_rule_that_is_quoted_is_in_force() {
        let contract = "# Rules\n1. One.\n2. Two.\n3.–5. Reserved.\n6. Six.\n";
        let text =
            "//! Rules 1, 2 and 6.\n// rule 4\nfn a() { assert!(x, \"rules 1 to 3\") }\n// no rule of 9; unruly 7\n";
        let tree = tree(&[("broker/src/a.rs", text)], &[("docs/log-contract.md", contract)]);
        let found = advice(rules(&tree));
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
        assert!(found[1].1.contains("rule 3"), "{found:?}");
    }

    #[test]
    fn an_answer_names_an_item_that_its_file_defines() {
        let good = "| q | `broker/src/a.rs::append` |\n".repeat(ANSWERS_MIN);
        let text =
            "//! x\npub struct Log;\nimpl Log {\n    pub(crate) async fn append(&self) {}\n}\nconst MAX: u8 = 0;\n";
        let at = |doc: &str| advice(answers(&tree(&[("broker/src/a.rs", text)], &[("docs/architecture.md", doc)])));
        assert_eq!(at(&format!("{good}| q | `broker/src/a.rs::Log::append`, `broker/src/a.rs::MAX` |\n")), []);
        for wrong in ["broker/src/a.rs::missing", "broker/src/b.rs::append", "broker/src/a.rs::Other::append"] {
            assert_eq!(at(&format!("{good}`{wrong}`\n")).len(), 1, "{wrong}");
        }
        assert_eq!(at("| q | `broker/src/a.rs::append` |\n").len(), 1);
    }

    #[test]
    fn a_setting_that_a_table_names_is_in_the_reference() {
        let reference = "| key | environment |\n|---|---|\n| `a_max` | `A` |\n| `http.b_max` | `B` |\n";
        let page =
            "| setting | default |\n|---|---|\n| `a_max`, `c_max` | `d` |\n| `b_max` | |\n\n| what |\n|---|\n| `e` |\n";
        let tree = tree(&[], &[("docs/configuration.md", reference), ("docs/security.md", page)]);
        let found = advice(settings(&tree));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == 3 && found[0].1.contains("c_max"), "{found:?}");
    }

    #[test]
    fn a_permission_for_a_file_that_is_missing_is_found() {
        let exception = |place| Exception { rule: "r", place, ceiling: 1, why: "" };
        let tree = tree(&[("broker/src/a.rs", "//! x\n")], &[]);
        let found = permissions(&tree, &[exception("broker/src/a.rs::f"), exception("broker/src/b.rs")]);
        let stale: Vec<&Finding> = found.iter().filter(|found| found.place.ends_with("/exceptions.rs")).collect();
        assert_eq!(stale.len(), 1);
        assert!(stale[0].advice.contains("broker/src/b.rs"), "{stale:?}");
        assert!(found.len() > 1, "the tables name files that this tree does not have");
    }
}
