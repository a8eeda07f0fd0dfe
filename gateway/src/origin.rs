//! Web origins (RFC 6454) and host names as they appear in `Origin`, `Host` and settings: parsed once, compared without case
//! and with default ports. Pure; decides nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `scheme://host[:port]`, normalised: lower case, the default port left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Exactly an origin: `None` for `null`, `*`, a path, user information or anything else.
    pub(crate) fn parse(text: &str) -> Option<Origin> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        if scheme.is_empty() || !scheme.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.')) {
            return None;
        }
        Origin::new(&scheme, &Authority::parse(authority)?)
    }

    /// The origin of an http or https URL; a path may follow.
    pub(crate) fn of_url(url: &str) -> Option<Origin> {
        let (scheme, rest) = url.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let authority = rest.split(['/', '?', '#']).next()?;
        Origin::new(&scheme.to_ascii_lowercase(), &Authority::parse(authority)?)
    }

    /// The origin of pages that come from `authority` by `scheme`.
    pub(crate) fn new(scheme: &str, authority: &Authority) -> Option<Origin> {
        let default = match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let port = authority.port.filter(|port| Some(*port) != default);
        Some(Origin { scheme: scheme.to_owned(), host: authority.host.clone(), port })
    }

    /// The host, lower case.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

/// `host[:port]` of a `Host` header or a URL; the host lower case, an IPv6 literal without its brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    bracketed: bool,
}

impl Authority {
    /// `None` for what is no authority, user information included.
    pub(crate) fn parse(text: &str) -> Option<Authority> {
        let (host, port, bracketed) = if let Some(rest) = text.strip_prefix('[') {
            let (literal, after) = rest.split_once(']')?;
            // A zone (RFC 6874) names an interface of the caller: no part of the address.
            let address = literal.split_once('%').map_or(literal, |(address, _)| address);
            address.parse::<Ipv6Addr>().ok()?;
            (address, after.strip_prefix(':').or_else(|| after.is_empty().then_some("")), true)
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port), false),
                None => (text, Some(""), false),
            }
        };
        let port = match port? {
            "" => None,
            digits if digits.bytes().all(|c| c.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
        let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_' | b'~');
        if !bracketed && (host.is_empty() || !host.bytes().all(legal)) {
            return None;
        }
        Some(Authority { host: host.to_ascii_lowercase(), port, bracketed })
    }

    /// Whether the host is an IP address. A name could be made to point here by its owner's DNS.
    pub(crate) fn is_address(&self) -> bool {
        self.bracketed || self.host.parse::<Ipv4Addr>().is_ok()
    }
}

/// Whether only this machine can reach a listener there.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_equal_without_case_and_with_default_ports() {
        let same = [
            ("http://localhost:8082", "HTTP://LocalHost:8082"),
            ("http://a.example", "http://a.example:80"),
            ("https://a.example:443", "https://a.example"),
            ("http://[::1]:8082", "http://[::1]:8082"),
        ];
        for (left, right) in same {
            assert_eq!(Origin::parse(left), Origin::parse(right));
            assert!(Origin::parse(left).is_some(), "{left}");
        }
        let different = [
            ("http://a.example", "https://a.example"),
            ("http://a.example:443", "https://a.example"),
            ("http://a.example", "http://a.example:8082"),
            ("http://a.example", "http://b.a.example"),
        ];
        for (left, right) in different {
            assert_ne!(Origin::parse(left), Origin::parse(right));
        }
    }

    #[test]
    fn what_is_no_origin_is_none() {
        for text in
            ["null", "*", "", "http://", "a.example", "http://a.example/", "http://u@a.example", "http://a b", "://a"]
        {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
    }

    #[test]
    fn authorities_are_taken_apart() {
        type Parts = (&'static str, Option<u16>, bool);
        let cases: [(&str, Option<Parts>); 14] = [
            ("localhost", Some(("localhost", None, false))),
            ("LOCALHOST:1", Some(("localhost", Some(1), false))),
            ("127.0.0.1:80", Some(("127.0.0.1", Some(80), true))),
            ("[::1]", Some(("::1", None, true))),
            ("[::1]:9", Some(("::1", Some(9), true))),
            ("[fe80::1%25eth0]:9", Some(("fe80::1", Some(9), true))),
            ("a:", Some(("a", None, false))),
            ("::1", None),
            ("[::1]x", None),
            ("[nonsense]", None),
            ("a:70000", None),
            ("a:+1", None),
            ("u@a", None),
            ("", None),
        ];
        for (text, expect) in cases {
            let got = Authority::parse(text);
            let got = got.as_ref().map(|a| (a.host.as_str(), a.port, a.is_address()));
            assert_eq!(got, expect, "{text}");
        }
    }
}
