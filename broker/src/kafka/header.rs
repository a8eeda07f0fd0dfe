//! The header of a request: which API, which version, whose answer. Parsed by hand, because the codec's parser panics on a frame
//! of one byte and refuses a whole request for a header it could answer (ApiVersions in a version we do not know, KIP-511).

use std::sync::Arc;

use bytes::{Buf, Bytes};
use kafka_protocol::messages::ApiKey;

use super::{bounds, versions};
use crate::limits;

/// A request whose header is parsed and whose body is not.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The API.
    pub(crate) key: ApiKey,
    /// One that `versions::ROWS` has, or, for ApiVersions alone, any.
    pub(crate) version: i16,
    /// Echoed in the answer.
    pub(crate) correlation: i32,
    /// The client's own claim; empty when it makes none.
    pub(crate) client_id: Arc<str>,
    /// Behind the header.
    pub(crate) body: Bytes,
}

/// Why a request cannot be answered at all; the connection is closed, as Kafka does.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    /// Not even a header.
    #[error("a request without a whole header")]
    Short,
    /// An API that is not offered.
    #[error("API key {0} is not offered")]
    UnknownKey(i16),
    /// A version that is not offered.
    #[error("{key:?} version {version} is not offered, {min} to {max} are")]
    UnknownVersion {
        /// The API.
        key: ApiKey,
        /// As asked.
        version: i16,
        /// The lowest that is offered.
        min: i16,
        /// The highest that is offered.
        max: i16,
    },
    /// The client id or a tagged field is broken.
    #[error("the request's header is broken: {0}")]
    Broken(&'static str),
}

/// Parses the header of a frame.
pub(super) fn parse(mut frame: Bytes) -> Result<Request, HeaderError> {
    let short = |_| HeaderError::Short;
    let number = frame.try_get_i16().map_err(short)?;
    let version = frame.try_get_i16().map_err(short)?;
    let correlation = frame.try_get_i32().map_err(short)?;
    let key = ApiKey::try_from(number).map_err(|()| HeaderError::UnknownKey(number))?;
    let row = versions::of(key).ok_or(HeaderError::UnknownKey(number))?;
    if !(row.min..=row.max).contains(&version) {
        if key == ApiKey::ApiVersions {
            // Whatever follows is in a format of the future; the correlation id has always been here.
            return Ok(Request { key, version, correlation, client_id: Arc::default(), body: Bytes::new() });
        }
        return Err(HeaderError::UnknownVersion { key, version, min: row.min, max: row.max });
    }
    // Not compact, even in flexible headers (RequestHeader.json says why: an old broker must be able to parse ApiVersions).
    let length = frame.try_get_i16().map_err(short)?;
    let client_id = match usize::try_from(length) {
        Ok(length) if length > limits::CLIENT_ID_BYTES_MAX => {
            return Err(HeaderError::Broken("the client id is too long"));
        }
        Ok(length) if length <= frame.len() => frame.split_to(length),
        Ok(_) => return Err(HeaderError::Broken("the client id is cut short")),
        Err(_) if length == -1 => Bytes::new(),
        Err(_) => return Err(HeaderError::Broken("the client id has a negative length")),
    };
    let client_id = std::str::from_utf8(&client_id).map_err(|_| HeaderError::Broken("the client id is not UTF-8"))?;
    if versions::flexible(key, version) {
        let mut rest = &frame[..];
        bounds::skip_tags(&mut rest).map_err(|_| HeaderError::Broken("a tagged field is cut short"))?;
        let tags = frame.len() - rest.len();
        frame.advance(tags);
    }
    Ok(Request { key, version, correlation, client_id: client_id.into(), body: frame })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::protocol::{Encodable, StrBytes};

    use super::*;

    #[test]
    fn headers_of_the_codec_parse_in_every_version_of_every_api() {
        for row in versions::ROWS {
            for version in row.min..=row.max {
                let header = RequestHeader::default()
                    .with_request_api_key(row.key as i16)
                    .with_request_api_version(version)
                    .with_correlation_id(7)
                    .with_client_id(Some(StrBytes::from_static_str("me")));
                let mut bytes = BytesMut::new();
                header.encode(&mut bytes, row.key.request_header_version(version)).unwrap();
                bytes.extend_from_slice(b"body");
                let request = parse(bytes.freeze()).unwrap();
                assert_eq!((request.key, request.version, request.correlation), (row.key, version, 7));
                assert_eq!((&*request.client_id, &request.body[..]), ("me", &b"body"[..]));
            }
        }
    }

    #[test]
    fn torn_and_unknown_headers_are_errors_and_never_panics() {
        let whole = b"\0\x03\0\x0c\0\0\0\x01\0\x02me\0";
        assert!(parse(Bytes::from_static(whole)).is_ok());
        for end in 0..whole.len() {
            assert!(parse(Bytes::copy_from_slice(&whole[..end])).is_err(), "{end}");
        }
        assert_eq!(parse(Bytes::from_static(b"\0\x04\0\0\0\0\0\x01\xff\xff")).unwrap_err(), HeaderError::UnknownKey(4));
        assert_eq!(parse(Bytes::from_static(b"\x7f\xff\0\0\0\0\0\x01")).unwrap_err(), HeaderError::UnknownKey(32767));
        assert!(matches!(
            parse(Bytes::from_static(b"\0\0\0\x02\0\0\0\x01\xff\xff")),
            Err(HeaderError::UnknownVersion { key: ApiKey::Produce, version: 2, min: 3, max: 13 })
        ));
        assert!(matches!(parse(Bytes::from_static(b"\0\x03\0\0\0\0\0\x01\xff\xfe")), Err(HeaderError::Broken(_))));
    }

    #[test]
    fn a_client_id_is_as_long_as_any_real_one_and_no_longer() {
        let frame = |bytes: usize| {
            let mut frame = BytesMut::from(&b"\0\x12\0\0\0\0\0\x01"[..]);
            frame.extend_from_slice(&u16::try_from(bytes).unwrap().to_be_bytes());
            frame.extend_from_slice(&vec![b'x'; bytes]);
            parse(frame.freeze())
        };
        assert_eq!(frame(limits::CLIENT_ID_BYTES_MAX).unwrap().client_id.len(), limits::CLIENT_ID_BYTES_MAX);
        assert!(matches!(frame(limits::CLIENT_ID_BYTES_MAX + 1), Err(HeaderError::Broken(_))));
    }

    #[test]
    fn api_versions_of_the_future_keeps_its_correlation_id() {
        let request = parse(Bytes::from_static(b"\0\x12\x01\0\0\0\0\x09whatever")).unwrap();
        assert_eq!((request.version, request.correlation, request.body.len()), (256, 9, 0));
    }
}
