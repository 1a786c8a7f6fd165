//! Around every request: an id, a span, a time limit, counting, panics that stay inside, and which other pages may call.

use super::error::Problem;
use super::{Rest, page};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LINK, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tower_http::cors::CorsLayer;
use tracing::Instrument;

/// Under which a request is known in the logs of both sides.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is taken over from a caller, in bytes.
const MAX_REQUEST_ID: usize = 128;
/// How long a request may take.
const MAX_DURATION: Duration = Duration::from_secs(30);
/// How long a browser may remember that a page may call.
const PREFLIGHT: Duration = Duration::from_secs(3600);

pub(super) async fn frame(State(rest): State<Rest>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let method = request.method().clone();
    let route = match request.extensions().get::<MatchedPath>() {
        Some(route) => route.as_str().to_owned(),
        None => "unknown".to_owned(),
    };
    // The path without its query: queries may hold what logs must not.
    let span = tracing::debug_span!("request", %method, url.path = request.uri().path(), request.id = ?id);
    let started = Instant::now();
    let mut response = answer(request, next).instrument(span.clone()).await;
    rest.counts
        .answered(&method, &route, response.status(), started.elapsed());
    let _entered = span.enter();
    tracing::debug!(status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets pages of these origins call, with the cookie of whoever looks at them. Browsers ask before they let them.
pub(super) fn shared_with(origins: &[HeaderValue]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, REQUEST_ID])
        .expose_headers([LINK, page::TOTAL, REQUEST_ID, RETRY_AFTER])
        .max_age(PREFLIGHT)
}

async fn answer(request: Request, next: Next) -> Response {
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(MAX_DURATION, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            tracing::error!("a request panicked");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the manager failed; its log says more",
            )
            .into_response()
        }
        Err(_) => Problem::unavailable("the request took too long").into_response(),
    }
}

/// The caller's id if it is one that may stand in a log, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    match headers.get(REQUEST_ID) {
        Some(id) if (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic) => {
            id.clone()
        }
        _ => HeaderValue::try_from(uuid::Uuid::new_v4().to_string()).expect("hex digits and dashes are a header value"),
    }
}
