//! The aborted transactions of a `.txnindex`: entries of 34 bytes, big-endian (Kafka's `AbortedTxn`): version i16,
//! producer id, first offset, last offset, last stable offset, i64 each.

use std::path::Path;

use bytes::Buf;

use super::index::read_entry;
use super::{Dump, DumpError, failed};

const ENTRY_BYTES: usize = 34;

impl Dump<'_> {
    pub(super) fn txn_index(&mut self, path: &Path) -> Result<(), DumpError> {
        let file = self.open(path)?;
        let len = file.len().map_err(|error| failed(path, error))?;
        let count = usize::try_from(len).unwrap_or(usize::MAX) / ENTRY_BYTES;
        let entry = |at| -> Result<[u8; ENTRY_BYTES], DumpError> {
            read_entry(&*file, at).map_err(|error| failed(path, error))
        };
        // All are read before the first is shown, as in Kafka. Its version is the first byte alone.
        for at in 0..count {
            let version = entry(at)?[0].cast_signed();
            if version > 0 {
                return Err(failed(path, format!("entry {at} has version {version}, only 0 is known")));
            }
        }
        for at in 0..count {
            let bytes = entry(at)?;
            let mut fields = &bytes[..];
            let version = fields.get_i16().to_be_bytes()[0].cast_signed();
            let (producer, first, last, stable) =
                (fields.get_i64(), fields.get_i64(), fields.get_i64(), fields.get_i64());
            self.line(format_args!(
                "version: {version} producerId: {producer} firstOffset: {first} lastOffset: {last} lastStableOffset: {stable}"
            ))?;
        }
        Ok(())
    }
}
