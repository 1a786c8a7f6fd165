//! Bodies: one type for all that the proxy sends, and the wrapper that breaks off one which stands still.

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use prometheus_client::metrics::counter::Counter;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response's or request's body. An error in it resets the connection, so that no client takes it for a clean end.
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// A body stood still for too long.
#[derive(Debug, thiserror::Error)]
#[error("no byte of the body came within {0:?}")]
pub(super) struct Stalled(Duration);

/// Ends a body with an error when the next frame does not come within `limit`.
pub(super) struct Watched<B> {
    inner: B,
    limit: Duration,
    /// The time that a slow reader takes between two frames is not the body's.
    waiting: bool,
    deadline: Pin<Box<Sleep>>,
    /// The bytes that came.
    passed: Counter,
}

impl<B> Watched<B> {
    pub(super) fn new(inner: B, limit: Duration) -> Self {
        Self {
            inner,
            limit,
            waiting: false,
            deadline: Box::pin(tokio::time::sleep(limit)),
            passed: Counter::default(),
        }
    }

    /// The same; its bytes are counted here.
    pub(super) fn counted(self, passed: Counter) -> Self {
        Self { passed, ..self }
    }
}

impl<B> HttpBody for Watched<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            this.waiting = false;
            if let Some(Ok(frame)) = &frame {
                this.passed.inc_by(frame.data_ref().map_or(0, |data| data.len() as u64));
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !this.waiting {
            this.waiting = true;
            this.deadline.as_mut().reset(Instant::now() + this.limit);
        }
        match this.deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(Stalled(this.limit).into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that holds something until it has been sent or given up.
pub(super) struct Holding<B, H> {
    inner: B,
    _held: H,
}

impl<B, H> Holding<B, H> {
    pub(super) fn new(inner: B, held: H) -> Self {
        Self { inner, _held: held }
    }
}

impl<B: HttpBody + Unpin, H: Unpin> HttpBody for Holding<B, H> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::StreamBody;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_ends_with_an_error() {
        let frames = futures::stream::once(async { Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"one"))) });
        let silent = futures::StreamExt::chain(frames, futures::stream::pending());
        let passed = Counter::default();
        let body = Watched::new(StreamBody::new(Box::pin(silent)), Duration::from_secs(5));
        let mut body = body.counted(passed.clone());
        assert!(body.frame().await.unwrap().is_ok());
        assert_eq!(passed.get(), 3);
        let error = body.frame().await.unwrap().unwrap_err();
        assert!(error.is::<Stalled>());
    }
}
