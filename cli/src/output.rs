//! Output for people: the banner on standard output, one line about a failure on standard error. Logs go elsewhere.

use std::io::Write;
use std::path::Path;

/// The addresses and the data folder of a broker that serves.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    /// `host:port` of each Kafka listener.
    pub(crate) kafka: Vec<String>,
    /// `host:port` of each HTTP listener.
    pub(crate) http: Vec<String>,
    /// The data folder.
    pub(crate) data_dir: &'a Path,
    /// As in Kafka's metadata.
    pub(crate) cluster_id: String,
}

/// One line that says what went wrong.
pub(crate) fn complain(what: &str) {
    let line = what.split_whitespace().collect::<Vec<_>>().join(" ");
    // Standard error is closed: the exit code still says that it failed.
    let _ = writeln!(std::io::stderr(), "sluice: {line}");
}

/// Writes a text to standard output. A closed pipe is not a failure.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

impl Banner<'_> {
    /// The banner's lines. Programs may read them: each address stands by itself, after its word.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("sluice {} (cluster {})\n", env!("CARGO_PKG_VERSION"), self.cluster_id);
        for address in &self.kafka {
            text.push_str(&format!("  Kafka  {address}\n"));
        }
        for address in &self.http {
            text.push_str(&format!("  HTTP   http://{address}\n"));
        }
        let data_dir = std::path::absolute(self.data_dir).unwrap_or_else(|_| self.data_dir.to_owned());
        text.push_str(&format!("  data   {}\n", data_dir.display()));
        if let Some(address) = self.http.first() {
            text.push_str(&format!("Try it:\n  curl http://{address}/topics/hello -d 'Hello, world'\n"));
            text.push_str(&format!("  curl 'http://{address}/topics/hello/partitions/0/records?offset=earliest'\n"));
        }
        text
    }
}
