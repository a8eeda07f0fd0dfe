//! For authors' own tests: batches as the broker builds them, and calls as it makes them, without WebAssembly.
//!
//! ```
//! use sluice_plugin::{Context, Message, testing::{Batch, caller}};
//!
//! fn partition(_: &Context, message: &Message, partitions: u32) -> u32 {
//!     message.value().map_or(0, |value| value.len() as u32 % partitions)
//! }
//!
//! let batch = Batch::new().record(Some(b"key"), Some(b"12345"), &[("trace", b"a1")]);
//! let chosen: Vec<u32> = batch.records().map(|message| partition(&caller("orders"), &message, 4)).collect();
//! assert_eq!(chosen, [1]);
//! ```

use crate::message::{ABSENT, Context, Records, Source};

/// Records as they cross the border.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    data: Vec<u8>,
    index: Vec<u32>,
}

impl Batch {
    /// No records yet.
    #[must_use]
    pub fn new() -> Batch {
        Batch::default()
    }

    /// One record more, without a timestamp.
    #[must_use]
    pub fn record(self, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(&str, &[u8])]) -> Batch {
        self.record_at(key, value, headers, None)
    }

    /// One record more. `timestamp_ms` counts from the Unix epoch.
    #[must_use]
    pub fn record_at(
        mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, &[u8])],
        timestamp_ms: Option<i64>,
    ) -> Batch {
        let (key, value) = (self.put(key), self.put(value));
        let headers_at = self.data.len() as u32;
        for (name, value) in headers {
            for field in [name.as_bytes(), value] {
                self.data.extend_from_slice(&(field.len() as u32).to_le_bytes());
                self.data.extend_from_slice(field);
            }
        }
        let time = timestamp_ms.unwrap_or(-1).cast_unsigned();
        let (low, high) = (time as u32, (time >> 32) as u32);
        self.index.extend_from_slice(&[key.0, key.1, value.0, value.1, headers_at, headers.len() as u32, low, high]);
        self
    }

    /// What the plugin is given.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records::new(&self.data, &self.index)
    }

    fn put(&mut self, bytes: Option<&[u8]>) -> (u32, u32) {
        let Some(bytes) = bytes else { return (ABSENT, ABSENT) };
        let at = self.data.len() as u32;
        self.data.extend_from_slice(bytes);
        (at, bytes.len() as u32)
    }
}

/// A caller that came through HTTP.
#[must_use]
pub fn caller(topic: &str) -> Context {
    Context {
        topic: topic.to_owned(),
        principal: "User:ANONYMOUS".to_owned(),
        client_id: "test".to_owned(),
        source: Source::Http,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_as_it_was_written() {
        let batch = Batch::new()
            .record_at(Some(b"k"), None, &[("a", b"1"), ("b", b""), ("a", b"2")], Some(1 << 40))
            .record(None, Some(b"v"), &[]);
        let records: Vec<_> = batch.records().collect();
        assert_eq!(records.len(), 2);
        assert_eq!((records[0].key(), records[0].value()), (Some(&b"k"[..]), None));
        assert_eq!(records[0].timestamp_ms(), Some(1 << 40));
        let headers: Vec<_> = records[0].headers().collect();
        assert_eq!(headers, [("a", Some(&b"1"[..])), ("b", Some(b"")), ("a", Some(b"2"))]);
        assert_eq!((records[0].header("a"), records[0].header("c")), (Some(&b"2"[..]), None));
        assert_eq!((records[1].key(), records[1].value()), (None, Some(&b"v"[..])));
        assert_eq!((records[1].timestamp_ms(), records[1].headers().count()), (None, 0));
    }
}
