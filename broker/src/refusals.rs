//! What the broker refuses, by class: counted for `/metrics`, and logged with the client. A class logs `LINES_A_SECOND_MAX` lines
//! a second; the others of that second are one line, "and N more". Rank 0. Whoever refuses a stranger's request calls `note`,
//! beside the error that it answers. Never decides what is refused, and never writes a client's text as it came.

use std::fmt::{self, Display, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, SharedClock};
use crate::context::Context;

/// Lines of one class in one second: enough to see who it is, too few to fill a disk.
const LINES_A_SECOND_MAX: u32 = 5;
/// A second.
const WINDOW: Duration = Duration::from_secs(1);
/// Characters of a client id that are logged. Clients choose it, up to 32 KiB.
const CLIENT_ID_CHARS_MAX: usize = 64;
/// Characters of a reason that are logged: a reason may hold names that the client chose.
const REASON_CHARS_MAX: usize = 300;

macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident $label:literal;)*) => {
        /// Why something is refused, as operators tell it apart. One metric label and one allowance of log lines each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RefusalClass {
            $($(#[$doc])* $class,)*
        }

        impl RefusalClass {
            /// Every class, in the order of the metric.
            pub(crate) const ALL: &[RefusalClass] = &[$(RefusalClass::$class,)*];

            /// Its name in the log and in the metric.
            #[must_use]
            pub(crate) fn label(self) -> &'static str {
                match self {
                    $(RefusalClass::$class => $label,)*
                }
            }
        }
    };
}

classes! {
    /// A connection: as many are open as there may be.
    Connections "connections";
    /// A connection: too many were opened within a second.
    ConnectionRate "connection_rate";
    /// A connection: its address has as many open as one address may have.
    ConnectionsOfAddress "connections_of_address";
    /// A frame whose length no request can have.
    FrameLength "frame_length";
    /// A request header that is broken, or names an API or a version that is not spoken.
    Header "header";
    /// A request that cannot be decoded, or has more elements or longer names than it may.
    BadRequest "bad_request";
    /// A frame or a body that stopped coming, or came too slowly.
    SlowSender "slow_sender";
    /// An answer that its client does not take.
    SlowReader "slow_reader";
    /// An answer that would be larger than an answer may be.
    AnswerTooLarge "answer_too_large";
    /// A body, a record or a batch above its limit.
    TooLarge "too_large";
    /// No room for what is decoded, opened or built.
    MemoryWork "memory_work";
    /// No room for an answer that has to wait for its client.
    MemoryOut "memory_out";
    /// The owner has its share of what stays in memory.
    MemoryState "memory_state";
    /// As many groups, members or promised member ids as there may be.
    Groups "groups";
    /// As many producers in a partition as there may be.
    Producers "producers";
    /// A topic whose partitions would need more open files than the process may have.
    OpenFiles "open_files";
    /// A page of a foreign origin, or a host name that is not ours.
    ForeignPage "foreign_page";
}

/// Whose request was refused.
#[derive(Clone, Copy, Debug)]
pub struct RefusedClient<'a> {
    peer: Option<SocketAddr>,
    id: &'a str,
}

impl<'a> RefusedClient<'a> {
    /// The other end of a connection, and what it says that it is.
    #[must_use]
    pub fn new(peer: Option<SocketAddr>, id: &'a str) -> RefusedClient<'a> {
        RefusedClient { peer, id }
    }
}

impl From<SocketAddr> for RefusedClient<'_> {
    fn from(peer: SocketAddr) -> Self {
        RefusedClient { peer: Some(peer), id: "" }
    }
}

impl<'a> From<&'a Context> for RefusedClient<'a> {
    fn from(ctx: &'a Context) -> Self {
        RefusedClient { peer: ctx.peer(), id: ctx.client_id() }
    }
}

impl Display for RefusedClient<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{peer}")?,
            None => f.write_str("the broker itself")?,
        }
        if self.id.is_empty() {
            return Ok(());
        }
        write!(f, " \"{}\"", Shortened { text: &self.id, chars_max: CLIENT_ID_CHARS_MAX })
    }
}

