//! Object stores: those of Amazon and what speaks like it, Google, Azure, Alibaba, Huawei and Tencent.
//!
//! OpenDAL knows how each of them signs and lists. An object itself is fetched by our own HTTP client with what OpenDAL
//! has signed, so ranges, versions, retries, redirects and the end of a body are what they are for every other origin;
//! and nothing that OpenDAL sends by itself, for a list or a token, goes past the egress guard.

mod operator;
mod wire;

use crate::entry::{Entries, path_of};
use crate::http::{Forwarder, HttpSource};
use crate::request::redacted;
use crate::{Access, Body, Entry, Error, Head, Request, Source, StoreAccess, Validator};
use dragonfly_model::ByteRange;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use http::{HeaderMap, StatusCode};
use opendal::{BytesRange, ErrorKind, OperationContext, Operator};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;
use wire::Wire;

/// Object stores by the schemes of their URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Amazon,
    Google,
    Azure,
    Alibaba,
    Huawei,
    Tencent,
}

impl Kind {
    fn of(url: &Url) -> Option<Self> {
        match url.scheme() {
            "s3" => Some(Kind::Amazon),
            "gs" => Some(Kind::Google),
            "abs" => Some(Kind::Azure),
            "oss" => Some(Kind::Alibaba),
            "obs" => Some(Kind::Huawei),
            "cos" => Some(Kind::Tencent),
            _ => None,
        }
    }
}

/// Whether URLs of this scheme name objects of a store.
pub(crate) fn serves(scheme: &str) -> bool {
    matches!(scheme, "s3" | "gs" | "abs" | "oss" | "obs" | "cos")
}

pub(crate) struct StoreSource {
    http: Arc<HttpSource>,
    forwarder: Arc<Forwarder>,
    response_timeout: Duration,
}

impl StoreSource {
    pub(crate) fn new(http: Arc<HttpSource>, forwarder: Arc<Forwarder>, response_timeout: Duration) -> Self {
        Self {
            http,
            forwarder,
            response_timeout,
        }
    }

    /// By the first byte: with one store or another a HEAD is signed otherwise, or answered with a description.
    async fn head_of(&self, request: &Request) -> Result<Head, Error> {
        let first = ByteRange { start: 0, length: 1 };
        let signed = self.signed(request, Some(first)).await?;
        match self.http.head_by_first_byte(&signed).await {
            // Nothing has no first byte.
            Err(error) if error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE.as_u16()) => {
                let signed = self.signed(request, None).await?;
                Ok(self.http.body_of(&signed).await?.head)
            }
            head => head,
        }
    }

    async fn body_of(&self, request: &Request) -> Result<Body, Error> {
        let signed = self.signed(request, request.range).await?;
        self.http.body_of(&signed).await
    }

    /// The same question as the store wants it asked over HTTP.
    async fn signed(&self, request: &Request, range: Option<ByteRange>) -> Result<Request, Error> {
        let place = Place::of(&request.url)?;
        let (operator, wire) = self.operator(request, &place)?;
        let signing = async {
            let mut reading = operator.reader_with(&place.path);
            // Where conditions are signed, too.
            if let Some(Validator::ETag(tag)) = &request.if_match
                && let Ok(tag) = tag.to_str()
                && operator.info().capability().read_with_if_match
            {
                reading = reading.if_match(tag);
            }
            let mut stream = reading.await?.into_stream(bytes_range(range)).await?;
            stream.try_next().await
        };
        let outcome = self.in_time(request, signing).await?;
        let parts = match (wire.signed(), wire.failure(), outcome) {
            (Some(parts), _, _) => parts,
            (None, Some(failure), _) => return Err(failure),
            (None, None, outcome) => return Err(unsigned(request, outcome.err())),
        };
        let url = Url::parse(&parts.uri.to_string()).map_err(|_| Error::Url {
            url: redacted(&request.url),
            what: "its object has no address",
        })?;
        Ok(Request {
            headers: for_this_server_only(parts.headers),
            range,
            access: Access::Plain,
            url,
            ..request.clone()
        })
    }

    async fn entries(&self, request: &Request) -> Result<Vec<Entry>, Error> {
        let place = Place::of(&request.url)?;
        let (operator, wire) = self.operator(request, &place)?;
        let mut entries = Entries::new(&request.url);
        let directory = place.directory();
        let opening = operator.lister_with(&directory).recursive(true).into_future();
        let lister = self.in_time(request, opening).await?;
        let mut lister = lister.map_err(|error| unlisted(request, &wire, error))?;
        loop {
            // Each page has its time.
            let next = self.in_time(request, lister.try_next()).await?;
            let Some(entry) = next.map_err(|error| unlisted(request, &wire, error))? else {
                return Ok(entries.finish());
            };
            let length = entry.metadata().content_length();
            entries.push(entry.path(), Some(length))?;
        }
    }

    fn operator(&self, request: &Request, place: &Place) -> Result<(Operator, Wire), Error> {
        let public = StoreAccess::default();
        let access = match &request.access {
            Access::Store(access) => access,
            _ => &public,
        };
        let wire = Wire::new(self.forwarder.clone(), request.caller, redacted(&request.url));
        let operator = operator::of(place.kind, &place.bucket, access).map_err(|what| Error::Access {
            origin: redacted(&request.url),
            what,
        })?;
        let context = OperationContext::new().with_http_transport(wire.transporter());
        Ok((operator.with_context(context), wire))
    }

    async fn in_time<T>(&self, request: &Request, answer: impl Future<Output = T>) -> Result<T, Error> {
        let limit = request.timeout.unwrap_or(self.response_timeout);
        timeout(limit, answer).await.map_err(|_| Error::Timeout {
            origin: redacted(&request.url),
            awaited: "answer",
        })
    }
}

