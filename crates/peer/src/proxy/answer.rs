//! How a content is answered: all of it or one range, or that the client has it already. Pure.

use super::headers::{SERVER_IP, TASK_FINISHED, TASK_ID, strip_connection};
use super::refusal::Refusal;
use dragonfly_model::{ByteRange, Digest, RangeError, RangeHeader, TaskId};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use std::net::IpAddr;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Which bytes a response carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bytes {
    All,
    Part(ByteRange),
    /// At least two, in the order asked for.
    Parts(Vec<ByteRange>),
}

impl Bytes {
    /// As the engine is asked: a part that is the whole is the whole, and so is checked as a whole. Of several parts it
    /// is asked for one after the other.
    pub(super) fn to_engine(&self, content_length: Option<u64>) -> Option<ByteRange> {
        let first = match self {
            Bytes::All => return None,
            Bytes::Part(range) => *range,
            Bytes::Parts(ranges) => *ranges.first()?,
        };
        Some(first).filter(|range| Some(*range) != content_length.map(ByteRange::whole))
    }
}

/// The client's `Range`, and the version of the content it is meant for.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    range: Option<RangeHeader>,
    if_range: Option<HeaderValue>,
}

impl Asked {
    /// A `Range` that is not one of bytes is as good as none (RFC 9110, section 14.2).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let one = match headers.get_all(header::RANGE).iter().collect::<Vec<_>>()[..] {
            [value] => value.to_str().ok(),
            _ => None,
        };
        Self {
            range: one.and_then(|value| RangeHeader::parse(value).ok()),
            if_range: headers.get(header::IF_RANGE).cloned(),
        }
    }

    pub(super) fn is_range(&self) -> bool {
        self.range.is_some()
    }

    /// Which bytes of a content of this length and with these headers. Ranges that are together as long as the content
    /// or longer are answered with everything, as a server may; a content whose length nobody knows has no ranges.
    pub(super) fn bytes(&self, content_length: Option<u64>, headers: &HeaderMap) -> Result<Bytes, Refusal> {
        let (Some(range), Some(content_length)) = (&self.range, content_length) else {
            return Ok(Bytes::All);
        };
        if self
            .if_range
            .as_ref()
            .is_some_and(|version| !is_version(version, headers))
        {
            return Ok(Bytes::All);
        }
        match range.resolve(content_length) {
            Ok(ranges) => match ranges[..] {
                [range] => Ok(Bytes::Part(range)),
                _ if total(&ranges) >= content_length => Ok(Bytes::All),
                _ => Ok(Bytes::Parts(ranges)),
            },
            Err(RangeError::Unsatisfiable { content_length }) => Err(unsatisfiable(content_length)),
            Err(RangeError::Malformed(_)) => Ok(Bytes::All),
        }
    }
}

fn total(ranges: &[ByteRange]) -> u64 {
    ranges
        .iter()
        .fold(0, |sum: u64, range| sum.saturating_add(range.length))
}

fn unsatisfiable(content_length: u64) -> Refusal {
    let value = HeaderValue::try_from(format!("bytes */{content_length}")).expect("digits make a header value");
    let message = format!("the range lies behind the {content_length} bytes of the content");
    Refusal::proxy(StatusCode::RANGE_NOT_SATISFIABLE, message).with_header(header::CONTENT_RANGE, value)
}

/// Whether the content is exactly the version of an `If-Range`: the same strong tag or the very same date.
fn is_version(version: &HeaderValue, headers: &HeaderMap) -> bool {
    let is_tag = version.as_bytes().ends_with(b"\"");
    let known = headers.get(if is_tag { header::ETAG } else { header::LAST_MODIFIED });
    let is_weak = version.as_bytes().starts_with(b"W/");
    known == Some(version) && !is_weak
}

/// Whether the client says that it has this very content. A date counts only if it is the content's own, so that no
/// clock is believed; without an answer here the content is sent, which is always right.
pub(super) fn is_not_modified(request: &HeaderMap, content: &HeaderMap) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        let Some(tag) = content.get(header::ETAG).and_then(|tag| tag.to_str().ok()) else {
            return false;
        };
        let asked = request.get_all(header::IF_NONE_MATCH).iter();
        let mut tags = asked
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        return tags.any(|asked| asked.trim() == "*" || opaque(asked) == opaque(tag));
    }
    let since = request.get(header::IF_MODIFIED_SINCE);
    since.is_some() && since == content.get(header::LAST_MODIFIED)
}

