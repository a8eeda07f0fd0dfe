//! Reads request bodies: up to a limit, and over all connections never more than IN of this door has. A step of 64 KiB is
//! admitted before it is read; while it is not, nothing is read and the body's clock stands still. A body keeps its share
//! until the last reference to it is dropped. One that trickles while others wait ends with its connection.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use serde::de::DeserializeOwned;
use sluice_broker::clock::timeout;
use sluice_broker::memory::{DoorBudget, Line, Receipt};
use sluice_broker::refusals::RefusalClass;

use crate::limits::{BODY_PAUSE_MAX, REFUSED_BODY_DRAIN_BYTES_MAX, REFUSED_BODY_DRAIN_TIME_MAX};
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
/// 413 with the limit, 408 when it stops coming, 415 for a content encoding, 400 when the client hung up.
pub(crate) async fn read(
    memory: &DoorBudget,
    line: &Line,
    headers: &HeaderMap,
    body: Body,
    limit: Limit,
) -> Result<Bytes, Problem> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity") {
        return Err(Problem::media(format!("Content-Encoding {encoding:?} is not taken: send the body as it is")));
    }
    // More than the door can ever hold is too large as well.
    let limit = Limit { bytes: limit.bytes.min(memory.input_max()), ..limit };
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
    // Without a length it may become as large as any.
    let receipt = memory.receipt(line, said.unwrap_or(limit.bytes));
    match collect(receipt, line, &mut stream, limit, BODY_PAUSE_MAX).await {
        Err(Unread::TooLarge) => {
            drain(stream).await;
            Err(Problem::too_large(limit.what, limit.bytes))
        }
        Err(Unread::Slow) => Err(slow()),
        Err(Unread::Broken) => Err(Problem::request("the body ended early")),
        Ok(bytes) => Ok(bytes),
    }
}

enum Unread {
    TooLarge,
    Slow,
    Broken,
}

async fn collect(
    mut receipt: Receipt,
    line: &Line,
    stream: &mut BodyDataStream,
    limit: Limit,
    pause: Duration,
) -> Result<Bytes, Unread> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let mut size = 0usize;
    let mut at_peer = None;
    loop {
        // Before the step is asked for; what hyper hands over beyond it, below.
        let step = receipt.step_after(size);
        if !receipt.try_room_for(step) {
            at_peer = None;
            receipt.room_for(step).await;
        }
        at_peer.get_or_insert_with(|| line.at_peer());
        let Some(piece) = timeout(pause, stream.next()).await.map_err(|_| Unread::Slow)? else { break };
        let piece = piece.map_err(|_| Unread::Broken)?;
        size = size.saturating_add(piece.len());
        if size > limit.bytes {
            return Err(Unread::TooLarge);
        }
        if !receipt.try_room_for(size) {
            at_peer = None;
            receipt.room_for(size).await;
        }
        // Most bodies come in one piece, which is not copied.
        if first.is_none() && rest.is_empty() {
            first = Some(piece);
        } else {
            if let Some(first) = first.take() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&piece);
        }
    }
    Ok(receipt.hold(first.unwrap_or_else(|| rest.freeze())))
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
    use sluice_broker::memory::{Budget, MEMORY_BYTES_MIN};

    use super::*;

    const LIMIT: Limit = Limit { bytes: 10, what: "a record" };

    fn budget() -> Budget {
        Budget::new(MEMORY_BYTES_MIN)
    }

    fn held(budget: &Budget) -> usize {
        budget.pools().iter().map(|pool| pool.usage.held).sum()
    }

    fn pieces(pieces: &'static [&'static str]) -> Body {
        Body::from_stream(futures::stream::iter(
            pieces.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from(*piece))),
        ))
    }

    async fn read_of(budget: &Budget, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
        read(budget.http(), &Line::default(), headers, body, LIMIT).await
    }

    #[tokio::test]
    async fn a_body_is_whole_up_to_the_limit_and_refused_above_it() {
        let budget = budget();
        for (body, expect) in
            [(&["12345", "67890"][..], Ok("1234567890")), (&["12345", "678901"], Err(413)), (&[], Ok(""))]
        {
            let got = read_of(&budget, &HeaderMap::new(), pieces(body)).await;
            let got = got.map_err(|problem| problem.status.as_u16());
            assert_eq!(got, expect.map(Bytes::from));
        }
        let problem = read_of(&budget, &HeaderMap::new(), pieces(&["12345678901"])).await.expect_err("too large");
        assert_eq!(problem.extra["limit"], 10);
    }

    #[tokio::test]
    async fn what_the_door_can_never_hold_is_too_large_too() {
        let budget = budget();
        let limit = Limit { bytes: usize::MAX, ..LIMIT };
        let max = budget.http().input_max();
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, (max + 1).into())]);
        let outcome = read(budget.http(), &Line::default(), &headers, pieces(&["1"]), limit).await;
        assert_eq!(outcome.expect_err("too large").extra["limit"], max);
    }

    #[tokio::test]
    async fn what_is_held_is_counted_and_given_back_with_the_last_reference() {
        let budget = budget();
        let body = read_of(&budget, &HeaderMap::new(), pieces(&["12345678"])).await.expect("fits");
        assert!(held(&budget) >= 8);
        let slice = body.slice(1..2);
        drop(body);
        assert!(held(&budget) >= 8);
        drop(slice);
        assert_eq!(held(&budget), 0);
    }

    #[tokio::test]
    async fn an_encoded_body_is_refused() {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, "gzip".parse().expect("a value"))]);
        let problem = read_of(&budget(), &headers, pieces(&["x"])).await.expect_err("refused");
        assert_eq!(problem.status.as_u16(), 415);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_given_up() {
        let first = futures::stream::once(async { Ok::<_, std::io::Error>(Bytes::from("1")) });
        let stuck = Body::from_stream(first.chain(futures::stream::pending()));
        let budget = budget();
        let problem = read_of(&budget, &HeaderMap::new(), stuck).await.expect_err("slow");
        assert_eq!(problem.status.as_u16(), 408);
        assert_eq!(held(&budget), 0, "what had come is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_trickles_is_ended_when_somebody_has_waited_for_a_second_and_not_before() {
        let budget = budget();
        let slow = Line::default();
        let mut uploads: Vec<Receipt> = Vec::new();
        let _at_peer = slow.at_peer();
        // A large body that has taken all that its class may have.
        let mut large = budget.http().receipt(&slow, 8 << 20);
        while large.try_room_for(large.room() + 1) {}
        uploads.push(large);
        let mut second = budget.http().receipt(&slow, 8 << 20);
        second.room_for(1).await;
        uploads.push(second);
        assert!(timeout(Duration::from_secs(3_600), slow.ended()).await.is_err(), "nobody waits: it is left alone");
        let other = Line::default();
        let mut waiter = budget.http().receipt(&other, 8 << 20);
        let waiting = waiter.room_for(1);
        let ended = async {
            slow.ended().await;
            drop(uploads);
        };
        let both = timeout(Duration::from_millis(1_500), futures::future::join(waiting, ended)).await;
        assert!(both.is_ok(), "the slow one is ended, and the one that waits is served");
    }
}
