//! A hostile disk in memory, for tests. Bytes and names are kept twice, as everybody sees them and as they would be
//! after a power cut; a sync brings the second up to the first. It can fail, tear or shorten a chosen write, fail a
//! chosen sync the way Linux does (the pages are clean afterwards, their bytes may never have arrived), stop at a chosen
//! operation, and be cut from power: then every unsynced page of every write, every rename, create and unlink is kept
//! or lost by itself.

mod dice;
mod store;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::disk::{DirEntry, DirLock, Disk, DiskFile, OpenFiles, SharedFile};
use crate::clock::TEST_WAIT_MAX;
pub use dice::Dice;
use store::{Inode, Store};

/// What goes wrong with a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// EIO, nothing written.
    Io,
    /// ENOSPC, nothing written.
    NoSpace,
    /// ENOSPC after half of the bytes.
    Short,
    /// The caller panics, as on a bug, and nothing is written.
    Panic,
}

/// A disk in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Syncs are let go, or the machine is dead.
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    store: Store,
    /// Operations that changed something, or synced.
    operations: u64,
    writes: u64,
    syncs: u64,
    bytes_read: u64,
    faults: Vec<(u64, WriteFault)>,
    failing_syncs: Vec<u64>,
    stop_at: Option<u64>,
    hold_syncs: bool,
    held: u64,
    space: Option<u64>,
    dead: bool,
    locked: Vec<PathBuf>,
    open_files: Option<OpenFiles>,
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    inode: Inode,
}

#[derive(Debug)]
struct FaultyLock {
    disk: FaultyDisk,
    path: PathBuf,
}

impl DirLock for FaultyLock {}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        self.disk.shared.state.lock().locked.retain(|path| *path != self.path);
    }
}

impl FaultyDisk {
    /// An empty disk that works.
    #[must_use]
    pub fn new() -> FaultyDisk {
        FaultyDisk::default()
    }

    fn of(store: Store) -> FaultyDisk {
        let state = State { store, ..State::default() };
        FaultyDisk { shared: Arc::new(Shared { state: Mutex::new(state), released: Condvar::new() }) }
    }

    /// While held, syncs do not return; writes and reads do. A sync that is held for `TEST_WAIT_MAX` fails: a test that
    /// panics while it holds syncs must end too.
    pub fn hold_syncs(&self, hold: bool) {
        self.shared.state.lock().hold_syncs = hold;
        self.shared.released.notify_all();
    }

    /// Returns when a sync is being held.
    ///
    /// # Panics
    /// None comes within `TEST_WAIT_MAX`.
    #[track_caller]
    pub fn await_held_sync(&self) {
        let mut state = self.shared.state.lock();
        let missing = |state: &mut State| !(state.hold_syncs && state.held > 0);
        let waited = self.shared.released.wait_while_for(&mut state, missing, TEST_WAIT_MAX);
        assert!(!waited.timed_out(), "no sync came to be held");
    }

    /// The `nth` write from now on (1 is the next) fails; making a file is a write too.
    pub fn fail_write(&self, nth: u64, fault: WriteFault) {
        let mut state = self.shared.state.lock();
        let at = state.writes + nth;
        state.faults.push((at, fault));
    }

    /// The `nth` sync from now on (1 is the next; of a file, a directory or everything) fails, and what it was to make
    /// durable is afterwards clean, some of it lost.
    pub fn fail_sync(&self, nth: u64) {
        let mut state = self.shared.state.lock();
        let at = state.syncs + nth;
        state.failing_syncs.push(at);
    }

    /// Writes fail with ENOSPC once the files hold this many bytes (0: no file can be made either); `None`: there is room again.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.shared.state.lock().space = bytes;
    }

    /// After this many more operations everything fails, as after a power cut.
    pub fn stop_after(&self, operations: u64) {
        let mut state = self.shared.state.lock();
        state.stop_at = Some(state.operations + operations);
    }

    /// Operations so far that changed or synced something: what `stop_after` counts.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.shared.state.lock().operations
    }

    /// Syncs so far.
    #[cfg(test)]
    pub(crate) fn syncs(&self) -> u64 {
        self.shared.state.lock().syncs
    }

    /// Bytes that were read so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.shared.state.lock().bytes_read
    }

    /// Cuts the power: this disk and all files open on it fail from now on; the disk that is returned holds what
    /// `seed` let survive.
    #[must_use]
    pub fn power_cut(&self, seed: u64) -> FaultyDisk {
        let mut state = self.shared.state.lock();
        state.dead = true;
        let store = state.store.survivors(&mut Dice::new(seed));
        drop(state);
        self.shared.released.notify_all();
        FaultyDisk::of(store)
    }

    /// Kills the process, not the machine: this disk fails from now on, the one returned holds everything that was
    /// written, synced or not.
    #[must_use]
    pub fn kill(&self) -> FaultyDisk {
        let mut state = self.shared.state.lock();
        state.dead = true;
        let store = state.store.clone();
        drop(state);
        self.shared.released.notify_all();
        FaultyDisk::of(store)
    }

    /// The bytes of a file as everybody sees them.
    #[must_use]
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.shared.state.lock();
        let inode = state.store.file(path).ok()?;
        Some(state.store.bytes(inode).to_vec())
    }

    /// Overwrites bytes behind everyone's back, durably: a disk that rots.
    #[cfg(test)]
    pub(crate) fn rot(&self, path: &Path, at: usize, byte: u8) {
        let mut state = self.shared.state.lock();
        if let Ok(inode) = state.store.file(path) {
            state.store.rot(inode, at, byte);
        }
    }

    fn live<T>(&self, read: impl FnOnce(&Store) -> io::Result<T>) -> io::Result<T> {
        let state = self.shared.state.lock();
        if state.dead { Err(gone()) } else { read(&state.store) }
    }

    /// One operation that changes something.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.shared.state.lock();
        count(&mut state)?;
        change(&mut state)
    }

    /// A sync that works or, when it is its turn, loses.
    fn sync(
        &self,
        sync: impl FnOnce(&mut Store) -> io::Result<()>,
        lose: impl FnOnce(&mut Store, &mut Dice),
    ) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        count(&mut state)?;
        state.syncs += 1;
        let number = state.syncs;
        state.held += 1;
        self.shared.released.notify_all();
        let held = |state: &mut State| state.hold_syncs && !state.dead;
        let waited = self.shared.released.wait_while_for(&mut state, held, TEST_WAIT_MAX);
        state.held -= 1;
        if state.dead {
            return Err(gone());
        }
        if waited.timed_out() {
            return Err(held_too_long());
        }
        if state.failing_syncs.contains(&number) {
            lose(&mut state.store, &mut Dice::new(number));
            return Err(failed());
        }
        sync(&mut state.store)
    }
}

