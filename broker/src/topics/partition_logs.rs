//! Makes, opens and removes the logs of many partitions at once, on a few threads: each costs several syncs, or a
//! recovery. Everything here blocks and runs on blocking threads. Knows which logs, not why.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::error::Refused;
use crate::clock::SharedClock;
use crate::limits;
use crate::log::io::OpenFiles;
use crate::log::{LogConfig, LogDir, LogError, Partition, PartitionIdent};
use crate::tasks;

/// Logs opened or made at once. The disk orders the syncs; more threads than this only hold more buffers.
const THREADS_MAX: usize = 8;
/// How often a long recovery says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// New, empty logs in the order asked for: all of them, or none and the first error.
pub(super) fn create_all(
    dir: &LogDir,
    wanted: &[(PartitionIdent, LogConfig)],
) -> Result<Vec<Arc<Partition>>, LogError> {
    let results = on_threads(wanted, |(ident, config)| dir.create(ident.clone(), config.clone()), |_| {});
    if results.iter().any(Result::is_err) {
        let made: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok().cloned()).collect();
        remove_all(dir, &made);
    }
    results.into_iter().collect()
}

/// Whether the process may open the files of so many more partitions: asked before the first is made, since one that fails in
/// the middle takes the descriptors of everybody else meanwhile, and its removal takes as long again.
pub(super) fn check_files(dir: &LogDir, partitions: usize) -> Result<(), Refused> {
    let Some(OpenFiles { open, limit }) = dir.open_files() else { return Ok(()) };
    let needed = (partitions as u64).saturating_mul(limits::FILES_PER_PARTITION);
    let kept = (limit / 4).min(limits::FILES_KEPT_MAX);
    let left = limit.saturating_sub(kept).saturating_sub(open);
    if needed <= left {
        return Ok(());
    }
    Err(Refused::TooManyFiles { partitions, needed, open, limit, kept, left })
}

/// Existing logs, recovered, in the order asked for. What is missing comes back as an offline partition (rule 17).
pub(super) fn open_all(
    dir: &LogDir,
    wanted: &[(PartitionIdent, LogConfig)],
    clock: &SharedClock,
) -> Result<Vec<Arc<Partition>>, LogError> {
    let mut said = clock.monotonic();
    let results = on_threads(
        wanted,
        |(ident, config)| dir.open_existing(ident.clone(), config.clone()),
        |done| {
            let now = clock.monotonic();
            if now.duration_since(said) >= PROGRESS_EVERY {
                said = now;
                tracing::info!("recovering: {done} of {} partitions are open", wanted.len());
            }
        },
    );
    results.into_iter().collect()
}

/// Rule 16, after the topic's delete record is durable. `false`: something stays on disk, for the next start.
pub(super) fn remove_all(dir: &LogDir, partitions: &[Arc<Partition>]) -> bool {
    let mut all = true;
    for partition in partitions {
        if let Err(cause) = dir.remove(partition) {
            let ident = partition.ident();
            tracing::warn!("the files of {}-{} could not be removed: {cause}", ident.topic, ident.partition);
            all = false;
        }
    }
    all
}

/// Results in the order of the items. `progress` hears how many are done, on the calling thread, at least once a second.
fn on_threads<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync, mut progress: impl FnMut(usize)) -> Vec<R> {
    let threads = items.len().min(THREADS_MAX);
    let (next, work) = (&AtomicUsize::new(0), &work);
    let (done, all_done) = sync_channel::<(usize, R)>(THREADS_MAX);
    let mut results: Vec<(usize, R)> = Vec::with_capacity(items.len());
    let works = std::iter::repeat_n(done, threads).map(|done| {
        move || {
            while let Some((at, item)) = take(next, items) {
                if done.send((at, work(item))).is_err() {
                    return;
                }
            }
        }
    });
    tasks::on_threads(works, || {
        loop {
            match all_done.recv_timeout(PROGRESS_EVERY) {
                Ok(result) => results.push(result),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            progress(results.len());
        }
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    Some((at, items.get(at)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..1_000).collect();
        let mut heard = 0;
        let results = on_threads(&items, |n| n * 2, |done| heard = done);
        assert_eq!(results, items.iter().map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(heard, 1_000);
        assert!(on_threads(&[] as &[usize], |n| *n, |_| {}).is_empty());
    }
}
