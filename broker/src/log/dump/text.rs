//! Prints values as Java does, where Rust differs.

use std::borrow::Cow;
use std::fmt;

/// `java.util.OptionalLong`.
pub(super) struct OptionalLong(pub(super) Option<i64>);

impl fmt::Display for OptionalLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "OptionalLong[{number}]"),
            None => f.write_str("OptionalLong.empty"),
        }
    }
}

/// Bytes as `new String(bytes, UTF_8)` reads them: U+FFFD for what is no character. An encoded surrogate, also one
/// that is cut short, is one U+FFFD in Java and one a byte in Rust.
pub(super) fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let surrogate = match rest {
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => 3,
            [0xed, 0xa0..=0xbf, ..] => 2,
            _ => 0,
        };
        let Some(chunk) = rest.utf8_chunks().next() else { break };
        let valid = chunk.valid();
        text.push_str(valid);
        let mut taken = valid.len();
        if valid.is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
            taken = surrogate.max(chunk.invalid().len());
        }
        rest = &rest[taken..];
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_none_is_shown_as_java_shows_it() {
        assert_eq!(utf8("ok é".as_bytes()), "ok é");
        assert_eq!(utf8(b"a\xffb\xc3"), "a\u{fffd}b\u{fffd}");
        assert_eq!(utf8(b"\xed\xa0\x80x"), "\u{fffd}x");
        assert_eq!(utf8(b"\xed\xb0x"), "\u{fffd}x");
        assert_eq!(utf8(b"\xed\x9f\xedx"), "\u{fffd}\u{fffd}x");
        assert_eq!(utf8(b"\xe2\x82"), "\u{fffd}");
    }
}
