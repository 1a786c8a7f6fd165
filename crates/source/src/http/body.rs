//! A body as a stream that can't end too early unnoticed, nor fall silent for ever.

use crate::Error;
use crate::error::BoxError;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::timeout;

/// A redirect's or error's body is read to its end only if it is this short, in bytes: so the connection can be used
/// again, and a long one costs nothing.
const DRAINED: usize = 16 * 1024;
const DRAIN_TIME: Duration = Duration::from_millis(200);

struct Reading {
    body: Incoming,
    origin: String,
    announced: Option<u64>,
    received: u64,
    stall_timeout: Duration,
}

/// The bytes of `body`, which should be `announced` bytes long if that is known.
pub(super) fn stream(
    body: Incoming,
    origin: String,
    announced: Option<u64>,
    stall_timeout: Duration,
) -> BoxStream<'static, Result<Bytes, Error>> {
    let reading = Reading {
        body,
        origin,
        announced,
        received: 0,
        stall_timeout,
    };
    stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|bytes| (bytes, reading)))
    })
    .boxed()
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Ok(frame) = timeout(self.stall_timeout, self.body.frame()).await else {
                return Err(Error::Timeout {
                    origin: self.origin.clone(),
                    awaited: "send more of its body",
                });
            };
            match frame {
                None if self.announced.is_some_and(|length| length != self.received) => {
                    return Err(self.truncated(None));
                }
                None => return Ok(None),
                Some(Err(error)) => return Err(self.truncated(Some(error.into()))),
                // Trailers, and empty data.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => return self.take(bytes).map(Some),
                    _ => {}
                },
            }
        }
    }

    fn take(&mut self, bytes: Bytes) -> Result<Bytes, Error> {
        self.received += bytes.len() as u64;
        if self.announced.is_some_and(|length| self.received > length) {
            return Err(Error::Protocol {
                origin: self.origin.clone(),
                what: "more bytes than announced",
            });
        }
        Ok(bytes)
    }

    fn truncated(&self, source: Option<BoxError>) -> Error {
        Error::Truncated {
            origin: self.origin.clone(),
            received: self.received,
            source,
        }
    }
}

/// Reads a short body that nobody wants, so that its connection stays usable.
pub(super) async fn drain(body: Incoming) {
    // Failing to do so only costs the connection.
    drop(timeout(DRAIN_TIME, Limited::new(body, DRAINED).collect()).await);
}
