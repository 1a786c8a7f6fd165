//! One question and its answer: through redirects, which are judged hop by hop, and past failures that pass.

use super::body::drain;
use super::connect::{ConnectError, Connector, Connectors};
use super::headers;
use crate::error::{BoxError, is_transient};
use crate::request::redacted;
use crate::{Caller, Config, Error, Request, Trust};
use bytes::Bytes;
use dragonfly_model::ByteRange;
use http::header::{DATE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Method, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use std::collections::VecDeque;
use std::error::Error as StdError;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use url::Url;

const MAX_REDIRECTS: usize = 10;
/// The pause before the first retry; it doubles with each, up to the longest, and is jittered.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// An origin that asks for more patience than this has said no for now.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(10);
/// Clients that are kept for requests with a trust of their own; the one that was used least recently makes room.
const MAX_TRUSTING: usize = 16;

type Wired = Client<Connector, Empty<Bytes>>;

/// The clients of both kinds of callers, and what all requests share.
pub(super) struct Exchange {
    local: Wired,
    remote: Wired,
    connectors: Connectors,
    /// Clients of requests that trust somebody of their own. No connection of theirs serves another request.
    trusting: Mutex<VecDeque<(Trust, Caller, Wired)>>,
    added: HeaderMap,
    user_agent: HeaderValue,
    max_retries: u32,
    response_timeout: Duration,
}

/// The last answer of a chain of redirects.
pub(super) struct Answer {
    response: Response<Incoming>,
    url: Url,
}

impl Answer {
    pub(super) fn response(&self) -> &Response<Incoming> {
        &self.response
    }

    /// Where the answer came from in the end.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn into_body(self) -> Incoming {
        self.response.into_body()
    }
}

/// One hop: what is sent where.
struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
    client: Wired,
}

impl Exchange {
    pub(super) fn new(config: Config, connectors: Connectors) -> Result<Self, Error> {
        let user_agent = HeaderValue::try_from(&config.user_agent).map_err(|error| Error::Config {
            what: "the user agent is no header value",
            source: error.into(),
        })?;
        Ok(Self {
            local: connectors.client(Caller::Local),
            remote: connectors.client(Caller::Remote),
            connectors,
            trusting: Mutex::default(),
            added: config.request_headers,
            user_agent,
            max_retries: config.max_retries,
            response_timeout: config.response_timeout,
        })
    }

