//! Index files of sealed segments, opened at the first look-up; a bounded number at once: what was not used for longest goes
//! first. Look-ups read them, they are not mapped: a page of a map that is not in memory stops the thread that touches it,
//! and one that the disk cannot read ends the process, while a read says so. Stands between `segment`, which asks, and the disk.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::offset_index::floor_by;
use crate::log::io::{Disk, DiskFile, SharedFile};

/// Open at once: with two files a segment, 512 segments that are being read.
const OPEN_MAX: usize = 1_024;
/// So many bytes are read at once when a search has come that close: about one page.
const PIECE_BYTES: usize = 4_096;

/// One index file that does not change any more.
#[derive(Debug)]
pub(in crate::log) struct IndexFile {
    path: PathBuf,
    /// Its entries.
    pub(in crate::log) count: usize,
    opened: Mutex<Option<SharedFile>>,
    /// Looked at since it was passed over last.
    used: AtomicBool,
    /// Its name may belong to another file by now: never let go.
    held: AtomicBool,
}

/// Which files are open.
#[derive(Debug)]
pub(in crate::log) struct OpenIndexes {
    disk: Arc<dyn Disk>,
    /// In the order in which they were opened or passed over.
    opened: Mutex<VecDeque<Weak<IndexFile>>>,
    at_once: usize,
}

impl IndexFile {
    pub(in crate::log) fn new(path: PathBuf, count: usize) -> Arc<IndexFile> {
        let (used, held) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(IndexFile { path, count, opened: Mutex::new(None), used, held })
    }

    /// The file, if a look-up has opened it before; `None` also while another thread opens it.
    pub(in crate::log) fn if_open(&self) -> Option<SharedFile> {
        self.used.store(true, Ordering::Relaxed);
        self.opened.try_lock()?.clone()
    }
}

impl OpenIndexes {
    pub(in crate::log) fn new(disk: Arc<dyn Disk>) -> OpenIndexes {
        OpenIndexes { disk, opened: Mutex::default(), at_once: OPEN_MAX }
    }

    /// The file, opened where needed. Blocking.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::log) fn open(&self, file: &Arc<IndexFile>) -> io::Result<SharedFile> {
        file.used.store(true, Ordering::Relaxed);
        let mut opened = file.opened.lock();
        if let Some(opened) = &*opened {
            return Ok(Arc::clone(opened));
        }
        let fresh = self.disk.open(&file.path)?;
        *opened = Some(Arc::clone(&fresh));
        drop(opened);
        self.remember(file);
        Ok(fresh)
    }

    /// Opens the file and keeps it open until its segment is dropped: readers of the segment keep the old file when another
    /// one takes the name.
    ///
    /// # Errors
    /// As `open`.
    pub(in crate::log) fn hold(&self, file: &Arc<IndexFile>) -> io::Result<()> {
        file.held.store(true, Ordering::Relaxed);
        self.open(file).map(drop)
    }

    fn remember(&self, file: &Arc<IndexFile>) {
        let mut queue = self.opened.lock();
        queue.push_back(Arc::downgrade(file));
        // Each is passed over once at most: that clears its mark.
        let mut looks = 2 * queue.len();
        while queue.len() > self.at_once && looks > 0 {
            looks -= 1;
            let Some(oldest) = queue.pop_front() else { return };
            let Some(oldest) = oldest.upgrade() else { continue };
            if oldest.held.load(Ordering::Relaxed) {
                continue;
            }
            if oldest.used.swap(false, Ordering::Relaxed) {
                queue.push_back(Arc::downgrade(&oldest));
            } else if let Some(mut opened) = oldest.opened.try_lock() {
                *opened = None;
            } else {
                queue.push_back(Arc::downgrade(&oldest));
            }
        }
    }
}

