//! Reads request bodies: up to a limit, in bounded time, and over all connections never more than the memory budget has. A
//! body keeps its share of the budget until the last reference to it is dropped.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use serde::de::DeserializeOwned;
use sluice_broker::clock::timeout;
use sluice_broker::memory::{MemoryBudget, Share, hold};
use sluice_broker::refusals::RefusalClass;

use crate::limits::{BODY_PAUSE_MAX, BODY_TIME_MAX, REFUSED_BODY_DRAIN_BYTES_MAX, REFUSED_BODY_DRAIN_TIME_MAX};
use crate::problem::Problem;

/// What may be read, and what it is called in a refusal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) bytes: usize,
    pub(crate) what: &'static str,
}

/// Reads a whole body.
///
/// # Errors
/// 413 with the limit, 408 when it comes too slowly, 415 for a content encoding, 503 when the budget is used up, 400 when the
/// client hung up.
pub(crate) async fn read(
    memory: &MemoryBudget,
    headers: &HeaderMap,
    body: Body,
    limit: Limit,
) -> Result<Bytes, Problem> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        return Err(Problem::media(format!("Content-Encoding {encoding:?} is not taken: send the body as it is")));
    }
    let mut stream = body.into_data_stream();
    let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    // hyper answers `Expect: 100-continue` only when the body is asked for: a polite client is spared the upload.
    if said.is_some_and(|length| length > limit.bytes) {
        if !headers.contains_key(http::header::EXPECT) {
            drain(stream).await;
        }
        return Err(Problem::too_large(limit.what, limit.bytes));
    }
    let slow =
        || Problem::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly").refused(RefusalClass::SlowSender);
    let outcome =
        timeout(BODY_TIME_MAX, collect(memory, &mut stream, limit, BODY_PAUSE_MAX)).await.map_err(|_| slow())?;
    match outcome {
        Err(Unread::TooLarge) => {
            drain(stream).await;
            Err(Problem::too_large(limit.what, limit.bytes))
        }
        Err(Unread::Slow) => Err(slow()),
        Err(Unread::Busy) => {
            Err(Problem::busy("too many bytes of requests are under way", 1).refused(RefusalClass::MemoryIn))
        }
        Err(Unread::Broken) => Err(Problem::request("the body ended early")),
        Ok(bytes) => Ok(bytes),
    }
}

enum Unread {
    TooLarge,
    Slow,
    Busy,
    Broken,
}

async fn collect(
    memory: &MemoryBudget,
    stream: &mut BodyDataStream,
    limit: Limit,
    pause: Duration,
) -> Result<Bytes, Unread> {
    let mut share: Option<Share> = None;
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut size = 0usize;
    while let Some(piece) = timeout(pause, stream.next()).await.map_err(|_| Unread::Slow)? {
        let piece = piece.map_err(|_| Unread::Broken)?;
        size = size.saturating_add(piece.len());
        if size > limit.bytes {
            return Err(Unread::TooLarge);
        }
        let more = memory.try_take(piece.len()).ok_or(Unread::Busy)?;
        match &mut share {
            Some(share) => share.merge(more),
            None => share = Some(more),
        }
        // Most bodies come in one piece, which is not copied.
        if first.is_none() {
            first = Some(piece);
        } else {
            rest.extend_from_slice(&piece);
        }
    }
    let bytes = match first {
        None => Bytes::new(),
        Some(first) if rest.is_empty() => first,
        Some(first) => {
            let mut whole = BytesMut::with_capacity(size);
            whole.extend_from_slice(&first);
            whole.extend_from_slice(&rest);
            whole.freeze()
        }
    };
    Ok(match share {
        Some(share) => hold(bytes, share),
        None => bytes,
    })
}

/// Throws the rest away for a while, so that the refusal is read rather than lost in a connection reset.
async fn drain(mut stream: BodyDataStream) {
    let mut dropped = 0usize;
    let all = async {
        while let Some(Ok(piece)) = stream.next().await {
            dropped = dropped.saturating_add(piece.len());
            if dropped > REFUSED_BODY_DRAIN_BYTES_MAX {
                break;
            }
        }
    };
    // Over time or over bytes: the refusal goes out all the same.
    let _ = timeout(REFUSED_BODY_DRAIN_TIME_MAX, all).await;
}

/// Reads a body that is a JSON document of ours.
pub(crate) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| bad_json(&error))
}

/// 400 / 40002 for what is no JSON, 422 / 42206 for JSON that says something else than it should.
pub(crate) fn bad_json(error: &serde_json::Error) -> Problem {
    if error.is_data() {
        Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, 42206, format!("the body is not as it should be: {error}"))
    } else {
        Problem::request(format!("the body is not JSON: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { bytes: 10, what: "a record" };

    fn pieces(pieces: &'static [&'static str]) -> Body {
        Body::from_stream(futures::stream::iter(
            pieces.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from(*piece))),
        ))
    }

    #[tokio::test]
    async fn a_body_is_whole_up_to_the_limit_and_refused_above_it() {
        let memory = MemoryBudget::new(100);
        for (body, expect) in
            [(&["12345", "67890"][..], Ok("1234567890")), (&["12345", "678901"], Err(413)), (&[], Ok(""))]
        {
            let got = read(&memory, &HeaderMap::new(), pieces(body), LIMIT).await;
            let got = got.map_err(|problem| problem.status.as_u16());
            assert_eq!(got, expect.map(Bytes::from));
        }
        let problem = read(&memory, &HeaderMap::new(), pieces(&["12345678901"]), LIMIT).await.expect_err("too large");
        assert_eq!(problem.extra["limit"], 10);
    }

    #[tokio::test]
    async fn what_is_held_is_bounded_over_all_requests_and_given_back() {
        let memory = MemoryBudget::new(12);
        let first = read(&memory, &HeaderMap::new(), pieces(&["12345678"]), LIMIT).await.expect("fits");
        let second = read(&memory, &HeaderMap::new(), pieces(&["12345"]), LIMIT).await.expect_err("does not fit");
        assert_eq!((second.status.as_u16(), second.retry_after), (503, Some(1)));
        drop(first);
        assert!(read(&memory, &HeaderMap::new(), pieces(&["12345"]), LIMIT).await.is_ok());
        assert_eq!(memory.free(), 12);
    }

    #[tokio::test]
    async fn an_encoded_body_is_refused() {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, "gzip".parse().expect("a value"))]);
        let problem = read(&MemoryBudget::new(100), &headers, pieces(&["x"]), LIMIT).await.expect_err("refused");
        assert_eq!(problem.status.as_u16(), 415);
    }

    #[tokio::test]
    async fn a_body_that_stops_coming_is_given_up() {
        let first = futures::stream::once(async { Ok::<_, std::io::Error>(Bytes::from("1")) });
        let mut stuck = Body::from_stream(first.chain(futures::stream::pending())).into_data_stream();
        let memory = MemoryBudget::new(100);
        let outcome = collect(&memory, &mut stuck, LIMIT, Duration::from_millis(1)).await;
        assert!(matches!(outcome, Err(Unread::Slow)));
        assert_eq!(memory.free(), 100, "what had come is given back");
    }
}
