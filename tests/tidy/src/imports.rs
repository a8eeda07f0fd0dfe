//! Circles of imports: files of one crate that import each other, directly or through others. Such files can only be
//! read, tested and moved together. A name that a module re-exports counts as an import of the file that defines it.
//! Tests are left out; method calls are not seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::Finding;
use crate::source::{Source, has_word};

/// How many re-exports are followed from one name.
const REEXPORTS_MAX: usize = 8;

/// A path that a file names, from the crate's root.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    path: Vec<String>,
    /// The name that it has in this file.
    known_as: String,
    line: usize,
    line_last: usize,
    reexport: bool,
}

/// A file as a module of its crate.
struct Module<'a> {
    source: &'a Source,
    path: Vec<String>,
    children: BTreeSet<String>,
    named: Vec<Named>,
}

/// The circles of every crate: one finding for each group of files that all reach each other.
#[must_use]
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut crates: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources {
        if let Some((root, _)) = source.path.split_once("/src/")
            && !source.in_test.first().copied().unwrap_or(false)
        {
            crates.entry(root).or_default().push(source);
        }
    }
    crates.into_iter().flat_map(|(root, files)| circles_of_crate(root, &files)).collect()
}

fn circles_of_crate(root: &str, files: &[&Source]) -> Vec<Finding> {
    let modules: Vec<Module<'_>> = files.iter().map(|source| module(root, source)).collect();
    let by_path: BTreeMap<&[String], usize> =
        modules.iter().enumerate().map(|(at, module)| (module.path.as_slice(), at)).collect();
    let mut edges: Vec<BTreeMap<usize, usize>> = vec![BTreeMap::new(); modules.len()];
    for (from, module) in modules.iter().enumerate() {
        for named in module.named.iter().filter(|named| is_used(module, named)) {
            if let Some(to) = target(&modules, &by_path, &named.path, REEXPORTS_MAX)
                && to != from
            {
                edges[from].entry(to).or_insert(named.line);
            }
        }
    }
    let groups = groups(&edges);
    groups.into_iter().filter(|group| group.len() > 1).map(|group| finding(root, &modules, &edges, &group)).collect()
}

fn finding(root: &str, modules: &[Module<'_>], edges: &[BTreeMap<usize, usize>], group: &[usize]) -> Finding {
    let circle = shortest_circle(edges, group);
    let path = |at: usize| &modules[at].source.path;
    let line = |from: usize, to: usize| edges[from].get(&to).copied().unwrap_or(1);
    let steps: Vec<String> = circle
        .iter()
        .zip(circle.iter().cycle().skip(1))
        .map(|(&from, &to)| format!("{}:{} imports {}", path(from), line(from, to), path(to)))
        .collect();
    Finding {
        rule: "import-circle",
        place: format!("{root}/src"),
        line: 1,
        amount: group.len(),
        advice: format!(
            "{} files import each other, for one: {}. Move what both need to a file below them",
            group.len(),
            steps.join(", ")
        ),
    }
}

/// A re-export is an import only where the file itself uses the name.
fn is_used(module: &Module<'_>, named: &Named) -> bool {
    !named.reexport
        || module.source.product_lines().any(|(line, text)| {
            let in_use =
                module.named.iter().any(|other| (other.line..=other.line_last).contains(&line) && other.reexport);
            !in_use && has_word(text, &named.known_as)
        })
}

fn module<'a>(root: &str, source: &'a Source) -> Module<'a> {
    let inside = source.path.strip_prefix(root).and_then(|rest| rest.strip_prefix("/src/")).unwrap_or_default();
    let inside = inside.trim_end_matches(".rs");
    let mut path: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if path.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        path.pop();
    }
    let children = source.product_lines().filter_map(|(_, text)| declared_module(text)).collect();
    let mut module = Module { source, path, children, named: vec![] };
    module.named = named_paths(&module);
    module
}

/// `x` of `mod x;`, with any visibility.
fn declared_module(text: &str) -> Option<String> {
    let text = text.trim().strip_suffix(';')?;
    let (visibility, name) = text.rsplit_once("mod ")?;
    let is_visibility = visibility.is_empty() || visibility.starts_with("pub");
    (is_visibility && name.chars().all(|c| c.is_alphanumeric() || c == '_')).then(|| name.to_owned())
}

