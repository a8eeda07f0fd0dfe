//! What an author sees: messages whose fields are borrowed from the batch as it came over the border.

/// Words of the index that one record takes (`record batch` in `sdk-wasm/wit/plugin.wit`).
pub(crate) const STRIDE: usize = 8;
/// An absent key, value or header value.
pub(crate) const ABSENT: u32 = u32::MAX;

/// The door that records came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The Kafka port.
    Kafka,
    /// The HTTP gateway.
    Http,
    /// The delay service.
    Delay,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// The topic's name.
    pub topic: String,
    /// The authenticated name.
    pub principal: String,
    /// The caller's own claim: no boundary.
    pub client_id: String,
    /// The door.
    pub source: Source,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
    timestamp_ms: Option<i64>,
}

impl<'a> Message<'a> {
    /// The key; `None` when it is null.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// The value; `None` when it is null (a tombstone).
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// The headers, in order.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// The value of the last header of that name, as Kafka's `lastHeader`; `None` when there is none or it is null.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers.filter(|(key, _)| *key == name).last().and_then(|(_, value)| value)
    }

    /// Milliseconds since the Unix epoch; `None` when the time of the append will stand there.
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp_ms
    }
}

/// The records of one call, in order. A record is parsed when it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    data: &'a [u8],
    index: &'a [u32],
}

impl<'a> Records<'a> {
    pub(crate) fn new(data: &'a [u8], index: &'a [u32]) -> Records<'a> {
        Records { data, index }
    }

    fn slice(&self, at: u32, length: u32) -> Option<&'a [u8]> {
        if length == ABSENT {
            return None;
        }
        let at = at as usize;
        self.data.get(at..at + length as usize)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let (words, rest) = self.index.split_first_chunk::<STRIDE>()?;
        let [key_at, key, value_at, value, headers_at, headers, low, high] = *words;
        let time = (u64::from(high) << 32 | u64::from(low)).cast_signed();
        let message = Message {
            key: self.slice(key_at, key),
            value: self.slice(value_at, value),
            headers: Headers { rest: self.data.get(headers_at as usize..).unwrap_or_default(), left: headers },
            timestamp_ms: (time >= 0).then_some(time),
        };
        self.index = rest;
        Some(message)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.index.len() / STRIDE;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Records<'_> {}

/// Headers as (name, value), in order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Headers<'a> {
    /// A length in four bytes and what it counts.
    fn field(&mut self) -> Option<Option<&'a [u8]>> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        if length == ABSENT {
            self.rest = rest;
            return Some(None);
        }
        let (field, rest) = rest.split_at_checked(length as usize)?;
        self.rest = rest;
        Some(Some(field))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = self.field()??;
        let value = self.field()?;
        Some((core::str::from_utf8(name).unwrap_or_default(), value))
    }
}

impl core::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}
