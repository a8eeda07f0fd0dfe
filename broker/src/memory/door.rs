//! The pools of one door, and what is held of them. A request goes IN → WORK → OUT and never back; it waits in IN for a
//! step, never in WORK, and in OUT for the bytes of its whole answer, holding nothing of OUT meanwhile. Everything is given
//! back by dropping it. Called by the doors and by handlers; the rules themselves are in `pool.rs`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::class::Class;
use super::line::{Line, SlowPeer};
use super::pool::{Grant, Pool, PoolUse, Request, Shares, Ticket};
use super::slow::{LOOKS_APART, PATIENCE};
use super::split::DoorSplit;
use crate::clock;

/// Bytes of one step of a frame or body.
pub(crate) const STEP_BYTES: usize = 64 * 1024;
/// An answer may be so many times as large as the reserved share of large answers. It takes all of that share, so there is
/// one of them at a time: the one place where a pool is exceeded, since an answer cannot be sent in parts.
const LARGEST_ANSWER: usize = 4;

/// The pool has no room now, or never has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct OverBudget {
    /// For what.
    pub(crate) what: &'static str,
    /// Bytes that are needed.
    pub(crate) wanted: usize,
    /// Bytes that it could have now.
    pub(crate) free: usize,
    /// The most that one request may have.
    pub max: usize,
    /// `memory_max_bytes`, of which that is a part.
    pub(crate) setting: usize,
}

impl OverBudget {
    /// Whether it would be refused also while nobody else holds anything: a repetition makes no sense.
    #[must_use]
    pub fn forever(&self) -> bool {
        self.wanted > self.max
    }

    fn text(&self) -> String {
        let OverBudget { what, wanted, free, max, setting } = self;
        if !self.forever() {
            return format!(
                "{wanted} bytes of memory are needed for {what}, {free} of {max} are free (memory_max_bytes)"
            );
        }
        let mib = wanted.saturating_mul(setting.div_ceil(1 << 20)).div_ceil(*max.max(&1));
        format!(
            "{what} would take {wanted} bytes of memory, and may have {max} where memory_max_bytes is {setting}: \
             send or ask for less at a time, or set memory_max_bytes to {mib} MiB"
        )
    }
}

#[derive(Debug)]
struct Shared {
    pool: Mutex<Pool>,
    /// The last one that was given out.
    ticket: AtomicU64,
    shares: Shares,
    /// `memory_max_bytes`, for refusals.
    setting: usize,
    /// What a slow holder is slow with.
    slow: SlowPeer,
}

impl Shared {
    fn new(shares: Shares, setting: usize, slow: SlowPeer) -> Arc<Shared> {
        Arc::new(Shared { pool: Mutex::new(Pool::new(shares)), ticket: AtomicU64::new(0), shares, setting, slow })
    }

    /// The next in the order of requests.
    fn ticket(&self) -> Ticket {
        self.ticket.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Does something to the pool, and wakes those who were served by it.
    fn with<T>(&self, change: impl FnOnce(&mut Pool, &mut Vec<Waker>) -> T) -> T {
        let mut woken = Vec::new();
        let done = change(&mut self.pool.lock(), &mut woken);
        woken.into_iter().for_each(Waker::wake);
        done
    }

    fn usage(&self) -> PoolUse {
        self.pool.lock().usage()
    }

    fn check(&self) {
        let ends = self.pool.lock().check(clock::runtime_now());
        for line in ends {
            line.end(self.slow);
        }
    }
}

/// What somebody holds of a pool.
#[derive(Debug)]
struct Share {
    pool: Arc<Shared>,
    line: Option<Line>,
    ticket: Ticket,
    class: Class,
    held: Grant,
}

impl Share {
    fn bytes(&self) -> usize {
        self.held.regular + self.held.completion
    }

    fn add(&mut self, more: Grant) {
        self.held.regular += more.regular;
        self.held.completion += more.completion;
    }

    fn request(&self, bytes: usize, is_step: bool) -> Request {
        Request { ticket: self.ticket, class: self.class, bytes, line: self.line.clone(), is_step }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes() > 0 {
            self.pool.with(|pool, woken| pool.release(self.ticket, self.class, self.held, self.line.as_ref(), woken));
        }
    }
}

/// The pools of a door. Clones share them.
#[derive(Clone, Debug)]
pub struct DoorBudget {
    input: Arc<Shared>,
    work: WorkPool,
    output: Arc<Shared>,
}

/// The WORK of one door, or of the broker's own services.
#[derive(Clone, Debug)]
pub(super) struct WorkPool {
    pool: Arc<Shared>,
}

/// A frame or body on its way in, and the bytes that it may have so far.
#[derive(Debug)]
pub struct Receipt {
    share: Share,
    length: usize,
    waited: Waited,
}

/// How long a frame has waited for all of its steps. Each of them may need another slow holder to be ended: if each were as
/// patient as the first, a large frame would wait for longer than anybody does for an answer.
#[derive(Debug, Default)]
struct Waited {
    before: Duration,
    since: Option<Instant>,
}

impl Waited {
    /// Since when it would wait if it had done so at a stretch.
    fn begins(&mut self, now: Instant) -> Instant {
        let since = *self.since.get_or_insert(now);
        since.checked_sub(self.before).unwrap_or(since)
    }

