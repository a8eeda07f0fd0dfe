//! Files and names twice: as everybody sees them, and as a power cut would leave them. What lies between is a list of
//! changes for each file and each directory, which a sync empties.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};

use super::dice::Dice;
use crate::log::io::DirEntry;

/// What reaches the disk at once.
const PAGE_BYTES: u64 = 4_096;
/// What a page is torn into now and then.
const SECTOR_BYTES: u64 = 512;

/// A file or directory, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Inode(usize);

const ROOT: Inode = Inode(0);

#[derive(Clone, Debug)]
pub(super) struct Store {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
enum Node {
    File(File),
    Dir(Dir),
}

#[derive(Clone, Debug, Default)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<FileChange>,
    /// A sync of the whole disk has lost pages of this file; its own next sync says so (Linux keeps an error a file).
    lost: bool,
}

#[derive(Clone, Debug)]
enum FileChange {
    Write { at: u64, bytes: Vec<u8> },
    Truncate(u64),
}

#[derive(Clone, Debug, Default)]
struct Dir {
    seen: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
    changes: Vec<DirChange>,
}

#[derive(Clone, Debug)]
enum DirChange {
    Put {
        name: String,
        inode: Inode,
    },
    Remove {
        name: String,
    },
    /// Both names at once, as renames are atomic.
    Move {
        from: String,
        to: String,
        inode: Inode,
    },
}

impl Default for Store {
    fn default() -> Store {
        Store { nodes: vec![Node::Dir(Dir::default())] }
    }
}

impl FileChange {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            FileChange::Write { at, bytes: written } => put(bytes, *at, written),
            FileChange::Truncate(len) => bytes.resize(to_usize(*len), 0),
        }
    }

    /// Each page by itself arrives, is lost, or rarely is torn.
    fn apply_partly(&self, bytes: &mut Vec<u8>, dice: &mut Dice) {
        let FileChange::Write { at, bytes: written } = self else {
            if dice.roll(2) == 0 {
                self.apply(bytes);
            }
            return;
        };
        let mut from = 0;
        while from < written.len() {
            let position = at + from as u64;
            let until_page = to_usize(PAGE_BYTES - position % PAGE_BYTES);
            let to = written.len().min(from + until_page);
            match dice.roll(16) {
                0..=7 => put(bytes, position, &written[from..to]),
                8 => {
                    let torn = to_usize(dice.roll(8) * SECTOR_BYTES).min(to - from);
                    put(bytes, position, &written[from..from + torn]);
                }
                _ => {}
            }
            from = to;
        }
    }
}

