//! One pool, pure: who holds how much, who waits, who is next. Time comes in as an argument; nothing here blocks or wakes.
//!
//! Bytes are taken in one of three classes. Each class has a reserved share, and what is left is common to all. Within a
//! class the oldest ticket is served first; across classes nobody waits: a request is granted as soon as the reserved share
//! of its own class (or what is common) has room. No request is larger than the reserved share of its class, so each class
//! goes on by itself, whatever the others do.
//!
//! A frame takes its bytes in steps, so several frames of one class may each hold a part and wait for the rest. For them each
//! class has a completion reserve, as large as its largest frame: the oldest one that waits gets all of it and finishes.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Instant;

use super::class::{CLASSES, Class};
use super::line::Line;
use super::slow::{LOOKS_APART, Lines, PATIENCE};

/// How many bytes a pool has, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Of each class alone.
    pub(crate) reserved: [usize; CLASSES],
    /// Of whoever comes first.
    pub(crate) common: usize,
    /// Of the oldest frame of each class that waits.
    pub(crate) completion: [usize; CLASSES],
}

impl Shares {
    pub(super) fn total(&self) -> usize {
        self.reserved.iter().chain(&self.completion).sum::<usize>() + self.common
    }
}

/// A number that grows with each request: the older one is served first.
pub(super) type Ticket = u64;

/// What was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grant {
    /// Out of the reserved and the common share.
    pub(crate) regular: usize,
    /// Out of the completion reserve.
    pub(crate) completion: usize,
}

/// Who asks, and for what.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(crate) ticket: Ticket,
    pub(crate) class: Class,
    pub(crate) bytes: usize,
    pub(crate) line: Option<Line>,
    /// It is a step of a frame, so it may be finished out of the completion reserve.
    pub(crate) is_step: bool,
}

#[derive(Debug)]
struct Waiter {
    request: Request,
    since: Instant,
    waker: Option<Waker>,
}

impl Waiter {
    /// How many slow holders may be ended for it at once: one, and one more with each look that did not help.
    fn impatience(&self, now: Instant) -> usize {
        let Some(beyond) = now.saturating_duration_since(self.since).checked_sub(PATIENCE) else { return 0 };
        1 + usize::try_from(beyond.as_millis() / LOOKS_APART.as_millis()).unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug)]
struct Completing {
    ticket: Ticket,
    bytes: usize,
}

/// See above.
#[derive(Debug)]
pub(super) struct Pool {
    shares: Shares,
    used: [usize; CLASSES],
    completing: [Option<Completing>; CLASSES],
    queues: [BTreeMap<Ticket, Waiter>; CLASSES],
    /// Granted, and not yet picked up.
    granted: BTreeMap<Ticket, (Request, Grant)>,
    lines: Lines,
    refused: u64,
}

/// A pool in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUse {
    /// All of its bytes.
    pub(crate) max: usize,
    /// Bytes held now.
    pub held: usize,
    /// Requests that wait now.
    pub(crate) waiting: usize,
    /// Requests refused since the start.
    pub(crate) refused: u64,
    /// Connections ended since the start, because they were slow while others waited.
    pub(crate) ended: u64,
}

impl Pool {
    pub(super) fn new(shares: Shares) -> Pool {
        Pool {
            shares,
            used: [0; CLASSES],
            completing: [None; CLASSES],
            queues: std::array::from_fn(|_| BTreeMap::new()),
            granted: BTreeMap::new(),
            lines: Lines::default(),
            refused: 0,
        }
    }

    /// At once or not at all. Does not pass those of its class that wait.
    pub(super) fn take(&mut self, request: &Request) -> Option<Grant> {
        let older =
            self.queues[request.class as usize].first_key_value().is_some_and(|(first, _)| *first < request.ticket);
        if older || !self.fits(request.class, request.bytes) {
            return None;
        }
        let grant = Grant { regular: request.bytes, completion: 0 };
        self.hold(request, grant);
        Some(grant)
    }

    /// Waits, and counts as somebody who does so since `since`. Whoever waits calls `poll`, and `give_up` when it waits no
    /// longer.
    pub(super) fn wait(&mut self, request: Request, since: Instant, woken: &mut Vec<Waker>) {
        let waiter = Waiter { since, waker: None, request };
        self.queues[waiter.request.class as usize].insert(waiter.request.ticket, waiter);
        // It may be the oldest that waits, for which there is the completion reserve.
        self.serve(woken);
    }

    /// What was granted to a waiter; else `waker` is called when it is.
    pub(super) fn poll(&mut self, ticket: Ticket, class: Class, waker: &Waker) -> Option<Grant> {
        if let Some((_, grant)) = self.granted.remove(&ticket) {
            return Some(grant);
        }
        if let Some(waiter) = self.queues[class as usize].get_mut(&ticket) {
            waiter.waker = Some(waker.clone());
        }
        None
    }