/// The refusals of one broker. Clones share them.
#[derive(Clone, Debug)]
pub struct Refusals {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: SharedClock,
    /// One a class, in the order of `RefusalClass::ALL`.
    classes: Vec<Class>,
    /// A line was held back.
    held_back: Notify,
}

#[derive(Debug, Default)]
struct Class {
    count: AtomicU64,
    lines: Mutex<Lines>,
}

/// What one class has logged in the second that runs.
#[derive(Debug, Default)]
struct Lines {
    began: Option<Instant>,
    logged: u32,
    held_back: u64,
}

impl Lines {
    /// Whether there may be one more line now.
    fn admit(&mut self, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            (self.began, self.logged) = (Some(now), 0);
        }
        let admitted = self.logged < LINES_A_SECOND_MAX;
        if admitted {
            self.logged += 1
        } else {
            self.held_back += 1
        }
        admitted
    }
}

impl Refusals {
    /// Nothing refused yet.
    #[must_use]
    pub(crate) fn new(clock: SharedClock) -> Refusals {
        let classes = RefusalClass::ALL.iter().map(|_| Class::default()).collect();
        Refusals { shared: Arc::new(Shared { clock, classes, held_back: Notify::new() }) }
    }

    /// Counts a refusal and logs it, unless its class has logged enough this second. `client` is a `SocketAddr` or a `&Context`.
    /// Costs an atomic add, an uncontended lock, and sometimes a line.
    pub fn note<'a>(&self, class: RefusalClass, client: impl Into<RefusedClient<'a>>, why: &dyn Display) {
        if let Some(line) = self.line(class, client.into(), why) {
            tracing::warn!("{line}");
        }
    }

    /// Refusals of a class since the start.
    #[must_use]
    pub(crate) fn count(&self, class: RefusalClass) -> u64 {
        self.class(class).count.load(Ordering::Relaxed)
    }

    /// Logs, once a second, how many lines were held back. Sleeps while there are none; ends when `stop` is cancelled.
    pub(crate) async fn log_held_back(self, stop: CancellationToken) {
        let working = async {
            loop {
                self.shared.held_back.notified().await;
                clock::sleep(WINDOW).await;
                self.held_back_lines().for_each(|line| tracing::warn!("{line}"));
            }
        };
        let _cancelled: Option<()> = stop.run_until_cancelled(working).await;
        self.held_back_lines().for_each(|line| tracing::warn!("{line}"));
    }

    fn line(&self, class: RefusalClass, client: RefusedClient<'_>, why: &dyn Display) -> Option<String> {
        let of_class = self.class(class);
        of_class.count.fetch_add(1, Ordering::Relaxed);
        if !of_class.lines.lock().admit(self.shared.clock.monotonic()) {
            self.shared.held_back.notify_one();
            return None;
        }
        let why = Shortened { text: why, chars_max: REASON_CHARS_MAX };
        Some(format!("refused ({}): {why}; client {client}", class.label()))
    }

    fn held_back_lines(&self) -> impl Iterator<Item = String> {
        RefusalClass::ALL.iter().filter_map(|class| {
            let more = std::mem::take(&mut self.class(*class).lines.lock().held_back);
            (more > 0).then(|| format!("refused ({}): and {more} more", class.label()))
        })
    }

    fn class(&self, class: RefusalClass) -> &Class {
        // `classes` has one for each.
        &self.shared.classes[class as usize]
    }
}

/// A text that a client may have chosen: control characters are escaped, and what is too long is cut, without writing it first.
struct Shortened<'a, T: Display + ?Sized> {
    text: &'a T,
    chars_max: usize,
}

impl<T: Display + ?Sized> Display for Shortened<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shortening = Shortening { to: f, chars_left: self.chars_max, outcome: Ok(()) };
        // An error means that it is cut, or that `f` has failed.
        if write!(shortening, "{}", self.text).is_err() && shortening.outcome.is_ok() {
            shortening.to.write_char('…')?;
        }
        shortening.outcome
    }
}

