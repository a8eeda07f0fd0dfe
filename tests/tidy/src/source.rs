//! Reads a Rust file as lines of code, without a compiler: comments and the insides of literals are blanked, so that
//! the other modules can look for words and braces; lines that belong to tests are marked.
//! It knows the lexical grammar (nested comments, raw strings, lifetimes) and nothing of the syntax above it.

/// One scanned file.
#[derive(Clone, Debug)]
pub struct Source {
    /// The path from the root of the tree, with forward slashes.
    pub path: String,
    /// The file as it is.
    pub text: String,
    /// The same lines with comments and the insides of literals blanked.
    pub code: Vec<String>,
    /// Whether a line stands in a test: in a test file or below `#[cfg(test)]`.
    pub in_test: Vec<bool>,
    /// Every string literal with the line it starts on, from 1.
    pub literals: Vec<(usize, String)>,
}

impl Source {
    /// Scans `text`, which stands at `path`.
    #[must_use]
    pub fn scan(path: &str, text: &str) -> Source {
        let mut scanner =
            Scanner { rest: text.chars().collect(), at: 0, line: 1, out: String::new(), literals: vec![] };
        scanner.run();
        let code: Vec<String> = scanner.out.lines().map(str::to_owned).collect();
        let whole = is_test_file(path);
        let in_test = if whole { vec![true; code.len()] } else { mark_tests(&code) };
        Source { path: path.to_owned(), text: text.to_owned(), code, in_test, literals: scanner.literals }
    }

    /// Lines of code and their numbers from 1, tests left out.
    pub fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .iter()
            .zip(&self.in_test)
            .enumerate()
            .filter(|(_, (_, test))| !**test)
            .map(|(n, (l, _))| (n + 1, l.as_str()))
    }

    /// Whether a line, from 1, belongs to a test.
    #[must_use]
    pub fn is_test_line(&self, line: usize) -> bool {
        self.in_test.get(line - 1).copied().unwrap_or(false)
    }

    /// The line, from 1, of the brace that closes the first one opened at or after `line`; `None` where a semicolon
    /// comes first.
    #[must_use]
    pub fn close_of_block(&self, line: usize) -> Option<usize> {
        let (mut braces, mut others) = (0i32, 0i32);
        for (number, text) in self.code.iter().enumerate().skip(line - 1) {
            for c in text.chars() {
                match c {
                    '{' => braces += 1,
                    '}' => {
                        braces -= 1;
                        if braces == 0 {
                            return Some(number + 1);
                        }
                    }
                    '(' | '[' => others += 1,
                    ')' | ']' => others -= 1,
                    ';' if braces == 0 && others == 0 => return None,
                    _ => {}
                }
            }
        }
        None
    }
}

/// Test files: those of a crate's `tests/` folder, and sibling files of the form `x/tests.rs` or `x/tests/…`.
#[must_use]
pub fn is_test_file(path: &str) -> bool {
    let inside_crate = path.strip_prefix("tests/").map_or(path, |p| p.split_once('/').map_or(p, |(_, rest)| rest));
    inside_crate.ends_with("/tests.rs") || inside_crate.split('/').any(|folder| folder == "tests")
}

fn mark_tests(code: &[String]) -> Vec<bool> {
    let source =
        Source { path: String::new(), text: String::new(), code: code.to_vec(), in_test: vec![], literals: vec![] };
    let mut marks = vec![false; code.len()];
    for (number, line) in code.iter().enumerate() {
        if marks[number] || !line.trim_start().starts_with("#[cfg(test)]") {
            continue;
        }
        // An item without a body (`mod tests;`, a `use`) ends with its semicolon.
        let end = source.close_of_block(number + 1).unwrap_or_else(|| {
            code.iter().enumerate().skip(number).find(|(_, l)| l.contains(';')).map_or(number + 1, |(n, _)| n + 1)
        });
        marks[number..end].fill(true);
    }
    marks
}

struct Scanner {
    rest: Vec<char>,
    at: usize,
    line: usize,
    out: String,
    literals: Vec<(usize, String)>,
}

impl Scanner {
    fn peek(&self, ahead: usize) -> char {
        self.rest.get(self.at + ahead).copied().unwrap_or('\0')
    }

    /// Moves on by one character, which appears as it is or blanked.
    fn step(&mut self, show: bool) {
        let c = self.peek(0);
        if c == '\n' {
            self.line += 1;
            self.out.push('\n');
        } else {
            self.out.push(if show { c } else { ' ' });
        }
        self.at += 1;
    }