/// A tag without its weakness, which `If-None-Match` does not look at.
fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// What every answer with a task's content says beside the content's own headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Label<'a> {
    pub(super) task_id: &'a TaskId,
    pub(super) digest: Option<&'a Digest>,
    pub(super) server_ip: IpAddr,
    /// Whether the content was complete here before.
    pub(super) was_finished: bool,
}

/// The head of an answer with a content, from the headers that its origin gave. One with several parts is given its
/// length and type by whoever frames them.
pub(super) fn head(bytes: &Bytes, content_length: Option<u64>, stored: HeaderMap, label: Label<'_>) -> Response<()> {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    *headers = described(stored, label);
    if content_length.is_some() {
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    match (bytes, content_length) {
        (Bytes::Part(range), Some(total)) => {
            let last = range.end().saturating_sub(1);
            let value = format!("bytes {}-{last}/{total}", range.start);
            let value = HeaderValue::try_from(value).expect("digits make a header value");
            headers.insert(header::CONTENT_RANGE, value);
            headers.insert(header::CONTENT_LENGTH, range.length.into());
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        (Bytes::Parts(_), Some(_)) => *response.status_mut() = StatusCode::PARTIAL_CONTENT,
        (_, Some(total)) => {
            headers.insert(header::CONTENT_LENGTH, total.into());
        }
        (_, None) => {}
    }
    response
}

/// The head of an answer to a client that has the content already.
pub(super) fn not_modified(stored: HeaderMap, label: Label<'_>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.headers_mut() = described(stored, label);
    response
}

/// The origin's headers but for those of its connection, of one answer, of one caller or about the origin itself.
fn described(mut headers: HeaderMap, label: Label<'_>) -> HeaderMap {
    strip_connection(&mut headers);
    for name in [
        header::ACCEPT_RANGES,
        header::AGE,
        header::ALT_SVC,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::DATE,
        header::LOCATION,
        header::SET_COOKIE,
        header::STRICT_TRANSPORT_SECURITY,
        header::VIA,
        header::WWW_AUTHENTICATE,
        TASK_FINISHED,
    ] {
        headers.remove(name);
    }
    if let Some(digest) = label.digest {
        let value = HeaderValue::try_from(digest.to_string()).expect("a digest is visible ASCII");
        headers.insert(DOCKER_CONTENT_DIGEST, value);
    }
    let task_id = HeaderValue::from_str(label.task_id.as_str()).expect("a task id is hex");
    headers.insert(TASK_ID, task_id);
    let ip = HeaderValue::try_from(label.server_ip.to_string()).expect("an address is visible ASCII");
    headers.insert(SERVER_IP, ip);
    if label.was_finished {
        headers.insert(TASK_FINISHED, HeaderValue::from_static("true"));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        map
    }

    fn bytes(request: &[(&str, &str)], content: &[(&str, &str)]) -> Result<Bytes, Refusal> {
        Asked::of(&headers(request)).bytes(Some(10), &headers(content))
    }

    fn part(start: u64, length: u64) -> Bytes {
        Bytes::Part(ByteRange { start, length })
    }

    fn label(task_id: &TaskId) -> Label<'_> {
        Label {
            task_id,
            digest: None,
            server_ip: "10.0.0.1".parse().unwrap(),
            was_finished: false,
        }
    }

    #[test]
    fn ranges_are_answered_exactly_unless_they_are_as_long_as_everything() {
        assert_eq!(bytes(&[("range", "bytes=2-5")], &[]).unwrap(), part(2, 4));
        assert_eq!(bytes(&[("range", "bytes=-3")], &[]).unwrap(), part(7, 3));
        assert_eq!(bytes(&[("range", "bytes=4-")], &[]).unwrap(), part(4, 6));
        let two = [(0, 2), (4, 2)].map(|(start, length)| ByteRange { start, length });
        assert_eq!(
            bytes(&[("range", "bytes=0-1,4-5")], &[]).unwrap(),
            Bytes::Parts(two.to_vec())
        );
        for all in ["bytes=0-5,4-9", "bytes=0-,0-,0-", "lines=1-2", "bytes=5-1", "bytes=x"] {
            assert_eq!(bytes(&[("range", all)], &[]).unwrap(), Bytes::All, "{all}");
        }
        assert_eq!(
            bytes(&[("range", "bytes=0-1"), ("range", "bytes=3-4")], &[]).unwrap(),
            Bytes::All
        );
        assert_eq!(bytes(&[], &[]).unwrap(), Bytes::All);
        // Of two ranges only one lies in the content.
        assert_eq!(bytes(&[("range", "bytes=0-1,99-")], &[]).unwrap(), part(0, 2));
    }

    #[test]
    fn a_range_behind_the_end_is_answered_416_with_the_length() {
        let response = bytes(&[("range", "bytes=10-")], &[]).unwrap_err().into_response();
        assert_eq!(response.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(response.headers()[header::CONTENT_RANGE], "bytes */10");
        let empty = Asked::of(&headers(&[("range", "bytes=0-")])).bytes(Some(0), &HeaderMap::new());
        assert_eq!(empty.unwrap_err().status(), StatusCode::RANGE_NOT_SATISFIABLE);
    }

    #[test]
    fn a_range_of_another_version_is_answered_with_everything() {
        let asked = |version: &str, content: &[(&str, &str)]| {
            bytes(&[("range", "bytes=0-1"), ("if-range", version)], content).unwrap()
        };
        let date = "Tue, 15 Nov 1994 12:45:26 GMT";
        assert_eq!(asked("\"a\"", &[("etag", "\"a\"")]), part(0, 2));
        assert_eq!(asked("\"a\"", &[("etag", "\"b\"")]), Bytes::All);
        assert_eq!(asked("W/\"a\"", &[("etag", "W/\"a\"")]), Bytes::All);
        assert_eq!(asked("\"a\"", &[]), Bytes::All);
        assert_eq!(asked(date, &[("last-modified", date)]), part(0, 2));
        assert_eq!(
            asked(date, &[("last-modified", "Tue, 15 Nov 1994 12:45:27 GMT")]),
            Bytes::All
        );
    }

    #[test]
    fn who_has_the_content_is_not_sent_it_again() {
        let content = headers(&[("etag", "\"a\""), ("last-modified", "Tue, 15 Nov 1994 12:45:26 GMT")]);
        let check = |name: &str, value: &str| is_not_modified(&headers(&[(name, value)]), &content);
        assert!(check("if-none-match", "\"x\", W/\"a\""));
        assert!(check("if-none-match", "*"));
        assert!(!check("if-none-match", "\"b\""));
        assert!(check("if-modified-since", "Tue, 15 Nov 1994 12:45:26 GMT"));
        assert!(!check("if-modified-since", "Tue, 15 Nov 2094 12:45:26 GMT"));
        assert!(!is_not_modified(&headers(&[]), &content));
        // A tag outweighs a date.
        let both = headers(&[
            ("if-none-match", "\"b\""),
            ("if-modified-since", "Tue, 15 Nov 1994 12:45:26 GMT"),
        ]);
        assert!(!is_not_modified(&both, &content));
    }

    #[test]
    fn a_head_describes_the_bytes_and_repeats_nothing_of_another_callers_answer() {
        let id = TaskId::parse(&"a".repeat(64)).unwrap();
        let stored = headers(&[
            ("content-type", "application/octet-stream"),
            ("etag", "\"a\""),
            ("content-length", "999"),
            ("set-cookie", "session=1"),
            ("date", "Tue, 15 Nov 1994 12:45:26 GMT"),
            ("transfer-encoding", "chunked"),
        ]);
        let response = head(&part(2, 4), Some(10), stored.clone(), label(&id));
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
        let sent = response.headers();
        assert_eq!(sent[header::CONTENT_RANGE], "bytes 2-5/10");
        assert_eq!(sent[header::CONTENT_LENGTH], "4");
        assert_eq!(sent[header::ETAG], "\"a\"");
        assert_eq!(sent[TASK_ID], id.as_str());
        assert_eq!(sent[SERVER_IP], "10.0.0.1");
        assert!(!sent.contains_key(TASK_FINISHED));
        for gone in [header::SET_COOKIE, header::DATE, header::TRANSFER_ENCODING] {
            assert!(!sent.contains_key(&gone), "{gone}");
        }
        let whole = head(&Bytes::All, Some(10), stored.clone(), label(&id));
        assert_eq!(
            (whole.status(), &whole.headers()[header::CONTENT_LENGTH]),
            (StatusCode::OK, &10.into())
        );
        let unknown = head(&Bytes::All, None, stored, label(&id));
        assert!(!unknown.headers().contains_key(header::CONTENT_LENGTH));
        assert!(!unknown.headers().contains_key(header::ACCEPT_RANGES));
    }
}
