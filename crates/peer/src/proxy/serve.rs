//! One client connection: HTTP/1.1 or HTTP/2 as the client begins, within limits, until it ends, idles or is drained.

use super::body::{Body, Holding};
use super::exchange::Exchange;
use super::headers::check_framing;
use super::refusal::Refusal;
use super::route::{Door, Route};
use super::{Core, Limits};
use dragonfly_service::Workers;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::Instrument;

/// How long an idle connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);
/// How often an HTTP/2 client is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Bytes of one HTTP/2 stream, and of all of one connection, that a client may send ahead.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// A client and how it came in; shared by its requests and by the tunnels that they open.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) core: Arc<Core>,
    pub(super) workers: Workers,
    pub(super) door: Door,
    /// The client's place among the connections; free again when connection and tunnels have ended.
    pub(super) _place: Arc<Place>,
}

/// One of the connections that there may be at once.
pub(super) struct Place {
    core: Arc<Core>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub(super) fn new(core: Arc<Core>, permit: OwnedSemaphorePermit) -> Self {
        core.metrics.connections.inc();
        Self { core, _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.core.metrics.connections.dec();
    }
}

impl Client {
    /// Serves the connection. Boxed, because a connection inside a tunnel is served by one that serves the tunnel.
    pub(super) fn serve<I>(self, io: I) -> BoxFuture<'static, ()>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Box::pin(async move {
            if let Err(error) = self.serve_connection(io).await {
                // Clients hang up, and some never speak HTTP: nothing that an operator should act on.
                tracing::debug!(error = &*error, "proxy connection ended");
            }
        })
    }

    async fn serve_connection<I>(self, io: I) -> Result<(), super::body::BoxError>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let cancel = self.workers.cancel_token();
        let limits = self.core.limits.clone();
        let requests = Arc::new(InFlight::default());
        let builder = builder(&limits, Streams(self.workers.clone()));
        let (client, counted) = (self, requests.clone());
        let service = service_fn(move |request| {
            let (client, held) = (client.clone(), counted.clone().begin());
            async move {
                let response = client.respond(request).await;
                Ok::<_, Infallible>(response.map(|body| Holding::new(body, held).boxed_unsync()))
            }
        });
        let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(io), service));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = requests.idle(limits.idle_timeout) => {
                connection.as_mut().graceful_shutdown();
                // Nothing is in flight, so nothing is lost with a client that does not let go.
                return tokio::time::timeout(GOODBYE, connection).await.unwrap_or(Ok(()));
            }
            () = cancel.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }

    /// Answers one request, whatever comes.
    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        self.core.metrics.requests.inc();
        let exchange = Exchange::begin(&request);
        let version = request.version();
        let answered = self
            .dispatch(request)
            .instrument(exchange.span())
            .await
            .and_then(|response| ends_visibly(version, response));
        match answered {
            Ok(response) => exchange.told(response),
            Err(refusal) => {
                if refusal.is_failure() {
                    self.core.metrics.failures.inc();
                }
                exchange.refused(refusal.status(), refusal.message());
                refusal.into_response()
            }
        }
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let core = &self.core;
        if core.limiter.check().is_err() {
            core.metrics.too_many_requests.inc();
            let message = "the proxy answers no more requests in this second";
            let retry_after = http::HeaderValue::from_static("1");
            return Err(Refusal::proxy(StatusCode::TOO_MANY_REQUESTS, message)
                .with_header(http::header::RETRY_AFTER, retry_after));
        }
        // Inside a tunnel whoever opened it has been let in.
        if let (Some(gate), None) = (&core.gate, &self.door.tunnel) {
            gate.check(request.headers())?;
        }
        self.check_size(&request)?;
        check_framing(request.method(), request.version(), request.headers())?;
        if request.method() == Method::CONNECT {
            return self.open_tunnel(request).await;
        }
        let has_body = !request.body().is_end_stream();
        let (parts, body) = request.into_parts();
        let route = core.router.route(&parts, &self.door, has_body)?;
        let destination = route.destination();
        tracing::debug!(
            origin = %destination.url.origin().ascii_serialization(),
            path = destination.url.path(),
            via = destination.via.as_str(),
            peers = matches!(route, Route::Peers(..)),
            "proxy request routed"
        );
        if let Route::Peers(_, plan) = &route {
            core.peers.admit(plan)?;
        }
        match route {
            Route::Peers(destination, plan) if parts.method == Method::HEAD => {
                let request = Request::from_parts(parts.clone(), body);
                let answered = core.direct.answer(request, self.door.caller, &destination).await;
                match answered {
                    Err(silence) if silence.is_silence() => core.peers.describe(&parts, &plan, silence),
                    answered => answered,
                }
            }
            Route::Peers(destination, plan) => {
                core.metrics.via_dfdaemon.inc();
                let caller = self.door.caller;
                match core.peers.answer(&parts, caller, &plan).await {
                    // What can't be kept can be passed on all the same.
                    Err(refusal) if refusal.lacks_room() && !core.peers.disable_back_to_source => {
                        tracing::warn!(task.id = %plan.task_id, "{}; passing it on from its origin", refusal.message());
                        let request = Request::from_parts(parts, body);
                        core.direct.answer(request, caller, &destination).await
                    }
                    answered => answered,
                }
            }
            Route::Registry(destination, document) => {
                let request = Request::from_parts(parts, body);
                let caller = self.door.caller;
                core.manifests.answer(request, caller, &destination, &document).await
            }
            Route::Direct(destination) => {
                let request = Request::from_parts(parts, body);
                core.direct.answer(request, self.door.caller, &destination).await
            }
        }
    }
}

