//! Words that must not stand in a file: `unsafe` outside its named homes, names of files on disk outside
//! `broker/src/log/layout.rs`, unbounded channels, `todo!`, tests that are switched off or wait by the clock.

use crate::Finding;
use crate::source::{Source, has_word};

/// Files that may hold `unsafe`, each small and with its argument.
const UNSAFE_HOMES: [&str; 2] = ["broker/src/memory/allocator.rs", "plugins/src/upload/compiled.rs"];

/// The one file that writes and parses names of files on disk.
const LAYOUT: &str = "broker/src/log/layout.rs";

/// Parts of names of files in the data folder.
const DISK_NAMES: [&str; 10] = [
    ".log",
    ".index",
    ".timeindex",
    ".txnindex",
    ".snapshot",
    ".cut-",
    "-delete",
    "-stray",
    "leader-epoch-checkpoint",
    "recovery-point-offset-checkpoint",
];

/// A word that no product line may hold, and what to do instead.
const REFUSED: [(&str, &str); 6] = [
    ("unbounded_channel", "every channel is bounded"),
    ("unbounded()", "every channel is bounded"),
    ("sync::mpsc::channel()", "every channel is bounded: use `sync_channel`"),
    ("todo!", "finish it, or leave it out and say so in the issue"),
    ("unimplemented!", "finish it, or answer with an error that says what is not supported"),
    ("dbg!", "use `tracing`"),
];

/// Files that the tables above name.
pub fn places() -> impl Iterator<Item = &'static str> {
    UNSAFE_HOMES.into_iter().chain([LAYOUT])
}

/// Every word in a file that must not stand there.
#[must_use]
pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |rule, line, advice: String| {
        findings.push(Finding { rule, place: source.path.clone(), line, amount: 1, advice });
    };
    // The rules themselves spell out what they look for.
    let spells_rules = source.path.starts_with("tests/tidy/");
    for (number, text) in source.code.iter().enumerate() {
        let (line, is_test) = (number + 1, source.in_test[number]);
        if has_word(text, "unsafe") && !UNSAFE_HOMES.contains(&source.path.as_str()) {
            found(
                "unsafe",
                line,
                "`unsafe` lives in small files of its own, named in tests/tidy/src/words.rs".to_owned(),
            );
        }
        if is_test && has_word(text, "sleep(") {
            found("sleep-in-test", line, "await the event, or drive a `ManualClock`".to_owned());
        }
        if text.trim_start().starts_with("#[ignore]") {
            found(
                "ignored-test",
                line,
                "a test runs or goes; if it must rest, say why in `#[ignore = \"…\"]`".to_owned(),
            );
        }
        for (word, advice) in REFUSED {
            if has_word(text, word) {
                found("refused-word", line, format!("`{word}`: {advice}"));
            }
        }
    }
    for (line, literal) in &source.literals {
        let names_file =
            DISK_NAMES.iter().any(|n| literal == n || literal.ends_with(n) || literal.contains(&format!("}}{n}")));
        if names_file
            && source.path != LAYOUT
            && source.path.contains("src/")
            && !source.is_test_line(*line)
            && !spells_rules
        {
            found(
                "disk-name",
                *line,
                format!("\"{literal}\" looks like a file of the log: names are made and read in {LAYOUT}"),
            );
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&Source::scan(path, text)).into_iter().map(|f| (f.rule, f.line)).collect()
    }

    #[test]
    fn unsafe_stands_only_in_its_homes() {
        assert_eq!(
            rules("broker/src/log/read/batches.rs", "//! unsafe is fine here\nlet x = unsafe { y };\n"),
            [("unsafe", 2)]
        );
        assert!(rules("plugins/src/upload/compiled.rs", "let x = unsafe { y };\n").is_empty());
    }

    #[test]
    fn names_of_log_files_stand_only_in_layout() {
        let text = "let p = dir.join(format!(\"{base:020}.log\"));\nlet other = \"my.logger\";\n";
        assert_eq!(rules("broker/src/log/segment.rs", text), [("disk-name", 1)]);
        assert!(rules("broker/src/log/layout.rs", text).is_empty());
        assert!(rules("broker/tests/it/recovery.rs", text).is_empty());
    }

    #[test]
    fn unfinished_work_and_unbounded_queues_are_refused() {
        assert_eq!(rules("cli/src/main.rs", "fn a() { todo!() }\n"), [("refused-word", 1)]);
        assert_eq!(rules("cli/src/main.rs", "let (a, b) = mpsc::unbounded_channel();\n"), [("refused-word", 1)]);
        assert_eq!(rules("cli/src/main.rs", "let (a, b) = std::sync::mpsc::channel();\n"), [("refused-word", 1)]);
        assert!(rules("cli/src/main.rs", "let (a, b) = tokio::sync::mpsc::channel(16);\n").is_empty());
    }

    #[test]
    fn a_test_neither_rests_nor_sleeps() {
        assert_eq!(rules("cli/src/main.rs", "#[ignore]\n"), [("ignored-test", 1)]);
        assert!(rules("cli/src/main.rs", "#[ignore = \"needs a broken disk\"]\n").is_empty());
        assert_eq!(rules("broker/tests/it/main.rs", "clock::sleep(d).await;\n"), [("sleep-in-test", 1)]);
        assert!(rules("broker/src/delay/service.rs", "clock::sleep(d).await;\n").is_empty());
    }
}
