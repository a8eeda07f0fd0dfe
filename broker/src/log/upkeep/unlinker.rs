//! Unlinks the directories of deleted partitions, on a thread that lives while there are any: unlinking large files
//! takes long. What a crash interrupts, the next start finishes (the name says so).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::log::error::LogError;
use crate::log::io::Disk;
use crate::tasks::{Pulse, Tasks, Vital, VitalThread};

/// The queue and its thread. A clone of the queue is the thread's.
#[derive(Debug)]
pub(in crate::log) struct Unlinker {
    disk: Arc<dyn Disk>,
    tasks: Tasks,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<PathBuf>,
    thread: Option<VitalThread>,
    working: bool,
}

impl Unlinker {
    pub(in crate::log) fn new(disk: Arc<dyn Disk>, tasks: Tasks) -> Unlinker {
        Unlinker { disk, tasks, state: Arc::default() }
    }

    /// Queues a directory whose name says that it is deleted.
    pub(in crate::log) fn remove(&self, dir: PathBuf) -> Result<(), LogError> {
        let mut state = self.state.lock();
        if state.waiting.contains(&dir) {
            return Ok(());
        }
        state.waiting.push(dir.clone());
        if state.working {
            return Ok(());
        }
        let (disk, shared) = (Arc::clone(&self.disk), Arc::clone(&self.state));
        // It may end as soon as nothing is left to do, which it says itself.
        let done = CancellationToken::new();
        let vital = Vital::new("log-remover", done.clone());
        let thread = self
            .tasks
            .vital_thread(
                vital,
                || {},
                move |pulse| {
                    work(&*disk, &shared, pulse);
                    done.cancel();
                },
            )
            .map_err(|error| LogError::io("cannot start a thread to remove", &dir, error))?;
        state.working = true;
        // The one before has nothing left to do.
        state.thread = Some(thread);
        Ok(())
    }

    /// Returns when everything queued is removed.
    pub(in crate::log) fn finish(&self) {
        let thread = self.state.lock().thread.take();
        if let Some(thread) = thread {
            thread.end();
        }
    }
}

fn work(disk: &dyn Disk, state: &Mutex<State>, pulse: &Pulse) {
    loop {
        pulse.beat();
        let dir = {
            let mut state = state.lock();
            let Some(dir) = state.waiting.pop() else {
                state.working = false;
                return;
            };
            dir
        };
        if let Err(error) = remove(disk, &dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %dir.display(), %error, "a deleted partition's files stay until the next start");
        }
    }
}

fn remove(disk: &dyn Disk, dir: &Path) -> std::io::Result<()> {
    for entry in disk.list(dir)? {
        let path = dir.join(&entry.name);
        if entry.dir { remove(disk, &path)? } else { disk.unlink(&path)? }
    }
    disk.remove_dir(dir)
}
