//! Where the parts of one record stand: ranges of the bytes that it is in. Below everything that looks at records; allocates
//! nothing, and believes no length that the bytes do not hold.
//! Layout: Kafka's `DefaultRecord`.

use std::ops::Range;

use crate::varint;

/// Why the bytes at some place are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadRecord {
    #[error("the bytes end before it does")]
    CutShort,
    #[error("its length field is {0}")]
    Length(i32),
    #[error("its {field} has length {length}")]
    Field { field: &'static str, length: i32 },
    #[error("it counts {0} headers")]
    Headers(i32),
    #[error("its fields end {0} bytes before its length says")]
    Trailing(usize),
    #[error("its offset delta is {0}")]
    OffsetDelta(i32),
    #[error("its key has {0} bytes")]
    LongKey(usize),
}

/// Where the parts of one record are.
#[derive(Clone, Debug)]
pub(super) struct Parsed {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<Range<usize>>,
    pub(super) value: Option<Range<usize>>,
    pub(super) header_count: usize,
    pub(super) headers_at: usize,
    /// Where the next record begins.
    pub(super) end: usize,
}

/// Parses the record that begins at `at`, headers included; allocates nothing.
pub(super) fn parse(body: &[u8], at: usize) -> Result<Parsed, BadRecord> {
    let mut at = at;
    let length = varint::read_i32(body, &mut at).ok_or(BadRecord::CutShort)?;
    let end = usize::try_from(length).map_err(|_| BadRecord::Length(length))?.saturating_add(at);
    // No field can reach into the next record.
    let record = body.get(..end).ok_or(BadRecord::CutShort)?;
    // The attributes byte has no meaning yet; Kafka ignores it as well.
    at += 1;
    let timestamp_delta = varint::read_i64(record, &mut at).ok_or(BadRecord::CutShort)?;
    let offset_delta = varint::read_i32(record, &mut at).ok_or(BadRecord::CutShort)?;
    let key = nullable(record, &mut at, "key")?;
    let value = nullable(record, &mut at, "value")?;
    let count = varint::read_i32(record, &mut at).ok_or(BadRecord::CutShort)?;
    let header_count = usize::try_from(count).map_err(|_| BadRecord::Headers(count))?;
    // A header is at least two bytes.
    if header_count > (end - at) / 2 {
        return Err(BadRecord::Headers(count));
    }
    let headers_at = at;
    for _ in 0..header_count {
        header(record, &mut at)?;
    }
    if at != end {
        return Err(BadRecord::Trailing(end - at));
    }
    Ok(Parsed { timestamp_delta, offset_delta, key, value, header_count, headers_at, end })
}

/// Key and value of one header.
pub(super) fn header(record: &[u8], at: &mut usize) -> Result<(Range<usize>, Option<Range<usize>>), BadRecord> {
    let key = nullable(record, at, "header key")?.ok_or(BadRecord::Field { field: "header key", length: -1 })?;
    Ok((key, nullable(record, at, "header value")?))
}

/// A length (-1 for null) and that many bytes.
fn nullable(record: &[u8], at: &mut usize, field: &'static str) -> Result<Option<Range<usize>>, BadRecord> {
    let length = varint::read_i32(record, at).ok_or(BadRecord::CutShort)?;
    if length == -1 {
        return Ok(None);
    }
    let bytes = usize::try_from(length).map_err(|_| BadRecord::Field { field, length })?;
    if bytes > record.len() - *at {
        return Err(BadRecord::CutShort);
    }
    let start = *at;
    *at += bytes;
    Ok(Some(start..*at))
}
