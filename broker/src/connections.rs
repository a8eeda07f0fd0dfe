//! Which connections a port takes in: so many at once, so many a second, and the same for each address. Rank 0; the Kafka port
//! and the gateway have one each. Knows no socket. A port asks `pause` before it accepts and `admit` afterwards; what is over
//! a bound of all connections a second waits in the system's queue, what is over another is a refusal, counted and logged.
//!
//! Bounds of an address are off by default: many users share one behind NAT, a proxy or a container network. The address of
//! IPv6 is its first 64 bits, of which one host has all the others (RFC 6177).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::context::network;
use crate::refusals::{RefusalClass, Refusals};

/// Addresses that are remembered without a connection, beyond as many as have one: each costs a hundred bytes.
const IDLE_ADDRESSES_MAX: usize = 1_024;
/// At most one line of each kind that is no refusal in so long.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// The bounds of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at once.
    pub at_once: usize,
    /// New connections a second.
    pub per_second: u32,
    /// Connections of one address at once; 0: no bound.
    pub of_address_at_once: usize,
    /// New connections of one address a second; 0: no bound.
    pub of_address_per_second: u32,
}

/// Why a connection is closed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedConnection {
    /// The port is full.
    #[error("{max} connections are open, which is the most there may be")]
    Full {
        /// The bound.
        max: usize,
    },
    /// The address has as many as it may.
    #[error("its address has {max} connections open, which is the most it may have")]
    AddressFull {
        /// The bound.
        max: usize,
    },
    /// The address opens them too fast.
    #[error("its address opens more than {per_second} connections a second")]
    AddressTooFast {
        /// The bound.
        per_second: u32,
    },
}

/// The connections of one port.
#[derive(Debug)]
pub struct Connections {
    port: &'static str,
    limits: ConnectionLimits,
    refusals: Refusals,
    inner: Mutex<Inner>,
}

/// A place among them; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    of: Arc<Connections>,
    address: IpAddr,
}

#[derive(Debug)]
struct Inner {
    open: usize,
    rate: Bucket,
    addresses: HashMap<IpAddr, OfAddress>,
    waiting: Line,
    failing: Line,
}

#[derive(Debug)]
struct OfAddress {
    open: usize,
    rate: Bucket,
}

/// As many tokens as one second brings, at most.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

/// One kind of line in the log.
#[derive(Debug, Default)]
struct Line {
    untold: u64,
    last: Option<Instant>,
}

impl RefusedConnection {
    fn class(self) -> RefusalClass {
        match self {
            RefusedConnection::Full { .. } => RefusalClass::Connections,
            RefusedConnection::AddressFull { .. } => RefusalClass::ConnectionsOfAddress,
            RefusedConnection::AddressTooFast { .. } => RefusalClass::ConnectionRate,
        }
    }
}

impl Connections {
    /// None yet. `port` begins the lines in the log: "Kafka", "HTTP".
    #[must_use]
    pub fn new(port: &'static str, limits: ConnectionLimits, refusals: Refusals, now: Instant) -> Arc<Connections> {
        let inner = Inner {
            open: 0,
            rate: Bucket::full(limits.per_second, now),
            addresses: HashMap::new(),
            waiting: Line::default(),
            failing: Line::default(),
        };
        Arc::new(Connections { port, limits, refusals, inner: Mutex::new(inner) })
    }

    /// How long to wait before the next connection is accepted.
    #[must_use]
    pub fn pause(&self, now: Instant) -> Duration {
        let mut inner = self.inner.lock();
        let pause = inner.rate.missing(now);
        if !pause.is_zero() && inner.waiting.due(now).is_some() {
            let max = self.limits.per_second;
            tracing::warn!("{} connections come faster than {max} a second: they wait to be accepted", self.port);
        }
        pause
    }

