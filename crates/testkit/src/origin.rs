//! A real HTTP origin with the habits, good and bad, of those in the world, that counts what it gives away.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::Stream;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use tokio::sync::watch;

use crate::content::Content;
use crate::http::{Body, Server, status};

/// How many bytes go to a connection at a time.
const CHUNK: u64 = 64 * 1024;

/// What is found at a path.
#[derive(Clone, Debug)]
pub enum Resource {
    /// A content.
    File {
        /// Its bytes.
        content: Content,
        /// Ranges are answered with 206; otherwise every answer is the whole content.
        ranges: bool,
        /// Whether `Content-Length` is sent; without it the answer is chunked.
        announces_length: bool,
    },
    /// A 302 to another path of this origin, or to an absolute URL.
    Redirect(String),
}

impl Resource {
    /// A content as a well-behaved origin serves it: with its length, and by ranges.
    #[must_use]
    pub fn file(content: Content) -> Self {
        Self::File {
            content,
            ranges: true,
            announces_length: true,
        }
    }
}

/// What was asked of one path and given to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests of any method.
    pub requests: u64,
    /// GET requests among them.
    pub gets: u64,
    /// Bytes of content handed to connections.
    pub bytes: u64,
}

/// One path: what is there, what was given, and how far it may go.
#[derive(Debug)]
struct Shelf {
    resource: Resource,
    served: watch::Sender<Served>,
    /// Content stops flowing when this many bytes have been given, until the bound is raised.
    bound: watch::Sender<u64>,
}

type Shelves = Arc<Mutex<HashMap<String, Arc<Shelf>>>>;

/// A running origin on 127.0.0.1.
#[derive(Debug)]
pub struct Origin {
    server: Server,
    shelves: Shelves,
}

impl Origin {
    /// Starts an origin that has nothing yet.
    ///
    /// # Errors
    /// When no port can be bound.
    pub fn start() -> Result<Self> {
        let shelves = Shelves::default();
        let shown = shelves.clone();
        let server = Server::start(move |request| {
            let shelf = lock(&shown).get(request.uri().path()).cloned();
            async move { shelf.map_or_else(|| status(StatusCode::NOT_FOUND), |shelf| answer(&shelf, &request)) }
        })?;
        Ok(Self { server, shelves })
    }

