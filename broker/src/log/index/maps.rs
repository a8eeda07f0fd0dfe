//! Index files of sealed segments, mapped at the first look-up; a bounded number at once. Stands between `segment`, which asks,
//! and the disk, which maps. The kernel allows some 65,000 maps a process: what was not used for longest goes first.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::log::io::{Disk, MappedBytes};

/// Maps at once (design.md): with two files a segment, 2,048 segments that are being read.
const MAPS_MAX: usize = 4_096;

/// One index file that does not change any more.
#[derive(Debug)]
pub(in crate::log) struct IndexFile {
    path: PathBuf,
    len: usize,
    mapped: Mutex<Option<Arc<MappedBytes>>>,
    /// Looked at since it was passed over last.
    used: AtomicBool,
    /// Its name may belong to another file by now: never let go.
    held: AtomicBool,
}

/// Which files are mapped.
#[derive(Debug)]
pub(in crate::log) struct IndexMaps {
    disk: Arc<dyn Disk>,
    /// In the order in which they were mapped or passed over.
    mapped: Mutex<VecDeque<Weak<IndexFile>>>,
    at_once: usize,
}

impl IndexFile {
    pub(in crate::log) fn new(path: PathBuf, len: usize) -> Arc<IndexFile> {
        let (used, held) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(IndexFile { path, len, mapped: Mutex::new(None), used, held })
    }

    /// Whether a look-up finds it mapped; `false` also while another thread maps it.
    pub(in crate::log) fn is_mapped(&self) -> bool {
        self.mapped.try_lock().is_some_and(|mapped| mapped.is_some())
    }
}

impl IndexMaps {
    pub(in crate::log) fn new(disk: Arc<dyn Disk>) -> IndexMaps {
        IndexMaps { disk, mapped: Mutex::default(), at_once: MAPS_MAX }
    }

    /// The file's bytes. They stay where they are for as long as the answer is kept.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` when the file is shorter than it was when the segment was sealed.
    pub(in crate::log) fn bytes(&self, file: &Arc<IndexFile>) -> io::Result<Arc<MappedBytes>> {
        file.used.store(true, Ordering::Relaxed);
        let mut mapped = file.mapped.lock();
        if let Some(mapped) = &*mapped {
            return Ok(Arc::clone(mapped));
        }
        let bytes = Arc::new(self.disk.map(&file.path, file.len)?);
        *mapped = Some(Arc::clone(&bytes));
        drop(mapped);
        self.remember(file);
        Ok(bytes)
    }

    /// Maps the file and keeps it mapped until its segment is dropped: readers of the segment keep the
    /// old bytes when another file takes the name.
    ///
    /// # Errors
    /// As `bytes`.
    pub(in crate::log) fn hold(&self, file: &Arc<IndexFile>) -> io::Result<()> {
        file.held.store(true, Ordering::Relaxed);
        self.bytes(file).map(drop)
    }

    fn remember(&self, file: &Arc<IndexFile>) {
        let mut queue = self.mapped.lock();
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
            } else if let Some(mut mapped) = oldest.mapped.try_lock() {
                *mapped = None;
            } else {
                queue.push_back(Arc::downgrade(&oldest));
            }
        }
    }
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
            IndexFile::new(path, 8)
        };
        (0..count).map(file).collect()
    }

    fn mapped(files: &[Arc<IndexFile>]) -> usize {
        files.iter().filter(|file| file.mapped.lock().is_some()).count()
    }

    #[test]
    fn no_more_are_mapped_at_once_than_allowed_and_each_can_be_mapped_again() {
        let disk = FaultyDisk::new();
        let files = files(&disk, 20);
        let maps = IndexMaps { at_once: 5, ..IndexMaps::new(Arc::new(disk.clone())) };
        for _ in 0..3 {
            for (n, file) in files.iter().enumerate() {
                assert_eq!((*maps.bytes(file).unwrap()).as_ref(), [u8::try_from(n).unwrap(); 8]);
                assert!(mapped(&files) <= 5);
            }
        }
        assert_eq!(mapped(&files), 5);
    }

    #[test]
    fn a_held_file_is_what_it_was_when_its_name_is_anothers() {
        let disk = FaultyDisk::new();
        let files = files(&disk, 10);
        let maps = IndexMaps { at_once: 2, ..IndexMaps::new(Arc::new(disk.clone())) };
        maps.hold(&files[7]).unwrap();
        disk.rename(Path::new("/3"), Path::new("/7")).unwrap();
        for file in &files[4..7] {
            maps.bytes(file).unwrap();
        }
        assert_eq!((*maps.bytes(&files[7]).unwrap()).as_ref(), [7; 8]);
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let disk = FaultyDisk::new();
        let files = files(&disk, 1);
        disk.open(Path::new("/0")).unwrap().truncate(7).unwrap();
        let maps = IndexMaps::new(Arc::new(disk));
        assert_eq!(maps.bytes(&files[0]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
