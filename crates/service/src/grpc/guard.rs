//! The layer around every service: request rate, request id, panics.

use super::Limits;
use crate::telemetry::{self, SPANS};
use futures::FutureExt;
use futures::future::BoxFuture;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use prometheus_client::metrics::counter::Counter;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::metadata::MetadataValue;
use tower::{Layer, Service};
use tracing::{Instrument, Span};

/// The metadata key under which a call is known in the logs of both sides.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The metadata key under which who is refused is told when to come again, in milliseconds. gRPC's own clients know it.
const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";
/// When that is: at different times, so that they don't come together again.
const COME_AGAIN_MILLIS: std::ops::Range<u64> = 250..1250;

/// Longest pause that a caller lets itself be told.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// Longest request id that is taken over from a caller, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// Health checks are answered at any load: an overloaded server is not a dead one.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Calls that bring traces.
const OTLP: &str = "/opentelemetry.proto.collector.";

/// The rate at which calls are let in, and the places in front of it.
#[derive(Debug)]
struct Gate {
    rate: DefaultDirectRateLimiter,
    places: Arc<Semaphore>,
    refused: Counter,
}

/// How a call comes in.
enum Entry {
    Free,
    /// When the rate allows it.
    Waiting(OwnedSemaphorePermit),
    Refused,
}

impl Gate {
    fn enter(&self) -> Entry {
        if self.rate.check().is_ok() {
            return Entry::Free;
        }
        self.places
            .clone()
            .try_acquire_owned()
            .map_or(Entry::Refused, Entry::Waiting)
    }
}

/// How long a refused caller is asked to stay away, if it was told: gRPC's pushback in milliseconds, or HTTP's in seconds.
pub fn retry_after(status: &Status) -> Option<Duration> {
    let number = |key: &str| -> Option<u64> { status.metadata().get(key)?.to_str().ok()?.trim().parse().ok() };
    let delay = number(RETRY_PUSHBACK)
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs));
    delay.map(|delay| delay.min(MAX_RETRY_DELAY))
}

/// Makes [`Guard`]s that share one rate.
#[derive(Debug, Clone)]
pub struct GuardLayer {
    gate: Arc<Gate>,
}

impl GuardLayer {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            gate: Arc::new(Gate {
                rate: RateLimiter::direct(Quota::per_second(limits.requests_per_second)),
                places: Arc::new(Semaphore::new(limits.waiting as usize)),
                refused: limits.refused,
            }),
        }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            inner,
            gate: self.gate.clone(),
        }
    }
}

/// A service whose calls are limited and named, and whose panics are answered INTERNAL.
#[derive(Debug, Clone)]
pub struct Guard<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S, B, R> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
    R: Default + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let entry = match request.uri().path().starts_with(HEALTH) {
            true => Entry::Free,
            false => self.gate.enter(),
        };
        match entry {
            Entry::Free => named(&mut self.inner, request),
            Entry::Waiting(place) => {
                // The one that was asked whether it is ready is the one to be called.
                let fresh = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, fresh);
                let gate = self.gate.clone();
                async move {
                    gate.rate.until_ready().await;
                    drop(place);
                    named(&mut inner, request).await
                }
                .boxed()
            }
            Entry::Refused => {
                self.gate.refused.inc();
                tracing::debug!(
                    rpc.method = request.uri().path(),
                    "refused a request above the rate limit"
                );
                futures::future::ready(Ok(refusal().into_http())).boxed()
            }
        }
    }
}

fn refusal() -> Status {
    let mut status = Status::resource_exhausted("the request rate limit is reached; retry later");
    let millis = rand::random_range(COME_AGAIN_MILLIS);
    status
        .metadata_mut()
        .insert(RETRY_PUSHBACK, MetadataValue::from(millis));
    status
}

/// Calls with an id and a span, and stays alive whatever it does.
fn named<S, B, R>(inner: &mut S, mut request: Request<B>) -> BoxFuture<'static, Result<Response<R>, S::Error>>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Default + Send + 'static,
{
    let method = request.uri().path().to_owned();
    let id = request_id(request.headers());
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let traced = traced(&method, request.headers());
    let span = tracing::debug_span!("rpc", rpc.method = method, request.id = ?id);
    let call = {
        let _entered = (span.enter(), traced.enter());
        std::panic::catch_unwind(AssertUnwindSafe(|| inner.call(request)))
    };
    async move {
        let outcome = match call {
            Ok(future) => AssertUnwindSafe(future).catch_unwind().await,
            Err(panic) => Err(panic),
        };
        let mut response = outcome.unwrap_or_else(|_| {
            tracing::error!(rpc.method = method, "a call panicked");
            Ok(Status::internal("the server failed; its log says more").into_http())
        })?;
        response.headers_mut().insert(REQUEST_ID, id);
        Ok(response)
    }
    .instrument(traced)
    .instrument(span)
    .boxed()
}

