//! Media types: those that the gateway knows, and how a request's headers are read. Decides nothing about a request.

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};

/// RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";
/// The v2 dialect, in answers and requests without records.
pub(crate) const V2_JSON: &str = "application/vnd.kafka.v2+json";
/// Every other answer.
pub(crate) const JSON: &str = "application/json";
/// One JSON object a line.
pub(crate) const NDJSON: &str = "application/x-ndjson";
/// What the types of the v2 dialect begin with.
const KAFKA_PREFIX: &str = "application/vnd.kafka.";

/// How keys and values are written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Embedded {
    /// As JSON values.
    Json,
    /// In base64.
    Binary,
    /// As strings of UTF-8.
    Text,
}

impl Embedded {
    /// The v2 media type.
    pub(crate) fn v2_type(self) -> &'static str {
        match self {
            Embedded::Json => "application/vnd.kafka.json.v2+json",
            Embedded::Binary => "application/vnd.kafka.binary.v2+json",
            Embedded::Text => "application/vnd.kafka.text.v2+json",
        }
    }

    fn of_v2_type(essence: &str) -> Option<Embedded> {
        [Embedded::Json, Embedded::Binary, Embedded::Text].into_iter().find(|format| format.v2_type() == essence)
    }
}

/// `type/subtype` without parameters, lower case.
pub(crate) fn essence(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether any of a header's types is of the v2 dialect.
pub(crate) fn is_v2(value: &str) -> bool {
    value.split(',').any(|one| essence(one).starts_with(KAFKA_PREFIX))
}

/// The request's content type, if it names one that is text.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<String> {
    headers.get(CONTENT_TYPE)?.to_str().ok().map(essence)
}

/// What the body of a produce request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ProduceBody {
    /// The v2 dialect.
    Records(Embedded),
    /// The bytes are the value. `json`: they say that they are JSON.
    Raw {
        /// `application/json`.
        json: bool,
    },
    /// 415, and why.
    Refused(String),
}

/// Reads the content type of a produce request.
pub(crate) fn produce_body(headers: &HeaderMap) -> ProduceBody {
    let kind = content_type(headers).unwrap_or_default();
    if let Some(format) = Embedded::of_v2_type(&kind) {
        return ProduceBody::Records(format);
    }
    if let Some(rest) = kind.strip_prefix(KAFKA_PREFIX) {
        let schema = ["avro", "jsonschema", "protobuf"].iter().any(|format| rest.starts_with(format));
        let reason = if schema {
            format!("{kind}: no schema registry is configured")
        } else {
            format!("{kind} is not taken here: json, binary and text are, as {}", Embedded::Json.v2_type())
        };
        return ProduceBody::Refused(reason);
    }
    match kind.as_str() {
        "multipart/form-data" => {
            ProduceBody::Refused("multipart/form-data is not taken: send one record a request".into())
        }
        NDJSON => ProduceBody::Refused("producing application/x-ndjson is not supported yet".into()),
        JSON => ProduceBody::Raw { json: true },
        _ => ProduceBody::Raw { json: false },
    }
}

/// How a fetch answer is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchFormat {
    /// An array of v2 records, with the media type of the answer.
    Records(Embedded, &'static str),
    /// One JSON record a line.
    Lines,
}

/// Reads `Accept` of a fetch: the known type with the highest weight, the first of several; JSON without the header. `None`: 406.
pub(crate) fn fetch_format(headers: &HeaderMap) -> Option<FetchFormat> {
    let mut best: Option<(f32, FetchFormat)> = None;
    let mut said = false;
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for one in values.flat_map(|value| value.split(',')).filter(|one| !one.trim().is_empty()) {
        said = true;
        let weight = weight(one);
        let Some(format) = fetch_format_of(&essence(one)).filter(|_| weight > 0.0) else { continue };
        if best.is_none_or(|(other, _)| weight > other) {
            best = Some((weight, format));
        }
    }
    let otherwise = (!said).then_some(FetchFormat::Records(Embedded::Json, JSON));
    best.map(|(_, format)| format).or(otherwise)
}

fn fetch_format_of(essence: &str) -> Option<FetchFormat> {
    if let Some(format) = Embedded::of_v2_type(essence) {
        return Some(FetchFormat::Records(format, format.v2_type()));
    }
    match essence {
        V2_JSON => Some(FetchFormat::Records(Embedded::Json, V2_JSON)),
        JSON | "*/*" | "application/*" | "text/html" => Some(FetchFormat::Records(Embedded::Json, JSON)),
        NDJSON => Some(FetchFormat::Lines),
        _ => None,
    }
}

fn weight(one: &str) -> f32 {
    let q = one.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("q="));
    q.map_or(1.0, |q| q.trim().parse().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a header value"))])
    }

    #[test]
    fn the_content_type_says_what_a_produced_body_is() {
        use ProduceBody::{Raw, Records};
        let cases = [
            ("application/vnd.kafka.json.v2+json", Some(Records(Embedded::Json))),
            ("Application/VND.kafka.Binary.v2+json; charset=utf-8", Some(Records(Embedded::Binary))),
            ("application/vnd.kafka.text.v2+json", Some(Records(Embedded::Text))),
            ("application/json; charset=utf-8", Some(Raw { json: true })),
            ("text/plain", Some(Raw { json: false })),
            ("application/x-www-form-urlencoded", Some(Raw { json: false })),
            ("image/png", Some(Raw { json: false })),
            ("", Some(Raw { json: false })),
            ("application/vnd.kafka.avro.v2+json", None),
            ("application/vnd.kafka.jsonschema.v2+json", None),
            ("application/vnd.kafka.protobuf.v2+json", None),
            ("application/vnd.kafka.json.v1+json", None),
            ("application/vnd.kafka.v2+json", None),
            ("multipart/form-data; boundary=x", None),
            ("application/x-ndjson", None),
        ];
        for (kind, expect) in cases {
            let got = produce_body(&headers(CONTENT_TYPE, kind));
            match expect {
                Some(expect) => assert_eq!(got, expect, "{kind}"),
                None => assert!(matches!(got, ProduceBody::Refused(_)), "{kind}"),
            }
        }
        assert_eq!(produce_body(&HeaderMap::new()), Raw { json: false });
    }

    #[test]
    fn accept_chooses_the_format_of_a_fetch() {
        let json = Some(FetchFormat::Records(Embedded::Json, JSON));
        let binary = Some(FetchFormat::Records(Embedded::Binary, Embedded::Binary.v2_type()));
        let cases = [
            ("*/*", json),
            ("", json),
            ("application/json", json),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", json),
            ("application/vnd.kafka.binary.v2+json", binary),
            ("application/json;q=0.5, application/vnd.kafka.binary.v2+json", binary),
            ("application/vnd.kafka.v2+json", Some(FetchFormat::Records(Embedded::Json, V2_JSON))),
            ("application/x-ndjson", Some(FetchFormat::Lines)),
            ("image/png", None),
            ("application/vnd.kafka.avro.v2+json", None),
            ("application/json;q=0", None),
        ];
        for (accept, expect) in cases {
            assert_eq!(fetch_format(&headers(ACCEPT, accept)), expect, "{accept}");
        }
        assert_eq!(fetch_format(&HeaderMap::new()), json);
    }
}
