//! Measures: lines of a file, of a function and of inline tests, fields of a struct, and the `//!` that every file
//! starts with. Blank lines and comments do not count: explaining something must never cost.

use crate::Finding;
use crate::source::{Source, has_word, is_test_file};
use crate::tree::Other;

/// Lines of code of a file, inline tests left out.
pub const FILE_LINES_MAX: usize = 500;
/// Lines of code of a function, signature and braces included.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Lines of code of inline tests; longer ones go to a sibling file.
pub const INLINE_TEST_LINES_MAX: usize = 150;
/// Fields of a struct.
pub const STRUCT_FIELDS_MAX: usize = 15;

/// Languages besides Rust whose files are measured whole.
const SCRIPT_EXTENSIONS: [&str; 5] = [".py", ".js", ".go", ".java", ".sh"];

/// Everything this module measures in one Rust file.
#[must_use]
pub fn measure(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    header(source, &mut findings);
    file_lines(source, &mut findings);
    for (line, text) in source.code.iter().enumerate().map(|(n, t)| (n + 1, t.trim_start())) {
        if let Some(name) = item_name(text, "fn") {
            function(source, line, &name, &mut findings);
        }
        if let Some(name) = item_name(text, "struct") {
            fields(source, line, &name, &mut findings);
        }
    }
    findings
}

/// A script or program in another language is one file with one job as well.
#[must_use]
pub fn measure_other(file: &Other) -> Vec<Finding> {
    let lines = file.text.lines().filter(|l| !l.trim().is_empty()).count();
    if !SCRIPT_EXTENSIONS.iter().any(|e| file.path.ends_with(e)) || lines <= FILE_LINES_MAX {
        return vec![];
    }
    vec![Finding {
        rule: "file-lines",
        place: file.path.clone(),
        line: 1,
        amount: lines,
        advice: format!("{lines} lines, {FILE_LINES_MAX} are allowed: find the second job in it"),
    }]
}

fn header(source: &Source, findings: &mut Vec<Finding>) {
    if !source.text.starts_with("//!") {
        findings.push(Finding {
            rule: "header",
            place: source.path.clone(),
            line: 1,
            amount: 1,
            advice: "start the file with `//!`: what it is for, where it stands in the flow, what it must never do"
                .to_owned(),
        });
    }
}

fn file_lines(source: &Source, findings: &mut Vec<Finding>) {
    let filled = |n: usize| !source.code[n].trim().is_empty();
    let (mut product, mut tests) = (0, 0);
    for n in 0..source.code.len() {
        if filled(n) {
            if source.in_test[n] { tests += 1 } else { product += 1 }
        }
    }
    let mut report = |rule, lines: usize, allowed: usize, advice: &str| {
        if lines > allowed {
            let advice = format!("{lines} lines of code, {allowed} are allowed: {advice}");
            findings.push(Finding { rule, place: source.path.clone(), line: 1, amount: lines, advice });
        }
    };
    if is_test_file(&source.path) {
        report("file-lines", tests, FILE_LINES_MAX, "split the tests by what they are about");
    } else {
        report("file-lines", product, FILE_LINES_MAX, "find the second job in it and give that a file of its own");
        report("inline-tests", tests, INLINE_TEST_LINES_MAX, "move the tests to a sibling file `x/tests.rs`");
    }
}

fn function(source: &Source, line: usize, name: &str, findings: &mut Vec<Finding>) {
    let Some(end) = source.close_of_block(line) else { return };
    let lines = source.code[line - 1..end].iter().filter(|l| !l.trim().is_empty()).count();
    if lines > FUNCTION_LINES_MAX {
        findings.push(Finding {
            rule: "function-lines",
            place: format!("{}::{name}", source.path),
            line,
            amount: lines,
            advice: format!("fn {name} has {lines} lines of code, {FUNCTION_LINES_MAX} are allowed: name its steps"),
        });
    }
}

fn fields(source: &Source, line: usize, name: &str, findings: &mut Vec<Finding>) {
    let Some(end) = source.close_of_block(line) else { return };
    let count = field_names(&source.code[line - 1..end]).len();
    if count > STRUCT_FIELDS_MAX {
        findings.push(Finding {
            rule: "struct-fields",
            place: format!("{}::{name}", source.path),
            line,
            amount: count,
            advice: format!(
                "struct {name} has {count} fields, {STRUCT_FIELDS_MAX} are allowed: find the structs inside it"
            ),
        });
    }
}

