//! Base64. Both alphabets are read, padded or not; the standard one is written, padded.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `None` for a text that is not base64.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let standard: Vec<u8> = text
        .iter()
        .map(|c| match c {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    LENIENT.decode(standard).ok()
}

/// Appends the text form to a JSON string that is being written.
pub(crate) fn encode_into(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(LENIENT.encode(bytes).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_are_read_with_and_without_padding() {
        for (text, bytes) in
            [("_-8", &b"\xff\xef"[..]), ("/+8=", b"\xff\xef"), ("", b""), ("AA", b"\0"), ("AA==", b"\0")]
        {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(bytes), "{text}");
        }
        for text in ["A", "A A=", "AA==AA", "ä", "=", "!!!!"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
