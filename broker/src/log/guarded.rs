//! A lock that notices a panic. parking_lot unlocks when a panic unwinds through a guard and says nothing: the next
//! thread would work on half-changed state. Here the owner of the lock learns of the panic, after the unlock, and goes out
//! of service. The cost is one look at the panic count for each lock and unlock.

use std::ops::{Deref, DerefMut};
use std::thread::panicking;

use parking_lot::{Mutex, MutexGuard};

/// Something that must not be used after a panic in the middle of a change.
pub(in crate::log) trait PoisonedByPanic {
    /// A panic has unwound through one of its locks, which is free again.
    fn panicked(&self);
}

/// A value under a lock.
#[derive(Debug, Default)]
pub(in crate::log) struct Guarded<T>(Mutex<T>);

impl<T> Guarded<T> {
    pub(in crate::log) fn new(value: T) -> Guarded<T> {
        Guarded(Mutex::new(value))
    }

    /// Waits for the lock. `owner` learns of a panic that unwinds through the guard.
    pub(in crate::log) fn lock<'a>(&'a self, owner: &'a dyn PoisonedByPanic) -> Guard<'a, T> {
        Guard::new(self.0.lock(), owner)
    }

    /// `None` while another holds the lock.
    pub(in crate::log) fn try_lock<'a>(&'a self, owner: &'a dyn PoisonedByPanic) -> Option<Guard<'a, T>> {
        self.0.try_lock().map(|guard| Guard::new(guard, owner))
    }
}

/// The lock is held. The fields are dropped in this order, so the owner learns of a panic once the lock is free.
pub(in crate::log) struct Guard<'a, T> {
    guard: MutexGuard<'a, T>,
    _notice: Notice<'a>,
}

struct Notice<'a> {
    owner: &'a dyn PoisonedByPanic,
    /// The thread was unwinding before it took the lock: the panic did not interrupt a change under it.
    unwinding: bool,
}

impl<'a, T> Guard<'a, T> {
    fn new(guard: MutexGuard<'a, T>, owner: &'a dyn PoisonedByPanic) -> Guard<'a, T> {
        Guard { guard, _notice: Notice { owner, unwinding: panicking() } }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl Drop for Notice<'_> {
    fn drop(&mut self) {
        if !self.unwinding && panicking() {
            self.owner.panicked();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Owner {
        value: Guarded<u8>,
        told: AtomicUsize,
    }

    impl PoisonedByPanic for Owner {
        fn panicked(&self) {
            // The owner may need the lock to go out of service.
            assert!(self.value.0.try_lock().is_some());
            self.told.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_owner_learns_of_a_panic_under_its_lock_once_the_lock_is_free() {
        let owner = Owner::default();
        *owner.value.lock(&owner) = 1;
        assert_eq!(owner.told.load(Ordering::Relaxed), 0);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut value = owner.value.lock(&owner);
            *value = 2;
            panic!("half way");
        }));
        assert!(panicked.is_err());
        assert_eq!((owner.told.load(Ordering::Relaxed), *owner.value.lock(&owner)), (1, 2));
    }

    #[test]
    fn a_lock_that_is_taken_while_a_thread_unwinds_is_not_to_blame() {
        struct Later<'a>(&'a Owner);
        impl Drop for Later<'_> {
            fn drop(&mut self) {
                *self.0.value.lock(self.0) = 3;
            }
        }
        let owner = Owner::default();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _later = Later(&owner);
            panic!("elsewhere");
        }));
        assert!(panicked.is_err());
        assert_eq!((owner.told.load(Ordering::Relaxed), *owner.value.lock(&owner)), (0, 3));
    }
}