/// The span of a call whose caller traces it: the call until its first word. Others would each be a trace of one span.
fn traced(method: &str, headers: &HeaderMap) -> Span {
    // A receiver of traces that told of what it receives would receive that, too.
    if method.starts_with(OTLP) || !headers.contains_key("traceparent") {
        return Span::none();
    }
    let span = tracing::info_span!(target: SPANS, "rpc", otel.kind = "server", rpc.method = method);
    telemetry::follow(&span, headers);
    span
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;
    use tonic::Code;
    use tower::{ServiceExt, service_fn};

    fn layer(rate: u32) -> GuardLayer {
        GuardLayer::new(Limits::per_second(NonZeroU32::new(rate).unwrap()))
    }

    fn request(method: &str) -> Request<()> {
        Request::builder().uri(method).body(()).unwrap()
    }

    #[test]
    fn a_call_is_traced_if_its_caller_traces_it_but_never_one_that_brings_traces() {
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("traceparent"),
            HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        )]);
        let none = |method: &str, headers: &HeaderMap| traced(method, headers).is_none();
        tracing::subscriber::with_default(tracing_subscriber::registry(), || {
            assert!(!none("/scheduler.v2.Scheduler/AnnouncePeer", &headers));
            assert!(none("/scheduler.v2.Scheduler/AnnouncePeer", &HeaderMap::new()));
            assert!(none(
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                &headers
            ));
        });
    }

    fn code(response: &Response<String>) -> Code {
        Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code())
    }

    async fn echo(request: Request<()>) -> Result<Response<String>, std::convert::Infallible> {
        match request.uri().path() {
            "/panic" => panic!("on purpose"),
            _ => Ok(Response::new(String::new())),
        }
    }

    #[tokio::test]
    async fn requests_above_the_rate_are_refused_but_health_checks_are_not() {
        let layer = layer(1);
        let service = layer.layer(service_fn(echo));
        let first = service.clone().oneshot(request("/a")).await.unwrap();
        let second = service.clone().oneshot(request("/a")).await.unwrap();
        let health = service.oneshot(request("/grpc.health.v1.Health/Check")).await.unwrap();
        assert_eq!(code(&first), Code::Ok);
        assert_eq!(code(&second), Code::ResourceExhausted);
        assert_eq!(layer.gate.refused.get(), 1);
        let wait: u64 = second.headers()[RETRY_PUSHBACK].to_str().unwrap().parse().unwrap();
        assert!(COME_AGAIN_MILLIS.contains(&wait));
        assert_eq!(code(&health), Code::Ok);
    }

    #[tokio::test]
    async fn some_wait_for_the_rate_before_the_rest_is_refused() {
        let layer = GuardLayer::new(Limits {
            waiting: 1,
            ..Limits::per_second(NonZeroU32::MIN)
        });
        let service = layer.layer(service_fn(echo));
        let first = service.clone().oneshot(request("/a")).await.unwrap();
        let mut waiting = std::pin::pin!(service.clone().oneshot(request("/a")));
        assert!(futures::poll!(&mut waiting).is_pending());
        let third = service.oneshot(request("/a")).await.unwrap();
        assert_eq!(code(&first), Code::Ok);
        assert_eq!(code(&third), Code::ResourceExhausted);
        assert_eq!(code(&waiting.await.unwrap()), Code::Ok);
    }

    #[test]
    fn a_servers_wish_to_be_left_alone_is_honoured_within_reason() {
        let wish = |key: &'static str, value: &'static str| {
            let mut status = Status::resource_exhausted("later");
            status.metadata_mut().insert(key, value.parse().unwrap());
            retry_after(&status)
        };
        assert_eq!(wish(RETRY_PUSHBACK, "250"), Some(Duration::from_millis(250)));
        assert_eq!(wish("retry-after", "2"), Some(Duration::from_secs(2)));
        assert_eq!(wish("retry-after", "86400"), Some(MAX_RETRY_DELAY));
        assert_eq!(wish("retry-after", "soon"), None);
    }

    #[tokio::test]
    async fn a_panic_is_answered_internal_and_the_service_lives_on() {
        let service = layer(100).layer(service_fn(echo));
        let broken = service.clone().oneshot(request("/panic")).await.unwrap();
        assert_eq!(code(&broken), Code::Internal);
        let fine = service.oneshot(request("/a")).await.unwrap();
        assert_eq!(code(&fine), Code::Ok);
    }

    #[tokio::test]
    async fn a_request_id_is_kept_if_it_is_fit_for_a_log_and_made_otherwise() {
        let service = layer(100).layer(service_fn(echo));
        let mut named = request("/a");
        named
            .headers_mut()
            .insert(REQUEST_ID, HeaderValue::from_static("abc-1"));
        let answer = service.clone().oneshot(named).await.unwrap();
        assert_eq!(answer.headers()[REQUEST_ID], "abc-1");
        let mut hostile = request("/a");
        let long = HeaderValue::try_from("x".repeat(1000)).unwrap();
        hostile.headers_mut().insert(REQUEST_ID, long);
        let answer = service.oneshot(hostile).await.unwrap();
        assert_eq!(answer.headers()[REQUEST_ID].len(), 36);
    }
}