    /// A place for a connection that was accepted.
    ///
    /// # Errors
    /// Which bound it is over; the log has it already.
    pub fn admit(self: &Arc<Connections>, peer: SocketAddr, now: Instant) -> Result<Place, RefusedConnection> {
        let address = network(peer.ip());
        let admitted = {
            let mut inner = self.inner.lock();
            inner.rate.take(now);
            inner.admit(self.limits, address, now)
        };
        match admitted {
            Ok(()) => Ok(Place { of: Arc::clone(self), address }),
            Err(why) => {
                self.refusals.note(why.class(), peer, &format_args!("{} port: {why}", self.port));
                Err(why)
            }
        }
    }

    /// A line in the log about a connection that the system did not hand over, for want of file descriptors for one.
    pub fn note_failure(&self, error: &std::io::Error, now: Instant) {
        if let Some(count) = self.inner.lock().failing.due(now) {
            tracing::warn!("{count} times no {} connection could be accepted, the last time: {error}", self.port);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.of.inner.lock();
        inner.open -= 1;
        if let Some(of_address) = inner.addresses.get_mut(&self.address) {
            of_address.open -= 1;
            // Without a rate there is nothing to remember.
            if of_address.open == 0 && self.of.limits.of_address_per_second == 0 {
                inner.addresses.remove(&self.address);
            }
        }
    }
}

impl Inner {
    fn admit(&mut self, limits: ConnectionLimits, address: IpAddr, now: Instant) -> Result<(), RefusedConnection> {
        let ConnectionLimits { at_once, of_address_at_once, of_address_per_second, .. } = limits;
        if self.open >= at_once {
            return Err(RefusedConnection::Full { max: at_once });
        }
        if of_address_at_once > 0 || of_address_per_second > 0 {
            self.forget_idle(now);
            let fresh = || OfAddress { open: 0, rate: Bucket::full(of_address_per_second, now) };
            let of_address = self.addresses.entry(address).or_insert_with(fresh);
            if of_address_at_once > 0 && of_address.open >= of_address_at_once {
                return Err(RefusedConnection::AddressFull { max: of_address_at_once });
            }
            if of_address_per_second > 0 {
                if !of_address.rate.missing(now).is_zero() {
                    return Err(RefusedConnection::AddressTooFast { per_second: of_address_per_second });
                }
                of_address.rate.take(now);
            }
            of_address.open += 1;
        }
        self.open += 1;
        Ok(())
    }

    /// Addresses whose second is over. Costs a look at each, once as many are idle as are not.
    fn forget_idle(&mut self, now: Instant) {
        if self.addresses.len() >= 2 * self.open + IDLE_ADDRESSES_MAX {
            self.addresses.retain(|_, of_address| of_address.open > 0 || !of_address.rate.is_full(now));
        }
    }
}

impl Bucket {
    fn full(per_second: u32, now: Instant) -> Bucket {
        Bucket { per_second: per_second.into(), tokens: per_second.into(), filled: now }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second);
        self.filled = self.filled.max(now);
    }

    /// How long until there is a token.
    fn missing(&mut self, now: Instant) -> Duration {
        self.fill(now);
        if self.tokens >= 1.0 || self.per_second <= 0.0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64((1.0 - self.tokens) / self.per_second)
    }

    fn take(&mut self, now: Instant) {
        self.fill(now);
        self.tokens -= 1.0;
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= self.per_second
    }
}

