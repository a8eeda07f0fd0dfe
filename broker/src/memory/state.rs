//! STATE: what stays when a request is answered or waits: long polls, waiting joins, group metadata, producers. Each owner
//! (the principal, else the address) has at most a sixteenth of it, so that no stranger takes what others need. Nothing here
//! waits, and nothing is ever evicted: a newcomer of an owner above its share is refused, with the reason.
//!
//! Durable promises (committed offsets, sequences, open transactions) are *kept*: counted for their owner, and never refused
//! once they have been made. Those that are read from the log at start have the broker as their owner, and take nothing from
//! anybody's share.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::pool::PoolUse;
use crate::context::{self, Context, Principal, Source};

/// One owner may have this part of STATE.
const OWNERS: usize = 16;

/// Who is charged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// Somebody who has authenticated.
    Principal(Principal),
    /// Everybody at one address (IPv6: in one network of 64 bits, which one person has all of).
    Address(IpAddr),
    /// The broker itself, for its services and for what it has read from its logs: it has no share, and is never refused.
    Broker,
}

impl Owner {
    /// The owner of what this caller leaves behind.
    #[must_use]
    pub(crate) fn of(ctx: &Context) -> Owner {
        match ctx.peer() {
            // Its services wait and read for everybody.
            _ if ctx.source() == Source::Internal => Owner::Broker,
            Some(peer) if ctx.is_anonymous() => Owner::Address(context::network(peer.ip())),
            _ => Owner::Principal(ctx.principal().clone()),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Principal(principal) => principal.fmt(f),
            Owner::Address(address) => address.fmt(f),
            Owner::Broker => f.write_str("the broker"),
        }
    }
}

/// An owner has its share, or all owners together have the pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{owner} holds {held} bytes of the broker's state, and may hold {share} of {max} (memory_max_bytes); {wanted} more were asked for"
)]
pub struct OverShare {
    /// Who.
    pub(crate) owner: Owner,
    /// What it has.
    pub(crate) held: usize,
    /// What it wants.
    pub(crate) wanted: usize,
    /// What it may have.
    pub(crate) share: usize,
    /// What all owners may have together.
    pub(crate) max: usize,
}

#[derive(Debug, Default)]
struct Held {
    owners: HashMap<Owner, usize>,
    /// Of all owners but the broker.
    total: usize,
    refused: u64,
}

#[derive(Debug)]
struct Shared {
    held: Mutex<Held>,
    max: usize,
}

/// The pool. Clones share it.
#[derive(Clone, Debug)]
pub struct StateBudget {
    shared: Arc<Shared>,
}

/// What an owner holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct StatePermit {
    shared: Arc<Shared>,
    owner: Owner,
    bytes: usize,
}

impl StateBudget {
    pub(super) fn new(max: usize) -> StateBudget {
        StateBudget { shared: Arc::new(Shared { held: Mutex::default(), max }) }
    }

    /// So many bytes of the owner's share.
    ///
    /// # Errors
    /// `OverShare`.
    pub(crate) fn hold(&self, owner: Owner, bytes: usize) -> Result<StatePermit, OverShare> {
        let mut permit = StatePermit { shared: Arc::clone(&self.shared), owner, bytes: 0 };
        permit.resize(bytes)?;
        Ok(permit)
    }

    /// The same for a durable promise that has been made: counted, never refused.
    #[must_use]
    pub(crate) fn keep(&self, owner: Owner, bytes: usize) -> StatePermit {
        let mut permit = StatePermit { shared: Arc::clone(&self.shared), owner, bytes: 0 };
        permit.keep(bytes);
        permit
    }

    /// What one owner may hold.
    #[cfg(test)]
    pub(crate) fn share(&self) -> usize {
        self.shared.max / OWNERS
    }

    /// In numbers: what the broker itself holds is part of `held`.
    #[must_use]
    pub(crate) fn usage(&self) -> PoolUse {
        let held = self.shared.held.lock();
        let own = held.owners.get(&Owner::Broker).copied().unwrap_or(0);
        PoolUse { max: self.shared.max, held: held.total + own, refused: held.refused, ..PoolUse::default() }
    }
}

