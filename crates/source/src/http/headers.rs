//! Which headers travel to an origin, which come back, and what they say about the content.

use crate::{Request, Validator};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dragonfly_model::ByteRange;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

/// Headers of one connection, not of a request or content (RFC 9110, section 7.6.1), and those that name its proxy.
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What a caller sends that selects a part, a version or a coding of the content, or frames its own request. What the
/// cache keeps is the whole content as it is, so these are ours to set.
const SELECTING: [HeaderName; 10] = [
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
];

/// What may open a door, and so stays with the origin it was meant for.
const CREDENTIALS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// The headers of a request as they leave for the origin.
pub(super) fn of_request(
    request: &Request,
    range: Option<ByteRange>,
    added: &HeaderMap,
    user_agent: &HeaderValue,
) -> HeaderMap {
    let mut headers = request.headers.clone();
    remove_connection(&mut headers);
    for name in &SELECTING {
        headers.remove(name);
    }
    for name in added.keys().filter(|name| !request.headers.contains_key(*name)) {
        for value in added.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.entry(header::USER_AGENT).or_insert_with(|| user_agent.clone());
    headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    if let Some(basic) = basic_of(&request.url) {
        headers.entry(header::AUTHORIZATION).or_insert(basic);
    }
    if let Some(value) = range.and_then(range_value) {
        headers.insert(header::RANGE, value);
    }
    match &request.if_match {
        Some(Validator::ETag(tag)) => headers.insert(header::IF_MATCH, tag.clone()),
        Some(Validator::LastModified(date)) => headers.insert(header::IF_UNMODIFIED_SINCE, date.clone()),
        None => None,
    };
    for name in &CREDENTIALS {
        if let header::Entry::Occupied(mut entry) = headers.entry(name) {
            entry.iter_mut().for_each(|value| value.set_sensitive(true));
        }
    }
    headers
}

/// Takes away what must not reach another origin: known credentials, and whatever its owner marked as sensitive.
pub(super) fn remove_credentials(headers: &mut HeaderMap) {
    let marked: Vec<HeaderName> = headers
        .iter()
        .filter(|(_, value)| value.is_sensitive())
        .map(|(name, _)| name.clone())
        .collect();
    for name in marked.iter().chain(&CREDENTIALS) {
        headers.remove(name);
    }
}

/// The headers of an answer that describe the whole content. `length` replaces the length of a part.
pub(super) fn of_content(answer: &HeaderMap, length: Option<u64>) -> HeaderMap {
    let mut headers = answer.clone();
    remove_connection(&mut headers);
    headers.remove(header::SET_COOKIE);
    headers.remove("set-cookie2");
    let was_part = headers.remove(header::CONTENT_RANGE).is_some();
    match length {
        Some(length) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        None if was_part => {
            headers.remove(header::CONTENT_LENGTH);
        }
        None => {}
    }
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        if let Some(value) = headers.get_mut(name) {
            // A signed URL opens a door for whoever reads it in a log.
            value.set_sensitive(true);
        }
    }
    headers
}

fn remove_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn range_value(range: ByteRange) -> Option<HeaderValue> {
    let last = range.end().checked_sub(1).filter(|_| range.length > 0)?;
    let text = match range.length {
        u64::MAX => format!("bytes={}-", range.start),
        _ => format!("bytes={}-{last}", range.start),
    };
    HeaderValue::try_from(text).ok()
}

/// User and password of a URL, as a browser would send them.
fn basic_of(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    HeaderValue::try_from(format!("Basic {}", BASE64.encode(pair))).ok()
}

/// `Content-Length`, unless it is contradicted by a transfer coding.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    number(headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.trim())
}

/// Whether an answer promises ranges of bytes.
pub(super) fn accepts_ranges(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_RANGES)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|unit| unit.trim().eq_ignore_ascii_case("bytes"))
}

/// The first and the last byte of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// A `Content-Range`: `bytes 0-9/100`, `bytes 0-9/*`, `bytes */100`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) part: Option<Part>,
    pub(super) total: Option<u64>,
}

impl ContentRange {
    /// The header's value, unless it is missing, malformed or contradicts itself.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        Self::parse(headers.get(header::CONTENT_RANGE)?.to_str().ok()?)
    }

    fn parse(value: &str) -> Option<Self> {
        let (unit, rest) = value.trim().split_once(' ')?;
        let (part, total) = rest.trim().split_once('/')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let total = match total.trim() {
            "*" => None,
            total => Some(number(total)?),
        };
        let part = match part.trim() {
            "*" => None,
            part => {
                let (first, last) = part.split_once('-')?;
                Some(Part {
                    first: number(first)?,
                    last: number(last)?,
                })
            }
        };
        let sound = part.is_none_or(|p| p.first <= p.last && p.last < total.unwrap_or(u64::MAX));
        sound.then_some(Self { part, total })
    }
}

