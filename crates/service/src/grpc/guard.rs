//! The layer around every service: request rate, request id, panics.

use crate::telemetry::{self, SPANS};
use futures::FutureExt;
use futures::future::BoxFuture;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use prometheus_client::metrics::counter::Counter;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
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

/// Longest request id that is taken over from a caller, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// Health checks are answered at any load: an overloaded server is not a dead one.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// Calls that bring traces.
const OTLP: &str = "/opentelemetry.proto.collector.";

/// Makes [`Guard`]s that share one rate.
#[derive(Debug, Clone)]
pub struct GuardLayer {
    rate: Arc<DefaultDirectRateLimiter>,
    refused: Counter,
}

impl GuardLayer {
    pub(super) fn new(requests_per_second: NonZeroU32, refused: Counter) -> Self {
        Self {
            rate: Arc::new(RateLimiter::direct(Quota::per_second(requests_per_second))),
            refused,
        }
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard {
            inner,
            rate: self.rate.clone(),
            refused: self.refused.clone(),
        }
    }
}

/// A service whose calls are limited and named, and whose panics are answered INTERNAL.
#[derive(Debug, Clone)]
pub struct Guard<S> {
    inner: S,
    rate: Arc<DefaultDirectRateLimiter>,
    refused: Counter,
}

impl<S, B, R> Service<Request<B>> for Guard<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Default + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let method = request.uri().path().to_owned();
        if !method.starts_with(HEALTH) && self.rate.check().is_err() {
            self.refused.inc();
            tracing::debug!(rpc.method = method, "refused a request above the rate limit");
            let mut status = Status::resource_exhausted("the request rate limit is reached; retry later");
            let millis = rand::random_range(COME_AGAIN_MILLIS);
            status
                .metadata_mut()
                .insert(RETRY_PUSHBACK, MetadataValue::from(millis));
            return futures::future::ready(Ok(status.into_http())).boxed();
        }
        let id = request_id(request.headers());
        request.headers_mut().insert(REQUEST_ID, id.clone());
        let traced = traced(&method, request.headers());
        let span = tracing::debug_span!("rpc", rpc.method = method, request.id = ?id);
        let call = {
            let _entered = (span.enter(), traced.enter());
            std::panic::catch_unwind(AssertUnwindSafe(|| self.inner.call(request)))
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
    use tonic::Code;
    use tower::{ServiceExt, service_fn};

    fn layer(rate: u32) -> GuardLayer {
        GuardLayer::new(NonZeroU32::new(rate).unwrap(), Counter::default())
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
        assert_eq!(layer.refused.get(), 1);
        let wait: u64 = second.headers()[RETRY_PUSHBACK].to_str().unwrap().parse().unwrap();
        assert!(COME_AGAIN_MILLIS.contains(&wait));
        assert_eq!(code(&health), Code::Ok);
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
