//! Three requests to glibc's allocator for which there is no safe function: how much it may keep, what it has in hand, and to
//! give back what is free. The only `unsafe` of the broker. Called by `giveback.rs` alone, never on a network thread: the
//! last two take the lock of each arena, and visit every free piece of it. Other allocators have nothing in hand here, so they
//! are never asked for more.

/// What the program has taken and not freed, and what was freed and not yet taken again; in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heap {
    pub(crate) used: usize,
    pub(crate) free: usize,
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(super) fn heap() -> Heap {
    // SAFETY: `mallinfo2` (glibc 2.33) takes nothing, returns plain numbers by value, and locks each arena itself: it may be
    // called from every thread at any time (mallinfo(3): "MT-Unsafe init" is about the allocator's own start, which
    // came with the first allocation of this program).
    let facts = unsafe { libc::mallinfo2() };
    Heap { used: facts.uordblks.saturating_add(facts.hblkhd), free: facts.fordblks }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn heap() -> Heap {
    Heap { used: 0, free: 0 }
}

/// Whole pages that are free go back to the system; their content is nobody's any more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(super) fn give_back() {
    // SAFETY: `malloc_trim` (MT-Safe, malloc_trim(3)) gives back pages only that lie wholly inside of free pieces, under the
    // lock of their arena; no pointer that the program has not freed points there. What it returns says only whether there
    // were any.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn give_back() {}

/// So many arenas at most, of those that are still to come, and at the end of each at most so many free bytes; a piece of that
/// size or more is a mapping of its own, and goes back when it is freed. Left alone, glibc makes eight arenas a processor, and
/// raises both bounds to what the program has freed, up to 64 MiB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(super) fn keep_at_most(arenas: usize, end_bytes: usize) {
    let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let (arenas, end_bytes) = (number(arenas), number(end_bytes));
    for (option, value) in
        [(libc::M_ARENA_MAX, arenas), (libc::M_TRIM_THRESHOLD, end_bytes), (libc::M_MMAP_THRESHOLD, end_bytes)]
    {
        // SAFETY: `mallopt` takes two numbers, and sets the one under the allocator's own lock; a value that it does not
        // take changes nothing (mallopt(3)).
        unsafe { libc::mallopt(option, value) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn keep_at_most(_: usize, _: usize) {}