    /// Puts a resource at `path` (which begins with `/`) and returns its URL.
    #[must_use]
    pub fn put(&self, path: &str, resource: Resource) -> String {
        let shelf = Shelf {
            resource,
            served: watch::Sender::new(Served::default()),
            bound: watch::Sender::new(u64::MAX),
        };
        lock(&self.shelves).insert(path.to_owned(), Arc::new(shelf));
        self.url(path)
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// What was served from `path` so far.
    ///
    /// # Errors
    /// When nothing was ever put there.
    pub fn served(&self, path: &str) -> Result<Served> {
        Ok(*self.shelf(path)?.served.borrow())
    }

    /// Stops the flow from `path` once `bytes` of content have been given in all.
    ///
    /// # Errors
    /// When nothing was ever put there.
    pub fn hold_at(&self, path: &str, bytes: u64) -> Result<()> {
        self.shelf(path)?.bound.send_replace(bytes);
        Ok(())
    }

    /// Lets the content of `path` flow to its end.
    ///
    /// # Errors
    /// When nothing was ever put there.
    pub fn release(&self, path: &str) -> Result<()> {
        self.hold_at(path, u64::MAX)
    }

    /// Waits until at least `bytes` of content have been given from `path`.
    ///
    /// # Errors
    /// When that doesn't happen `within` this time.
    pub async fn wait_served(&self, path: &str, bytes: u64, within: Duration) -> Result<Served> {
        let mut served = self.shelf(path)?.served.subscribe();
        let reached = tokio::time::timeout(within, served.wait_for(|served| served.bytes >= bytes)).await;
        let reached = reached.with_context(|| format!("{path} did not serve {bytes} bytes within {within:?}"))??;
        Ok(*reached)
    }

    fn shelf(&self, path: &str) -> Result<Arc<Shelf>> {
        lock(&self.shelves)
            .get(path)
            .cloned()
            .with_context(|| format!("nothing at {path}"))
    }
}

fn lock(shelves: &Shelves) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Shelf>>> {
    shelves.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(shelf: &Arc<Shelf>, request: &Request<Incoming>) -> Response<Body> {
    let is_get = request.method() == Method::GET;
    if !is_get && request.method() != Method::HEAD {
        return status(StatusCode::METHOD_NOT_ALLOWED);
    }
    shelf.served.send_modify(|served| {
        served.requests += 1;
        served.gets += u64::from(is_get);
    });
    match &shelf.resource {
        Resource::Redirect(to) => {
            let mut response = status(StatusCode::FOUND);
            if let Ok(to) = HeaderValue::from_str(to) {
                response.headers_mut().insert(LOCATION, to);
            }
            response
        }
        Resource::File {
            content,
            ranges,
            announces_length,
        } => {
            let asked = request
                .headers()
                .get(RANGE)
                .filter(|_| *ranges)
                .and_then(|range| range.to_str().ok());
            let part = asked.map(|range| parse_range(range, content.length()));
            let mut response = match part {
                Some(None) => return unsatisfiable(*content),
                Some(Some(part)) => file(shelf, *content, part.clone(), is_get, Some(part)),
                None => file(shelf, *content, 0..content.length(), is_get, None),
            };
            let headers = response.headers_mut();
            if *ranges {
                headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            }
            if !announces_length {
                headers.remove(CONTENT_LENGTH);
            }
            response
        }
    }
}

fn unsatisfiable(content: Content) -> Response<Body> {
    let mut response = status(StatusCode::RANGE_NOT_SATISFIABLE);
    if let Ok(text) = HeaderValue::from_str(&format!("bytes */{}", content.length())) {
        response.headers_mut().insert(CONTENT_RANGE, text);
    }
    response
}

fn file(
    shelf: &Arc<Shelf>,
    content: Content,
    part: Range<u64>,
    with_body: bool,
    range: Option<Range<u64>>,
) -> Response<Body> {
    let length = part.end - part.start;
    let body = if with_body {
        StreamBody::new(Box::pin(stream(shelf.clone(), content, part))).boxed()
    } else {
        Empty::new().boxed()
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", hex::encode(content.bytes(0, 8)))) {
        headers.insert(ETAG, tag);
    }
    if let Some(range) = range {
        let text = format!("bytes {}-{}/{}", range.start, range.end - 1, content.length());
        if let Ok(text) = HeaderValue::from_str(&text) {
            headers.insert(CONTENT_RANGE, text);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

/// The bytes of `part`, counted as they leave, held at the bound.
fn stream(
    shelf: Arc<Shelf>,
    content: Content,
    part: Range<u64>,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync {
    let bound = shelf.bound.subscribe();
    futures::stream::unfold((shelf, bound, part), move |(shelf, mut bound, part)| async move {
        if part.is_empty() {
            return None;
        }
        let open = bound
            .wait_for(|bound| shelf.served.borrow().bytes < *bound)
            .await
            .is_ok();
        if !open {
            return None;
        }
        let length = CHUNK.min(part.end - part.start);
        let bytes = content.bytes(part.start, usize::try_from(length).ok()?);
        shelf.served.send_modify(|served| served.bytes += length);
        Some((
            Ok(Frame::data(Bytes::from(bytes))),
            (shelf, bound, part.start + length..part.end),
        ))
    })
}

/// The one range of a `Range` header as a non-empty part of `length` bytes; `None` if it can't be satisfied.
fn parse_range(text: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let part = match (first, last) {
        ("", suffix) => length.saturating_sub(suffix.parse().ok()?)..length,
        (first, "") => first.parse().ok()?..length,
        (first, last) => first.parse().ok()?..last.parse::<u64>().ok()?.saturating_add(1).min(length),
    };
    (part.start < part.end).then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_has_them() {
        assert_eq!(parse_range("bytes=0-0", 10), Some(0..1));
        assert_eq!(parse_range("bytes=3-", 10), Some(3..10));
        assert_eq!(parse_range("bytes=-4", 10), Some(6..10));
        assert_eq!(parse_range("bytes=-40", 10), Some(0..10));
        assert_eq!(parse_range("bytes=8-99", 10), Some(8..10));
        assert_eq!(parse_range("bytes=10-", 10), None);
        assert_eq!(parse_range("bytes=0-0", 0), None);
        assert_eq!(parse_range("bytes=x-0", 10), None);
    }
}
