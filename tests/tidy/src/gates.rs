//! Calls that have one way in: appends to a partition, the engine's private parts, the start of threads and tasks, and
//! the clock. Each call has the places that may make it; everywhere else the text of the call is a finding.

use crate::Finding;
use crate::source::{Source, has_word};

/// A call, the files or folders that may make it, and where to go instead.
struct Gate {
    rule: &'static str,
    is_call: fn(&str) -> bool,
    /// The folders in which the rule holds.
    within: &'static [&'static str],
    places: &'static [&'static str],
    advice: &'static str,
}

const PRODUCT: &[&str] = &["broker/src/", "gateway/src/", "cli/src/", "plugins/src/"];

const GATES: [Gate; 4] = [
    Gate {
        rule: "partition-append",
        is_call: appends_to_partition,
        within: &["broker/src/"],
        places: &[
            "broker/src/log/",
            "broker/src/engine/produce.rs",
            "broker/src/engine/append_once.rs",
            "broker/src/topics/metadata_log.rs",
            "broker/src/topics/keyed_log.rs",
            "broker/src/coordinator/",
        ],
        advice: "records reach a partition through the engine's produce, the deduplicated append, a coordinator's shard \
                 or the logs of `topics/`: use one of these",
    },
    Gate {
        rule: "engine-only",
        is_call: |text| [".groups()", ".catalog()"].iter().any(|call| text.contains(call)),
        within: &["broker/src/", "gateway/src/", "cli/src/"],
        places: &["broker/src/engine/"],
        advice: "the engine is the only gate: use or write an engine verb that takes a permit",
    },
    Gate {
        rule: "spawn",
        is_call: spawns,
        within: PRODUCT,
        places: &["broker/src/tasks", "plugins/src/threads.rs"],
        advice: "whatever runs has an owner that notices its end: start it through `tasks.rs`",
    },
    Gate {
        rule: "clock",
        is_call: |text| has_word(text, "tokio::time"),
        within: PRODUCT,
        places: &["broker/src/clock.rs", "plugins/src/clock.rs"],
        advice: "time comes through `clock.rs`",
    },
];

/// Files that the table lets through some gate.
pub fn places() -> impl Iterator<Item = &'static str> {
    GATES.iter().flat_map(|gate| gate.places.iter().copied())
}

/// Every call past its gate.
#[must_use]
pub fn check(source: &Source) -> Vec<Finding> {
    let starts = |places: &[&str]| places.iter().any(|place| source.path.starts_with(place));
    let gates: Vec<&Gate> = GATES.iter().filter(|gate| starts(gate.within) && !starts(gate.places)).collect();
    let mut findings = Vec::new();
    for (line, text) in source.product_lines() {
        for gate in gates.iter().filter(|gate| (gate.is_call)(text)) {
            let advice = gate.advice.to_owned();
            findings.push(Finding { rule: gate.rule, place: source.path.clone(), line, amount: 1, advice });
        }
    }
    findings
}

/// An append to a partition takes a batch and says who writes it; a vector's takes one thing, and `self.append(…)` is a
/// step of the file's own.
fn appends_to_partition(text: &str) -> bool {
    [".append(", ".append_at_once(", ".append_async(", ".append_if_end("].iter().any(|call| {
        text.match_indices(call).any(|(at, _)| {
            let on_self = text[..at].ends_with("self") && !text[..at].ends_with("_self");
            !on_self && has_two_arguments(&text[at + call.len()..])
        })
    })
}

/// Whether a comma stands in a call's own brackets. A call that goes on in the next line counts: too strict rather than
/// blind.
fn has_two_arguments(arguments: &str) -> bool {
    let mut depth = 0;
    for c in arguments.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return false,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => return true,
            _ => {}
        }
    }
    true
}

/// What starts a thread or a task, or holds tasks. `.spawn(…)` alone says nothing: the types of `tasks.rs` have it too.
const STARTERS: [&str; 9] = [
    "tokio::spawn",
    "task::spawn",
    "thread::spawn",
    "thread::scope",
    "thread::Builder",
    "spawn_blocking",
    "spawn_scoped",
    "JoinSet",
    "TaskTracker",
];

fn spawns(text: &str) -> bool {
    STARTERS.iter().any(|word| has_word(text, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(&'static str, usize)> {
        check(&Source::scan(path, text)).into_iter().map(|f| (f.rule, f.line)).collect()
    }

    #[test]
    fn only_the_table_appends_to_a_partition() {
        let text = "let ticket = partition.append(batch, Origin::Broker);\n";
        assert_eq!(rules("broker/src/door/local/produce.rs", text), [("partition-append", 1)]);
        assert_eq!(rules("broker/src/delay/x.rs", "p.append_if_end(a, b, c)\n"), [("partition-append", 1)]);
        assert!(rules("broker/src/engine/produce.rs", text).is_empty());
        assert!(rules("broker/src/kafka/x.rs", "all.append(&mut more);\nself.append(a, b);\n").is_empty());
    }

    #[test]
    fn the_engine_keeps_its_parts_to_itself() {
        let text = "call.engine.groups().join(x);\nengine.catalog().topics();\n";
        assert_eq!(rules("broker/src/kafka/handlers/join_group.rs", text), [("engine-only", 1), ("engine-only", 2)]);
        assert!(rules("broker/src/engine/groups.rs", text).is_empty());
    }

    #[test]
    fn threads_and_tasks_start_in_one_file() {
        for text in ["tokio::spawn(run());\n", "let t = std::thread::Builder::new();\n", "let set = JoinSet::new();\n"]
        {
            assert_eq!(rules("gateway/src/server.rs", text), [("spawn", 1)], "{text}");
            assert!(rules("broker/src/tasks.rs", text).is_empty());
        }
        assert!(
            rules("gateway/src/server.rs", "#[cfg(test)]\nmod tests {\n    fn a() { tokio::spawn(b()) }\n}\n")
                .is_empty()
        );
    }

    #[test]
    fn time_comes_through_the_clock() {
        assert_eq!(rules("broker/src/kafka/frame.rs", "use tokio::time::timeout;\n"), [("clock", 1)]);
        assert!(rules("broker/src/clock.rs", "use tokio::time::timeout;\n").is_empty());
    }
}