    fn ends(&mut self, now: Instant) {
        self.before += self.since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
    }
}

/// Bytes for a decoded request, an opened batch, an answer that is being built.
#[derive(Debug)]
pub struct WorkPermit {
    share: Share,
    what: &'static str,
}

/// Bytes for an answer, until its client has taken it.
#[derive(Debug)]
pub struct OutPermit {
    share: Share,
}

impl DoorBudget {
    /// `setting`: the whole budget.
    pub(super) fn new(split: DoorSplit, setting: usize) -> DoorBudget {
        DoorBudget {
            input: Shared::new(split.input, setting, SlowPeer { reads: false }),
            work: WorkPool::new(split.work, setting),
            output: Shared::new(split.output, setting, SlowPeer { reads: true }),
        }
    }

    /// The largest frame or body that can ever be received.
    #[must_use]
    pub fn input_max(&self) -> usize {
        self.input.shares.completion[Class::Large as usize]
    }

    /// A frame or body of `length` bytes (of a body without a length: the most it may have), of which nothing has been
    /// received. Its age is its place in the queue.
    #[must_use]
    pub fn receipt(&self, line: &Line, length: usize) -> Receipt {
        let ticket = self.input.ticket();
        let (pool, line) = (Arc::clone(&self.input), Some(line.clone()));
        let share = Share { pool, line, ticket, class: Class::of(length), held: Grant::default() };
        Receipt { share, length, waited: Waited::default() }
    }

    /// So many bytes at once, or not.
    ///
    /// # Errors
    /// `OverBudget`.
    pub fn work(&self, what: &'static str, bytes: usize) -> Result<WorkPermit, OverBudget> {
        self.work.take(what, bytes)
    }

    /// The largest answer that does not exceed the pool: one that can be made smaller is.
    #[must_use]
    pub fn output_share(&self) -> usize {
        self.output.shares.reserved[Class::Large as usize]
    }

    /// The largest answer.
    #[must_use]
    pub(crate) fn output_max(&self) -> usize {
        self.output_share() * LARGEST_ANSWER
    }

    /// Room for an answer of `bytes`, as soon as others have taken theirs. The caller holds nothing of OUT.
    ///
    /// # Errors
    /// `OverBudget` when the answer is larger than any may be.
    pub async fn output(&self, line: &Line, bytes: usize) -> Result<OutPermit, OverBudget> {
        let (mut share, wanted) = self.answer(line, bytes)?;
        let request = share.request(wanted, false);
        let taken = self.output.pool.lock().take(&request);
        let grant = match taken {
            Some(grant) => grant,
            None => waited(&self.output, request, clock::runtime_now()).await,
        };
        share.add(grant);
        Ok(OutPermit { share })
    }

    /// The same if there is room now.
    #[must_use]
    pub(crate) fn try_output(&self, line: &Line, bytes: usize) -> Option<OutPermit> {
        let (mut share, wanted) = self.answer(line, bytes).ok()?;
        let request = share.request(wanted, false);
        let grant = self.output.pool.lock().take(&request)?;
        share.add(grant);
        Some(OutPermit { share })
    }

    fn answer(&self, line: &Line, bytes: usize) -> Result<(Share, usize), OverBudget> {
        let (class, shares) = (Class::of(bytes), &self.output.shares);
        if bytes > self.output_max() {
            let mut pool = self.output.pool.lock();
            pool.note_refused();
            let held = pool.usage().held;
            let (free, max, setting) = (shares.total().saturating_sub(held), self.output_max(), self.output.setting);
            return Err(OverBudget { what: "an answer", wanted: bytes, free, max, setting });
        }
        let ticket = self.output.ticket();
        let (pool, line) = (Arc::clone(&self.output), Some(line.clone()));
        let share = Share { pool, line, ticket, class, held: Grant::default() };
        Ok((share, bytes.min(shares.reserved[class as usize])))
    }

    /// IN, WORK and OUT in numbers.
    #[must_use]
    pub(crate) fn usage(&self) -> [PoolUse; 3] {
        [self.input.usage(), self.work.usage(), self.output.usage()]
    }
}

impl WorkPool {
    pub(super) fn new(shares: Shares, setting: usize) -> WorkPool {
        WorkPool { pool: Shared::new(shares, setting, SlowPeer { reads: false }) }
    }

    pub(super) fn take(&self, what: &'static str, bytes: usize) -> Result<WorkPermit, OverBudget> {
        let ticket = self.pool.ticket();
        let share =
            Share { pool: Arc::clone(&self.pool), line: None, ticket, class: Class::Small, held: Grant::default() };
        let mut permit = WorkPermit { share, what };
        permit.resize(bytes)?;
        Ok(permit)
    }