/// Every path of the own crate that the file names, in `use` and elsewhere.
fn named_paths(module: &Module<'_>) -> Vec<Named> {
    let mut named = Vec::new();
    let lines: Vec<(usize, &str)> = module.source.product_lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let (line, text) = lines[at];
        let Some((reexport, start)) = use_statement(text) else {
            inline_paths(module, line, text, &mut named);
            at += 1;
            continue;
        };
        let mut statement = start.to_owned();
        while !statement.contains(';') && at + 1 < lines.len() {
            at += 1;
            statement.push_str(lines[at].1);
        }
        let statement = statement.split(';').next().unwrap_or_default();
        let line_last = lines[at].0;
        for (path, known_as) in leaves(statement) {
            if let Some(path) = absolute(module, &path) {
                named.push(Named { path, known_as, line, line_last, reexport });
            }
        }
        at += 1;
    }
    named
}

/// Whether a line begins a `use`, whether that re-exports, and what follows.
fn use_statement(text: &str) -> Option<(bool, &str)> {
    let text = text.trim_start();
    if let Some(rest) = text.strip_prefix("use ") {
        return Some((false, rest));
    }
    let rest = text.strip_prefix("pub")?;
    let rest = if rest.starts_with('(') { rest.split_once(')')?.1 } else { rest };
    rest.trim_start().strip_prefix("use ").map(|rest| (true, rest))
}

/// Every path of a `use` tree with the name that it gets: `a::{b, c as d}` is `a::b` (b) and `a::c` (d).
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    let Some((head, group)) = tree.split_once('{') else {
        let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
        let mut path: Vec<String> = path.split("::").map(|part| part.trim().to_owned()).collect();
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let known_as = alias.map_or_else(|| path.last().cloned().unwrap_or_default(), str::to_owned);
        return vec![(path, known_as)];
    };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&group[start..]);
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    parts.flat_map(|part| leaves(&format!("{head}{part}"))).collect()
}

/// Paths outside of `use` statements that begin at the crate, a parent or a child module.
fn inline_paths(module: &Module<'_>, line: usize, text: &str, named: &mut Vec<Named>) {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    while let Some(at) = rest.find("::") {
        let start = rest[..at].rfind(|c| !part(c)).map_or(0, |before| before + 1);
        let end = rest[at..].find(|c| !part(c) && c != ':').map_or(rest.len(), |after| at + after);
        let path: Vec<String> = rest[start..end].split("::").map(str::to_owned).collect();
        // `$crate` of a macro is expanded elsewhere.
        if start < at
            && !rest[..start].ends_with('$')
            && let Some(path) = absolute(module, &path)
        {
            named.push(Named { path, known_as: String::new(), line, line_last: line, reexport: false });
        }
        rest = &rest[end..];
    }
}

/// The path from the crate's root; `None` for what other crates define.
fn absolute(module: &Module<'_>, path: &[String]) -> Option<Vec<String>> {
    let mut absolute = module.path.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            absolute.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                absolute.pop()?;
                rest = &rest[1..];
            }
        }
        child if module.children.contains(child) => {}
        _ => return None,
    }
    absolute.extend(rest.iter().cloned());
    Some(absolute)
}

/// The file that defines what a path names.
fn target(
    modules: &[Module<'_>],
    by_path: &BTreeMap<&[String], usize>,
    path: &[String],
    reexports: usize,
) -> Option<usize> {
    let length = (0..=path.len()).rev().find(|length| by_path.contains_key(&path[..*length]))?;
    let at = by_path[&path[..length]];
    let Some(name) = path.get(length).filter(|_| reexports > 0) else { return Some(at) };
    for named in modules[at].named.iter().filter(|named| named.reexport) {
        let mut path_of_name = named.path.clone();
        if named.known_as == "*" {
            path_of_name.pop();
            let from = target(modules, by_path, &path_of_name, reexports - 1)?;
            if !defines(modules[from].source, name) {
                continue;
            }
            return Some(from);
        }
        if named.known_as == *name {
            return target(modules, by_path, &path_of_name, reexports - 1);
        }
    }
    Some(at)
}

/// Whether a file defines a public item of this name.
fn defines(source: &Source, name: &str) -> bool {
    source.product_lines().any(|(_, text)| text.starts_with("pub") && has_word(text, name))
}

/// The groups of files that all reach each other.
fn groups(edges: &[BTreeMap<usize, usize>]) -> Vec<Vec<usize>> {
    // Two files are in one group when each reaches the other. The crates are small enough to ask that directly.
    let reached: Vec<BTreeSet<usize>> = (0..edges.len()).map(|from| reached_from(edges, from)).collect();
    let mut seen = BTreeSet::new();
    let mut groups = Vec::new();
    for from in 0..edges.len() {
        if seen.contains(&from) {
            continue;
        }
        let mut group: Vec<usize> = reached[from].iter().copied().filter(|to| reached[*to].contains(&from)).collect();
        if !group.contains(&from) {
            group.push(from);
        }
        seen.extend(group.iter().copied());
        groups.push(group);
    }
    groups
}

fn reached_from(edges: &[BTreeMap<usize, usize>], from: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        for &to in edges[at].keys() {
            if reached.insert(to) {
                open.push(to);
            }
        }
    }
    reached
}

