//! HTTP and HTTPS origins.

mod body;
mod connect;
mod exchange;
mod forward;
mod headers;

use crate::request::redacted;
use crate::{Body, Config, Entry, Error, Head, Request, Source};
use ::http::{HeaderMap, Method, StatusCode};
use dragonfly_model::ByteRange;
use exchange::{Answer, Exchange};
pub use forward::ForwardBody;
pub(crate) use forward::Forwarder;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use headers::{ContentRange, Part};
use std::sync::Arc;
use std::time::Duration;

/// Origins that speak HTTP/1.1. HTTP/2 is not offered: several ranges of one content are to travel on several
/// connections.
pub(crate) struct HttpSource {
    exchange: Exchange,
    stall_timeout: Duration,
}

/// The ways to ask over HTTP. They share the guard and the trusted authorities.
pub(crate) struct Doors {
    /// For the cache.
    pub(crate) source: Arc<HttpSource>,
    /// For the cache, without the headers that the configuration adds to requests over HTTP: for origins of other kinds
    /// that are asked over HTTP in the end.
    pub(crate) bare: Arc<HttpSource>,
    /// As a client asked.
    pub(crate) forwarder: Arc<Forwarder>,
}

pub(crate) fn open(config: Config) -> Result<Doors, Error> {
    let connectors = connect::Connectors::new(&config)?;
    let forwarder = Forwarder::new(&connectors);
    let bare = Config {
        request_headers: HeaderMap::new(),
        ..config.clone()
    };
    Ok(Doors {
        bare: Arc::new(HttpSource::new(bare, connectors.clone())?),
        source: Arc::new(HttpSource::new(config, connectors)?),
        forwarder: Arc::new(forwarder),
    })
}

impl HttpSource {
    fn new(config: Config, connectors: connect::Connectors) -> Result<Self, Error> {
        Ok(Self {
            stall_timeout: config.stall_timeout,
            exchange: Exchange::new(config, connectors)?,
        })
    }

    async fn head_of(&self, request: &Request) -> Result<Head, Error> {
        let answer = self.exchange.send(request, Method::HEAD, None).await?;
        match answer.status() {
            // Some origins answer HEAD as GET without a body, and so with a length of 0: not to be believed.
            status if status.is_success() && answer.announced_length() != Some(0) => answer.whole_head(request),
            status if status.is_success() || refuses_head(status) => self.head_by_first_byte(request).await,
            _ => Err(answer.into_error(request)),
        }
    }

    /// Asks for the first byte alone. An origin that sends everything instead is cut off after its headers.
    pub(crate) async fn head_by_first_byte(&self, request: &Request) -> Result<Head, Error> {
        let first = ByteRange { start: 0, length: 1 };
        let answer = self.exchange.send(request, Method::GET, Some(first)).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => answer.part(request, first).map(|(head, _)| head),
            StatusCode::RANGE_NOT_SATISFIABLE => match ContentRange::of(answer.headers()) {
                Some(ContentRange {
                    part: None,
                    total: Some(0),
                }) => Ok(answer.empty_head()),
                _ => Err(answer.into_error(request)),
            },
            status if status.is_success() => answer.whole_head(request),
            _ => Err(answer.into_error(request)),
        }
    }

    /// The content, or the part of it that is asked for.
    pub(crate) async fn body_of(&self, request: &Request) -> Result<Body, Error> {
        let answer = self.exchange.send(request, Method::GET, request.range).await?;
        let (head, range) = match (answer.status(), request.range) {
            (StatusCode::PARTIAL_CONTENT, Some(asked)) => {
                answer.part(request, asked).map(|(head, range)| (head, Some(range)))?
            }
            (StatusCode::PARTIAL_CONTENT, None) => {
                return Err(answer.nonsense("a part was sent where all was asked for"));
            }
            (status, _) if status.is_success() => (answer.whole_head(request)?, None),
            _ => return Err(answer.into_error(request)),
        };
        let announced = range.map(|r| r.length).or(head.content_length);
        let origin = answer.origin();
        let stream = body::stream(answer.into_body(), origin, announced, self.stall_timeout);
        Ok(Body { head, range, stream })
    }
}