/// The last of a file's `count` entries for which `wanted` holds, which it does for the first ones up to some entry. Costs a
/// read of one entry each time that the search halves, and one of a page.
///
/// # Errors
/// The system's; `UnexpectedEof` when the file is shorter than it was.
pub(in crate::log) fn floor_in<const N: usize, E>(
    file: &dyn DiskFile,
    count: usize,
    decode: impl Fn([u8; N]) -> E,
    wanted: impl Fn(&E) -> bool,
) -> io::Result<Option<E>> {
    let mut bytes = Vec::with_capacity(PIECE_BYTES);
    // All entries below `low` are wanted, none from `high` on.
    let (mut low, mut high) = (0, count);
    while high - low > PIECE_BYTES / N {
        let middle = low + (high - low) / 2;
        match read::<N>(file, middle, middle + 1, &mut bytes)?.first() {
            Some(entry) if wanted(&decode(*entry)) => low = middle + 1,
            _ => high = middle,
        }
    }
    let entries = read::<N>(file, low.saturating_sub(1), high, &mut bytes)?;
    Ok(floor_by(entries, |entry| decode(*entry), wanted))
}

fn read<'a, const N: usize>(
    file: &dyn DiskFile,
    from: usize,
    to: usize,
    bytes: &'a mut Vec<u8>,
) -> io::Result<&'a [[u8; N]]> {
    bytes.clear();
    let count = (to - from) * N;
    if file.read_at(bytes, count, (from * N) as u64)? < count {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "an index is shorter than it was"));
    }
    Ok(bytes.as_chunks().0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::log::io::faulty::FaultyDisk;

    fn files(disk: &FaultyDisk, count: usize) -> Vec<Arc<IndexFile>> {
        let file = |n: usize| {
            let path = PathBuf::from(format!("/{n}"));
            disk.create(&path).unwrap().write_at(&[u8::try_from(n).unwrap(); 8], &[], 0).unwrap();
            IndexFile::new(path, 1)
        };
        (0..count).map(file).collect()
    }

    fn bytes(indexes: &OpenIndexes, file: &Arc<IndexFile>) -> Vec<u8> {
        let mut bytes = Vec::new();
        indexes.open(file).unwrap().read_at(&mut bytes, 8, 0).unwrap();
        bytes
    }

    fn open(files: &[Arc<IndexFile>]) -> usize {
        files.iter().filter(|file| file.opened.lock().is_some()).count()
    }

    #[test]
    fn no_more_are_open_at_once_than_allowed_and_each_can_be_opened_again() {
        let disk = FaultyDisk::new();
        let files = files(&disk, 20);
        let indexes = OpenIndexes { at_once: 5, ..OpenIndexes::new(Arc::new(disk.clone())) };
        for _ in 0..3 {
            for (n, file) in files.iter().enumerate() {
                assert_eq!(bytes(&indexes, file), [u8::try_from(n).unwrap(); 8]);
                assert!(open(&files) <= 5);
            }
        }
        assert_eq!(open(&files), 5);
    }

    #[test]
    fn a_held_file_is_what_it_was_when_its_name_is_anothers() {
        let disk = FaultyDisk::new();
        let files = files(&disk, 10);
        let indexes = OpenIndexes { at_once: 2, ..OpenIndexes::new(Arc::new(disk.clone())) };
        indexes.hold(&files[7]).unwrap();
        disk.rename(Path::new("/3"), Path::new("/7")).unwrap();
        for file in &files[4..7] {
            indexes.open(file).unwrap();
        }
        assert_eq!(bytes(&indexes, &files[7]), [7; 8]);
    }

    #[test]
    fn the_last_entry_that_is_wanted_is_found_wherever_it_is() {
        let disk = FaultyDisk::new();
        let file = disk.create(Path::new("/index")).unwrap();
        let entries: Vec<u8> = (0..5_000u64).flat_map(|n| (2 * n).to_be_bytes()).collect();
        file.write_at(&entries, &[], 0).unwrap();
        let floor = |count, limit| floor_in(&*file, count, u64::from_be_bytes, |entry| *entry <= limit).unwrap();
        for count in [0, 1, 2, 511, 512, 513, 1_024, 1_025, 5_000] {
            for limit in (0..2 * count as u64 + 3).step_by(37).chain([2 * count as u64]) {
                let expected = (count > 0).then(|| (limit / 2).min(count as u64 - 1) * 2);
                assert_eq!(floor(count, limit), expected, "{limit} of {count} entries");
            }
        }
        let before = disk.bytes_read();
        floor(5_000, 4_321);
        assert!(disk.bytes_read() - before < 2 * 4_096, "the file is not read as a whole");
        let beyond = floor_in(&*file, 5_001, u64::from_be_bytes, |_| true).unwrap_err();
        assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof, "a file that became shorter");
    }
}
