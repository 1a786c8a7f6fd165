//! What OpenDAL sends, and what becomes of it.

use crate::http::{ForwardBody, Forwarder};
use crate::{Caller, Error};
use bytes::Bytes;
use futures::stream;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use opendal::raw::Operation;
use opendal::{Buffer, ErrorKind, HttpBody, HttpTransport, HttpTransporter};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a page or a token is asked for, and the pause after the first failure; it doubles with each.
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Bytes of one answer that OpenDAL reads by itself: a page of a list, a token.
const MAX_ANSWER: usize = 16 << 20;

/// Takes the request for an object away from OpenDAL once it is signed, and sends everything else.
#[derive(Clone)]
pub(super) struct Wire {
    forwarder: Arc<Forwarder>,
    caller: Caller,
    /// What to call the store in errors.
    origin: String,
    outcome: Arc<Mutex<Outcome>>,
}

/// What OpenDAL's own errors could not carry.
#[derive(Default)]
struct Outcome {
    signed: Option<Parts>,
    failure: Option<Error>,
}

impl Wire {
    pub(super) fn new(forwarder: Arc<Forwarder>, caller: Caller, origin: String) -> Self {
        Self {
            forwarder,
            caller,
            origin,
            outcome: Arc::default(),
        }
    }

    pub(super) fn transporter(&self) -> HttpTransporter {
        HttpTransporter::new(self.clone())
    }

    /// The request for the object, if it came to that.
    pub(super) fn signed(&self) -> Option<Parts> {
        self.outcome().signed.take()
    }

    /// Why a request got no answer, or not the right one.
    pub(super) fn failure(&self) -> Option<Error> {
        self.outcome().failure.take()
    }

    fn outcome(&self) -> std::sync::MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing that OpenDAL sends here changes anything, so a repeat is harmless.
    async fn send_until_it_passes(&self, request: Request<Buffer>) -> Result<Response<Bytes>, Error> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.send(request.clone()).await {
                Err(error) if error.is_transient() => tokio::time::sleep(pause).await,
                answered => return answered,
            }
            pause *= 2;
        }
        self.send(request).await
    }

    async fn send(&self, request: Request<Buffer>) -> Result<Response<Bytes>, Error> {
        let request = request.map(|body| -> ForwardBody {
            let body = Full::new(body.to_bytes());
            body.map_err(|never| match never {}).boxed_unsync()
        });
        let (parts, body) = self.forwarder.send(request, self.caller).await?.into_parts();
        if !parts.status.is_success() {
            return Err(Error::Status {
                origin: self.origin.clone(),
                status: parts.status.as_u16(),
                headers: Box::default(),
            });
        }
        let bytes = Limited::new(body, MAX_ANSWER).collect().await;
        let bytes = bytes.map_err(|source| Error::Truncated {
            origin: self.origin.clone(),
            received: 0,
            source: Some(source),
        })?;
        Ok(Response::from_parts(parts, bytes.to_bytes()))
    }
}

impl HttpTransport for Wire {
    async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
        if request.extensions().get::<Operation>() == Some(&Operation::Read) {
            self.outcome().signed = Some(request.into_parts().0);
            return Err(opendal::Error::new(ErrorKind::Unexpected, "it is asked by another"));
        }
        match self.send_until_it_passes(request).await {
            Ok(response) => Ok(response.map(|bytes| {
                let length = bytes.len() as u64;
                let chunk = stream::iter([Ok(Buffer::from(bytes))]);
                HttpBody::new(chunk, Some(length))
            })),
            Err(error) => {
                let message = error.to_string();
                self.outcome().failure = Some(error);
                Err(opendal::Error::new(ErrorKind::Unexpected, message))
            }
        }
    }
}
