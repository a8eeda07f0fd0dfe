//! Fetch: records of one partition from a position on, with long poll, and where a partition begins and ends.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sluice_broker::door::DoorError;
use sluice_broker::door::reading::{PartitionRead, ReadFrom, ReadPartition, ReadRequest, Unreadable};
use sluice_broker::door::topics::TopicRef;
use sluice_broker::ids::{Offset, PartitionId};
use sluice_broker::memory::WorkPermit;

use super::{answer, with_body};
use crate::answers::Building;
use crate::app::{App, Caller, Segments};
use crate::formats::fetched;
use crate::limits::{FETCH_BYTES_DEFAULT, FETCH_BYTES_MAX, FETCH_RECORDS_DEFAULT, FETCH_RECORDS_MAX, POLL_TIME_MAX};
use crate::media::{FetchFormat, NDJSON, fetch_format};
use crate::problem::Problem;
use crate::query::{Query, parse_time};
use crate::schemas::{FetchedRecord, PartitionOffsets, ProblemDocument};

const PARAMETERS: [&str; 6] = ["offset", "count", "max_bytes", "timeout", "clamp", "isolation"];
/// The offset to continue at, also after an empty answer or a hole in the log.
const NEXT_OFFSET: HeaderName = HeaderName::from_static("sluice-next-offset");
/// The high watermark.
const END_OFFSET: HeaderName = HeaderName::from_static("sluice-end-offset");

/// What a fetch asks for.
#[derive(Debug)]
struct Fetch {
    topic: String,
    partition: PartitionId,
    from: ReadFrom,
    records_max: usize,
    bytes_max: usize,
    timeout: Duration,
}