impl Source for StoreSource {
    fn stat<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Head, Error>> {
        self.head_of(request).boxed()
    }

    fn get<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Body, Error>> {
        self.body_of(request).boxed()
    }

    fn list<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Vec<Entry>, Error>> {
        self.entries(request).boxed()
    }
}

/// What a URL names in a store.
struct Place {
    kind: Kind,
    bucket: String,
    path: String,
}

impl Place {
    fn of(url: &Url) -> Result<Self, Error> {
        let wrong = |what| Error::Url {
            url: redacted(url),
            what,
        };
        let kind = Kind::of(url).ok_or_else(|| Error::UnsupportedScheme(url.scheme().to_owned()))?;
        let bucket = url.host_str().ok_or_else(|| wrong("it names no bucket"))?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !bucket.chars().all(is_plain) || bucket.is_empty() {
            return Err(wrong("its bucket has characters that no bucket has"));
        }
        if url.port().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "write it as scheme://bucket/key; endpoint and keys are given apart",
            ));
        }
        let path = path_of(url)?;
        // OpenDAL would take another object for it.
        if path.starts_with('/') || path.contains("//") || path.trim() != path {
            return Err(wrong(
                "keys with empty segments, or with spaces at an end, are not supported",
            ));
        }
        Ok(Self {
            kind,
            bucket: bucket.to_owned(),
            path,
        })
    }

    fn directory(&self) -> String {
        match self.path.as_str() {
            path if path.is_empty() || path.ends_with('/') => path.to_owned(),
            path => format!("{path}/"),
        }
    }
}

fn bytes_range(range: Option<ByteRange>) -> BytesRange {
    match range {
        None => BytesRange::from(..),
        Some(ByteRange {
            start,
            length: u64::MAX,
        }) => BytesRange::from(start..),
        Some(range) => BytesRange::from(range.start..range.end()),
    }
}

/// Signatures and tokens, however a store names them, stay with the server that they are for.
fn for_this_server_only(mut headers: HeaderMap) -> HeaderMap {
    headers.values_mut().for_each(|value| value.set_sensitive(true));
    headers
}

/// Why there is nothing to ask with.
fn unsigned(request: &Request, error: Option<opendal::Error>) -> Error {
    let why = error.map(|error| format!(": {}", error.message())).unwrap_or_default();
    Error::Access {
        origin: redacted(&request.url),
        what: format!("its keys or its credential don't do{why}"),
    }
}

fn unlisted(request: &Request, wire: &Wire, error: opendal::Error) -> Error {
    if let Some(failure) = wire.failure() {
        return failure;
    }
    match error.kind() {
        ErrorKind::Unexpected => Error::Protocol {
            origin: redacted(&request.url),
            what: "its list can't be read",
        },
        _ => unsigned(request, Some(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_bucket_and_a_key() {
        let place = |url: &str| Place::of(&Url::parse(url).unwrap());
        let found = place("s3://models/a%20b/c.bin").unwrap();
        assert_eq!((found.bucket.as_str(), found.path.as_str()), ("models", "a b/c.bin"));
        assert_eq!(place("gs://models").unwrap().directory(), "");
        assert_eq!(place("gs://models/a").unwrap().directory(), "a/");
        for wrong in [
            "s3:///key",
            "s3://buck%2Fet/key",
            "s3://key:secret@bucket/key",
            "s3://bucket:9000/key",
            "s3://bucket/a//b",
            "s3://bucket/a%20",
        ] {
            assert!(matches!(place(wrong), Err(Error::Url { .. })), "{wrong}");
        }
    }
}
