//! Finds and reads the files of the tree. Build output, installed packages and hidden folders are not part of it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::source::Source;

/// Folders that hold what somebody else wrote, or what a build made.
const FOREIGN_FOLDERS: [&str; 5] = ["target", "node_modules", "sluice-data", "__pycache__", "corpus"];

/// Extensions of files that people write; everything else (wasm, images, lock files) is only looked at by name.
const WRITTEN: [&str; 8] = ["rs", "py", "js", "go", "java", "sh", "md", "json"];

/// A file that is not Rust: its path from the root, and its text where people write it.
#[derive(Clone, Debug)]
pub struct Other {
    /// The path from the root, with forward slashes.
    pub path: String,
    /// The text; empty for what is only looked at by name.
    pub text: String,
}

/// The whole tree, read once.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Every Rust file, scanned.
    pub rust: Vec<Source>,
    /// Every other file.
    pub others: Vec<Other>,
}

/// The root of the repository, two folders above this crate.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

impl Tree {
    /// Reads everything below `root`.
    ///
    /// # Panics
    /// When a folder or file cannot be read: a check that skips files is none.
    #[must_use]
    pub fn read(root: &Path) -> Tree {
        let mut tree = Tree::default();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("cannot list {}: {e}", folder.display()));
            for entry in entries {
                let entry = entry.unwrap_or_else(|e| panic!("cannot list {}: {e}", folder.display()));
                let name = entry.file_name().to_string_lossy().into_owned();
                let kind = entry.file_type().unwrap_or_else(|e| panic!("cannot look at {name}: {e}"));
                if kind.is_dir() {
                    if !name.starts_with('.') && !FOREIGN_FOLDERS.contains(&name.as_str()) {
                        folders.push(entry.path());
                    }
                } else if kind.is_file() {
                    tree.take(root, &entry.path());
                }
            }
        }
        tree.rust.sort_by(|a, b| a.path.cmp(&b.path));
        tree.others.sort_by(|a, b| a.path.cmp(&b.path));
        tree
    }

    /// The path of every file.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.rust.iter().map(|source| source.path.as_str()).chain(self.others.iter().map(|other| other.path.as_str()))
    }

    fn take(&mut self, root: &Path, file: &Path) {
        let path = file.strip_prefix(root).unwrap_or(file).to_string_lossy().replace('\\', "/");
        let extension = file.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
        let text = if WRITTEN.contains(&extension.as_str()) {
            let bytes = fs::read(file).unwrap_or_else(|e| panic!("cannot read {path}: {e}"));
            String::from_utf8_lossy(&bytes).into_owned()
        } else {
            String::new()
        };
        if extension == "rs" {
            self.rust.push(Source::scan(&path, &text));
        } else {
            self.others.push(Other { path, text });
        }
    }
}
