//! Walks a request's bytes before the codec decodes them, and checks every array count on the way. The codec reserves memory for
//! the count that a frame claims (`Vec::with_capacity`), so a frame of 100 bytes could ask for gigabytes. After this walk a count
//! is never above the elements that are really there. Allocates nothing. What requests look like is in `wire_layout.rs`.

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
    /// A tagged field whose size is not that of its type.
    #[error("tagged field {0} has the wrong size")]
    TagSize(u32),
}

/// Walks the body of a request (behind its header) and returns how many bytes it has.
pub(super) fn check(key: ApiKey, version: i16, body: &[u8]) -> Result<usize, BadRequest> {
    let Some(shape) = wire_layout::of(key) else { return Ok(0) };
    let flexible = versions::flexible(key, version);
    let mut walk = Walk { rest: body, version, flexible, elements_left: limits::REQUEST_ELEMENTS_MAX };
    walk.shape(shape)?;
    Ok(body.len() - walk.rest.len())
}

/// Skips the tagged fields of a request header; the same bounds hold for them.
pub(super) fn skip_tags(rest: &mut &[u8]) -> Result<(), BadRequest> {
    let mut walk = Walk { rest, version: 0, flexible: true, elements_left: limits::REQUEST_ELEMENTS_MAX };
    walk.tags(&[])?;
    *rest = walk.rest;
    Ok(())
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements_left: usize,
}

impl Walk<'_> {
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
            Part::Text if self.flexible => self.compact_bytes(),
            Part::Text => {
                let length = i16::from_be_bytes(self.take()?);
                self.skip(length_of(length.into())?)
            }
            Part::Blob if self.flexible => self.compact_bytes(),
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
            Part::Texts => {
                for _ in 0..self.count()? {
                    self.part(&Part::Text)?;
                }
                Ok(())
            }
            Part::Maybe(shape) => {
                if self.take::<1>()? == [1] {
                    self.shape(shape)?;
                }
                Ok(())
            }
            Part::Nested(shape) => self.shape(shape),
        }
    }

    fn tags(&mut self, known: &[(u32, i16, Part)]) -> Result<(), BadRequest> {
        let count = self.varint()? as usize;
        self.spend(count)?;
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

    fn compact_bytes(&mut self) -> Result<(), BadRequest> {
        let length = (self.varint()? as usize).saturating_sub(1);
        self.skip(length)
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