/// `str::parse` would accept a sign.
fn number(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Caller;

    fn request(pairs: &[(&'static str, &'static str)]) -> Request {
        let mut request = Request::new(Url::parse("http://example.com/x").unwrap(), Caller::Local);
        for (name, value) in pairs {
            request.headers.append(*name, HeaderValue::from_static(value));
        }
        request
    }

    fn sent(request: &Request, range: Option<ByteRange>) -> HeaderMap {
        let mut added = HeaderMap::new();
        added.insert("x-added", HeaderValue::from_static("ours"));
        of_request(request, range, &added, &HeaderValue::from_static("dragonfly"))
    }

    #[test]
    fn what_frames_or_selects_does_not_travel() {
        let headers = sent(
            &request(&[
                ("connection", "close, x-named"),
                ("x-named", "1"),
                ("proxy-authorization", "Basic x"),
                ("transfer-encoding", "chunked"),
                ("host", "elsewhere"),
                ("range", "bytes=1-2"),
                ("if-none-match", "\"a\""),
                ("if-modified-since", "yesterday"),
                ("accept-encoding", "gzip"),
                ("authorization", "Bearer t"),
                ("x-mine", "1"),
            ]),
            None,
        );
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept",
                "accept-encoding",
                "authorization",
                "user-agent",
                "x-added",
                "x-mine"
            ]
        );
        assert_eq!(headers["accept-encoding"], "identity");
        assert!(headers["authorization"].is_sensitive());
    }

    #[test]
    fn the_callers_headers_win_over_configured_ones() {
        let headers = sent(&request(&[("x-added", "theirs"), ("user-agent", "containerd")]), None);
        assert_eq!(headers.get_all("x-added").iter().collect::<Vec<_>>(), ["theirs"]);
        assert_eq!(headers["user-agent"], "containerd");
    }

    #[test]
    fn ranges_and_versions_are_asked_for_in_their_headers() {
        let mut request = request(&[]);
        request.if_match = Some(Validator::ETag(HeaderValue::from_static("\"v1\"")));
        let headers = sent(&request, Some(ByteRange { start: 5, length: 5 }));
        assert_eq!(headers["range"], "bytes=5-9");
        assert_eq!(headers["if-match"], "\"v1\"");
        let headers = sent(
            &request,
            Some(ByteRange {
                start: 5,
                length: u64::MAX,
            }),
        );
        assert_eq!(headers["range"], "bytes=5-");
    }

    #[test]
    fn user_and_password_of_the_url_become_basic_credentials() {
        let mut request = request(&[]);
        request.url = Url::parse("http://us%65r:p%40ss@example.com/").unwrap();
        assert_eq!(sent(&request, None)["authorization"], "Basic dXNlcjpwQHNz");
    }

    #[test]
    fn content_ranges_are_read_strictly() {
        let part = |first, last| Some(Part { first, last });
        let sound = [
            ("bytes 0-9/100", part(0, 9), Some(100)),
            ("bytes 0-9/*", part(0, 9), None),
            ("bytes */100", None, Some(100)),
        ];
        for (text, part, total) in sound {
            assert_eq!(ContentRange::parse(text), Some(ContentRange { part, total }), "{text}");
        }
        for text in [
            "",
            "bytes",
            "bytes 9-0/100",
            "bytes 0-100/100",
            "items 0-9/100",
            "bytes +0-9/100",
            "bytes 0-9",
        ] {
            assert_eq!(ContentRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_headers_of_a_content_hide_the_part_and_the_cookies() {
        let mut answer = HeaderMap::new();
        for (name, value) in [
            ("content-range", "bytes 0-0/70"),
            ("content-length", "1"),
            ("set-cookie", "a=b"),
            ("connection", "keep-alive"),
            ("etag", "\"v\""),
        ] {
            answer.insert(name, HeaderValue::from_static(value));
        }
        let headers = of_content(&answer, Some(70));
        assert_eq!(headers.len(), 2, "{headers:?}");
        assert_eq!(headers["content-length"], "70");
        assert!(!of_content(&answer, None).contains_key("content-length"));
    }
}
