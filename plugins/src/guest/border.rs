//! The batch as it crosses the border: bytes, and an index of scalars with a fixed stride (`sdk-wasm/wit/plugin.wit`,
//! `record batch`). Hot: one pass over the records, no allocation but the two vectors.

use wasmtime::component::{ComponentType, Lower};

/// Words of the index that one record takes.
pub(crate) const STRIDE: usize = 8;
/// An absent key, value or header value.
const ABSENT: u32 = u32::MAX;
/// Offsets are u32 and `ABSENT` is taken; a guest has less memory than this by far.
const DATA_BYTES_MAX: usize = 1 << 31;

/// Records as bytes and an index with a fixed stride. Built with `push`.
#[derive(Clone, Debug, Default, PartialEq, Eq, ComponentType, Lower)]
#[component(record)]
pub struct Batch {
    data: Vec<u8>,
    index: Vec<u32>,
}

/// The batch cannot hold one more record of that size. It is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the records are more than one batch for a plugin can hold")]
pub struct BatchFull;

impl Batch {
    /// An empty batch with room for `records` of `bytes` in all.
    #[must_use]
    pub fn with_capacity(records: usize, bytes: usize) -> Batch {
        Batch { data: Vec::with_capacity(bytes), index: Vec::with_capacity(records.saturating_mul(STRIDE)) }
    }

    /// How many records it holds.
    #[must_use]
    pub fn records(&self) -> usize {
        self.index.len() / STRIDE
    }

    /// The bytes of keys, values and headers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    /// Adds a record; `timestamp_ms` counts from the Unix epoch. Headers are (key, value), in order.
    ///
    /// # Errors
    /// `BatchFull` beyond 2 GiB of data.
    pub fn push<'a>(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
        timestamp_ms: i64,
    ) -> Result<(), BatchFull> {
        let before = self.data.len();
        self.push_record(key, value, headers, timestamp_ms).inspect_err(|_| self.data.truncate(before))
    }

    fn push_record<'a>(
        &mut self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
        timestamp_ms: i64,
    ) -> Result<(), BatchFull> {
        let key = self.put(key)?;
        let value = self.put(value)?;
        let headers_at = position(self.data.len())?;
        let mut count = 0u32;
        for (name, content) in headers {
            self.put_sized(Some(name.as_bytes()))?;
            self.put_sized(content)?;
            count += 1;
        }
        let time = timestamp_ms.cast_unsigned();
        #[allow(clippy::cast_possible_truncation, reason = "the two halves of a word")]
        let (low, high) = (time as u32, (time >> 32) as u32);
        self.index.extend_from_slice(&[key.0, key.1, value.0, value.1, headers_at, count, low, high]);
        Ok(())
    }

    /// Offset and length of what was added.
    fn put(&mut self, bytes: Option<&[u8]>) -> Result<(u32, u32), BatchFull> {
        let Some(bytes) = bytes else { return Ok((ABSENT, ABSENT)) };
        let at = position(self.data.len())?;
        let length = position(bytes.len())?;
        self.data.extend_from_slice(bytes);
        Ok((at, length))
    }

    /// A length in four bytes and what it counts, as headers are written.
    fn put_sized(&mut self, bytes: Option<&[u8]>) -> Result<(), BatchFull> {
        let length = bytes.map_or(Ok(ABSENT), |bytes| position(bytes.len()))?;
        self.data.extend_from_slice(&length.to_le_bytes());
        self.data.extend_from_slice(bytes.unwrap_or_default());
        Ok(())
    }
}

fn position(at: usize) -> Result<u32, BatchFull> {
    if at > DATA_BYTES_MAX { Err(BatchFull) } else { u32::try_from(at).map_err(|_| BatchFull) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_eight_words_and_its_bytes() {
        let mut batch = Batch::default();
        batch.push(Some(b"k"), None, [("h", Some(&b"xy"[..])), ("n", None)], -2).unwrap();
        batch.push(None, Some(b""), [], 1 << 40).unwrap();
        assert_eq!(batch.records(), 2);
        assert_eq!(batch.data, b"k\x01\0\0\0h\x02\0\0\0xy\x01\0\0\0n\xff\xff\xff\xff");
        assert_eq!(batch.index[..STRIDE], [0, 1, ABSENT, ABSENT, 1, 2, 0xffff_fffe, ABSENT]);
        assert_eq!(batch.index[STRIDE..], [ABSENT, ABSENT, 21, 0, 21, 0, 0, 1 << 8]);
    }
}