    /// Asks, and follows redirects to the answer. Fails only if there is no answer: any status is one.
    pub(super) async fn send(
        &self,
        request: &Request,
        method: Method,
        range: Option<ByteRange>,
    ) -> Result<Answer, Error> {
        let limit = request.timeout.unwrap_or(self.response_timeout);
        match timeout(limit, self.follow(request, method, range)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout {
                origin: redacted(&request.url),
                awaited: "answer",
            }),
        }
    }

    fn client(&self, request: &Request) -> Result<Wired, Error> {
        if request.trust.is_default() {
            return Ok(match request.caller {
                Caller::Local => self.local.clone(),
                Caller::Remote => self.remote.clone(),
            });
        }
        let mut kept = self.trusting.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept
            .iter()
            .position(|(trust, caller, _)| (trust, caller) == (&request.trust, &request.caller));
        let entry = match known.and_then(|at| kept.remove(at)) {
            Some(entry) => entry,
            None => {
                let client = self.connectors.trusting(&request.trust)?.client(request.caller);
                (request.trust.clone(), request.caller, client)
            }
        };
        let client = entry.2.clone();
        kept.push_front(entry);
        kept.truncate(MAX_TRUSTING);
        Ok(client)
    }

    async fn follow(&self, request: &Request, method: Method, range: Option<ByteRange>) -> Result<Answer, Error> {
        let mut hop = Hop {
            method,
            url: without_user(&request.url),
            headers: headers::of_request(request, range, &self.added, &self.user_agent),
            client: self.client(request)?,
        };
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_hop(&hop).await?;
            let Some(next) = redirection(&hop.url, &response)? else {
                return Ok(Answer { response, url: hop.url });
            };
            if next.origin() != hop.url.origin() {
                headers::remove_credentials(&mut hop.headers);
            }
            hop.url = next;
            drain(response.into_body()).await;
        }
        Err(Error::TooManyRedirects {
            origin: redacted(&request.url),
            limit: MAX_REDIRECTS,
        })
    }

    /// Sends one hop, again after a failure that passes. GET and HEAD change nothing, so a repeat is harmless.
    async fn send_hop(&self, hop: &Hop) -> Result<Response<Incoming>, Error> {
        let mut retries = 0;
        loop {
            let result = self.send_once(hop).await;
            let pause = match &result {
                // Who was waited for once is not waited for again: the caller may have another source.
                Err(Error::Unreachable { .. }) => backoff(retries),
                Ok(response) if is_transient(response.status().as_u16()) => match retry_after(response.headers()) {
                    Some(asked) if asked > MAX_RETRY_AFTER => return result,
                    Some(asked) => asked,
                    None => backoff(retries),
                },
                _ => return result,
            };
            if retries == self.max_retries {
                return result;
            }
            retries += 1;
            tracing::debug!(origin = %redacted(&hop.url), retries, "origin failed in passing");
            if let Ok(response) = result {
                drain(response.into_body()).await;
            }
            sleep(pause).await;
        }
    }

    async fn send_once(&self, hop: &Hop) -> Result<Response<Incoming>, Error> {
        let uri: Uri = hop.url.as_str().parse().map_err(|_| Error::Protocol {
            origin: redacted(&hop.url),
            what: "the URL can't be asked for over HTTP",
        })?;
        let mut request = http::Request::new(Empty::new());
        *request.method_mut() = hop.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = hop.headers.clone();
        hop.client
            .request(request)
            .await
            .map_err(|error| no_answer(&redacted(&hop.url), error.into()))
    }
}

/// User and password travel in a header or not at all.
fn without_user(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_username("")
        .and_then(|()| url.set_password(None))
        .expect("a URL over HTTP has a host, so it may have a user");
    url.set_fragment(None);
    url
}

/// Where an answer leads on to, if it does. 300 and 304 do not.
fn redirection(from: &Url, response: &Response<Incoming>) -> Result<Option<Url>, Error> {
    let redirects = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !redirects {
        return Ok(None);
    }
    let nonsense = |what| Error::Protocol {
        origin: redacted(from),
        what,
    };
    let location = response
        .headers()
        .get(LOCATION)
        .ok_or_else(|| nonsense("a redirect to nowhere"))?;
    let location = std::str::from_utf8(location.as_bytes()).map_err(|_| nonsense("a redirect to no URL"))?;
    let next = from.join(location).map_err(|_| nonsense("a redirect to no URL"))?;
    match next.scheme() {
        "http" | "https" => Ok(Some(without_user(&next))),
        other => Err(Error::UnsupportedScheme(other.to_owned())),
    }
}

/// Why a request got no answer, from the innermost cause that says so.
pub(super) fn no_answer(origin: &str, source: BoxError) -> Error {
    let origin = origin.to_owned();
    let mut cause: Option<&(dyn StdError + 'static)> = Some(&*source);
    while let Some(error) = cause {
        match error.downcast_ref::<ConnectError>() {
            Some(ConnectError::Refused(refusal)) => return Error::Refused(*refusal),
            Some(ConnectError::Tls(_)) => return Error::Tls { origin, source },
            Some(ConnectError::Timeout(_)) => {
                return Error::Timeout {
                    origin,
                    awaited: "accept a connection",
                };
            }
            _ => cause = error.source(),
        }
    }
    Error::Unreachable { origin, source }
}

fn backoff(retries: u32) -> Duration {
    let pause = FIRST_PAUSE
        .saturating_mul(2_u32.saturating_pow(retries))
        .min(LONGEST_PAUSE);
    pause.mul_f64(rand::random_range(0.5..1.5))
}

/// How long `Retry-After` asks us to wait. A date is counted from the answer's own `Date`: our clock and the origin's may differ, so
/// without one a date says nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let answered = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    // A date that is over asks for nothing.
    Some(until.duration_since(answered).unwrap_or_default())
}
