//! Binds the listeners of the settings: `localhost` on IPv4 and IPv6 with one port, a name on every address it has, an address
//! on itself. Refuses addresses that other machines can reach while there is no authentication.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::config::BadSetting;
use crate::origin::{Authority, is_loopback};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Ports that are tried until one is free in both address families.
const SAME_PORT_ATTEMPTS: usize = 16;

/// Why the gateway does not start; each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A setting with an impossible value.
    #[error(transparent)]
    Setting(#[from] BadSetting),
    /// A listener that others can reach, without authentication.
    #[error(
        "the HTTP listener {address} can be reached from other machines and there is no authentication yet: \
         listen on localhost, or set allow_anonymous = true"
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// Another process has the port.
    #[error("the HTTP address {address} is in use: stop what uses it, or choose another with --http")]
    InUse {
        /// As it was to be bound.
        address: String,
    },
    /// The name has no address, or the system refuses.
    #[error("cannot listen on {address} for HTTP: {cause}")]
    Io {
        /// As it was to be bound.
        address: String,
        /// The system's answer.
        cause: io::Error,
    },
}

/// Binds one `HOST:PORT`.
pub(crate) async fn bind(listen: &str, allow_anonymous: bool) -> Result<Vec<TcpListener>, ListenError> {
    let bad = || BadSetting { setting: "listen", reason: format!("'{listen}' is not HOST:PORT") };
    let authority = Authority::parse(listen).ok_or_else(bad)?;
    let port = authority.port.ok_or_else(bad)?;
    let addresses = addresses(listen, &authority.host, port).await?;
    let open = addresses.iter().find(|address| !is_loopback(**address));
    if let Some(address) = open.filter(|_| !allow_anonymous) {
        return Err(ListenError::NotLoopback { address: SocketAddr::new(*address, port) });
    }
    same_port(&addresses, port).map_err(|cause| match cause.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address: listen.to_owned() },
        _ => ListenError::Io { address: listen.to_owned(), cause },
    })
}

/// IPv4 first. `localhost` is not looked up: what it means is fixed (RFC 6761 §6.3).
async fn addresses(listen: &str, host: &str, port: u16) -> Result<Vec<IpAddr>, ListenError> {
    if host == "localhost" {
        return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    }
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|cause| ListenError::Io { address: listen.to_owned(), cause })?;
    let all: BTreeSet<IpAddr> = found.map(|address| address.ip()).collect();
    Ok(all.into_iter().collect())
}

/// All addresses on one port; with port 0 on one that is free for all of them. A second family that the machine does not have
/// is left out.
fn same_port(addresses: &[IpAddr], port: u16) -> io::Result<Vec<TcpListener>> {
    let mut attempts = if port == 0 && addresses.len() > 1 { SAME_PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match all_on(addresses, port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            outcome => return outcome,
        }
    }
}

fn all_on(addresses: &[IpAddr], port: u16) -> io::Result<Vec<TcpListener>> {
    let mut bound: Vec<TcpListener> = Vec::new();
    let mut port = port;
    for address in addresses {
        match one(SocketAddr::new(*address, port)) {
            Ok(listener) => {
                port = listener.local_addr()?.port();
                bound.push(listener);
            }
            Err(error) if is_missing_family(&error) && !bound.is_empty() => {
                tracing::info!("not listening on {address}: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(bound)
}

fn is_missing_family(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    // A restart may bind while old connections are in TIME_WAIT. A port with a listener is still refused.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // The wildcard takes IPv4 as well, as people expect of [::]; anything else is what it says.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(listeners: &[TcpListener]) -> Vec<SocketAddr> {
        listeners.iter().map(|listener| listener.local_addr().expect("bound")).collect()
    }

    #[tokio::test]
    async fn localhost_is_both_families_on_one_port() {
        let bound = ports(&bind("localhost:0", false).await.expect("bound"));
        assert!(bound[0].is_ipv4() && bound[0].ip().is_loopback());
        assert!(bound.iter().all(|address| address.port() == bound[0].port() && address.port() != 0));
        if one(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0)).is_ok() {
            assert_eq!(bound.len(), 2, "this machine has IPv6");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_said_in_one_line() {
        let first = bind("localhost:0", false).await.expect("bound");
        let text = format!("localhost:{}", ports(&first)[0].port());
        let error = bind(&text, false).await.expect_err("in use");
        assert!(matches!(&error, ListenError::InUse { address } if *address == text), "{error}");
        assert!(!error.to_string().contains('\n'));
    }

    #[tokio::test]
    async fn what_others_can_reach_needs_a_setting() {
        for open in ["0.0.0.0:0", "[::]:0"] {
            let error = bind(open, false).await.expect_err("refused");
            assert!(matches!(error, ListenError::NotLoopback { .. }) && error.to_string().contains("allow_anonymous"));
        }
        assert!(bind("0.0.0.0:0", true).await.is_ok());
        assert!(bind("127.0.0.1:0", false).await.is_ok());
        assert!(bind("127.9.9.9:0", false).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_address_is_refused() {
        for text in ["localhost", "", ":8082", "localhost:x", "::1:80", "http://localhost:1"] {
            assert!(matches!(bind(text, true).await, Err(ListenError::Setting(_))), "{text}");
        }
    }
}
