//! Refuses requests of foreign web pages. Without it a form post or an `<img>` of any page reaches a developer's loopback
//! broker, and a DNS name can be made to point there. Runs before everything else, for unknown paths too. Three headers decide:
//! `Host`, `Sec-Fetch-Site` and `Origin`; a client that sends neither of the last two is no browser and passes.
//! Must never read the body, and does not depend on who is authenticated.

use http::header::{HOST, HeaderMap, ORIGIN};
use http::request::Parts;
use http::{HeaderValue, Method};

use crate::config::GatewayConfig;
use crate::origin::{Authority, Origin};

const FETCH_SITE: &str = "sec-fetch-site";
const FETCH_MODE: &str = "sec-fetch-mode";
const FETCH_DEST: &str = "sec-fetch-dest";

/// Why a request was refused; each is a 403 that names the setting which would allow it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The `Host` is a name that a stranger may control.
    #[error(
        "the gateway does not go by the host name '{host}': call it by its address or localhost, or add the name to http.hosts"
    )]
    Host {
        /// As it came, cut to 100 characters.
        host: String,
    },
    /// A page of another origin, which is not on the list.
    #[error(
        "pages of {origin} may not use this gateway: add the origin to http.allowed_origins (or set http.public_url, if it is the gateway's own)"
    )]
    Origin {
        /// As it came, cut to 100 characters.
        origin: String,
    },
    /// A page of another site that does not say which.
    #[error(
        "pages of other sites may not use this gateway (Sec-Fetch-Site: {site}): only origins in http.allowed_origins may, with their Origin header"
    )]
    Site {
        /// As it came, cut to 100 characters.
        site: String,
    },
}

/// The rules, with what the settings add to them.
#[derive(Clone, Debug)]
pub struct Guard {
    allowed: Vec<Origin>,
    public: Option<Origin>,
    hosts: Vec<String>,
}

impl Guard {
    /// Rules for a checked configuration; `machine` is the machine's own name.
    #[must_use]
    pub fn new(config: &GatewayConfig, machine: Option<&str>) -> Guard {
        let public = config.public_url.as_deref().and_then(Origin::of_url);
        let listeners = config.listen.iter().filter_map(|listen| Authority::parse(listen)).map(|at| at.host);
        let named = config.hosts.iter().map(String::as_str).chain(machine).map(without_last_dot);
        let hosts = named
            .map(str::to_ascii_lowercase)
            .chain(listeners)
            .chain(public.iter().map(|origin| origin.host().to_owned()))
            .collect();
        Guard { allowed: config.allowed_origins.iter().filter_map(|text| Origin::parse(text)).collect(), public, hosts }
    }

    /// Whether a request may go on.
    ///
    /// # Errors
    /// `Refused`, when it may not.
    pub fn check(&self, request: &Parts) -> Result<(), Refused> {
        self.check_host(request)?;
        self.check_site(request)
    }

    /// Whether the one `Origin` of a request is on the list. CORS asks the same.
    #[must_use]
    pub fn listed<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let value = only(headers, ORIGIN.as_str())?;
        let origin = Origin::parse(value.to_str().ok()?)?;
        self.allowed.contains(&origin).then_some(value)
    }

    /// Whether there is a list at all.
    #[must_use]
    pub fn has_list(&self) -> bool {
        !self.allowed.is_empty()
    }

    fn check_host(&self, request: &Parts) -> Result<(), Refused> {
        // An orchestrator's probe may use any name; its answer holds no data.
        if request.uri.path().starts_with("/health/") {
            return Ok(());
        }
        let refuse = |text: &str| Err(Refused::Host { host: shown(text.as_bytes()) });
        // The absolute form of a request target outranks the header (RFC 9112 §3.2.2): both must pass.
        if let Some(target) = request.uri.authority().filter(|target| !self.host_passes(target.as_str())) {
            return refuse(target.as_str());
        }
        for value in request.headers.get_all(HOST) {
            match value.to_str() {
                Ok(text) if text.is_empty() || self.host_passes(text) => {}
                _ => return Err(Refused::Host { host: shown(value.as_bytes()) }),
            }
        }
        if request.headers.get_all(HOST).iter().count() > 1 {
            return refuse("two Host headers");
        }
        Ok(())
    }

    fn host_passes(&self, text: &str) -> bool {
        let Some(authority) = Authority::parse(text) else { return false };
        if authority.is_address() || !authority.host.contains('.') {
            return true;
        }
        let name = without_last_dot(&authority.host);
        name == "localhost" || name.ends_with(".localhost") || self.hosts.iter().any(|host| host == name)
    }

    fn check_site(&self, request: &Parts) -> Result<(), Refused> {
        let mut sites = request.headers.get_all(FETCH_SITE).iter().peekable();
        if sites.peek().is_none() {
            return self.check_origin(request);
        }
        let Some(foreign) = sites.find(|site| !matches!(site.as_bytes(), b"same-origin" | b"none")) else {
            return Ok(());
        };
        if self.listed(&request.headers).is_some() || is_visit(request) {
            return Ok(());
        }
        match only(&request.headers, ORIGIN.as_str()) {
            Some(origin) => Err(Refused::Origin { origin: shown(origin.as_bytes()) }),
            None => Err(Refused::Site { site: shown(foreign.as_bytes()) }),
        }
    }

    /// Browsers without Fetch Metadata, and insecure contexts, send `Origin` alone.
    fn check_origin(&self, request: &Parts) -> Result<(), Refused> {
        let mut origins = request.headers.get_all(ORIGIN).iter();
        let Some(first) = origins.next() else { return Ok(()) };
        let own = || -> Option<bool> {
            let origin = Origin::parse(first.to_str().ok()?)?;
            if self.public.as_ref() == Some(&origin) || self.allowed.contains(&origin) {
                return Some(true);
            }
            let host = only(&request.headers, HOST.as_str())?.to_str().ok()?;
            // Listeners speak plain HTTP; behind a proxy that ends TLS, public_url says what pages see.
            Some(Origin::new("http", &Authority::parse(host)?).as_ref() == Some(&origin))
        };
        if origins.next().is_none() && own().unwrap_or(false) {
            return Ok(());
        }
        Err(Refused::Origin { origin: shown(first.as_bytes()) })
    }
}

/// A user followed a link to one of our pages. Reading it changes nothing.
fn is_visit(request: &Parts) -> bool {
    let path = request.uri.path();
    request.method == Method::GET
        && only(&request.headers, FETCH_MODE).is_some_and(|mode| mode == "navigate")
        && only(&request.headers, FETCH_DEST).is_some_and(|dest| dest == "document")
        && (matches!(path, "/docs" | "/console" | "/openapi.json") || path.starts_with("/health/"))
}

/// The value of a header that may stand once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

fn without_last_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().take(100).collect()
}

#[cfg(test)]
mod tests;
