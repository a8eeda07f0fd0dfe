//! The tree is tidy. Each rule is a test of its own, so that a failure says which habit slipped.

use std::sync::LazyLock;

use sluice_tidy::exceptions::EXCEPTIONS;
use sluice_tidy::judge::judge;
use sluice_tidy::tree::{Tree, root};
use sluice_tidy::{Finding, counts, gates, imports, keys, layers, names, references, sizes, subjects, words};

static TREE: LazyLock<Tree> = LazyLock::new(|| Tree::read(&root()));

fn hold(rules: &[&str], findings: Vec<Finding>) {
    let ours: Vec<Finding> = findings.into_iter().filter(|f| rules.contains(&f.rule)).collect();
    let exceptions: Vec<_> = EXCEPTIONS.iter().filter(|e| rules.contains(&e.rule)).copied().collect();
    let reports = judge(&ours, &exceptions);
    assert!(reports.is_empty(), "{} to mend:\n{}", reports.len(), reports.join("\n"));
}

fn measures() -> Vec<Finding> {
    let rust = TREE.rust.iter().flat_map(sizes::measure);
    rust.chain(TREE.others.iter().flat_map(sizes::measure_other)).collect()
}

fn spelled() -> Vec<Finding> {
    TREE.rust.iter().flat_map(words::check).collect()
}

#[test]
fn every_file_says_what_it_is_for() {
    hold(&["header"], measures());
}

#[test]
fn files_have_at_most_500_lines_of_code_and_short_inline_tests() {
    hold(&["file-lines", "inline-tests"], measures());
}

#[test]
fn functions_have_at_most_70_lines() {
    hold(&["function-lines"], measures());
}

#[test]
fn structs_have_at_most_15_fields() {
    hold(&["struct-fields"], measures());
}

#[test]
fn layers_are_kept() {
    hold(&["layers"], TREE.rust.iter().flat_map(layers::check).collect());
}

#[test]
fn unsafe_stands_in_named_files_only() {
    hold(&["unsafe"], spelled());
}

#[test]
fn names_of_log_files_stand_in_the_layout_only() {
    hold(&["disk-name"], spelled());
}

#[test]
fn no_unfinished_work_and_no_unbounded_channel() {
    hold(&["refused-word"], spelled());
}

#[test]
fn no_test_is_switched_off_or_waits_by_the_clock() {
    hold(&["ignored-test", "sleep-in-test"], spelled());
}

#[test]
fn file_names_say_what_is_inside_and_lock_files_name_no_registry() {
    hold(&["empty-name", "lock-address"], names::check(&TREE));
}

#[test]
fn every_setting_is_read_and_documented() {
    hold(&["config-key"], keys::check(&TREE));
}

#[test]
fn no_files_import_each_other() {
    hold(&["import-circle"], imports::check(&TREE.rust));
}

#[test]
fn the_broker_shows_no_more_than_it_did() {
    hold(&["pub-items"], counts::public_items(&TREE.rust));
}

#[test]
fn folders_have_at_most_20_files() {
    hold(&["folder-files"], counts::folders(&TREE));
}

#[test]
fn every_context_is_used() {
    hold(&["unused-ctx"], TREE.rust.iter().flat_map(counts::unused_contexts).collect());
}

#[test]
fn what_has_one_way_in_is_called_through_it() {
    let rules = ["partition-append", "engine-only", "spawn", "clock"];
    hold(&rules, TREE.rust.iter().flat_map(gates::check).collect());
}

#[test]
fn settings_that_documents_name_exist() {
    hold(&["named-setting"], references::settings(&TREE));
}

#[test]
fn paths_that_documents_and_headers_name_exist() {
    hold(&["named-path"], references::paths(&TREE));
}

#[test]
fn rules_that_are_quoted_are_in_force() {
    hold(&["quoted-rule"], references::rules(&TREE));
}

#[test]
fn the_architecture_answers_with_items_that_exist() {
    hold(&["answer"], references::answers(&TREE));
}

#[test]
fn permissions_name_files_that_exist() {
    hold(&["stale-permission"], references::permissions(&TREE, EXCEPTIONS));
}

#[test]
fn subjects_of_commits_have_at_most_72_characters() {
    match subjects::check(&root()) {
        Ok(findings) => hold(&["subject"], findings),
        Err(reason) => println!("not checked: {reason}"),
    }
}