/// Read records of a partition.
///
/// `Accept` chooses how keys and values stand: JSON (default), base64 or text, or one JSON record a line. The header
/// Sluice-Next-Offset says where to go on.
#[utoipa::path(
    get, path = "/topics/{topic}/partitions/{partition}/records", tag = "records", operation_id = "fetchRecords",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("partition" = i32, Path, description = "The partition"),
        ("offset" = Option<String>, Query, description = "An offset, `earliest` (default), `latest`, or `time:` with RFC 3339 or milliseconds"),
        ("count" = Option<usize>, Query, description = "The most records of an answer: 500 unless given, at most 10,000"),
        ("max_bytes" = Option<usize>, Query, description = "The bytes of an answer, approximately: 1 MiB unless given, at most 8 MiB; the first record is sent even if it is larger"),
        ("timeout" = Option<u64>, Query, description = "How long to wait for the first record, in ms: 0 unless given, at most 60,000"),
        ("clamp" = Option<bool>, Query, description = "Out of range: start at the nearest offset there is"),
        ("isolation" = Option<String>, Query, description = "read_committed (default) or read_uncommitted"),
    ),
    responses(
        (status = 200, description = "Records, none if there are none", content(
            (Vec<FetchedRecord> = "application/json"),
            (Vec<FetchedRecord> = "application/vnd.kafka.json.v2+json"),
            (Vec<FetchedRecord> = "application/vnd.kafka.binary.v2+json"),
            (Vec<FetchedRecord> = "application/vnd.kafka.text.v2+json"),
            (FetchedRecord = "application/x-ndjson"),
        )),
        (status = 304, description = "If-None-Match has this answer's ETag"),
        (status = 404, description = "No such topic or partition", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 406, description = "No format of ours", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 416, description = "Out of range, with beginning_offset and end_offset", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn records(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments((topic, partition)): Segments<(String, i32)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&PARAMETERS, &[])?;
    if let Some(other) =
        query.text("isolation")?.filter(|level| !["read_committed", "read_uncommitted"].contains(level))
    {
        return Err(Problem::request(format!("isolation is read_committed or read_uncommitted, not '{other}'")));
    }
    let format = fetch_format(&headers).ok_or_else(|| {
        let detail = "records are to be had as application/json, application/x-ndjson and application/vnd.kafka.{json,binary,text}.v2+json";
        Problem::coded(StatusCode::NOT_ACCEPTABLE, 40601, detail)
    })?;
    let fetch = Fetch::parse(topic, PartitionId(partition), &query)?;
    let (fetch, answer) = tokio::select! {
        answer = read(&app, &caller, fetch, query.flag("clamp")?) => answer?,
        () = app.stopping.cancelled() => return Err(DoorError::Stopping.into()),
    };
    respond(&app, &headers, &fetch, answer, format)
}

/// The ends of a partition, and with a time the first record at or after it.
#[utoipa::path(
    get, path = "/topics/{topic}/partitions/{partition}/offsets", tag = "records", operation_id = "partitionOffsets",
    params(
        ("topic" = String, Path, description = "The topic"),
        ("partition" = i32, Path, description = "The partition"),
        ("timestamp" = Option<String>, Query, description = "Milliseconds since the epoch or RFC 3339"),
    ),
    responses(
        (status = 200, description = "Its offsets", body = PartitionOffsets),
        (status = 404, description = "No such topic or partition", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn offsets(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments((topic, partition)): Segments<(String, i32)>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.only(&["timestamp"], &[])?;
    let (topic, partition) = (TopicRef::name(&topic), PartitionId(partition));
    let at = query.time("timestamp")?;
    let offsets = app.door.offsets(&caller.0, &topic, partition).await?;
    let offset_for_timestamp = match at {
        None => None,
        Some(at) => Some(app.door.offset_for_time(&caller.0, &topic, partition, at).await?.map(|offset| offset.0)),
    };
    let body = PartitionOffsets {
        beginning_offset: offsets.beginning.0,
        end_offset: offsets.end.0,
        last_stable_offset: offsets.last_stable.0,
        offset_for_timestamp,
    };
    answer(&headers, StatusCode::OK, &body)
}

impl Fetch {
    fn parse(topic: String, partition: PartitionId, query: &Query) -> Result<Fetch, Problem> {
        let from = match query.text("offset")? {
            None | Some("earliest") => ReadFrom::Earliest,
            Some("latest") => ReadFrom::Latest,
            Some(text) => match (text.strip_prefix("time:"), text.parse::<i64>()) {
                (Some(time), _) => ReadFrom::Time(parse_time("offset", time)?),
                (None, Ok(offset)) if offset >= 0 => ReadFrom::At(Offset(offset)),
                (None, _) => {
                    let detail = format!("offset is a number from 0, earliest, latest or time:…, not '{text}'");
                    return Err(Problem::request(detail));
                }
            },
        };
        let count = query.number("count")?.unwrap_or(FETCH_RECORDS_DEFAULT);
        if count == 0 {
            return Err(Problem::request("count is at least 1"));
        }
        let timeout = Duration::from_millis(query.number("timeout")?.unwrap_or(0));
        Ok(Fetch {
            topic,
            partition,
            from,
            records_max: count.min(FETCH_RECORDS_MAX),
            bytes_max: query.number("max_bytes")?.unwrap_or(FETCH_BYTES_DEFAULT).min(FETCH_BYTES_MAX),
            timeout: timeout.min(POLL_TIME_MAX),
        })
    }

    async fn read(&self, app: &App, caller: &Caller) -> Result<PartitionRead, DoorError> {
        let part = ReadPartition { topic: TopicRef::name(&self.topic), partition: self.partition, from: self.from };
        let request = ReadRequest {
            partitions: vec![part],
            records_max: self.records_max,
            // An answer shrinks to what there is for it: base64 makes four bytes of three.
            bytes_max: self.bytes_max.min(app.memory.output_share() / 4 * 3),
            timeout: self.timeout,
        };
        let outcome = app.door.read(&caller.0, &request).await.pop();
        outcome.unwrap_or_else(|| Err(DoorError::Internal { what: "a read had no outcome for its partition".into() }))
    }
}

/// Reads; with `clamp` again from the nearest offset when the requested one is out of range.
async fn read(app: &App, caller: &Caller, mut fetch: Fetch, clamp: bool) -> Result<(Fetch, PartitionRead), Problem> {
    let first = fetch.read(app, caller).await;
    let Some(nearest) = first.as_ref().err().filter(|_| clamp).and_then(nearest) else {
        return Ok((fetch, first?));
    };
    fetch.from = ReadFrom::At(nearest);
    let again = fetch.read(app, caller).await?;
    Ok((fetch, again))
}

fn nearest(error: &DoorError) -> Option<Offset> {
    match error {
        DoorError::OffsetOutOfRange { asked, beginning, end } => Some((*asked).clamp(*beginning, *end)),
        _ => None,
    }
}

fn respond(
    app: &App,
    headers: &HeaderMap,
    fetch: &Fetch,
    mut answer: PartitionRead,
    format: FetchFormat,
) -> Result<Response, Problem> {
    let kind = match format {
        FetchFormat::Records(_, kind) => kind,
        FetchFormat::Lines => NDJSON,
    };
    let mut tag = entity_tag(fetch, &answer, kind);
    let known = tag.as_ref().is_some_and(|tag| headers.get(IF_NONE_MATCH).is_some_and(|given| names(given, tag)));
    let mut response = if known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let (body, permit, shortened) = compose(app, fetch, &mut answer, format)?;
        tag = tag.filter(|_| !shortened);
        let mut response = with_body(StatusCode::OK, kind, body);
        response.extensions_mut().insert(Building::new(permit));
        response
    };
    let head = response.headers_mut();
    head.insert(NEXT_OFFSET, answer.next.0.into());
    head.insert(END_OFFSET, answer.offsets.end.0.into());
    head.insert(VARY, ACCEPT.into());
    // A cache must ask again: retention may have removed the range, or the topic may have been recreated.
    let cache = if tag.is_some() { "private, no-cache" } else { "no-store" };
    head.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Some(tag) = tag.and_then(|tag| HeaderValue::try_from(tag).ok()) {
        head.insert(ETAG, tag);
    }
    Ok(response)
}

/// The answer's body, as much of it as there may ever be memory for: records and body together, until it is written.
fn compose(
    app: &App,
    fetch: &Fetch,
    answer: &mut PartitionRead,
    format: FetchFormat,
) -> Result<(Vec<u8>, WorkPermit, bool), Problem> {
    // From here on the records count with the body.
    answer.held = None;
    let mut shortened = false;
    loop {
        let entries = (&answer.records[..], &answer.unreadable[..]);
        let size = fetched::size(&fetch.topic, entries, format);
        match app.memory.work("an answer", size.saturating_mul(2)) {
            Ok(mut permit) => {
                let body = fetched::write(&fetch.topic, fetch.partition, entries, format, size);
                answer.records = Vec::new();
                // Where the smaller class has no room just now, more is held than is needed.
                let _ = permit.resize(body.capacity());
                return Ok((body, permit, shortened));
            }
            // A reader that repeats the request would never get past it.
            Err(over) if over.forever() && shorten(answer, size) => shortened = true,
            Err(over) => return Err(over.into()),
        }
    }
}

/// Leaves half of the records, else of what is told, to the next read; a single record is told in its place. `false`: there is
/// no less.
fn shorten(answer: &mut PartitionRead, size: usize) -> bool {
    let keep = answer.records.len() / 2;
    let Some(first) = answer.records.get(keep).map(|record| record.offset) else {
        let keep = answer.unreadable.len() / 2;
        let Some(first) = answer.unreadable.get(keep).map(|told| told.offset).filter(|_| keep > 0) else {
            return false;
        };
        answer.unreadable.truncate(keep);
        answer.next = first;
        return true;
    };
    answer.records.truncate(keep);
    if keep > 0 {
        answer.unreadable.retain(|told| told.offset < first);
        answer.next = first;
    } else {
        let reason = format!("the record takes {size} bytes in an answer, more than memory_max_bytes leaves for one");
        let at = answer.unreadable.partition_point(|told| told.offset < first);
        answer.unreadable.insert(at, Unreadable { offset: first, next: first.next(), reason });
    }
    true
}

/// Only a full range has one: from a given offset, and ended by `count` or `max_bytes`, not by the end of the log. Records
/// below the high watermark never change, so the first and the last record identify an answer, with their times in case the
/// topic was recreated.
fn entity_tag(fetch: &Fetch, answer: &PartitionRead, kind: &str) -> Option<String> {
    let ReadFrom::At(from) = fetch.from else { return None };
    let (first, last) = (answer.records.first()?, answer.records.last()?);
    // Another memory limit may make it readable.
    if !answer.unreadable.is_empty() {
        return None;
    }
    if answer.records.len() < fetch.records_max && answer.next >= answer.offsets.end {
        return None;
    }
    let format = kind.trim_start_matches("application/").trim_start_matches("vnd.kafka.");
    let times = format!("{:x}.{:x}", first.timestamp.0, last.timestamp.0);
    Some(format!("\"{from}-{}-{}-{times}-{format}\"", last.offset, answer.records.len()))
}

fn names(given: &HeaderValue, tag: &str) -> bool {
    let Ok(given) = given.to_str() else { return false };
    given.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests;