impl StatePermit {
    /// Bytes that it stands for.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// From now on so many bytes. Less is always granted.
    ///
    /// # Errors
    /// `OverShare`: it stays as it was.
    pub(crate) fn resize(&mut self, bytes: usize) -> Result<(), OverShare> {
        let shared = Arc::clone(&self.shared);
        let mut held = shared.held.lock();
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 && self.owner != Owner::Broker {
            let of_owner = held.owners.get(&self.owner).copied().unwrap_or(0);
            let (share, max) = (shared.max / OWNERS, shared.max);
            if of_owner.saturating_add(more) > share || held.total.saturating_add(more) > max {
                held.refused += 1;
                return Err(OverShare { owner: self.owner.clone(), held: of_owner, wanted: more, share, max });
            }
        }
        self.set(&mut held, bytes);
        Ok(())
    }

    /// From now on so many bytes, for a durable promise that has been made.
    pub(crate) fn keep(&mut self, bytes: usize) {
        let shared = Arc::clone(&self.shared);
        self.set(&mut shared.held.lock(), bytes);
    }

    fn set(&mut self, held: &mut Held, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if self.owner != Owner::Broker {
            held.total = held.total - before + bytes;
        }
        let of_owner = held.owners.entry(self.owner.clone()).or_default();
        *of_owner = *of_owner - before + bytes;
        if *of_owner == 0 {
            held.owners.remove(&self.owner);
        }
    }
}

impl Drop for StatePermit {
    fn drop(&mut self) {
        self.keep(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Owner {
        Owner::of(&Context::http("test", Some(std::net::SocketAddr::new(address.parse().unwrap(), 1))))
    }

    #[test]
    fn an_owner_has_a_sixteenth_and_a_newcomer_above_it_is_refused_with_the_reason() {
        let state = StateBudget::new(1_600);
        let first = state.hold(at("10.0.0.1"), 90).unwrap();
        let error = state.hold(at("10.0.0.1"), 11).unwrap_err();
        assert_eq!((error.held, error.wanted, error.share), (90, 11, 100));
        assert!(error.to_string().starts_with("10.0.0.1 holds 90 bytes"), "{error}");
        assert!(state.hold(at("10.0.0.2"), 100).is_ok(), "somebody else has a share of its own");
        drop(first);
        assert!(state.hold(at("10.0.0.1"), 100).is_ok());
        assert_eq!((state.usage().held, state.usage().refused), (0, 1));
    }

    #[test]
    fn all_owners_together_have_the_pool_and_no_more() {
        let state = StateBudget::new(160);
        let held: Vec<_> = (0..16).map(|n| state.hold(at(&format!("10.0.0.{n}")), 10).unwrap()).collect();
        assert!(state.hold(at("10.0.1.1"), 1).is_err());
        drop(held);
        assert!(state.hold(at("10.0.1.1"), 1).is_ok());
    }

    #[test]
    fn a_permit_grows_within_the_share_and_stays_as_it_was_when_refused() {
        let state = StateBudget::new(1_600);
        let mut permit = state.hold(at("10.0.0.1"), 10).unwrap();
        permit.resize(100).unwrap();
        assert!(permit.resize(101).is_err());
        assert_eq!((permit.bytes(), state.usage().held), (100, 100));
        permit.resize(5).unwrap();
        assert_eq!(state.usage().held, 5);
    }

    #[test]
    fn a_durable_promise_is_counted_and_never_refused() {
        let state = StateBudget::new(1_600);
        let mut kept = state.keep(at("10.0.0.1"), 5_000);
        assert!(state.hold(at("10.0.0.1"), 1).is_err(), "a newcomer of the same owner is");
        assert!(kept.resize(4_000).is_ok(), "less is always granted");
        let loaded = state.keep(Owner::Broker, 1_000_000);
        drop(kept);
        assert!(state.hold(at("10.0.0.1"), 100).is_ok(), "what was read from the log takes nobody's share");
        assert_eq!(state.usage().held, 1_000_000);
        drop(loaded);
        assert_eq!(state.usage().held, 0);
    }

    #[test]
    fn the_brokers_own_services_are_counted_and_never_refused() {
        let state = StateBudget::new(1_600);
        let own = state.hold(Owner::of(&Context::internal("delay")), 5_000).unwrap();
        assert!(state.hold(at("10.0.0.1"), 100).is_ok(), "they take nobody's share");
        assert_eq!(state.usage().held, 5_000);
        drop(own);
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_owner() {
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff:1"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
    }
}
