//! Everything that does not travel peer to peer: passed to the origin and back as it comes, nothing buffered whole,
//! redirects left to the client.

use super::body::{Body, Watched};
use super::grants::Grants;
use super::headers::{for_origin, strip_connection};
use super::refusal::Refusal;
use super::route::Destination;
use dragonfly_source::{Caller, Sources};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use prometheus_client::metrics::counter::Counter;
use std::time::Duration;

/// After a request with a body has been sent, an origin may need long to digest it.
const ANSWER_TO_UPLOAD: Duration = Duration::from_secs(3600);

/// Passes requests to their origins.
#[derive(Clone)]
pub(super) struct Direct {
    pub(super) sources: Sources,
    pub(super) grants: Grants,
    /// How this proxy names itself in `Via`, so that it knows a request that comes back to it.
    pub(super) pseudonym: String,
    /// How long an origin may take to answer, and a body may stand still.
    pub(super) idle_timeout: Duration,
    /// Counts the bytes of answers.
    pub(super) passed: Counter,
}

impl Direct {
    /// Passes one request on and its answer back.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        caller: Caller,
        destination: &Destination,
    ) -> Result<Response<Body>, Refusal> {
        if self.has_been_here(request.headers()) {
            return Err(Refusal::proxy(
                StatusCode::LOOP_DETECTED,
                "the request leads back to this proxy",
            ));
        }
        let method = request.method().clone();
        let headers = for_origin(request.headers());
        let access = self.grants.registry_access(&destination.url, &headers).filter(|_| {
            // Where the origin might read the path in another way than we do, its answer proves nothing.
            matches!(method, Method::GET | Method::HEAD) && destination.uri.path() == destination.url.path()
        });
        let limit = if request.body().is_end_stream() {
            self.idle_timeout
        } else {
            ANSWER_TO_UPLOAD
        };
        let sent = self
            .sources
            .forward(self.outgoing(request, headers, destination), caller);
        let answered = tokio::time::timeout(limit, sent)
            .await
            .map_err(|_| Refusal::backend(StatusCode::GATEWAY_TIMEOUT, "the origin did not answer in time"))?;
        let mut response = answered.map_err(|error| Refusal::from(&error))?;
        if let Some(access) = access {
            self.grants.observe(&access, response.status(), response.headers());
        }
        strip_connection(response.headers_mut());
        let watched = |body| Watched::new(body, self.idle_timeout).counted(self.passed.clone());
        Ok(response.map(|body| watched(body).boxed_unsync()))
    }

    fn outgoing(&self, request: Request<Incoming>, mut headers: HeaderMap, destination: &Destination) -> Request<Body> {
        let via = HeaderValue::try_from(format!("1.1 {}", self.pseudonym)).expect("the pseudonym is hex");
        headers.append(header::VIA, via);
        let (parts, body) = request.into_parts();
        let mut outgoing = Request::new(Watched::new(body, self.idle_timeout).boxed_unsync());
        *outgoing.method_mut() = parts.method;
        *outgoing.uri_mut() = destination.uri.clone();
        *outgoing.version_mut() = Version::HTTP_11;
        *outgoing.headers_mut() = headers;
        outgoing
    }

    fn has_been_here(&self, headers: &HeaderMap) -> bool {
        let values = headers
            .get_all(header::VIA)
            .iter()
            .filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|hop| hop.contains(&*self.pseudonym))
    }
}
