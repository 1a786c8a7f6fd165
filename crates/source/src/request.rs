//! What is asked of an origin and what it answers.

use crate::{Access, Error, Trust};
use bytes::Bytes;
use dragonfly_model::ByteRange;
use futures::stream::BoxStream;
use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::time::Duration;
use url::Url;

/// Who named the URL. Decides which addresses it may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A process on this host, which could reach its loopback without us.
    Local,
    /// Somebody on another host.
    Remote,
}

/// One question to an origin.
#[derive(Clone)]
pub struct Request {
    /// What is asked for.
    pub url: Url,
    /// The caller's own headers. Those that belong to the caller's connection or select a part or a coding of the
    /// content are left out on the way.
    pub headers: HeaderMap,
    /// Who named the URL.
    pub caller: Caller,
    /// How long until the origin must have begun its answer, redirects and retries included.
    pub timeout: Option<Duration>,
    /// Which bytes; `None` for all. A length of `u64::MAX` asks for everything from the start of the range.
    pub range: Option<ByteRange>,
    /// The version of the content that is asked for: another one is [`Error::Changed`].
    pub if_match: Option<Validator>,
    /// Whose certificates are believed beside those of the configuration.
    pub trust: Trust,
    /// What opens the origin beside the headers.
    pub access: Access,
}

impl Request {
    /// A request for the whole content in any version, with no headers of the caller's.
    pub fn new(url: Url, caller: Caller) -> Self {
        Self {
            url,
            headers: HeaderMap::new(),
            caller,
            timeout: None,
            range: None,
            if_match: None,
            trust: Trust::default(),
            access: Access::default(),
        }
    }
}

impl fmt::Debug for Request {
    /// Header values and the query may hold credentials, so neither is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("url", &redacted(&self.url))
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("caller", &self.caller)
            .field("timeout", &self.timeout)
            .field("range", &self.range)
            .field("if_match", &self.if_match)
            .field("trust", &self.trust)
            .field("access", &self.access)
            .finish()
    }
}

/// What names one version of a content at its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validator {
    /// A strong entity tag, with its quotes.
    ETag(HeaderValue),
    /// A `Last-Modified` date as the origin wrote it.
    LastModified(HeaderValue),
}

impl Validator {
    /// The best validator among response headers: a strong entity tag, else the date.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        match strong_etag(headers) {
            Some(tag) => Some(Validator::ETag(tag.clone())),
            None => headers.get(LAST_MODIFIED).cloned().map(Validator::LastModified),
        }
    }

    /// As [`Validator::of`], for headers kept as text.
    pub fn of_pairs(pairs: &[(String, String)]) -> Option<Self> {
        let headers = pairs
            .iter()
            .filter_map(|(name, value)| {
                let name: HeaderName = name.parse().ok()?;
                Some((name, HeaderValue::from_str(value).ok()?))
            })
            .collect();
        Self::of(&headers)
    }

    /// Whether response headers say that this is another version. Silence is no contradiction.
    pub(crate) fn is_contradicted_by(&self, headers: &HeaderMap) -> bool {
        match self {
            Validator::ETag(tag) => strong_etag(headers).is_some_and(|other| other != tag),
            Validator::LastModified(date) => headers.get(LAST_MODIFIED).is_some_and(|other| other != date),
        }
    }
}

fn strong_etag(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""))
}

/// What an origin says about a content.
#[derive(Debug, Clone)]
pub struct Head {
    /// The status of the answer; 200 where only a part was asked for.
    pub status: u16,
    /// Bytes of the whole content, if the origin knows.
    pub content_length: Option<u64>,
    /// Whether the origin has said that it serves ranges.
    pub accepts_ranges: bool,
    /// The headers that describe the whole content. Those of the connection and `Set-Cookie` are gone; a
    /// `Content-Encoding` stays, because the bytes are kept as the origin sent them.
    pub headers: HeaderMap,
    /// The version of the content.
    pub validator: Option<Validator>,
}

/// The bytes of a content as they arrive.
pub struct Body {
    /// What the origin says about the whole content.
    pub head: Head,
    /// What the origin really sends; `None` is the whole content from its first byte.
    pub range: Option<ByteRange>,
    /// The bytes in order. A stream that ends before its announced length ends with [`Error::Truncated`].
    pub stream: BoxStream<'static, Result<Bytes, Error>>,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("head", &self.head)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// A URL as it may be shown: without user, password and query, which may be credentials.
pub(crate) fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    let hidden = if url.query().is_some() { "?…" } else { "" };
    shown.set_query(None);
    shown.set_fragment(None);
    // Both fail only for URLs that can't hold a user at all.
    if shown.set_username("").is_err() || shown.set_password(None).is_err() {
        return format!("{}:…", url.scheme());
    }
    format!("{shown}{hidden}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_never_shows_credentials() {
        let mut request = Request::new(
            Url::parse("https://user:secret-1@example.com/file?Signature=secret-2#secret-3").unwrap(),
            Caller::Remote,
        );
        request
            .headers
            .insert("authorization", HeaderValue::from_static("Bearer secret-4"));
        let shown = format!("{request:?}");
        assert!(shown.contains("https://example.com/file?…"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_weak_tag_names_no_version_but_a_date_does() {
        let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
        };
        let date = "Tue, 15 Nov 1994 12:45:26 GMT";
        let both = pairs(&[("etag", "\"a\""), ("last-modified", date)]);
        assert_eq!(
            Validator::of_pairs(&both),
            Some(Validator::ETag(HeaderValue::from_static("\"a\"")))
        );
        let weak = pairs(&[("ETag", "W/\"a\""), ("Last-Modified", date)]);
        assert_eq!(
            Validator::of_pairs(&weak),
            Some(Validator::LastModified(HeaderValue::from_static(date)))
        );
        assert_eq!(Validator::of_pairs(&pairs(&[("ETag", "W/\"a\"")])), None);
    }
}
