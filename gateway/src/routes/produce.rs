//! Produce: one raw record, or the v2 dialect's list of them. The content type decides which; the query and request headers
//! say the rest. Answers come after the sync unless acks=0 was asked for.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use sluice_broker::door::messages::{Acks, Compression, Message, Placed, ProduceRequest};
use sluice_broker::ids::{Offset, PartitionId};
use sluice_broker::memory::Line;

use super::{answer, nothing};
use crate::app::{App, Caller, Segments};
use crate::body::{self, Limit};
use crate::formats::{check_size, cost, raw, v2};
use crate::media::{ProduceBody, produce_body};
use crate::problem::Problem;
use crate::query::Query;
use crate::schemas::{self, ProblemDocument, ProduceAnswer, ProducedPlace};

/// Parameters of every produce request, beside those of a raw record.
const PARAMETERS: [&str; 5] = ["partition", "acks", "async", "compression", "expected_offset"];
/// Parameters and headers of the contract that this version does not support: refused, never ignored.
const LATER_PARAMETERS: [&str; 2] = ["delay", "deliver_at"];
const LATER_HEADERS: [&str; 4] = ["idempotency-key", "producer-id", "producer-epoch", "producer-seq"];

/// Write to a topic; the partitioner bound to it, or the key, chooses the partition.
///
/// With a v2 media type the body is a list of records. With any other the body, byte for byte, is the value of one record.
#[utoipa::path(
    post, path = "/topics/{topic}", tag = "records", operation_id = "produceToTopic",
    params(
        ("topic" = String, Path, description = "Made on the fly where the broker creates topics automatically"),
        ("key" = Option<String>, Query, description = "Raw: the record's key (or `key.base64`, or the header Kafka-Key)"),
        ("key.base64" = Option<String>, Query, description = "Raw: the record's key in base64"),
        ("partition" = Option<i32>, Query, description = "The partition to write to"),
        ("timestamp" = Option<String>, Query, description = "Raw: milliseconds since the epoch or RFC 3339"),
        ("header.NAME" = Option<String>, Query, description = "Raw: a record header; `header.base64.NAME` in base64; repeatable, order kept (or the headers Kafka-Header-NAME)"),
        ("tombstone" = Option<bool>, Query, description = "Raw: a null value; the body must be empty"),
        ("raw" = Option<bool>, Query, description = "Store a JSON document even if it looks like a v2 request"),
        ("acks" = Option<String>, Query, description = "`all` or `1`: answered after the sync (default); `0`: 204 at once"),
        ("async" = Option<bool>, Query, description = "As `acks=0`"),
        ("expected_offset" = Option<i64>, Query, description = "Write only if the partition, which must be named, ends there"),
        ("compression" = Option<String>, Query, description = "none, gzip, snappy, lz4 or zstd"),
        ("Kafka-Key" = Option<String>, Header, description = "Raw: the record's key, where a URL would be logged"),
    ),
    request_body(
        description = "One record's value, or a v2 list of records",
        content(
            (String = "text/plain", example = "hello"),
            (serde_json::Value = "application/json"),
            (String = "application/octet-stream"),
            (schemas::ProduceRequest = "application/vnd.kafka.json.v2+json"),
            (schemas::ProduceRequest = "application/vnd.kafka.binary.v2+json"),
            (schemas::ProduceRequest = "application/vnd.kafka.text.v2+json"),
        )
    ),
    responses(
        (status = 200, description = "At least one record was written; failed ones say so in their place", body = ProduceAnswer),
        (status = 204, description = "acks=0: taken, not yet durable"),
        (status = 404, description = "No such topic or partition", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 412, description = "The partition does not end at expected_offset; end_offset says where it does", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "A record over 1 MiB or a request over 10 MiB", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 415, description = "A media type that is not taken", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "Records that are not as the media type says, or that a plugin refused", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "Not now; Retry-After says when", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn to_topic(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(topic): Segments<String>,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    produce(app, caller, topic, None, query, headers, body).await
}

/// Write to one partition of a topic.
#[utoipa::path(
    post, path = "/topics/{topic}/partitions/{partition}", tag = "records", operation_id = "produceToPartition",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("partition" = i32, Path, description = "The partition"),
    ),
    request_body(
        description = "As `POST /topics/{topic}`, with the same parameters",
        content(
            (String = "text/plain", example = "hello"),
            (schemas::ProduceRequest = "application/vnd.kafka.json.v2+json"),
        )
    ),
    responses(
        (status = 200, description = "At least one record was written; failed ones say so in their place", body = ProduceAnswer),
        (status = 204, description = "acks=0: taken, not yet durable"),
        (status = "4XX", description = "As `POST /topics/{topic}`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn to_partition(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments((topic, partition)): Segments<(String, i32)>,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    produce(app, caller, topic, Some(PartitionId(partition)), query, headers, body).await
}

async fn produce(
    app: Arc<App>,
    caller: Caller,
    topic: String,
    in_path: Option<PartitionId>,
    query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    refuse_later_features(&query, &headers)?;
    let (acks, compression) = (acks(&query)?, compression(&query)?);
    let chosen = one_partition(in_path, query.number("partition")?.map(PartitionId), "the path and ?partition")?;
    let expected_offset = expected_offset(&query, chosen)?;
    let kind = produce_body(&headers);
    let raw = matches!(kind, ProduceBody::Raw { .. });
    let (messages, held) = match kind {
        ProduceBody::Refused(reason) => return Err(Problem::media(reason)),
        ProduceBody::Raw { json } => raw_message(&app, &caller.1, &query, &headers, (body, json), chosen).await?,
        ProduceBody::Records(format) => {
            query.only(&PARAMETERS, &[])?;
            let limit = Limit { bytes: app.config.request_bytes_max, what: "a request" };
            let held = body::read(&app.memory, &caller.1, &headers, body, limit).await?;
            let read = v2::messages(&held, format)?;
            let place = |(named, message)| {
                check_size(&message, app.config.record_bytes_max)?;
                Ok((one_partition(chosen, named, "the request and a record")?, message))
            };
            (read.into_iter().map(place).collect::<Result<_, Problem>>()?, held)
        }
    };
    // A raw record is its body, which is counted already.
    let decoded = if raw { 0 } else { messages.iter().map(|(_, message)| cost(message)).sum() };
    let decoded = app.memory.work("a decoded request", decoded)?;
    let request = ProduceRequest { topic, messages, acks, compression, expected_offset };
    let door = app.door.clone();
    let outcome = app
        .finish(async move {
            let outcome = door.produce(&caller.0, request).await;
            // Messages may be copies of the body: they count while they exist.
            drop((held, decoded));
            Ok(outcome?)
        })
        .await?;
    let placed: Vec<Result<Placed, Problem>> = outcome.into_iter().map(|one| one.map_err(Problem::from)).collect();
    if acks == Acks::None && placed.iter().all(Result::is_ok) {
        return Ok(nothing());
    }
    written(&headers, placed, raw)
}

async fn raw_message(
    app: &App,
    line: &Line,
    query: &Query,
    headers: &HeaderMap,
    (body, json): (Body, bool),
    chosen: Option<PartitionId>,
) -> Result<(Vec<(Option<PartitionId>, Message)>, Bytes), Problem> {
    let known: Vec<&str> = raw::PARAMETERS.iter().chain(&PARAMETERS).copied().collect();
    query.only(&known, &[raw::HEADER_FAMILY])?;
    let limit = Limit { bytes: app.config.record_bytes_max, what: "a record" };
    let held = body::read(&app.memory, line, headers, body, limit).await?;
    let message = raw::message(query, headers, held.clone(), json)?;
    check_size(&message, app.config.record_bytes_max)?;
    Ok((vec![(chosen, message)], held))
}

/// 200 when at least one record stands, else the first failure's status.
fn written(headers: &HeaderMap, placed: Vec<Result<Placed, Problem>>, raw: bool) -> Result<Response, Problem> {
    let any = placed.iter().any(Result::is_ok);
    let first = placed.iter().find_map(|one| one.as_ref().err()).filter(|_| !any).cloned();
    if let Some(problem) = first.as_ref().filter(|_| raw) {
        return Err(problem.clone());
    }
    let offsets = placed.into_iter().map(|one| match one {
        Ok(placed) => ProducedPlace {
            partition: Some(placed.partition.0),
            offset: Some(placed.offset.0),
            error_code: None,
            error: None,
            message: None,
        },
        Err(problem) => ProducedPlace {
            partition: None,
            offset: None,
            error_code: Some(problem.code),
            error: Some(problem.title().to_owned()),
            message: Some(problem.detail),
        },
    });
    let body = ProduceAnswer {
        offsets: offsets.collect(),
        key_schema_id: None,
        value_schema_id: None,
        error_code: first.as_ref().map(|problem| problem.code),
        message: first.as_ref().map(|problem| problem.detail.clone()),
    };
    let mut response = answer(headers, first.as_ref().map_or(StatusCode::OK, |problem| problem.status), &body)?;
    if let Some(seconds) = first.and_then(|problem| problem.retry_after) {
        response.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

fn refuse_later_features(query: &Query, headers: &HeaderMap) -> Result<(), Problem> {
    if let Some(name) = LATER_HEADERS.into_iter().find(|name| headers.contains_key(*name)) {
        return Err(Problem::not_yet(&format!("the header {name}")));
    }
    match query.pairs().find(|(name, _)| LATER_PARAMETERS.contains(name)) {
        Some((name, _)) => Err(Problem::not_yet(&format!("?{name}="))),
        None => Ok(()),
    }
}

fn acks(query: &Query) -> Result<Acks, Problem> {
    let acks = match query.text("acks")? {
        None | Some("all" | "-1" | "1") => Acks::Durable,
        Some("0") => Acks::None,
        Some(other) => return Err(Problem::request(format!("acks is all, 1 or 0, not '{other}'"))),
    };
    Ok(if query.flag("async")? { Acks::None } else { acks })
}

/// A conditional append is to one partition, which the request names.
fn expected_offset(query: &Query, partition: Option<PartitionId>) -> Result<Option<Offset>, Problem> {
    match query.number::<i64>("expected_offset")? {
        Some(offset) if offset < 0 => Err(Problem::request("expected_offset is negative")),
        Some(_) if partition.is_none() => {
            Err(Problem::request("expected_offset needs a partition: in the path, or as ?partition="))
        }
        expected => Ok(expected.map(Offset)),
    }
}

fn compression(query: &Query) -> Result<Compression, Problem> {
    Ok(match query.text("compression")? {
        None | Some("none") => Compression::None,
        Some("gzip") => Compression::Gzip,
        Some("snappy") => Compression::Snappy,
        Some("lz4") => Compression::Lz4,
        Some("zstd") => Compression::Zstd,
        Some(other) => {
            return Err(Problem::request(format!("compression is none, gzip, snappy, lz4 or zstd, not '{other}'")));
        }
    })
}

fn one_partition(
    outer: Option<PartitionId>,
    inner: Option<PartitionId>,
    who: &str,
) -> Result<Option<PartitionId>, Problem> {
    match (outer, inner) {
        (Some(outer), Some(inner)) if outer != inner => {
            Err(Problem::request(format!("{who} name different partitions, {outer} and {inner}")))
        }
        (Some(one), _) | (None, Some(one)) if one.0 < 0 => {
            Err(Problem::request(format!("a partition has no negative number, as {one}")))
        }
        (outer, inner) => Ok(outer.or(inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).expect("a query")
    }

    #[test]
    fn acks_are_all_1_or_0() {
        for (text, expect) in [
            ("", Some(Acks::Durable)),
            ("acks=all", Some(Acks::Durable)),
            ("acks=1", Some(Acks::Durable)),
            ("acks=0", Some(Acks::None)),
            ("async=true", Some(Acks::None)),
            ("async=false", Some(Acks::Durable)),
            ("acks=2", None),
        ] {
            assert_eq!(acks(&query(text)).ok(), expect, "{text}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_refused_and_never_ignored() {
        for text in ["delay=5s", "deliver_at=1"] {
            let problem = refuse_later_features(&query(text), &HeaderMap::new()).expect_err(text);
            assert!(problem.status == 400 && problem.detail.contains("not supported yet"), "{}", problem.detail);
        }
        for name in LATER_HEADERS {
            let headers = HeaderMap::from_iter([(http::HeaderName::from_static(name), "x".parse().expect("a value"))]);
            assert!(refuse_later_features(&query(""), &headers).is_err(), "{name}");
        }
    }

    #[test]
    fn a_conditional_append_names_its_partition() {
        let one = Some(PartitionId(0));
        assert_eq!(expected_offset(&query("expected_offset=3"), one), Ok(Some(Offset(3))));
        assert_eq!(expected_offset(&query(""), None), Ok(None));
        assert!(expected_offset(&query("expected_offset=3"), None).is_err());
        assert!(expected_offset(&query("expected_offset=-3"), one).is_err());
    }

    #[test]
    fn partitions_named_twice_must_agree() {
        let p = |n| Some(PartitionId(n));
        assert_eq!(one_partition(p(1), None, "x"), Ok(p(1)));
        assert_eq!(one_partition(None, p(1), "x"), Ok(p(1)));
        assert_eq!(one_partition(p(1), p(1), "x"), Ok(p(1)));
        assert_eq!(one_partition(None, None, "x"), Ok(None));
        assert!(one_partition(p(1), p(2), "x").is_err());
        assert!(one_partition(p(-1), None, "x").is_err());
        assert!(one_partition(None, p(-1), "x").is_err());
    }

    #[test]
    fn a_failed_record_stands_in_its_place_and_all_failed_is_the_first_failures_status() {
        let ok = || Ok(Placed { partition: PartitionId(0), offset: sluice_broker::ids::Offset(3) });
        let bad = |status| Err(Problem::new(status, "no"));
        let half = written(&HeaderMap::new(), vec![bad(StatusCode::NOT_FOUND), ok()], false).expect("an answer");
        assert_eq!(half.status(), 200);
        let none = vec![bad(StatusCode::UNPROCESSABLE_ENTITY), bad(StatusCode::NOT_FOUND)];
        assert_eq!(written(&HeaderMap::new(), none, false).expect("an answer").status(), 422);
        let raw = written(&HeaderMap::new(), vec![bad(StatusCode::NOT_FOUND)], true);
        assert_eq!(raw.expect_err("a problem").status, 404);
    }
}
