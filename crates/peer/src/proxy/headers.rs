//! Headers: which belong to one connection only, which travel to the origin, and what Dragonfly's own ask for.

use super::refusal::Refusal;
use dragonfly_model::{PieceLayout, Priority};
use dragonfly_service::config::ByteSize;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};

/// The registry that a request without a host means: a base URL or a host.
pub(super) const REGISTRY: HeaderName = HeaderName::from_static("x-dragonfly-registry");
/// `true` sends a GET peer to peer though no rule matches.
const USE_P2P: HeaderName = HeaderName::from_static("x-dragonfly-use-p2p");
const TAG: HeaderName = HeaderName::from_static("x-dragonfly-tag");
const APPLICATION: HeaderName = HeaderName::from_static("x-dragonfly-application");
const PRIORITY: HeaderName = HeaderName::from_static("x-dragonfly-priority");
const FILTERED_QUERY_PARAMS: HeaderName = HeaderName::from_static("x-dragonfly-filtered-query-params");
const PIECE_LENGTH: HeaderName = HeaderName::from_static("x-dragonfly-piece-length");
const CONTENT: HeaderName = HeaderName::from_static("x-dragonfly-content-for-calculating-task-id");
const BLOB_DIGEST_IDS: HeaderName = HeaderName::from_static("x-dragonfly-enable-task-id-based-blob-digest");
const OUTPUT_PATH: HeaderName = HeaderName::from_static("x-dragonfly-output-path");
const FORCE_HARD_LINK: HeaderName = HeaderName::from_static("x-dragonfly-force-hard-link");

/// The task that answered.
pub(super) const TASK_ID: HeaderName = HeaderName::from_static("x-dragonfly-task-id");
/// `true` if the content was complete on this host before it was asked for.
pub(super) const TASK_FINISHED: HeaderName = HeaderName::from_static("x-dragonfly-task-download-finished");
/// The address of the host that answered.
pub(super) const SERVER_IP: HeaderName = HeaderName::from_static("x-dragonfly-server-ip");
/// Who failed: `backend`, `proxy` or `dfdaemon`.
pub(super) const ERROR_TYPE: HeaderName = HeaderName::from_static("x-dragonfly-error-type");

const PREFIX: &str = "x-dragonfly-";
/// Longer values than this would only fill the index.
const MAX_TEXT_BYTES: usize = 1024;
const MAX_FILTERED_PARAMS: usize = 256;

/// What a client's `X-Dragonfly-*` headers ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) use_p2p: bool,
    pub(super) tag: Option<String>,
    pub(super) application: Option<String>,
    pub(super) priority: Priority,
    pub(super) filtered_query_params: Option<Vec<String>>,
    pub(super) piece_length: Option<u64>,
    pub(super) content: Option<String>,
    pub(super) blob_digest_ids: Option<bool>,
}

impl Wishes {
    /// Reads the headers; one that can't be understood is refused with its name and what it should look like.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, Refusal> {
        for name in [OUTPUT_PATH, FORCE_HARD_LINK] {
            if headers.contains_key(&name) {
                return Err(Refusal::bad_request(format!(
                    "{name} is not accepted here: files are written by dfget or over the unix socket of the peer"
                )));
            }
        }
        Ok(Self {
            use_p2p: flag(headers, &USE_P2P)?.unwrap_or(false),
            tag: text(headers, &TAG)?,
            application: text(headers, &APPLICATION)?,
            priority: priority(headers)?.unwrap_or_default(),
            filtered_query_params: filtered_query_params(headers)?,
            piece_length: piece_length(headers)?,
            content: text(headers, &CONTENT)?,
            blob_digest_ids: flag(headers, &BLOB_DIGEST_IDS)?,
        })
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let readable = value.to_str().ok().filter(|text| text.len() <= MAX_TEXT_BYTES);
    match readable.map(str::trim) {
        Some("") => Ok(None),
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(Refusal::bad_request(format!(
            "{name} must be at most {MAX_TEXT_BYTES} visible ASCII characters"
        ))),
    }
}

