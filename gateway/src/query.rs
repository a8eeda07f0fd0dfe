//! The query of a request: names in order with their bytes. Each is read once and by its kind. Unknown names are refused:
//! otherwise a mistyped parameter would be ignored.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode;
use sluice_broker::ids::TimestampMs;

use crate::problem::Problem;

/// A parsed query (`application/x-www-form-urlencoded`, values as bytes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, Vec<u8>)>);

impl Query {
    /// Refuses a name that is not UTF-8.
    pub(crate) fn parse(text: &str) -> Result<Query, Problem> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = String::from_utf8(decoded(name))
                .map_err(|_| Problem::request(format!("the query parameter '{name}' is not UTF-8")))?;
            Ok((name, decoded(value)))
        });
        pairs.collect::<Result<_, _>>().map(Query)
    }

    /// Refuses every name that is not one of `known` and does not begin with one of `families`.
    pub(crate) fn only(&self, known: &[&str], families: &[&str]) -> Result<(), Problem> {
        let is_known = |name: &str| known.contains(&name) || families.iter().any(|family| name.starts_with(family));
        match self.0.iter().find(|(name, _)| !is_known(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let known: Vec<String> = known
                    .iter()
                    .map(|name| (*name).to_owned())
                    .chain(families.iter().map(|f| format!("{f}…")))
                    .collect();
                Err(Problem::request(format!(
                    "there is no query parameter '{name}' here; these are known: {}",
                    known.join(", ")
                )))
            }
        }
    }

    /// All pairs, in order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The value of a parameter that may stand once.
    pub(crate) fn bytes(&self, name: &str) -> Result<Option<&[u8]>, Problem> {
        let mut values = self.0.iter().filter(|(given, _)| given == name);
        let first = values.next();
        match values.next() {
            Some(_) => Err(Problem::request(format!("the query parameter '{name}' stands twice"))),
            None => Ok(first.map(|(_, value)| value.as_slice())),
        }
    }

    /// As text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let not_text = |_| Problem::request(format!("the query parameter '{name}' is not UTF-8"));
        self.bytes(name)?.map(std::str::from_utf8).transpose().map_err(not_text)
    }

    /// As a number of the type asked for.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let bad = |_| Problem::request(format!("the query parameter '{name}' is not a number in its range: '{text}'"));
        text.parse().map(Some).map_err(bad)
    }

    /// `true` or `false`; the bare name is `true`.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name)? {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(other) => Err(Problem::request(format!("{name} is true or false, not '{other}'"))),
        }
    }

    /// A time: milliseconds since the epoch, or RFC 3339.
    pub(crate) fn time(&self, name: &str) -> Result<Option<TimestampMs>, Problem> {
        self.text(name)?.map(|text| parse_time(name, text)).transpose()
    }
}

/// Milliseconds since the epoch, or RFC 3339; never before the epoch.
pub(crate) fn parse_time(name: &str, text: &str) -> Result<TimestampMs, Problem> {
    // In a query, '+' of a time zone arrives as a space.
    let ms = match text.parse::<i64>() {
        Ok(ms) => Some(ms),
        Err(_) => text.replace(' ', "+").parse::<jiff::Timestamp>().ok().map(|at| at.as_millisecond()),
    };
    match ms {
        Some(ms) if ms >= 0 => Ok(TimestampMs(ms)),
        _ => Err(Problem::request(format!("{name}: '{text}' is neither milliseconds since 1970 nor RFC 3339"))),
    }
}

fn decoded(text: &str) -> Vec<u8> {
    let spaced: Vec<u8> = text.bytes().map(|c| if c == b'+' { b' ' } else { c }).collect();
    percent_decode(&spaced).collect()
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query, Problem> {
        Query::parse(parts.uri.query().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bytes_in_order() {
        let query = Query::parse("header.b=1&header.a=%00%ff&header.b=x+y%2B&flag&&empty=").expect("a query");
        let pairs: Vec<(&str, &[u8])> = query.pairs().collect();
        let expect: Vec<(&str, &[u8])> =
            vec![("header.b", b"1"), ("header.a", b"\x00\xff"), ("header.b", b"x y+"), ("flag", b""), ("empty", b"")];
        assert_eq!(pairs, expect);
    }

    #[test]
    fn a_parameter_that_may_stand_once_may_not_stand_twice() {
        let query = Query::parse("key=a&key=b&n=1").expect("a query");
        assert!(query.bytes("key").is_err());
        assert_eq!(query.number::<i32>("n"), Ok(Some(1)));
        assert_eq!(query.number::<i32>("m"), Ok(None));
    }

    #[test]
    fn numbers_flags_and_times_are_checked() {
        let query = Query::parse("n=x&big=99999999999&f=maybe&g&h=true&i=false&t=%ff").expect("a query");
        assert!(query.number::<i64>("n").is_err());
        assert!(query.number::<i32>("big").is_err());
        assert!(query.flag("f").is_err());
        assert_eq!(
            [query.flag("g"), query.flag("h"), query.flag("i"), query.flag("j")],
            [Ok(true), Ok(true), Ok(false), Ok(false)]
        );
        assert!(query.text("t").is_err());
        let times = [
            ("0", Some(0)),
            ("1700000000123", Some(1_700_000_000_123)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000_000)),
            ("2023-11-15T00:13:20+02:00", Some(1_700_000_000_000)),
            ("2023-11-15T00:13:20 02:00", Some(1_700_000_000_000)),
            ("-1", None),
            ("yesterday", None),
            ("1960-01-01T00:00:00Z", None),
        ];
        for (text, expect) in times {
            assert_eq!(parse_time("t", text).ok(), expect.map(TimestampMs), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_are_known() {
        let query = Query::parse("key=1&hedaer.a=2").expect("a query");
        let problem = query.only(&["key"], &["header."]).expect_err("refused");
        assert!(problem.detail.contains("hedaer.a") && problem.detail.contains("key, header.…"), "{}", problem.detail);
        assert_eq!(query.only(&["key", "hedaer.a"], &[]), Ok(()));
    }
}
