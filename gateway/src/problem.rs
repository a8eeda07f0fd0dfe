//! The one shape of every refusal and failure: a `Problem` is what handlers return, and a layer writes it as the request wants
//! it, as `application/problem+json` (RFC 9457) or in the v2 dialect of Kafka REST proxies. Codes: five digits where that
//! dialect has them, else the HTTP status. `from_door.rs` maps the facts that the door can fail with.

mod from_door;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use sluice_broker::memory::OverBudget;
use sluice_broker::refusals::RefusalClass;

use crate::media::{PROBLEM_JSON, V2_JSON, is_v2};

/// Something that was not done, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// `error_code` of the v2 dialect.
    pub code: u32,
    /// What went wrong with this request, for a person.
    pub detail: String,
    /// Seconds after which a repetition makes sense; always there with 429 and 503.
    pub retry_after: Option<u32>,
    /// Further members of the answer (`limit`, `beginning_offset`, …).
    pub extra: Map<String, Value>,
    /// Set where a limit or a guard refused the request: it is counted and logged with its client.
    pub refusal: Option<RefusalClass>,
}

impl Problem {
    /// A problem with the HTTP status as its code.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem::coded(status, u32::from(status.as_u16()), detail)
    }

    /// A problem with one of the dialect's codes.
    #[must_use]
    pub fn coded(status: StatusCode, code: u32, detail: impl Into<String>) -> Problem {
        let busy = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        let retry_after = busy.then_some(1);
        Problem { status, code, detail: detail.into(), retry_after, extra: Map::new(), refusal: None }
    }

    /// 400 / 40002: the request itself is wrong.
    #[must_use]
    pub fn request(detail: impl Into<String>) -> Problem {
        Problem::coded(StatusCode::BAD_REQUEST, 40002, detail)
    }

    /// 400 / 40002 for a part of the contract that this version does not support yet. It is never ignored.
    #[must_use]
    pub fn not_yet(what: &str) -> Problem {
        Problem::request(format!("{what} is not supported yet"))
    }

    /// 415 for a body of a type that is not accepted.
    #[must_use]
    pub fn media(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// 413 with the limit.
    #[must_use]
    pub fn too_large(what: &str, limit: usize) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("{what} may have at most {limit} bytes"))
            .with("limit", limit)
            .refused(RefusalClass::TooLarge)
    }

    /// 503 / 50003: try again.
    #[must_use]
    pub fn busy(detail: impl Into<String>, retry_after: u32) -> Problem {
        Problem { retry_after: Some(retry_after), ..Problem::coded(StatusCode::SERVICE_UNAVAILABLE, 50003, detail) }
    }

    /// With one more member in the answer.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// The same, to be counted and logged as a refusal.
    #[must_use]
    pub fn refused(self, class: RefusalClass) -> Problem {
        Problem { refusal: Some(class), ..self }
    }

    /// The v2 dialect's `error`: what kind of failure this is, as the HTTP phrase of its status.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    /// The answer's members; `instance` is the path of the request.
    fn body(&self, v2: bool, instance: &str) -> Value {
        let mut body = Map::new();
        if !v2 {
            body.insert("type".into(), "about:blank".into());
            body.insert("title".into(), self.title().into());
            body.insert("status".into(), self.status.as_u16().into());
            body.insert("detail".into(), self.detail.clone().into());
            body.insert("instance".into(), instance.into());
        }
        body.insert("error_code".into(), self.code.into());
        body.insert("message".into(), self.detail.clone().into());
        body.extend(self.extra.clone());
        Value::Object(body)
    }
}

impl From<OverBudget> for Problem {
    /// 503, or 413 where a repetition makes no sense.
    fn from(over: OverBudget) -> Problem {
        if over.forever() {
            let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, over.to_string()).with("limit", over.max);
            return problem.refused(RefusalClass::TooLarge);
        }
        Problem::busy(over.to_string(), 1).refused(RefusalClass::MemoryWork)
    }
}

impl IntoResponse for Problem {
    /// Status and headers; the body comes from `render`, which knows the request.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Unwritten(Box::new(self)));
        response
    }
}

#[derive(Clone)]
struct Unwritten(Box<Problem>);

/// The problem of an answer that is not written yet.
pub(crate) fn unwritten(response: &Response) -> Option<&Problem> {
    response.extensions().get::<Unwritten>().map(|Unwritten(problem)| &**problem)
}

/// Writes problems in the form that the request accepts. Only the counter of requests is further out.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let v2 = wants_v2(request.headers());
    let path = request.uri().path().to_owned();
    let head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    let Some(Unwritten(problem)) = response.extensions_mut().remove::<Unwritten>() else { return response };
    let body = problem.body(v2, &path).to_string();
    let kind = if v2 { V2_JSON } else { PROBLEM_JSON };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = if head { Body::empty() } else { Body::from(body) };
    response
}

/// A v2 type in `Content-Type` or `Accept`.
pub(crate) fn wants_v2(headers: &HeaderMap) -> bool {
    let named = headers.get_all(CONTENT_TYPE).iter().chain(headers.get_all(ACCEPT));
    named.filter_map(|value| value.to_str().ok()).any(is_v2)
}

#[cfg(test)]
mod tests;
