//! Who may name whom: the layer table of the broker, and the homes of the libraries that must not spread.
//! A file imports its own folder and lower ranks, tests left out: they may reach for whatever they check with.

use crate::Finding;
use crate::source::{Source, has_word};

/// Rank of every top-level module of `broker/src` (`docs/architecture.md`). Modules of one rank do not know
/// each other, rank 0 aside.
const RANKS: [(&str, u32); 26] = [
    ("ids", 0),
    ("error", 0),
    ("config", 0),
    ("connections", 0),
    ("context", 0),
    ("limits", 0),
    ("clock", 0),
    ("memory", 0),
    ("refusals", 0),
    ("tasks", 0),
    ("varint", 0),
    ("metrics", 0),
    ("auth", 0),
    ("quota", 0),
    ("record", 1),
    ("log", 2),
    ("topics", 3),
    ("coordinator", 4),
    ("chain", 4),
    ("engine", 5),
    ("kafka", 6),
    ("door", 6),
    ("node_facts", 6),
    ("delay", 7),
    ("node", 8),
    ("lib", 9),
];

/// Ordinary clients of the door, and what they may name besides themselves and rank 0.
const CLIENTS_OF_THE_DOOR: [(&str, &[&str]); 2] =
    [("broker/src/delay", &["door"]), ("gateway/src", &["door", "node_facts"])];

/// A library, and the places that may name it.
struct Home {
    library: &'static str,
    places: &'static [&'static str],
    advice: &'static str,
}

const HOMES: [Home; 3] = [
    Home {
        library: "kafka_protocol::",
        places: &["broker/src/kafka/", "broker/src/coordinator/group/records"],
        advice: "the codec stays behind `kafka/`: use the types of the layer you are in",
    },
    Home {
        library: "prometheus_client::",
        places: &["broker/src/metrics/"],
        advice: "what is shown at /metrics is a `Section` of `broker/src/metrics/`",
    },
    Home {
        library: "sluice_plugins::",
        places: &[
            "plugins/",
            "broker/src/chain/",
            "broker/src/door/plugins.rs",
            "broker/src/door/local/plugins.rs",
            "broker/src/door/local/errors.rs",
            "broker/src/engine/plugins.rs",
            "broker/src/topics/config_check.rs",
            "broker/src/config.rs",
            "broker/src/node.rs",
        ],
        advice: "the plugin host is called by `chain/` and shown by `engine/plugins.rs`: go through them",
    },
];

/// Files that may name one of the libraries.
pub fn places() -> impl Iterator<Item = &'static str> {
    HOMES.iter().flat_map(|home| home.places.iter().copied())
}

/// Everything that a file names and must not.
#[must_use]
pub fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, text) in source.product_lines() {
        for home in &HOMES {
            let at_home = home.places.iter().any(|p| source.path.starts_with(p));
            if !at_home && source.path.contains("src/") && has_word(text, home.library) {
                findings.push(finding(source, line, format!("names {}…: {}", home.library, home.advice)));
            }
        }
    }
    for (line, module) in named_modules(source) {
        if let Some(advice) = refusal(&source.path, &module) {
            findings.push(finding(source, line, advice));
        }
    }
    findings
}

fn finding(source: &Source, line: usize, advice: String) -> Finding {
    Finding { rule: "layers", place: source.path.clone(), line, amount: 1, advice }
}

/// Why the file at `path` may not name the broker's top-level module `module`; `None` if it may.
fn refusal(path: &str, module: &str) -> Option<String> {
    let rank = |name: &str| RANKS.iter().find(|(n, _)| *n == name).map(|(_, r)| *r);
    let Some(theirs) = rank(module) else {
        // Something that the library's root defines, or another crate's own module.
        return None;
    };
    let own = own_module(path);
    if own == Some(module) {
        return None;
    }
    let client = CLIENTS_OF_THE_DOOR.iter().find(|(place, _)| path.starts_with(place));
    if let Some((_, may)) = client
        && theirs > 0
        && !may.contains(&module)
    {
        return Some(format!("names `{module}`: a client of the door sees {may:?} and rank 0 only"));
    }
    let own = own?;
    let Some(ours) = rank(own) else {
        return Some(format!(
            "`{own}` has no rank: give it one in tests/tidy/src/layers.rs and in docs/architecture.md"
        ));
    };
    (ours > 0 && theirs >= ours || theirs > ours).then(|| {
        format!("`{own}` (rank {ours}) names `{module}` (rank {theirs}): a file imports its own folder and lower ranks")
    })
}