    /// The waiter is gone.
    pub(super) fn give_up(&mut self, ticket: Ticket, class: Class, woken: &mut Vec<Waker>) {
        self.queues[class as usize].remove(&ticket);
        if let Some((request, grant)) = self.granted.remove(&ticket) {
            self.release(ticket, class, grant, request.line.as_ref(), woken);
        }
        // It may have stood before others.
        self.serve(woken);
    }

    /// Gives back what a ticket holds, or a part of it. The completion reserve is the next one's when all of it is back.
    pub(super) fn release(
        &mut self,
        ticket: Ticket,
        class: Class,
        grant: Grant,
        line: Option<&Line>,
        woken: &mut Vec<Waker>,
    ) {
        self.used[class as usize] -= grant.regular;
        let owner = &mut self.completing[class as usize];
        if let Some(owns) = owner.as_mut().filter(|owns| grant.completion > 0 && owns.ticket == ticket) {
            owns.bytes -= grant.completion;
            if owns.bytes == 0 {
                *owner = None;
            }
        }
        if let Some(line) = line {
            self.lines.remove(line, class, grant.regular + grant.completion);
        }
        self.serve(woken);
    }

    /// Looks at those who hold while somebody waits; returns the connections that are to be ended.
    pub(super) fn check(&mut self, now: Instant) -> Vec<Line> {
        if !self.lines.is_time(now) {
            return Vec::new();
        }
        let waiting = std::array::from_fn(|class| self.queues[class].values().map(|one| one.impatience(now)).sum());
        // What a class holds of the common share would help every other one.
        let beyond = std::array::from_fn(|class| self.used[class] > self.shares.reserved[class]);
        self.lines.check(now, waiting, beyond)
    }

    pub(super) fn note_refused(&mut self) {
        self.refused += 1;
    }

    pub(super) fn usage(&self) -> PoolUse {
        PoolUse {
            max: self.shares.total(),
            held: self.used.iter().sum::<usize>()
                + self.completing.iter().flatten().map(|one| one.bytes).sum::<usize>(),
            waiting: self.queues.iter().map(BTreeMap::len).sum(),
            refused: self.refused,
            ended: self.lines.ended(),
        }
    }

    /// Grants to everybody who can be served now.
    fn serve(&mut self, woken: &mut Vec<Waker>) {
        for class in Class::ALL {
            while let Some((ticket, grant)) = self.next_grant(class) {
                let Some(waiter) = self.queues[class as usize].remove(&ticket) else { break };
                self.hold(&waiter.request, grant);
                self.granted.insert(ticket, (waiter.request, grant));
                woken.extend(waiter.waker);
            }
        }
    }

    /// The next waiter of a class that can be served.
    fn next_grant(&self, class: Class) -> Option<(Ticket, Grant)> {
        let queue = &self.queues[class as usize];
        if queue.is_empty() {
            return None;
        }
        // The one that owns the completion reserve never waits.
        let owner = self.completing[class as usize];
        if let Some(owner) = owner
            && let Some(waiter) = queue.get(&owner.ticket)
        {
            return Some((owner.ticket, Grant { regular: 0, completion: waiter.request.bytes }));
        }
        let (ticket, oldest) = queue.first_key_value()?;
        if self.fits(class, oldest.request.bytes) {
            return Some((*ticket, Grant { regular: oldest.request.bytes, completion: 0 }));
        }
        let finishes = oldest.request.is_step && owner.is_none() && self.shares.completion[class as usize] > 0;
        finishes.then_some((*ticket, Grant { regular: 0, completion: oldest.request.bytes }))
    }

    fn fits(&self, class: Class, bytes: usize) -> bool {
        let beyond = |class: usize, used: usize| used.saturating_sub(self.shares.reserved[class]);
        let of_class = class as usize;
        let others: usize =
            (0..CLASSES).filter(|other| *other != of_class).map(|other| beyond(other, self.used[other])).sum();
        others + beyond(of_class, self.used[of_class].saturating_add(bytes)) <= self.shares.common
    }

    fn hold(&mut self, request: &Request, grant: Grant) {
        let class = request.class as usize;
        self.used[class] += grant.regular;
        if grant.completion > 0 {
            let owner = self.completing[class].get_or_insert(Completing { ticket: request.ticket, bytes: 0 });
            owner.bytes += grant.completion;
            debug_assert!(owner.bytes <= self.shares.completion[class], "no frame is larger than the reserve");
        }
        if let Some(line) = &request.line {
            self.lines.add(line, request.class, grant.regular + grant.completion);
        }
    }
}