impl Line {
    /// One more; how many since the last line, if another may be written.
    fn due(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < LINE_EVERY) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, MachineClock};

    const OPEN: ConnectionLimits =
        ConnectionLimits { at_once: 3, per_second: 1_000, of_address_at_once: 0, of_address_per_second: 0 };

    fn peer(text: &str) -> SocketAddr {
        format!("{text}:4711").parse().unwrap()
    }

    fn of(limits: ConnectionLimits) -> (Arc<Connections>, Instant) {
        let now = MachineClock.monotonic();
        (Connections::new("test", limits, Refusals::new(Arc::new(MachineClock)), now), now)
    }

    #[test]
    fn a_full_port_refuses_until_a_place_is_given_back() {
        let (connections, now) = of(OPEN);
        let mut places: Vec<_> = (0..3).map(|_| connections.admit(peer("10.0.0.1"), now).unwrap()).collect();
        assert_eq!(connections.admit(peer("10.0.0.2"), now).unwrap_err(), RefusedConnection::Full { max: 3 });
        places.pop();
        assert!(connections.admit(peer("10.0.0.2"), now).is_ok());
    }

    #[test]
    fn one_address_has_its_share_and_no_other_suffers() {
        let (connections, now) = of(ConnectionLimits { at_once: 100, of_address_at_once: 2, ..OPEN });
        let places: Vec<_> = (0..2).map(|_| connections.admit(peer("10.0.0.1"), now).unwrap()).collect();
        let refused = RefusedConnection::AddressFull { max: 2 };
        assert_eq!(connections.admit(peer("10.0.0.1"), now).unwrap_err(), refused);
        assert_eq!(connections.admit(peer("[::ffff:10.0.0.1]"), now).unwrap_err(), refused);
        let _other = connections.admit(peer("10.0.0.2"), now).unwrap();
        let _one = connections.admit(peer("[2001:db8::1]"), now).unwrap();
        let _two = connections.admit(peer("[2001:db8::2]"), now).unwrap();
        assert_eq!(connections.admit(peer("[2001:db8::3]"), now).unwrap_err(), refused, "one host, one prefix");
        let _next = connections.admit(peer("[2001:db8:0:1::1]"), now).unwrap();
        drop(places);
        assert!(connections.admit(peer("10.0.0.1"), now).is_ok());
    }

    #[test]
    fn an_address_that_opens_too_fast_is_refused_for_the_rest_of_its_second() {
        let (connections, now) = of(ConnectionLimits { at_once: 100, of_address_per_second: 2, ..OPEN });
        for _ in 0..2 {
            drop(connections.admit(peer("10.0.0.1"), now).unwrap());
        }
        let refused = RefusedConnection::AddressTooFast { per_second: 2 };
        assert_eq!(connections.admit(peer("10.0.0.1"), now).unwrap_err(), refused);
        assert!(connections.admit(peer("10.0.0.2"), now).is_ok());
        assert!(connections.admit(peer("10.0.0.1"), now + Duration::from_millis(500)).is_ok());
    }

    #[test]
    fn above_the_rate_of_all_the_next_one_waits_until_its_token_is_there() {
        let (connections, now) = of(ConnectionLimits { at_once: 100, per_second: 10, ..OPEN });
        for _ in 0..10 {
            assert_eq!(connections.pause(now), Duration::ZERO);
            drop(connections.admit(peer("10.0.0.1"), now).unwrap());
        }
        let pause = connections.pause(now);
        assert!((99..=101).contains(&pause.as_millis()), "{pause:?}");
        assert_eq!(connections.pause(now + Duration::from_millis(101)), Duration::ZERO);
    }

    #[test]
    fn addresses_that_come_and_go_are_not_remembered_for_ever() {
        let (connections, mut now) = of(ConnectionLimits { per_second: 1_000_000, of_address_per_second: 1, ..OPEN });
        for n in 0..10_000_u32 {
            now += Duration::from_millis(10);
            drop(connections.admit(SocketAddr::new(IpAddr::V4(n.into()), 1), now).unwrap());
        }
        assert!(connections.inner.lock().addresses.len() <= IDLE_ADDRESSES_MAX + 1);
        assert_eq!(connections.inner.lock().open, 0);
    }

    #[test]
    fn a_flood_that_waits_is_one_line_a_second() {
        let now = MachineClock.monotonic();
        let mut line = Line::default();
        assert_eq!(line.due(now), Some(1));
        assert_eq!((line.due(now), line.due(now)), (None, None));
        assert_eq!(line.due(now + LINE_EVERY), Some(3));
    }
}