/// One operation more; the one at which the machine stops does not happen.
fn count(state: &mut State) -> io::Result<()> {
    state.operations += 1;
    if state.stop_at.is_some_and(|at| state.operations > at) {
        state.dead = true;
    }
    if state.dead { Err(gone()) } else { Ok(()) }
}

fn failed() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error())
}

fn gone() -> io::Error {
    io::Error::other("the machine has no power")
}

fn held_too_long() -> io::Error {
    io::Error::other(format!("a test held this sync for {TEST_WAIT_MAX:?}"))
}

fn no_space() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error())
}

impl State {
    fn write(&mut self, inode: Inode, bytes: &[u8], at: u64) -> io::Result<()> {
        self.writes += 1;
        let number = self.writes;
        let fault = self.faults.iter().find(|(nth, _)| *nth == number).map(|(_, fault)| *fault);
        // What is written over bytes that are there needs no room.
        let over = (self.store.bytes(inode).len() as u64).saturating_sub(at);
        let room = self.space.map_or(u64::MAX, |space| over.saturating_add(space.saturating_sub(self.store.used())));
        let kept = match fault {
            Some(WriteFault::Io) => return Err(failed()),
            Some(WriteFault::Panic) => panic!("the panic that a test asked for"),
            Some(WriteFault::NoSpace) => return Err(no_space()),
            Some(WriteFault::Short) => bytes.len() / 2,
            None => bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)),
        };
        self.store.write(inode, &bytes[..kept], at);
        if kept < bytes.len() { Err(no_space()) } else { Ok(()) }
    }
}

impl FaultyDisk {
    /// What the process has open from now on.
    pub fn set_open_files(&self, open_files: OpenFiles) {
        self.shared.state.lock().open_files = Some(open_files);
    }
}

impl Disk for FaultyDisk {
    fn open_files(&self) -> Option<OpenFiles> {
        self.shared.state.lock().open_files
    }

    fn open(&self, path: &Path) -> io::Result<SharedFile> {
        let inode = self.live(|store| store.file(path))?;
        Ok(Arc::new(FaultyFile { disk: self.clone(), inode }))
    }

    fn create(&self, path: &Path) -> io::Result<SharedFile> {
        let inode = self.change(|state| {
            state.writes += 1;
            let number = state.writes;
            if state.faults.iter().any(|(nth, _)| *nth == number) || state.space.is_some_and(|space| space == 0) {
                return Err(no_space());
            }
            state.store.create(path)
        })?;
        Ok(Arc::new(FaultyFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|state| state.store.rename(from, to))
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.change(|state| state.store.unlink(path, false))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.live(|store| store.list(dir))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|state| state.store.create_dir(dir))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|state| state.store.unlink(dir, true))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Names are in the file system's journal: a failure leaves them as unsynced as they were.
        self.sync(|store| store.sync_dir(dir), |_, _| {})
    }

    fn sync_all_dirty(&self, _dir: &Path) -> io::Result<()> {
        self.sync(
            |store| {
                store.sync_everything();
                Ok(())
            },
            Store::lose_everything,
        )
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        let mut state = self.shared.state.lock();
        if state.dead {
            return Err(gone());
        }
        if state.locked.iter().any(|locked| locked == path) {
            return Ok(None);
        }
        state.locked.push(path.to_path_buf());
        Ok(Some(Box::new(FaultyLock { disk: self.clone(), path: path.to_path_buf() })))
    }
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.live(|store| Ok(store.bytes(self.inode).len() as u64))
    }

    fn read_at(&self, into: &mut Vec<u8>, count: usize, at: u64) -> io::Result<usize> {
        let read = self.disk.live(|store| {
            let bytes = store.bytes(self.inode);
            let from = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            let read = &bytes[from..bytes.len().min(from.saturating_add(count))];
            into.extend_from_slice(read);
            Ok(read.len())
        })?;
        self.disk.shared.state.lock().bytes_read += read as u64;
        Ok(read)
    }

    fn write_at(&self, head: &[u8], body: &[u8], at: u64) -> io::Result<()> {
        self.disk.change(|state| state.write(self.inode, &[head, body].concat(), at))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync(
            |store| if store.sync_file(self.inode) { Ok(()) } else { Err(failed()) },
            |store, dice| store.lose_file(self.inode, dice),
        )
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.disk.change(|state| {
            state.store.truncate(self.inode, len);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