/// The names of the fields of a struct with named fields, given its lines.
#[must_use]
pub fn field_names(lines: &[String]) -> Vec<String> {
    let (mut names, mut depth, mut fresh) = (Vec::new(), 0i32, false);
    for line in lines {
        // A field stands alone at the start of a line at depth one: rustfmt sees to it.
        let text = line.trim_start();
        let text = text
            .strip_prefix("pub ")
            .or_else(|| text.split_once(") ").filter(|(p, _)| p.starts_with("pub(")).map(|(_, t)| t))
            .unwrap_or(text);
        if depth == 1 && (fresh || lines.len() > 1) {
            let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !name.is_empty() && text[name.len()..].starts_with(':') && !text[name.len()..].starts_with("::") {
                names.push(name);
            }
        }
        for c in line.chars() {
            match c {
                '{' | '(' | '[' => depth += 1,
                '}' | ')' | ']' => depth -= 1,
                _ => {}
            }
        }
        fresh = depth == 1;
    }
    names
}

/// The name of the item of this kind that a line starts, past its visibility and qualifiers.
#[must_use]
pub fn item_name(text: &str, kind: &str) -> Option<String> {
    const QUALIFIERS: [&str; 8] = ["pub", "const", "async", "unsafe", "extern", "default", "static", "\""];
    if !has_word(text, kind) {
        return None;
    }
    // `pub(in crate::log)` has a blank.
    let past_visibility = text.strip_prefix("pub(").and_then(|rest| rest.split_once(')'));
    let mut words = past_visibility.map_or(text, |(_, rest)| rest).split_whitespace();
    loop {
        let word = words.next()?;
        if word == kind {
            let name: String = words.next()?.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            return (!name.is_empty()).then_some(name);
        }
        if !QUALIFIERS.iter().any(|q| word == *q || word.starts_with('"')) && word != "\"" {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(&'static str, usize, usize)> {
        measure(&Source::scan("broker/src/x.rs", text)).into_iter().map(|f| (f.rule, f.line, f.amount)).collect()
    }

    #[test]
    fn a_file_starts_by_saying_what_it_is_for() {
        assert_eq!(rules("fn a() {}\n"), [("header", 1, 1)]);
        assert!(rules("//! A thing.\nfn a() {}\n").is_empty());
    }

    #[test]
    fn a_long_function_is_found_wherever_it_stands() {
        let body = "        step();\n".repeat(69);
        let text = format!("//! x\nimpl A {{\n    pub(crate) async fn long(&self) {{\n{body}    }}\n}}\n");
        assert_eq!(rules(&text), [("function-lines", 3, 71)]);
        let commented = format!("//! x\nfn long() {{\n{}}}\n", "    // why\n\n".repeat(100));
        assert!(rules(&commented).is_empty());
    }

    #[test]
    fn an_item_is_known_behind_every_visibility() {
        for text in ["fn a() {", "pub fn a()", "pub(super) const fn a()", "pub(in crate::log) async fn a<T>()"] {
            assert_eq!(item_name(text, "fn").as_deref(), Some("a"), "{text}");
        }
        assert_eq!(item_name("let a = fn_of(x);", "fn"), None);
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_are_counted_apart() {
        let long = format!("//! x\n{}", "const A: u8 = 0;\n".repeat(501));
        assert_eq!(rules(&long), [("file-lines", 1, 501)]);
        let tests = format!("//! x\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    const A: u8 = 0;\n".repeat(148));
        assert_eq!(rules(&tests), [("inline-tests", 1, 151)]);
    }

    #[test]
    fn a_struct_with_too_many_fields_is_found() {
        let fields: String =
            (0..16).map(|n| format!("    /// Doc.\n    pub f{n}: HashMap<u8, std::io::Error>,\n")).collect();
        assert_eq!(rules(&format!("//! x\npub struct Wide {{\n{fields}}}\n")), [("struct-fields", 2, 16)]);
    }
}
