//! Parses Kafka listeners, and says which addresses only this machine can reach. Resolves no names: their addresses may
//! change while the broker runs.

use std::net::IpAddr;

use sluice_broker::config::KafkaListener;

/// `ADDR:PORT` or `ADDR:PORT=HOST:PORT`; IPv6 addresses stand in brackets.
pub(crate) fn parse(text: &str) -> Result<KafkaListener, String> {
    let (bound, advertised) = match text.split_once('=') {
        Some((bound, advertised)) => (bound, Some(advertised)),
        None => (text, None),
    };
    let (host, port) = host_port(bound)?;
    let advertised = advertised.map(host_port).transpose()?;
    if advertised.as_ref().is_some_and(|(_, port)| *port == 0) {
        return Err(format!("'{text}': port 0 cannot be advertised"));
    }
    Ok(KafkaListener { host, port, advertised })
}

/// Whether only processes of this machine can reach it.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A host without brackets, and a port.
pub(crate) fn host_port(text: &str) -> Result<(String, u16), String> {
    let wrong = |reason: &str| format!("'{text}' is not ADDR:PORT: {reason}");
    let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong("there is no port"))?;
    let port = port.parse().map_err(|_| wrong("the port is a number from 0 to 65535"))?;
    let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => inner,
        Some(_) => return Err(wrong("only IPv6 addresses stand in brackets")),
        None if host.contains(':') => return Err(wrong("IPv6 addresses stand in brackets, as [::1]:9092")),
        None if is_name(host) => host,
        None => return Err(wrong("the host is a name or an address")),
    };
    Ok((host.to_owned(), port))
}

fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_with_and_without_an_advertised_address() {
        for (text, host, port, advertised) in [
            ("localhost:9092", "localhost", 9092, None),
            ("[::1]:0", "::1", 0, None),
            ("0.0.0.0:9092=broker.example:19092", "0.0.0.0", 9092, Some(("broker.example", 19092))),
            ("[::]:1=[fe80::1]:2", "::", 1, Some(("fe80::1", 2))),
        ] {
            let advertised = advertised.map(|(host, port): (&str, u16)| (host.to_owned(), port));
            assert_eq!(parse(text), Ok(KafkaListener { host: host.to_owned(), port, advertised }), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, reason) in [
            ("9092", "no port"),
            ("localhost", "no port"),
            ("localhost:", "number from 0 to 65535"),
            ("localhost:65536", "number from 0 to 65535"),
            (":9092", "a name or an address"),
            ("::1:9092", "brackets"),
            ("[localhost]:9092", "only IPv6"),
            ("PLAINTEXT://localhost:9092", "brackets"),
            ("a b:1", "a name or an address"),
            ("localhost:9092=", "no port"),
            ("localhost:9092=broker:0", "port 0 cannot"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn loopback_is_judged_by_address_and_never_by_other_names() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.8.8", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["0.0.0.0", "::", "192.168.1.1", "localhost.example", "broker"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