impl DirChange {
    fn apply(&self, names: &mut BTreeMap<String, Inode>) {
        match self {
            DirChange::Put { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            DirChange::Remove { name } => {
                names.remove(name);
            }
            DirChange::Move { from, to, inode } => {
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
        }
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn put(bytes: &mut Vec<u8>, at: u64, written: &[u8]) {
    let (from, to) = (to_usize(at), to_usize(at) + written.len());
    if bytes.len() < to {
        bytes.resize(to, 0);
    }
    bytes[from..to].copy_from_slice(written);
}

impl File {
    fn change(&mut self, change: FileChange) {
        change.apply(&mut self.seen);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        std::mem::take(&mut self.changes).iter().for_each(|change| change.apply(&mut self.durable));
    }

    /// A failed sync: the pages are clean, whether they arrived or not. A file's length is in the file system's own
    /// journal, which survives or takes the whole file system with it.
    fn lose(&mut self, dice: &mut Dice) {
        for change in std::mem::take(&mut self.changes) {
            match change {
                FileChange::Truncate(_) => change.apply(&mut self.durable),
                FileChange::Write { .. } => change.apply_partly(&mut self.durable, dice),
            }
        }
    }

    fn survive(&mut self, dice: &mut Dice) {
        std::mem::take(&mut self.changes).iter().for_each(|change| change.apply_partly(&mut self.durable, dice));
        self.seen.clone_from(&self.durable);
    }
}

impl Dir {
    fn change(&mut self, change: DirChange) {
        change.apply(&mut self.seen);
        self.changes.push(change);
    }

    fn sync(&mut self) {
        std::mem::take(&mut self.changes).iter().for_each(|change| change.apply(&mut self.durable));
    }

    fn survive(&mut self, dice: &mut Dice) {
        for change in std::mem::take(&mut self.changes) {
            if dice.roll(2) == 0 {
                change.apply(&mut self.durable);
            }
        }
        self.seen.clone_from(&self.durable);
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

fn parts(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect()
}

impl Store {
    /// What is left after a power cut: every change since the last sync arrived or did not.
    pub(super) fn survivors(&self, dice: &mut Dice) -> Store {
        let mut left = self.clone();
        for node in &mut left.nodes {
            match node {
                Node::File(file) => file.survive(dice),
                Node::Dir(dir) => dir.survive(dice),
            }
        }
        left
    }

    fn find(&self, path: &Path) -> io::Result<Inode> {
        parts(path).iter().try_fold(ROOT, |at, name| self.dir(at)?.seen.get(name).copied().ok_or_else(not_found))
    }

    fn dir(&self, inode: Inode) -> io::Result<&Dir> {
        match &self.nodes[inode.0] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    fn dir_mut(&mut self, inode: Inode) -> io::Result<&mut Dir> {
        match &mut self.nodes[inode.0] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    fn file_mut(&mut self, inode: Inode) -> Option<&mut File> {
        match &mut self.nodes[inode.0] {
            Node::File(file) => Some(file),
            Node::Dir(_) => None,
        }
    }

    /// The directory a path is in, and its last name.
    fn place(&self, path: &Path) -> io::Result<(Inode, String)> {
        let name = parts(path).pop().ok_or_else(not_found)?;
        Ok((self.find(path.parent().unwrap_or(Path::new("")))?, name))
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<Inode> {
        let inode = self.find(path)?;
        match &self.nodes[inode.0] {
            Node::File(_) => Ok(inode),
            Node::Dir(_) => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        }
    }

    pub(super) fn bytes(&self, inode: Inode) -> &[u8] {
        match &self.nodes[inode.0] {
            Node::File(file) => &file.seen,
            Node::Dir(_) => &[],
        }
    }

    /// Bytes of all files, those without a name included.
    pub(super) fn used(&self) -> u64 {
        self.nodes.iter().map(|node| if let Node::File(file) = node { file.seen.len() as u64 } else { 0 }).sum()
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<Inode> {
        let (dir, name) = self.place(path)?;
        if let Ok(inode) = self.file(path) {
            self.truncate(inode, 0);
            return Ok(inode);
        }
        let inode = Inode(self.nodes.len());
        self.nodes.push(Node::File(File::default()));
        self.dir_mut(dir)?.change(DirChange::Put { name, inode });
        Ok(inode)
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        let mut at = ROOT;
        for name in parts(path) {
            at = match self.dir(at)?.seen.get(&name) {
                Some(inode) => *inode,
                None => {
                    let inode = Inode(self.nodes.len());
                    self.nodes.push(Node::Dir(Dir::default()));
                    self.dir_mut(at)?.change(DirChange::Put { name, inode });
                    inode
                }
            };
        }
        self.dir(at).map(drop)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.find(from)?;
        let ((from_dir, from), (to_dir, to)) = (self.place(from)?, self.place(to)?);
        if from_dir == to_dir {
            self.dir_mut(to_dir)?.change(DirChange::Move { from, to, inode });
        } else {
            self.dir_mut(to_dir)?.change(DirChange::Put { name: to, inode });
            self.dir_mut(from_dir)?.change(DirChange::Remove { name: from });
        }
        Ok(())
    }

    pub(super) fn unlink(&mut self, path: &Path, wants_dir: bool) -> io::Result<()> {
        let inode = self.find(path)?;
        match &self.nodes[inode.0] {
            Node::Dir(dir) if wants_dir && !dir.seen.is_empty() => {
                return Err(io::Error::from(io::ErrorKind::DirectoryNotEmpty));
            }
            Node::Dir(_) if !wants_dir => return Err(io::Error::from(io::ErrorKind::IsADirectory)),
            Node::File(_) if wants_dir => return Err(io::Error::from(io::ErrorKind::NotADirectory)),
            _ => {}
        }
        let (dir, name) = self.place(path)?;
        self.dir_mut(dir)?.change(DirChange::Remove { name });
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let dir = self.dir(self.find(path)?)?;
        let entry = |(name, inode): (&String, &Inode)| DirEntry {
            name: name.clone(),
            dir: matches!(self.nodes[inode.0], Node::Dir(_)),
        };
        Ok(dir.seen.iter().map(entry).collect())
    }

    pub(super) fn write(&mut self, inode: Inode, bytes: &[u8], at: u64) {
        if let Some(file) = self.file_mut(inode) {
            file.change(FileChange::Write { at, bytes: bytes.to_vec() });
        }
    }

    pub(super) fn truncate(&mut self, inode: Inode, len: u64) {
        if let Some(file) = self.file_mut(inode) {
            file.change(FileChange::Truncate(len));
        }
    }

    #[cfg(test)]
    pub(super) fn rot(&mut self, inode: Inode, at: usize, byte: u8) {
        if let Some(file) = self.file_mut(inode) {
            for bytes in [&mut file.seen, &mut file.durable] {
                if let Some(there) = bytes.get_mut(at) {
                    *there = byte;
                }
            }
        }
    }

    /// `false`: pages of it were lost before, which is said once.
    pub(super) fn sync_file(&mut self, inode: Inode) -> bool {
        let Some(file) = self.file_mut(inode) else { return true };
        file.sync();
        !std::mem::take(&mut file.lost)
    }

    pub(super) fn lose_file(&mut self, inode: Inode, dice: &mut Dice) {
        if let Some(file) = self.file_mut(inode) {
            file.lose(dice);
        }
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        self.dir_mut(inode)?.sync();
        Ok(())
    }

    pub(super) fn sync_everything(&mut self) {
        for node in &mut self.nodes {
            match node {
                Node::File(file) => file.sync(),
                Node::Dir(dir) => dir.sync(),
            }
        }
    }

    pub(super) fn lose_everything(&mut self, dice: &mut Dice) {
        for node in &mut self.nodes {
            if let Node::File(file) = node {
                file.lost |= !file.changes.is_empty();
                file.lose(dice);
            }
        }
    }
}
