//! Walks a request's bytes before the codec decodes them, and checks every array count and every string on the way. The codec
//! reserves memory for the count that a frame claims (`Vec::with_capacity`), so a frame of 100 bytes could ask for gigabytes.
//! After this walk a count is never above the elements that are really there, a string is no longer than Kafka's decoder takes
//! it, and what the request will cost is known (`costs.rs`). Allocates nothing. What requests look like is in `wire_layout.rs`.

use kafka_protocol::messages::ApiKey;

use super::versions;
use super::wire_layout::{self, Part, Shape};
use crate::limits;

/// Why the codec is not asked to decode a request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRequest {
    /// A length or count points behind the end of the request.
    #[error("the request is cut short, or a length in it is wrong")]
    Short,
    /// A length below what null is.
    #[error("a length of {0} in the request")]
    Negative(i64),
    /// More elements than any real request has.
    #[error("the request has more than {max} array elements", max = limits::REQUEST_ELEMENTS_MAX)]
    TooMany,
    /// A string that is longer than any of its kind.
    #[error("a {what} of {bytes} bytes in the request, at most {max} are taken")]
    TooLong {
        /// The kind.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The most.
        max: usize,
    },
    /// A tagged field whose size is not that of its type.
    #[error("tagged field {0} has the wrong size")]
    TagSize(u32),
}

/// What the walk met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Walked {
    /// Bytes of the request.
    pub(crate) bytes: usize,
    /// Elements of all its arrays.
    pub(crate) elements: usize,
    /// Tagged fields.
    pub(crate) tags: usize,
}

/// Walks the body of a request (behind its header).
pub(super) fn check(key: ApiKey, version: i16, body: &[u8]) -> Result<Walked, BadRequest> {
    let Some(shape) = wire_layout::of(key) else { return Ok(Walked::default()) };
    let mut walk = Walk::over(body, version, versions::flexible(key, version));
    walk.shape(shape)?;
    let elements = limits::REQUEST_ELEMENTS_MAX - walk.elements_left - walk.tags;
    Ok(Walked { bytes: body.len() - walk.rest.len(), elements, tags: walk.tags })
}

/// Skips the tagged fields of a request header; the same bounds hold for them.
pub(super) fn skip_tags(rest: &mut &[u8]) -> Result<(), BadRequest> {
    let mut walk = Walk::over(rest, 0, true);
    walk.tags(&[])?;
    *rest = walk.rest;
    Ok(())
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements_left: usize,
    /// Tagged fields, which count as elements.
    tags: usize,
}

impl Walk<'_> {
    fn over(rest: &[u8], version: i16, flexible: bool) -> Walk<'_> {
        Walk { rest, version, flexible, elements_left: limits::REQUEST_ELEMENTS_MAX, tags: 0 }
    }

    fn shape(&mut self, shape: &Shape) -> Result<(), BadRequest> {
        for field in shape.fields {
            if (field.from..=field.to).contains(&self.version) {
                self.part(&field.part)?;
            }
        }
        if self.flexible { self.tags(shape.tags) } else { Ok(()) }
    }

    fn part(&mut self, part: &Part) -> Result<(), BadRequest> {
        match part {
            Part::Fixed(bytes) => self.skip(*bytes),
            Part::Text => self.text("string", limits::REQUEST_STRING_BYTES_MAX),
            Part::Topic => self.text("topic name", limits::REQUEST_TOPIC_BYTES_MAX),
            Part::Blob if self.flexible => {
                let length = self.compact_length()?;
                self.skip(length)
            }
            Part::Blob => {
                let length = i32::from_be_bytes(self.take()?);
                self.skip(length_of(length.into())?)
            }
            Part::List(shape) => {
                for _ in 0..self.count()? {
                    self.shape(shape)?;
                }
                Ok(())
            }
            Part::Numbers(bytes) => {
                let count = self.count()?;
                self.skip(count * bytes)
            }
            Part::Texts => self.texts(&Part::Text),
            Part::Topics => self.texts(&Part::Topic),
            Part::Maybe(shape) => {
                if self.take::<1>()? == [1] {
                    self.shape(shape)?;
                }
                Ok(())
            }
            Part::Nested(shape) => self.shape(shape),
        }
    }

    fn text(&mut self, what: &'static str, max: usize) -> Result<(), BadRequest> {
        let bytes = match self.flexible {
            true => self.compact_length()?,
            false => length_of(i16::from_be_bytes(self.take()?).into())?,
        };
        if bytes > max {
            return Err(BadRequest::TooLong { what, bytes, max });
        }
        self.skip(bytes)
    }

    fn texts(&mut self, of: &Part) -> Result<(), BadRequest> {
        for _ in 0..self.count()? {
            self.part(of)?;
        }
        Ok(())
    }

    fn tags(&mut self, known: &[(u32, i16, Part)]) -> Result<(), BadRequest> {
        let count = self.varint()? as usize;
        self.spend(count)?;
        self.tags += count;
        for _ in 0..count {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            let before = self.rest.len();
            match known.iter().find(|(number, from, _)| *number == tag && *from <= self.version) {
                Some((_, _, part)) => {
                    self.part(part)?;
                    if before - self.rest.len() != size {
                        return Err(BadRequest::TagSize(tag));
                    }
                }
                None => self.skip(size)?,
            }
        }
        Ok(())
    }

    /// A list's count; null has none. Each element has a byte at least.
    fn count(&mut self) -> Result<usize, BadRequest> {
        let count = if self.flexible {
            (self.varint()? as usize).saturating_sub(1)
        } else {
            length_of(i32::from_be_bytes(self.take()?).into())?
        };
        self.spend(count)?;
        Ok(count)
    }

    fn spend(&mut self, elements: usize) -> Result<(), BadRequest> {
        if elements > self.rest.len() {
            return Err(BadRequest::Short);
        }
        self.elements_left = self.elements_left.checked_sub(elements).ok_or(BadRequest::TooMany)?;
        Ok(())
    }

    /// Null has none.
    fn compact_length(&mut self) -> Result<usize, BadRequest> {
        Ok((self.varint()? as usize).saturating_sub(1))
    }

    /// As the codec reads it: the fifth byte is the last one, whatever its value.
    fn varint(&mut self) -> Result<u32, BadRequest> {
        let mut value = 0;
        for at in 0..5 {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f) << (at * 7);
            if byte < 0x80 {
                break;
            }
        }
        Ok(value)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadRequest> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(BadRequest::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), BadRequest> {
        self.rest = self.rest.get(bytes..).ok_or(BadRequest::Short)?;
        Ok(())
    }
}

/// -1 is null and has no bytes.
fn length_of(length: i64) -> Result<usize, BadRequest> {
    if length == -1 {
        return Ok(0);
    }
    usize::try_from(length).map_err(|_| BadRequest::Negative(length))
}

#[cfg(test)]
mod tests;
