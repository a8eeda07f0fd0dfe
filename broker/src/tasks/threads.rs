//! Which threads may wait for a disk. Those that `tasks` starts for blocking work may; every other one may be a network
//! thread, on which thousands of connections wait meanwhile. Nothing is enforced here: a disk can be made to note who calls it
//! (`log/io/watched.rs`), and tests assert that no network thread did.

use std::cell::Cell;

thread_local! {
    static MAY_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread was started for work that waits for the disk.
#[must_use]
pub(crate) fn may_block() -> bool {
    MAY_BLOCK.get()
}

/// Runs work that may wait for the disk. The thread may be another's afterwards.
pub(super) fn blocking_allowed<T>(work: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            MAY_BLOCK.set(self.0);
        }
    }
    let _before = Before(MAY_BLOCK.replace(true));
    work()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks;

    #[tokio::test]
    async fn only_threads_for_blocking_work_may_wait_for_the_disk() {
        assert!(!may_block());
        assert_eq!(tasks::blocking("test", may_block).await, Ok(true));
        assert!(tasks::blocking::<()>("test", || panic!("injected")).await.is_err());
        assert!(blocking_allowed(may_block));
        assert!(!may_block(), "a thread of the runtime is one again after the work");
    }
}