impl HttpSource {
    /// All of a short answer, and what was said with it.
    pub(crate) async fn read(&self, request: &Request, limit: usize) -> Result<(Head, Vec<u8>), Error> {
        let mut body = self.body_of(request).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = body.stream.try_next().await? {
            if bytes.len() + chunk.len() > limit {
                return Err(Error::Protocol {
                    origin: redacted(&request.url),
                    what: "it is longer than any answer to this question",
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((body.head, bytes))
    }
}

impl Source for HttpSource {
    fn stat<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Head, Error>> {
        self.head_of(request).boxed()
    }

    fn get<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Body, Error>> {
        self.body_of(request).boxed()
    }

    fn list<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Vec<Entry>, Error>> {
        let refusal = Error::NotListed {
            origin: redacted(&request.url),
            scheme: request.url.scheme().to_owned(),
        };
        std::future::ready(Err(refusal)).boxed()
    }
}

impl Answer {
    /// The head of a content that was answered with all of it.
    fn whole_head(&self, request: &Request) -> Result<Head, Error> {
        self.check_version(request)?;
        Ok(Head {
            status: self.status().as_u16(),
            content_length: self.announced_length(),
            accepts_ranges: headers::accepts_ranges(self.headers()),
            headers: headers::of_content(self.headers(), self.announced_length()),
            validator: crate::Validator::of(self.headers()),
        })
    }

    /// The head of a content that was answered with a part of it, and that part.
    fn part(&self, request: &Request, asked: ByteRange) -> Result<(Head, ByteRange), Error> {
        self.check_version(request)?;
        let Some(ContentRange {
            part: Some(Part { first, last }),
            total,
        }) = ContentRange::of(self.headers())
        else {
            return Err(self.nonsense("a part without a Content-Range"));
        };
        if first != asked.start || last >= asked.end() {
            return Err(self.nonsense("another range than asked for"));
        }
        let range = ByteRange {
            start: first,
            length: last - first + 1,
        };
        if self.announced_length().is_some_and(|length| length != range.length) {
            return Err(self.nonsense("Content-Length and Content-Range differ"));
        }
        let head = Head {
            status: StatusCode::OK.as_u16(),
            content_length: total,
            accepts_ranges: true,
            headers: headers::of_content(self.headers(), total),
            validator: crate::Validator::of(self.headers()),
        };
        Ok((head, range))
    }

    fn empty_head(&self) -> Head {
        Head {
            status: StatusCode::OK.as_u16(),
            content_length: Some(0),
            accepts_ranges: true,
            headers: headers::of_content(self.headers(), Some(0)),
            validator: crate::Validator::of(self.headers()),
        }
    }

    fn check_version(&self, request: &Request) -> Result<(), Error> {
        match &request.if_match {
            Some(expected) if expected.is_contradicted_by(self.headers()) => {
                Err(Error::Changed { origin: self.origin() })
            }
            _ => Ok(()),
        }
    }

    /// What an answer without success means.
    fn into_error(self, request: &Request) -> Error {
        if self.status() == StatusCode::PRECONDITION_FAILED && request.if_match.is_some() {
            return Error::Changed { origin: self.origin() };
        }
        Error::Status {
            origin: self.origin(),
            status: self.status().as_u16(),
            headers: Box::new(headers::of_content(self.headers(), None)),
        }
    }

    fn nonsense(&self, what: &'static str) -> Error {
        Error::Protocol {
            origin: self.origin(),
            what,
        }
    }

    fn origin(&self) -> String {
        redacted(self.url())
    }

    fn announced_length(&self) -> Option<u64> {
        headers::content_length(self.headers())
    }

    fn headers(&self) -> &HeaderMap {
        self.response().headers()
    }

    fn status(&self) -> StatusCode {
        self.response().status()
    }
}

/// Origins that sign URLs per method answer 403, others 405 or 501, a few 400.
fn refuses_head(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 403 | 405 | 501)
}
