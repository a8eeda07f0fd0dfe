//! Subjects of commits: at most 72 characters. The rule holds for commits after the one that added this file. Where git
//! or its history is missing (an unpacked archive) there is nothing to judge, and the reason is returned.

use std::path::Path;
use std::process::Command;

use crate::Finding;

/// Characters of a subject: what `git log --oneline` and mail clients show without cutting.
pub const SUBJECT_LENGTH_MAX: usize = 72;

/// This file; the commit that added it is the last one that the rule does not bind.
const INTRODUCED_WITH: &str = "tests/tidy/src/subjects.rs";

/// Subjects that are too long.
///
/// # Errors
/// Why the history cannot be read.
pub fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let base = git(root, &["log", "--diff-filter=A", "--max-count=1", "--format=%H", "--", INTRODUCED_WITH])?;
    let base = base.trim();
    if base.is_empty() {
        return Err("the commit that introduced the rule is not in this history".to_owned());
    }
    let commits = git(root, &["log", "--no-merges", "--format=%h %s", &format!("{base}..HEAD")])?;
    Ok(judge(&commits))
}

fn git(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let done = Command::new("git").arg("-C").arg(root).args(arguments).output();
    let done = done.map_err(|cause| format!("git does not start: {cause}"))?;
    if !done.status.success() {
        return Err(format!("git log failed: {}", String::from_utf8_lossy(&done.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// One commit a line: its short hash and its subject.
fn judge(commits: &str) -> Vec<Finding> {
    let commits = commits.lines().filter_map(|line| line.split_once(' '));
    let lengths = commits.map(|(hash, subject)| (hash, subject, subject.chars().count()));
    lengths
        .filter(|(_, _, length)| *length > SUBJECT_LENGTH_MAX)
        .map(|(hash, subject, length)| Finding {
            rule: "subject",
            place: format!("commit {hash}"),
            line: 1,
            amount: 1,
            advice: format!("the subject has {length} characters, {SUBJECT_LENGTH_MAX} are allowed: \"{subject}\""),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_at_most_72_characters() {
        let commits = format!("abc1234 {}\ndef5678 {}\n", "é".repeat(72), "x".repeat(73));
        let places: Vec<String> = judge(&commits).into_iter().map(|found| found.place).collect();
        assert_eq!(places, ["commit def5678"]);
    }

    #[test]
    fn without_a_history_the_reason_is_returned() {
        let nowhere = std::env::temp_dir().join("sluice-tidy-no-such-folder");
        assert!(check(&nowhere).is_err());
    }
}