/// A shortest way from a file of the group back to itself.
fn shortest_circle(edges: &[BTreeMap<usize, usize>], group: &[usize]) -> Vec<usize> {
    let ways = group.iter().filter_map(|&from| {
        let mut before: BTreeMap<usize, usize> = BTreeMap::new();
        let mut open = std::collections::VecDeque::from([from]);
        while let Some(at) = open.pop_front() {
            for &to in edges[at].keys().filter(|to| group.contains(to)) {
                if to == from {
                    let mut way = vec![at];
                    while let Some(&previous) = before.get(way.last()?) {
                        way.push(previous);
                    }
                    way.reverse();
                    return Some(way);
                }
                if let std::collections::btree_map::Entry::Vacant(first) = before.entry(to) {
                    first.insert(at);
                    open.push_back(to);
                }
            }
        }
        None
    });
    ways.min_by_key(Vec::len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<(usize, String)> {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::scan(path, text)).collect();
        check(&sources).into_iter().map(|found| (found.amount, found.advice)).collect()
    }

    #[test]
    fn two_files_that_import_each_other_are_a_circle() {
        let found = circles(&[
            ("broker/src/lib.rs", "mod a;\nmod b;\n"),
            ("broker/src/a.rs", "use crate::b::B;\npub struct A(B);\n"),
            ("broker/src/b.rs", "use super::a;\npub struct B(a::A);\n"),
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, 2);
        assert!(found[0].1.contains("broker/src/a.rs:1 imports broker/src/b.rs"), "{found:?}");
    }

    #[test]
    fn a_re_export_counts_as_an_import_of_the_file_that_defines_the_name() {
        let facade = ("broker/src/log/mod.rs", "mod a;\nmod b;\npub use a::A;\npub(crate) use b::{B, C as D};\n");
        let through = circles(&[
            facade,
            ("broker/src/log/a.rs", "use super::{\n    D,\n};\npub struct A(D);\n"),
            ("broker/src/log/b.rs", "pub struct B;\npub struct C;\n"),
        ]);
        assert_eq!(through, []);
        let circle = circles(&[
            facade,
            ("broker/src/log/a.rs", "use super::D;\npub struct A(D);\n"),
            ("broker/src/log/b.rs", "use crate::log::A;\npub struct B(A);\n"),
        ]);
        assert_eq!(circle.len(), 1);
    }

    #[test]
    fn a_module_that_uses_what_it_re_exports_imports_it() {
        let found = circles(&[
            ("broker/src/log/mod.rs", "mod a;\npub use a::A;\npub struct Log(A);\n"),
            ("broker/src/log/a.rs", "use super::Log;\npub struct A(Box<Log>);\n"),
        ]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn paths_outside_of_use_are_seen_and_tests_are_not() {
        let found = circles(&[
            ("broker/src/a.rs", "fn a() { crate::b::b() }\n"),
            ("broker/src/b.rs", "pub fn b() { let x = crate::a::X; }\n"),
        ]);
        assert_eq!(found.len(), 1);
        let in_test = circles(&[
            ("broker/src/a.rs", "use crate::b::b;\n"),
            ("broker/src/b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n"),
        ]);
        assert_eq!(in_test, []);
    }

    #[test]
    fn a_long_way_round_is_one_circle_of_all_its_files() {
        let found = circles(&[
            ("gateway/src/a.rs", "use crate::b::B;\n"),
            ("gateway/src/b.rs", "use crate::c::C;\n"),
            ("gateway/src/c.rs", "use crate::a::A;\n"),
            ("gateway/src/d.rs", "use crate::a::A;\n"),
        ]);
        assert_eq!(found.iter().map(|(files, _)| *files).collect::<Vec<_>>(), [3]);
    }
}
