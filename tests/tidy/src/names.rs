//! Names of files: one that says nothing invites everything. And texts that only make sense on the machine that wrote
//! them: registry addresses in lock files.

use crate::Finding;
use crate::tree::Tree;

/// Stems that name no job.
const EMPTY_NAMES: [&str; 8] = ["utils", "util", "helpers", "helper", "common", "misc", "manager", "types"];

/// Every badly named file, and every lock file that names a registry.
#[must_use]
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in tree.rust.iter().map(|s| &s.path).chain(tree.others.iter().map(|o| &o.path)) {
        let empty = path.split('/').any(|part| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or(part)));
        if empty {
            findings.push(Finding {
                rule: "empty-name",
                place: path.clone(),
                line: 1,
                amount: 1,
                advice: "a name like this holds anything: name the file after its one job".to_owned(),
            });
        }
    }
    for file in tree.others.iter().filter(|o| o.path.ends_with("package-lock.json")) {
        for (line, _) in
            file.text.lines().enumerate().filter(|(_, l)| l.trim_start().starts_with("\"resolved\": \"http"))
        {
            findings.push(Finding {
                rule: "lock-address",
                place: file.path.clone(),
                line: line + 1,
                amount: 1,
                advice: "write the lock file with omit-lockfile-registry-resolved=true".to_owned(),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Other;

    #[test]
    fn a_name_that_says_nothing_is_found_in_every_language() {
        let other = |path: &str| Other { path: path.to_owned(), text: String::new() };
        let tree = Tree {
            rust: vec![],
            others: vec![other("tests/clients/utils.py"), other("tests/common/a.js"), other("docs/types-of-delay.md")],
        };
        let places: Vec<String> = check(&tree).into_iter().map(|f| f.place).collect();
        assert_eq!(places, ["tests/clients/utils.py", "tests/common/a.js"]);
    }

    #[test]
    fn a_lock_file_names_no_registry() {
        let text = "{\n  \"resolved\": \"https://example.org/a.tgz\",\n}\n".to_owned();
        let tree =
            Tree { rust: vec![], others: vec![Other { path: "tests/clients/js/package-lock.json".to_owned(), text }] };
        assert_eq!(check(&tree).len(), 1);
    }
}