fn flag(headers: &HeaderMap, name: &HeaderName) -> Result<Option<bool>, Refusal> {
    match text(headers, name)?.as_deref() {
        None => Ok(None),
        Some(word) if word.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(word) if word.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(_) => Err(Refusal::bad_request(format!("{name} must be true or false"))),
    }
}

fn priority(headers: &HeaderMap) -> Result<Option<Priority>, Refusal> {
    let Some(word) = text(headers, &PRIORITY)? else {
        return Ok(None);
    };
    let level = word.parse().ok().and_then(Priority::from_number);
    level
        .map(Some)
        .ok_or_else(|| Refusal::bad_request(format!("{PRIORITY} must be a number from 0 to 6")))
}

fn piece_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(word) = text(headers, &PIECE_LENGTH)? else {
        return Ok(None);
    };
    let size: Option<ByteSize> = word.parse().ok();
    match size {
        Some(size) if size.as_u64() >= PieceLayout::MIN_PIECE_LENGTH => Ok(Some(size.as_u64())),
        _ => Err(Refusal::bad_request(format!(
            "{PIECE_LENGTH} must be a size of at least 4MiB, such as 16MiB"
        ))),
    }
}

fn filtered_query_params(headers: &HeaderMap) -> Result<Option<Vec<String>>, Refusal> {
    let Some(value) = headers.get(&FILTERED_QUERY_PARAMS) else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .map_err(|_| Refusal::bad_request(format!("{FILTERED_QUERY_PARAMS} must be visible ASCII characters")))?;
    let names: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if names.len() > MAX_FILTERED_PARAMS {
        return Err(Refusal::bad_request(format!(
            "{FILTERED_QUERY_PARAMS} names more than {MAX_FILTERED_PARAMS} parameters"
        )));
    }
    Ok(Some(names))
}

/// Refuses a request whose end could be seen in two places, by us and by the origin.
pub(super) fn check_framing(method: &Method, version: Version, headers: &HeaderMap) -> Result<(), Refusal> {
    let lengths: Vec<&HeaderValue> = headers.get_all(header::CONTENT_LENGTH).iter().collect();
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let ambiguous = (chunked && !lengths.is_empty())
        || lengths.windows(2).any(|pair| pair[0] != pair[1])
        || (chunked && version != Version::HTTP_11)
        || headers.get_all(header::TRANSFER_ENCODING).iter().count() > 1
        || headers.get_all(header::HOST).iter().count() > 1;
    let body_in_connect = method == Method::CONNECT && (chunked || lengths.iter().any(|length| *length != "0"));
    if ambiguous || body_in_connect {
        return Err(Refusal::bad_request(
            "the request's Host, Content-Length and Transfer-Encoding are ambiguous".to_owned(),
        ));
    }
    Ok(())
}

/// Takes out the headers that belong to one connection (RFC 9110, section 7.6.1), those that `Connection` names, and
/// the framing, which each connection writes anew.
pub(super) fn strip_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // A client must not be able to have its own credentials or our framing taken out by naming them.
        .filter(|name| name != header::AUTHORIZATION && name != header::HOST)
        .collect();
    let always = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        HeaderName::from_static("http2-settings"),
    ];
    for name in named.iter().chain(&always) {
        headers.remove(name);
    }
}

/// A client's headers as an origin gets them: without those of the connection, ours, the host and the framing.
pub(super) fn for_origin(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    strip_connection(&mut kept);
    for name in [header::HOST, header::CONTENT_LENGTH, header::EXPECT] {
        kept.remove(name);
    }
    let ours: Vec<HeaderName> = kept
        .keys()
        .filter(|name| name.as_str().starts_with(PREFIX))
        .cloned()
        .collect();
    for name in ours {
        kept.remove(name);
    }
    for name in [header::AUTHORIZATION, header::COOKIE] {
        for value in values_mut(&mut kept, &name) {
            value.set_sensitive(true);
        }
    }
    kept
}

/// As [`for_origin`], for a request of ours that asks for a whole content however much of it the client wants.
pub(super) fn for_content(headers: &HeaderMap) -> HeaderMap {
    let mut kept = for_origin(headers);
    for name in [
        header::RANGE,
        header::IF_RANGE,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::ACCEPT_ENCODING,
    ] {
        kept.remove(name);
    }
    kept
}