/// HTTP/1.0 marks the end of a body of unknown length by closing the connection, so a client could not tell an end from
/// a failure: it is not sent one.
fn ends_visibly(version: Version, response: Response<Body>) -> Result<Response<Body>, Refusal> {
    let has_end = response.headers().contains_key(http::header::CONTENT_LENGTH) || response.body().is_end_stream();
    if version > Version::HTTP_10 || has_end {
        return Ok(response);
    }
    Err(Refusal::proxy(
        StatusCode::HTTP_VERSION_NOT_SUPPORTED,
        "the length of this answer is not known, so it needs HTTP/1.1",
    ))
}

impl Client {
    /// HTTP/1.1 headers arrive in a buffer that is larger than they may be.
    fn check_size(&self, request: &Request<Incoming>) -> Result<(), Refusal> {
        let lines = request.headers().iter();
        let lines: usize = lines.map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let line = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if line + lines <= self.core.limits.max_header_bytes {
            return Ok(());
        }
        self.core.metrics.long_header.inc();
        Err(Refusal::proxy(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!(
                "the request's header is larger than {} bytes",
                self.core.limits.max_header_bytes
            ),
        ))
    }
}

fn builder(limits: &Limits, streams: Streams) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.buffer_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

/// Runs the streams of HTTP/2 connections as workers.
#[derive(Clone)]
struct Streams(Workers);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn("proxy stream", future);
    }
}

/// How many requests of a connection are being answered, bodies included.
#[derive(Default)]
struct InFlight(watch::Sender<usize>);

/// One of them.
struct Begun(Arc<InFlight>);

impl InFlight {
    fn begin(self: Arc<Self>) -> Begun {
        self.0.send_modify(|count| *count += 1);
        Begun(self)
    }

    /// Ends when nothing has been in flight for `limit`.
    async fn idle(&self, limit: Duration) {
        let mut count = self.0.subscribe();
        loop {
            if count.wait_for(|count| *count == 0).await.is_err() {
                return;
            }
            match tokio::time::timeout(limit, count.changed()).await {
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::body::{self, BoxError};
    use bytes::Bytes;
    use http_body::Frame;
    use http_body_util::StreamBody;

    #[test]
    fn a_body_without_a_visible_end_is_not_sent_by_http_1_0() {
        let frames = || futures::stream::pending::<Result<Frame<Bytes>, BoxError>>();
        let unknown = || Response::new(StreamBody::new(frames()).boxed_unsync());
        assert!(ends_visibly(Version::HTTP_11, unknown()).is_ok());
        let refusal = ends_visibly(Version::HTTP_10, unknown()).unwrap_err();
        assert_eq!(refusal.status(), StatusCode::HTTP_VERSION_NOT_SUPPORTED);
        assert!(ends_visibly(Version::HTTP_10, Response::new(body::empty())).is_ok());
        let mut known = unknown();
        known.headers_mut().insert(http::header::CONTENT_LENGTH, 5.into());
        assert!(ends_visibly(Version::HTTP_10, known).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_idles_only_while_nothing_is_in_flight() {
        let requests = Arc::new(InFlight::default());
        let limit = Duration::from_secs(10);
        let held = requests.clone().begin();
        let waited = tokio::time::timeout(Duration::from_secs(100), requests.idle(limit)).await;
        assert!(waited.is_err(), "a request is in flight");
        drop(held);
        assert!(
            tokio::time::timeout(Duration::from_secs(11), requests.idle(limit))
                .await
                .is_ok()
        );
    }
}
