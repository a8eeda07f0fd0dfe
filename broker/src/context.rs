//! Who makes a request: every verb of engine and door takes it, and `auth/` decides by it. Rank 0.
//! Made where a request enters the broker, by the constructor of that door; never changed afterwards.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// The principal of a client that has not authenticated, as Kafka spells it.
static ANONYMOUS: LazyLock<Principal> = LazyLock::new(|| Principal("User:ANONYMOUS".into()));

/// An authenticated name such as `User:alice`. Clones share the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Principal(Arc<str>);

impl Principal {
    /// As Kafka spells it: `User:alice`.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The caller of a verb.
#[derive(Clone, Debug)]
pub struct Context {
    principal: Principal,
    client_id: Arc<str>,
    source: Source,
    listener: Arc<str>,
    peer: Option<SocketAddr>,
    deadline: Option<Instant>,
}

/// The kind of door that a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The Kafka port.
    Kafka,
    /// The gateway.
    Http,
    /// A service of the broker itself, such as the delay service.
    Internal,
}

impl Context {
    /// A request of the Kafka port. `listener` is the listener's name, `client_id` the client's own claim.
    #[must_use]
    pub fn kafka(client_id: Arc<str>, listener: Arc<str>, peer: SocketAddr) -> Context {
        Context {
            principal: ANONYMOUS.clone(),
            client_id,
            source: Source::Kafka,
            listener,
            peer: Some(peer),
            deadline: None,
        }
    }

    /// A request of the gateway; `client_id` is what the client says that it is (`User-Agent`).
    #[must_use]
    pub fn http(client_id: &str, peer: Option<SocketAddr>) -> Context {
        Context {
            principal: ANONYMOUS.clone(),
            client_id: client_id.into(),
            source: Source::Http,
            listener: "http".into(),
            peer,
            deadline: None,
        }
    }

    /// A call of the broker's own, by a service of that name (`delay`): `User:sluice-delay`.
    #[must_use]
    pub(crate) fn internal(service: &'static str) -> Context {
        let name = format!("sluice-{service}");
        Context {
            principal: Principal(format!("User:{name}").into()),
            client_id: name.into(),
            source: Source::Internal,
            listener: "internal".into(),
            peer: None,
            deadline: None,
        }
    }

    /// The same caller, who stops waiting at `deadline`.
    #[must_use]
    pub fn with_deadline(self, deadline: Instant) -> Context {
        Context { deadline: Some(deadline), ..self }
    }

    /// The same caller, who waits for as long as it takes: for what outlives one request.
    pub(crate) fn without_deadline(self) -> Context {
        Context { deadline: None, ..self }
    }

    /// The authenticated name; `User:ANONYMOUS` until clients can authenticate.
    #[must_use]
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether the client has not authenticated.
    #[must_use]
    pub(crate) fn is_anonymous(&self) -> bool {
        self.principal == *ANONYMOUS
    }

    /// The client's own claim. It is not authenticated: never decide by it.
    #[must_use]
    pub(crate) fn client_id(&self) -> &Arc<str> {
        &self.client_id
    }

    /// The kind of door.
    #[must_use]
    pub(crate) fn source(&self) -> Source {
        self.source
    }

    /// The name of the listener.
    #[must_use]
    pub(crate) fn listener(&self) -> &str {
        &self.listener
    }

    /// The other end of the connection; `None` for the broker's own calls.
    #[must_use]
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The peer as group descriptions show it (Kafka: `/127.0.0.1`).
    pub(crate) fn client_host(&self) -> String {
        self.peer.map_or_else(String::new, |peer| format!("/{}", peer.ip()))
    }

    /// How long a verb may wait of the `wanted` time, seen from `now`: never beyond the caller's deadline.
    #[must_use]
    pub(crate) fn wait_at_most(&self, wanted: Duration, now: Instant) -> Duration {
        self.deadline.map_or(wanted, |deadline| wanted.min(deadline.saturating_duration_since(now)))
    }
}

/// What one host, or its user, has of addresses: IPv6 is given out in networks of 64 bits (RFC 6177).
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, MachineClock};

    #[test]
    fn a_wait_ends_at_the_deadline_of_the_caller() {
        let (now, second) = (MachineClock.monotonic(), Duration::from_secs(1));
        let patient = Context::http("test", None);
        assert_eq!(patient.wait_at_most(9 * second, now), 9 * second);
        let hurried = patient.with_deadline(now + 2 * second);
        assert_eq!(hurried.wait_at_most(9 * second, now), 2 * second);
        assert_eq!(hurried.wait_at_most(second, now), second);
        assert_eq!(hurried.wait_at_most(second, now + 5 * second), Duration::ZERO, "the deadline has passed");
        assert_eq!(hurried.without_deadline().wait_at_most(9 * second, now), 9 * second);
    }

    #[test]
    fn a_service_of_the_broker_has_a_name_of_its_own() {
        let delay = Context::internal("delay");
        assert_eq!(delay.principal().as_str(), "User:sluice-delay");
        assert_eq!((&**delay.client_id(), delay.source()), ("sluice-delay", Source::Internal));
    }
}
