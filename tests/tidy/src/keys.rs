//! Every setting is read by something and documented somewhere: fields of the `*Config` structs of each crate,
//! and the keys of `sluice.*` topic configs.

use crate::Finding;
use crate::sizes::{field_names, item_name};
use crate::source::{Source, has_word};
use crate::tree::Tree;

/// Where topic configs are declared.
const TOPIC_KEYS: &str = "broker/src/topics/configs_table.rs";

/// Settings that nothing reads, and settings that no page under `docs/` names.
#[must_use]
pub fn check(tree: &Tree) -> Vec<Finding> {
    let docs: Vec<&str> = tree
        .others
        .iter()
        .filter(|o| o.path.starts_with("docs/") && o.path.ends_with(".md"))
        .map(|o| o.text.as_str())
        .collect();
    let documented = |key: &str| docs.iter().any(|text| has_word(text, key));
    let mut findings = Vec::new();
    for source in tree.rust.iter().filter(|s| s.path.ends_with("/src/config.rs")) {
        for (line, field) in config_fields(source) {
            let read = format!(".{field}");
            let is_read = tree.rust.iter().any(|other| {
                other.path != source.path
                    && other.product_lines().any(|(_, text)| has_word(text, &read) || has_word(text, &field))
            });
            let mut found = |advice: String| {
                findings.push(Finding {
                    rule: "config-key",
                    place: format!("{}::{field}", source.path),
                    line,
                    amount: 1,
                    advice,
                });
            };
            if !is_read {
                found(format!("nothing reads `{field}`: use it or remove it"));
            }
            if !documented(&field) {
                found(format!("no page under docs/ names `{field}`: document it"));
            }
        }
    }
    for source in tree.rust.iter().filter(|s| s.path == TOPIC_KEYS) {
        for (line, key) in source.literals.iter().filter(|(line, l)| is_topic_key(l) && !source.is_test_line(*line)) {
            if !documented(key) {
                let advice = format!("no page under docs/ names the topic config `{key}`: document it");
                findings.push(Finding {
                    rule: "config-key",
                    place: format!("{}::{key}", source.path),
                    line: *line,
                    amount: 1,
                    advice,
                });
            }
        }
    }
    findings
}

fn is_topic_key(literal: &str) -> bool {
    literal.starts_with("sluice.")
        && !literal.ends_with('.')
        && literal.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
}

/// Fields of the structs whose names end in `Config`, with the struct's line.
fn config_fields(source: &Source) -> Vec<(usize, String)> {
    let mut fields = Vec::new();
    for (line, text) in source.product_lines() {
        let is_config = item_name(text.trim_start(), "struct").is_some_and(|name| name.ends_with("Config"));
        if let (true, Some(end)) = (is_config, source.close_of_block(line)) {
            fields.extend(field_names(&source.code[line - 1..end]).into_iter().map(|field| (line, field)));
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Other;

    #[test]
    fn a_setting_is_read_and_documented() {
        let config = "//! x\npub struct BrokerConfig {\n    pub used: u8,\n    pub silent: u8,\n    pub idle: u8,\n}\n";
        let reader = "//! x\nfn f(c: &BrokerConfig) { g(c.used, c.silent) }\n";
        let tree = Tree {
            rust: vec![Source::scan("broker/src/config.rs", config), Source::scan("broker/src/node.rs", reader)],
            others: vec![Other { path: "docs/configuration.md".to_owned(), text: "`used` and `idle`".to_owned() }],
        };
        let places: Vec<String> = check(&tree).into_iter().map(|f| f.place).collect();
        assert_eq!(places, ["broker/src/config.rs::silent", "broker/src/config.rs::idle"]);
    }

    #[test]
    fn a_topic_config_of_ours_is_documented() {
        let keys = "//! x\nconst A: &str = \"sluice.flush\";\nconst B: &str = \"sluice.\";\nconst C: &str = \"retention.ms\";\n";
        let tree = Tree { rust: vec![Source::scan(TOPIC_KEYS, keys)], others: vec![] };
        let places: Vec<String> = check(&tree).into_iter().map(|f| f.place).collect();
        assert_eq!(places, ["broker/src/topics/configs_table.rs::sluice.flush"]);
    }
}