    pub(super) fn usage(&self) -> PoolUse {
        self.pool.usage()
    }
}

impl Receipt {
    /// Returns when `bytes` of the frame or body may be held, in all: before they are read. Steps are of 64 KiB. May be
    /// dropped and called again.
    pub async fn room_for(&mut self, bytes: usize) {
        while !self.try_room_for(bytes) {
            let since = self.waited.begins(clock::runtime_now());
            let grant = waited(&self.share.pool, self.step(bytes), since).await;
            self.share.add(grant);
            self.waited.ends(clock::runtime_now());
        }
    }

    /// The same as far as there is room now.
    pub fn try_room_for(&mut self, bytes: usize) -> bool {
        while self.share.bytes() < bytes {
            let request = self.step(bytes);
            let Some(grant) = self.share.pool.pool.lock().take(&request) else { return false };
            self.share.add(grant);
        }
        true
    }

    fn step(&self, bytes: usize) -> Request {
        self.share.request(STEP_BYTES.min(self.length.max(bytes) - self.share.bytes()), true)
    }

    /// How much room the next step after so many received bytes needs, in all.
    #[must_use]
    pub fn step_after(&self, received: usize) -> usize {
        (received + STEP_BYTES).min(self.length).max(received)
    }

    /// Bytes that may be held so far.
    #[must_use]
    pub fn room(&self) -> usize {
        self.share.bytes()
    }

    /// The same bytes with the receipt, which is given back when the last reference to them is dropped.
    #[must_use]
    pub fn hold(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Held { bytes, _permit: self })
    }
}

impl WorkPermit {
    /// Bytes that it stands for.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.share.bytes()
    }

    /// From now on so many bytes, at once or not: what it had, it keeps.
    ///
    /// # Errors
    /// `OverBudget`.
    pub fn resize(&mut self, bytes: usize) -> Result<(), OverBudget> {
        let before = self.share.held;
        let share = &mut self.share;
        let old = share.class;
        share.class = Class::of(bytes);
        let request = share.request(bytes, false);
        let shares = share.pool.shares;
        let outcome = share.pool.with(|pool, woken| {
            pool.release(share.ticket, old, before, None, woken);
            if let Some(grant) = pool.take(&request) {
                return Ok(grant);
            }
            pool.note_refused();
            let free = shares.total().saturating_sub(pool.usage().held);
            // It was there a moment ago, and nobody came between.
            pool.take(&Request { class: old, bytes: before.regular, ..request.clone() });
            Err(free)
        });
        match outcome {
            Ok(grant) => {
                share.held = grant;
                Ok(())
            }
            Err(free) => {
                share.class = old;
                let max = shares.reserved[Class::of(bytes) as usize] + shares.common;
                // What the other classes have reserved is not for this one.
                Err(OverBudget {
                    what: self.what,
                    wanted: bytes,
                    free: free.min(max),
                    max,
                    setting: share.pool.setting,
                })
            }
        }
    }

    /// As `resize`, to what it has and `more`.
    ///
    /// # Errors
    /// `OverBudget`.
    pub(crate) fn grow(&mut self, more: usize) -> Result<(), OverBudget> {
        self.resize(self.bytes().saturating_add(more))
    }
}

impl OutPermit {
    /// An answer's bytes with their permit, which is given back when the last reference to them is dropped. Until then the
    /// broker waits for the peer.
    #[must_use]
    pub fn hold(self, bytes: Bytes) -> Bytes {
        let at_peer = self.share.line.as_ref().map(Line::at_peer);
        Bytes::from_owner(Held { bytes, _permit: (self, at_peer) })
    }
}

struct Held<P> {
    bytes: Bytes,
    _permit: P,
}

impl<P> AsRef<[u8]> for Held<P> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A place in a pool's queue; given up when dropped.
struct Waiting<'a> {
    pool: &'a Shared,
    ticket: Ticket,
    class: Class,
    served: bool,
}

impl Future for Waiting<'_> {
    type Output = Grant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Grant> {
        let polled = self.pool.pool.lock().poll(self.ticket, self.class, cx.waker());
        polled.map_or(Poll::Pending, |grant| {
            self.served = true;
            Poll::Ready(grant)
        })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.served {
            self.pool.with(|pool, woken| pool.give_up(self.ticket, self.class, woken));
        }
    }
}

/// Waits in the queue, and looks when its patience ends, and again and again, whether somebody slow is in the way. What it has
/// waited since `since` counts.
async fn waited(pool: &Shared, request: Request, since: Instant) -> Grant {
    let (ticket, class) = (request.ticket, request.class);
    pool.with(|inner, woken| inner.wait(request, since, woken));
    let mut waiting = Waiting { pool, ticket, class, served: false };
    pool.check();
    let mut patience = PATIENCE.saturating_sub(clock::runtime_now().saturating_duration_since(since)).max(LOOKS_APART);
    loop {
        match clock::timeout(patience, &mut waiting).await {
            Ok(grant) => return grant,
            Err(_) => pool.check(),
        }
        patience = LOOKS_APART;
    }
}