    fn run(&mut self) {
        while self.at < self.rest.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '/') => {
                    while self.at < self.rest.len() && self.peek(0) != '\n' {
                        self.step(false);
                    }
                }
                ('/', '*') => self.block_comment(),
                ('r', '"' | '#') if !self.follows_word() && self.is_raw_string(1) => self.raw_string(1),
                ('b', 'r') if !self.follows_word() && self.is_raw_string(2) => self.raw_string(2),
                ('"', _) => self.string(),
                ('\'', _) => self.quote(),
                _ => self.step(true),
            }
        }
    }

    fn follows_word(&self) -> bool {
        self.at > 0 && (self.rest[self.at - 1].is_alphanumeric() || self.rest[self.at - 1] == '_')
    }

    fn is_raw_string(&self, after_prefix: usize) -> bool {
        let mut ahead = after_prefix;
        while self.peek(ahead) == '#' {
            ahead += 1;
        }
        self.peek(ahead) == '"'
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.rest.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.step(false);
                    continue;
                }
            }
            self.step(false);
            self.step(false);
            if depth == 0 {
                return;
            }
        }
    }

    fn raw_string(&mut self, prefix: usize) {
        let start = self.line;
        for _ in 0..prefix {
            self.step(true);
        }
        let mut hashes = 0;
        while self.peek(0) == '#' {
            hashes += 1;
            self.step(true);
        }
        self.step(true);
        let mut content = String::new();
        while self.at < self.rest.len() {
            if self.peek(0) == '"' && (1..=hashes).all(|n| self.peek(n) == '#') {
                for _ in 0..=hashes {
                    self.step(true);
                }
                break;
            }
            content.push(self.peek(0));
            self.step(false);
        }
        self.literals.push((start, content));
    }

    fn string(&mut self) {
        let start = self.line;
        self.step(true);
        let mut content = String::new();
        while self.at < self.rest.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                content.push('\\');
                self.step(false);
            }
            content.push(self.peek(0));
            self.step(false);
        }
        self.step(true);
        self.literals.push((start, content));
    }

    /// A character literal is blanked; a lifetime stays.
    fn quote(&mut self) {
        if self.peek(1) == '\\' {
            self.step(true);
            self.step(false);
            self.step(false);
            while self.at < self.rest.len() && self.peek(0) != '\'' {
                self.step(false);
            }
            self.step(true);
        } else if self.peek(2) == '\'' {
            self.step(true);
            self.step(false);
            self.step(true);
        } else {
            self.step(true);
        }
    }
}

/// Whether `word` stands in `line` by itself, not as a part of a longer name. `word` may hold `::` or end in `(` or `!`.
#[must_use]
pub fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back().is_some_and(part);
        let open_end = word.ends_with(part);
        let after = open_end && line[at + word.len()..].chars().next().is_some_and(part);
        !before && !after
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_the_insides_of_literals_are_blanked() {
        let text =
            "let a = \"{ // no\"; // {\n/* { /* { */ } */ let b = r#\"}\"}\"#; let c = '{'; fn f<'a>(x: &'a str) {}\n";
        let source = Source::scan("broker/src/x.rs", text);
        assert_eq!(source.code[0].trim_end(), "let a = \"       \";");
        assert_eq!(source.code[1].matches('{').count(), 1);
        assert!(source.code[1].contains("fn f<'a>(x: &'a str) {}"));
        assert_eq!(source.literals, [(1, "{ // no".to_owned()), (2, "}\"}".to_owned())]);
    }

    #[test]
    fn lines_below_cfg_test_are_tests_and_no_others() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}\n";
        let source = Source::scan("broker/src/x.rs", text);
        assert_eq!(source.in_test, [false, true, true, true, true, false, true, true, false]);
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        for path in ["broker/tests/it/main.rs", "broker/src/log/partition/tests.rs", "tests/tidy/tests/it/main.rs"] {
            assert!(is_test_file(path), "{path}");
        }
        for path in ["broker/src/log/partition.rs", "tests/tidy/src/lib.rs"] {
            assert!(!is_test_file(path), "{path}");
        }
    }

    #[test]
    fn a_word_is_not_found_inside_a_longer_one() {
        assert!(has_word("unsafe { x }", "unsafe"));
        assert!(!has_word("unsafe_op(x)", "unsafe"));
        assert!(!has_word("not_todo!()", "todo!"));
        assert!(has_word("std::thread::sleep(d)", "sleep("));
    }
}