fn values_mut<'a>(headers: &'a mut HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = &'a mut HeaderValue> {
    headers
        .iter_mut()
        .filter(move |(key, _)| *key == name)
        .map(|(_, value)| value)
}

impl Refusal {
    /// 400, the client's fault.
    pub(super) fn bad_request(message: String) -> Self {
        Self::proxy(StatusCode::BAD_REQUEST, message)
    }
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

    #[test]
    fn wishes_are_read_whatever_their_case() {
        let wishes = Wishes::parse(&headers(&[
            ("X-Dragonfly-Use-P2P", "True"),
            ("X-DRAGONFLY-TAG", "blue"),
            ("x-dragonfly-application", ""),
            ("X-Dragonfly-Priority", "3"),
            ("X-Dragonfly-Filtered-Query-Params", "Signature, Expires,,"),
            ("X-Dragonfly-Piece-Length", "16MiB"),
            ("X-Dragonfly-Enable-Task-ID-Based-Blob-Digest", "false"),
        ]))
        .unwrap();
        let expected = Wishes {
            use_p2p: true,
            tag: Some("blue".to_owned()),
            priority: Priority::Level3,
            filtered_query_params: Some(vec!["Signature".to_owned(), "Expires".to_owned()]),
            piece_length: Some(16 * 1024 * 1024),
            blob_digest_ids: Some(false),
            ..Wishes::default()
        };
        assert_eq!(wishes, expected);
    }

    #[test]
    fn a_wish_that_can_not_be_read_is_answered_400_with_its_name() {
        for (name, value) in [
            ("x-dragonfly-use-p2p", "yes"),
            ("x-dragonfly-priority", "7"),
            ("x-dragonfly-priority", "high"),
            ("x-dragonfly-piece-length", "1MiB"),
            ("x-dragonfly-piece-length", "many"),
            ("x-dragonfly-enable-task-id-based-blob-digest", "1"),
            ("x-dragonfly-output-path", "/etc/passwd"),
            ("x-dragonfly-force-hard-link", "true"),
        ] {
            let refusal = Wishes::parse(&headers(&[(name, value)])).unwrap_err();
            assert_eq!(refusal.status(), StatusCode::BAD_REQUEST, "{name}: {value}");
            assert!(refusal.message().contains(name), "{}", refusal.message());
        }
    }

    #[test]
    fn nothing_of_the_connection_and_nothing_of_ours_reaches_the_origin() {
        let sent = for_origin(&headers(&[
            ("authorization", "Bearer t"),
            ("accept", "*/*"),
            ("host", "127.0.0.1:4001"),
            ("connection", "keep-alive, x-private"),
            ("x-private", "1"),
            ("proxy-authorization", "Basic c2VjcmV0"),
            ("transfer-encoding", "chunked"),
            ("x-dragonfly-registry", "http://r"),
            ("upgrade", "websocket"),
        ]));
        let mut names: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "authorization"]);
        assert!(sent[header::AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn credentials_can_not_be_dropped_by_naming_them_in_connection() {
        let sent = for_origin(&headers(&[
            ("authorization", "Basic x"),
            ("connection", "authorization"),
        ]));
        assert!(sent.contains_key(header::AUTHORIZATION));
    }

    #[test]
    fn a_request_with_two_ends_is_refused() {
        let check = |list: &[(&str, &str)]| check_framing(&Method::POST, Version::HTTP_11, &headers(list));
        assert!(check(&[("content-length", "5"), ("transfer-encoding", "chunked")]).is_err());
        assert!(check(&[("content-length", "5"), ("content-length", "6")]).is_err());
        assert!(check(&[("transfer-encoding", "chunked"), ("transfer-encoding", "identity")]).is_err());
        assert!(check(&[("host", "a"), ("host", "b")]).is_err());
        assert!(check(&[("content-length", "5"), ("host", "a")]).is_ok());
        assert!(check(&[("transfer-encoding", "chunked")]).is_ok());
        let connect = headers(&[("content-length", "5")]);
        assert!(check_framing(&Method::CONNECT, Version::HTTP_11, &connect).is_err());
    }
}