struct Shortening<'a, 'b> {
    to: &'a mut fmt::Formatter<'b>,
    chars_left: usize,
    outcome: fmt::Result,
}

impl Write for Shortening<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            self.chars_left = self.chars_left.checked_sub(1).ok_or(fmt::Error)?;
            // Quotes stay as they are, except that none can end a quoted client id.
            let written = match character {
                '"' | '\'' => self.to.write_char('\''),
                other => write!(self.to, "{}", other.escape_debug()),
            };
            if written.is_err() {
                self.outcome = written;
                return written;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn refusals() -> (Refusals, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::at(0));
        (Refusals::new(Arc::clone(&clock) as SharedClock), clock)
    }

    fn client() -> RefusedClient<'static> {
        RefusedClient { peer: Some("192.0.2.7:4711".parse().unwrap()), id: "app" }
    }

    #[test]
    fn a_line_has_the_class_the_reason_and_the_client() {
        let (refusals, _) = refusals();
        let line = refusals.line(RefusalClass::Connections, client(), &"10 are open").unwrap();
        assert_eq!(line, "refused (connections): 10 are open; client 192.0.2.7:4711 \"app\"");
        let anonymous = RefusedClient::from(client().peer.unwrap());
        let line = refusals.line(RefusalClass::Header, anonymous, &"API 900").unwrap();
        assert_eq!(line, "refused (header): API 900; client 192.0.2.7:4711");
    }

    #[test]
    fn a_second_has_a_few_lines_of_each_class_and_one_for_the_rest_and_every_refusal_is_counted() {
        let (refusals, clock) = refusals();
        let logged = |times: usize| {
            (0..times).filter_map(|_| refusals.line(RefusalClass::TooLarge, client(), &"too large")).count()
        };
        assert_eq!(logged(1_000), LINES_A_SECOND_MAX as usize);
        assert!(refusals.line(RefusalClass::Header, client(), &"another class").is_some());
        assert_eq!(refusals.held_back_lines().collect::<Vec<_>>(), ["refused (too_large): and 995 more"]);
        assert_eq!(refusals.held_back_lines().count(), 0, "told once");
        clock.advance_ms(999);
        assert_eq!(logged(1), 0, "the second is not over");
        clock.advance_ms(1);
        assert_eq!(logged(7), LINES_A_SECOND_MAX as usize);
        assert_eq!(refusals.held_back_lines().collect::<Vec<_>>(), ["refused (too_large): and 3 more"]);
        assert_eq!((refusals.count(RefusalClass::TooLarge), refusals.count(RefusalClass::Header)), (1_008, 1));
        assert_eq!(refusals.count(RefusalClass::Connections), 0);
    }

    #[test]
    fn what_a_client_chose_is_cut_and_cannot_make_lines_of_its_own() {
        let (refusals, _) = refusals();
        let id = format!("a\" \n\u{1b}[31m{}", "x".repeat(30_000));
        let client = RefusedClient { id: &id, ..client() };
        let line = refusals.line(RefusalClass::BadRequest, client, &"topic 'a\r\nb'".repeat(1_000)).unwrap();
        assert!(line.starts_with("refused (bad_request): topic 'a\\r\\nb'topic"), "{line}");
        assert!(line.contains("; client 192.0.2.7:4711 \"a' \\n\\u{1b}[31mxxx"), "{line}");
        assert!(!line.contains(char::is_control), "{line}");
        assert!(line.len() < 600 && line.ends_with("x…\""), "{line}");
    }

    #[test]
    fn every_class_has_a_label_of_its_own() {
        let mut labels: Vec<&str> = RefusalClass::ALL.iter().map(|class| class.label()).collect();
        assert!(labels.iter().all(|label| label.chars().all(|c| c.is_ascii_lowercase() || c == '_')), "{labels:?}");
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), RefusalClass::ALL.len());
        for (at, class) in RefusalClass::ALL.iter().enumerate() {
            assert_eq!(*class as usize, at);
        }
    }
}