/// The top-level module of the broker that a file belongs to.
fn own_module(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("broker/src/")?;
    Some(rest.split('/').next().unwrap_or(rest).trim_end_matches(".rs"))
}

/// The broker's top-level modules that the product lines of a file name, by any path: `crate::x`, `crate::{x, y::z}`,
/// `super::super::x` from where it stands, `sluice_broker::x` from outside.
fn named_modules(source: &Source) -> Vec<(usize, String)> {
    let prefixes: Vec<String> = if let Some(rest) = source.path.strip_prefix("broker/src/") {
        // `super` from `a/b.rs` is `a`, from `a/mod.rs` the root; each folder more is one `super::` more.
        let depth = rest.trim_end_matches("/mod.rs").split('/').count();
        vec!["crate::".to_owned(), "super::".repeat(depth)]
    } else {
        vec!["sluice_broker::".to_owned()]
    };
    let mut text = String::new();
    let mut line_starts = Vec::new();
    for (line, code) in source.product_lines() {
        line_starts.push((text.len(), line));
        text.push_str(code);
        text.push('\n');
    }
    let line_at = |at: usize| line_starts.iter().rev().find(|(start, _)| *start <= at).map_or(1, |(_, line)| *line);
    let mut named = Vec::new();
    for prefix in &prefixes {
        for (at, _) in text.match_indices(prefix.as_str()) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &text[at + prefix.len()..];
            named.extend(first_names(rest).into_iter().map(|name| (line_at(at), name)));
        }
    }
    named
}

/// The first name of a path, or of every path of a group: `a::b` is a; `{a::{b, c}, d}` are a and d.
fn first_names(rest: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    if !rest.starts_with('{') {
        return vec![word(rest)];
    }
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 1);
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (c == ',' && depth == 1) || depth == 0 {
            names.push(word(rest[start..at].trim_start()));
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|n| !n.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(path: &str, text: &str) -> Vec<(usize, String)> {
        check(&Source::scan(path, text)).into_iter().map(|f| (f.line, f.advice)).collect()
    }

    #[test]
    fn a_lower_layer_must_not_name_a_higher_one() {
        let found = advice("broker/src/log/append.rs", "//! x\nuse crate::ids::Offset;\nuse crate::engine::Engine;\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, 3);
        assert!(found[0].1.contains("`log` (rank 2) names `engine` (rank 5)"), "{found:?}");
    }

    #[test]
    fn groups_and_supers_are_seen_through() {
        assert_eq!(advice("broker/src/log/append.rs", "use crate::{ids::{A, B}, record, topics::T};\n").len(), 1);
        assert_eq!(advice("broker/src/log/append.rs", "use super::super::node::Node;\n").len(), 1);
        assert!(advice("broker/src/log/append.rs", "use super::segment::Segment;\n").is_empty());
        assert_eq!(advice("broker/src/log/mod.rs", "use super::node::Node;\n").len(), 1);
    }

    #[test]
    fn modules_of_one_rank_do_not_know_each_other() {
        assert_eq!(advice("broker/src/kafka/dispatch.rs", "use crate::door::Door;\n").len(), 1);
        assert!(advice("broker/src/kafka/dispatch.rs", "use crate::kafka::frame::Frame;\n").is_empty());
    }

    #[test]
    fn delays_and_the_gateway_see_only_the_door() {
        assert!(advice("broker/src/delay/deliver.rs", "use crate::door::Door;\nuse crate::ids::Offset;\n").is_empty());
        assert_eq!(advice("broker/src/delay/deliver.rs", "use crate::log::Partition;\n").len(), 1);
        assert_eq!(advice("gateway/src/routes/topics.rs", "use sluice_broker::topics::Catalog;\n").len(), 1);
        assert!(
            advice("gateway/src/routes/topics.rs", "use sluice_broker::door::Door;\nuse crate::topics::X;\n")
                .is_empty()
        );
    }

    #[test]
    fn the_codec_and_the_plugin_host_stay_at_home() {
        assert_eq!(advice("broker/src/engine/produce.rs", "use kafka_protocol::messages::X;\n").len(), 1);
        assert!(advice("broker/src/kafka/handlers/produce.rs", "use kafka_protocol::messages::X;\n").is_empty());
        assert_eq!(advice("gateway/src/lib.rs", "use sluice_plugins::Host;\n").len(), 1);
        assert!(advice("broker/src/chain/partition.rs", "use sluice_plugins::Host;\n").is_empty());
    }

    #[test]
    fn tests_may_reach_for_what_they_check_with() {
        assert!(
            advice("broker/src/log/append.rs", "#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n}\n")
                .is_empty()
        );
    }
}
