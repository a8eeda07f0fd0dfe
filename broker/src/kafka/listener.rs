//! Sockets: every listener bound on all addresses of its name, and what clients of each are to connect to. Accepts nothing.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, lookup_host};

use super::call::Advertised;
use crate::config::KafkaListener;

/// Connections that the system may hold before they are accepted.
const BACKLOG: i32 = 1_024;
/// How often a port of the system's choice may turn out to be taken on the other family.
const PORT_ATTEMPTS: usize = 16;

/// A port could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct ListenError {
    /// `host:port` as asked for.
    pub(crate) address: String,
    /// The system's answer.
    pub(crate) cause: std::io::Error,
}

/// One listener, bound.
#[derive(Debug)]
pub(super) struct Bound {
    /// One a family and address, all on one port.
    pub(crate) sockets: Vec<TcpListener>,
    /// What clients are to connect to; `None` for a wildcard: the local address of their connection.
    pub(crate) advertised: Option<Advertised>,
    /// `host:port` for the banner.
    pub(crate) shown: String,
}

/// Binds a listener.
pub(super) async fn bind(listener: &KafkaListener) -> Result<Bound, ListenError> {
    let host = listener.host.trim_start_matches('[').trim_end_matches(']');
    let failed = |cause| ListenError { address: shown(host, listener.port), cause };
    let addresses = addresses(host).await.map_err(failed)?;
    let sockets = bind_all(&addresses, listener.port).map_err(failed)?;
    let port = sockets.first().map_or(Ok(listener.port), |socket| Ok(socket.local_addr()?.port())).map_err(failed)?;
    let advertised = match &listener.advertised {
        Some((host, port)) => Some(Advertised { host: host.clone(), port: *port }),
        None if addresses.iter().any(IpAddr::is_unspecified) => None,
        None => Some(Advertised { host: host.to_owned(), port }),
    };
    Ok(Bound { sockets, advertised, shown: shown(host, port) })
}

/// For a client of a wildcard listener: the address that it reached.
pub(super) fn advertised_locally(local: SocketAddr) -> Advertised {
    Advertised { host: local.ip().to_canonical().to_string(), port: local.port() }
}

fn shown(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// All addresses of a name. `::`, `*` and nothing mean every interface of both families, `0.0.0.0` those of IPv4.
async fn addresses(host: &str) -> std::io::Result<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = match host {
        "" | "*" | "::" => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        // Both, whatever the hosts file has: librdkafka tries ::1 first, others know 127.0.0.1 alone.
        "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        name => lookup_host((name, 0)).await?.map(|address| address.ip()).collect(),
    };
    // IPv4 first, so that the first socket is the one that any machine has.
    addresses.sort_unstable_by_key(|address| (address.is_ipv6(), *address));
    addresses.dedup();
    if addresses.is_empty() {
        return Err(std::io::Error::new(ErrorKind::NotFound, "the name has no address"));
    }
    Ok(addresses)
}

/// One socket an address, all with one port. A family that this machine does not have is left out, if another is there.
fn bind_all(addresses: &[IpAddr], port: u16) -> std::io::Result<Vec<TcpListener>> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match bind_once(addresses, port) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && port == 0 && attempt < PORT_ATTEMPTS => {}
            done => return done,
        }
    }
}

fn bind_once(addresses: &[IpAddr], mut port: u16) -> std::io::Result<Vec<TcpListener>> {
    let mut sockets: Vec<TcpListener> = Vec::with_capacity(addresses.len());
    let mut missing = None;
    for address in addresses {
        match bind_one(SocketAddr::new(*address, port)) {
            Ok(socket) => {
                port = socket.local_addr()?.port();
                sockets.push(socket);
            }
            Err(error) if absent(&error) && addresses.len() > 1 => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

/// The machine has no such address, or no such family.
fn absent(error: &std::io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

fn bind_one(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // So that the IPv4 socket of the same port does not collide with this one.
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(host: &str, advertised: Option<(String, u16)>) -> KafkaListener {
        KafkaListener { host: host.into(), port: 0, advertised }
    }

    #[tokio::test]
    async fn localhost_is_bound_on_every_loopback_family_with_one_port() {
        let bound = bind(&listener("localhost", None)).await.unwrap();
        let ports: Vec<u16> = bound.sockets.iter().map(|s| s.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0));
        let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
        assert_eq!(bound.sockets.len(), if has_ipv6 { 2 } else { 1 });
        assert_eq!(bound.advertised, Some(Advertised { host: "localhost".into(), port: ports[0] }));
        assert_eq!(bound.shown, format!("localhost:{}", ports[0]));
    }

    #[tokio::test]
    async fn clients_get_the_advertised_address_or_where_they_came_in_at_a_wildcard() {
        let bound = bind(&listener("127.0.0.1", Some(("kafka.example".into(), 19092)))).await.unwrap();
        assert_eq!(bound.advertised, Some(Advertised { host: "kafka.example".into(), port: 19092 }));
        let bound = bind(&listener("0.0.0.0", None)).await.unwrap();
        assert_eq!((bound.advertised, bound.sockets.len()), (None, 1));
        let advertised = advertised_locally("[::ffff:10.0.0.7]:9092".parse().unwrap());
        assert_eq!(advertised, Advertised { host: "10.0.0.7".into(), port: 9092 });
    }

    #[tokio::test]
    async fn a_port_in_use_is_an_error_that_names_it() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        let taken = KafkaListener { host: "127.0.0.1".into(), port, advertised: None };
        let error = bind(&taken).await.unwrap_err();
        assert_eq!(error.address, format!("127.0.0.1:{port}"));
        assert_eq!(error.cause.kind(), ErrorKind::AddrInUse);
    }
}
