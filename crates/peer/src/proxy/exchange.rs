//! One line of the log for each exchange, written when its last byte has left or its client has; and its span, the root of
//! what happens for it.

use super::body::Body;
use bytes::Bytes;
use dragonfly_service::telemetry::{self, Lasting, SPANS};
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tracing::Span;
use tracing::field::Empty;

/// A request as it came, to be told of when it has been answered.
///
/// Never the query, which may hold a signature, and never a header.
pub(super) struct Exchange {
    method: Method,
    host: String,
    path: String,
    begun: Instant,
    span: Lasting,
}

impl Exchange {
    pub(super) fn begin<B>(request: &Request<B>) -> Self {
        let uri = request.uri();
        Self {
            method: request.method().clone(),
            host: uri.host().unwrap_or("-").to_owned(),
            path: uri.path().to_owned(),
            begun: Instant::now(),
            span: span(request).into(),
        }
    }

    /// In which the request is answered.
    pub(super) fn span(&self) -> Span {
        Span::clone(&self.span)
    }

    /// The same response; its end is logged.
    pub(super) fn told(self, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        let bodyless = self.method == Method::HEAD || response.body().is_end_stream();
        let announced = response.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        let expected = if bodyless { Some(0) } else { announced };
        response.map(|body| {
            let told = Told {
                expected,
                inner: body,
                status,
                bytes: 0,
                ended: false,
                exchange: self,
            };
            told.boxed_unsync()
        })
    }

    /// A refusal is told of at once, with its reason.
    pub(super) fn refused(&self, status: StatusCode, reason: &str) {
        let (method, host, path) = (&self.method, &self.host, &self.path);
        let status = status.as_u16();
        tracing::info!(%method, host, path, status, reason, "proxy request refused");
        self.span.record("http.response.status_code", i64::from(status));
    }
}

/// A body whose end is logged.
struct Told {
    inner: Body,
    exchange: Exchange,
    status: StatusCode,
    /// Bytes that make the body whole, where that is known before its end.
    expected: Option<u64>,
    bytes: u64,
    ended: bool,
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => this.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Poll::Ready(None) => this.ended = true,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let Exchange {
            method,
            host,
            path,
            begun,
            span,
        } = &self.exchange;
        let (status, bytes) = (self.status.as_u16(), self.bytes);
        // A server stops asking for frames once the announced length has been sent.
        let whole = self.ended || self.expected == Some(bytes);
        let ms = begun.elapsed().as_secs_f64() * 1000.0;
        tracing::info!(%method, host, path, status, bytes, ms, whole, "proxy request");
        span.record("http.response.status_code", i64::from(status));
        span.record("http.response.body.size", telemetry::number(bytes));
        if !whole {
            span.record("otel.status_code", "ERROR");
        }
    }
}

fn span<B>(request: &Request<B>) -> Span {
    let span = tracing::info_span!(
        target: SPANS,
        "proxy",
        otel.kind = "server",
        http.url = shown(request.uri()),
        http.request.method = %request.method(),
        http.response.status_code = Empty,
        http.response.body.size = Empty,
        dragonfly.task.id = Empty,
        dragonfly.local = Empty,
        otel.status_code = Empty,
    );
    telemetry::follow(&span, request.headers());
    span
}

/// The URL as it was asked for, so that it can be searched for. Of the query only the registry that a container runtime
/// names, since the rest may be a signature.
fn shown(uri: &Uri) -> String {
    let query = uri.query().unwrap_or_default();
    let namespace = query.split('&').find(|pair| pair.starts_with("ns="));
    let host = uri.authority().map(|authority| authority.host()).unwrap_or_default();
    let scheme = uri
        .scheme_str()
        .map(|scheme| format!("{scheme}://"))
        .unwrap_or_default();
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = namespace.map(|pair| format!("?{pair}")).unwrap_or_default();
    format!("{scheme}{host}{port}{}{query}", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_as_it_is_searched_for_and_without_what_may_be_a_secret() {
        for (asked, is_shown) in [
            ("/v2/a/blobs/sha256:82?ns=ghcr.io", "/v2/a/blobs/sha256:82?ns=ghcr.io"),
            ("http://u:pw@o.example:81/a?sig=s3cret", "http://o.example:81/a"),
            ("/v2/a/manifests/1?token=t&ns=h:5000", "/v2/a/manifests/1?ns=h:5000"),
        ] {
            assert_eq!(shown(&asked.parse().unwrap()), is_shown);
        }
    }
}
