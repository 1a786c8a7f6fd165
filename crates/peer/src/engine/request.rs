//! What a caller asks the engine for.

use dragonfly_model::{BlobTrust, ByteRange, Digest, Priority, TaskId};
use dragonfly_source as source;
use http::HeaderMap;
use std::fmt;
use std::time::{Duration, SystemTime};
use url::Url;

/// One request for a content, from the proxy, the unix socket or a scheduler.
#[derive(Clone)]
pub struct Request {
    /// Names the content.
    pub task_id: TaskId,
    /// Where its origin is.
    pub url: Url,
    /// The caller's headers, for the origin and for the seed that fetches in our stead; never for another peer.
    pub headers: HeaderMap,
    /// Whether a process of this host asks or the URL came over the network; decides what the egress guard allows.
    pub caller: source::Caller,
    /// The digest that names the content itself (from a blob URL). A digest that a caller merely expects does not
    /// belong here, since a mismatch destroys the cached content.
    pub digest: Option<Digest>,
    /// The bytes wanted; `None` for all.
    pub range: Option<ByteRange>,
    /// Piece length in bytes, if the caller chose one.
    pub piece_length: Option<u64>,
    /// Salt of the task id.
    pub tag: Option<String>,
    /// Application name; salt of the task id.
    pub application: Option<String>,
    /// The caller's own text for "the same content", if that decided the task id.
    pub content_for_task_id: Option<String>,
    /// Query parameters that did not enter the task id.
    pub filtered_query_params: Vec<String>,
    /// Urgency.
    pub priority: Priority,
    /// Never ask the origin; peers only.
    pub disable_back_to_source: bool,
    /// Ask the origin even if a peer has the content: how a scheduler makes a seed peer fetch.
    pub need_back_to_source: bool,
    /// What the blob digest in the URL was worth when the task id was made.
    pub blob_trust: BlobTrust,
    /// The origin's answer, if the caller has asked it already.
    pub head: Option<source::Head>,
    /// How long the whole download may take; `None` for no limit of its own.
    pub timeout: Option<Duration>,
    /// What opens the origin beside the headers; it goes where they go.
    pub access: source::Access,
    /// Whose certificates the origin may have, beside those that the configuration trusts.
    pub trust: source::Trust,
    /// Set for a content that the cluster keeps, which has no origin.
    pub(crate) kept: Option<Kept>,
}

/// What the scheduler says of a content that the cluster keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) piece_length: u64,
    pub(crate) content_length: u64,
    /// When its time is over.
    pub(crate) ends_at: SystemTime,
    /// Whether this host must keep it until then.
    pub(crate) obliged: bool,
}

impl Request {
    /// A request for all of `url` with everything else at its default.
    pub fn new(task_id: TaskId, url: Url, caller: source::Caller) -> Self {
        Self {
            task_id,
            url,
            headers: HeaderMap::new(),
            caller,
            digest: None,
            range: None,
            piece_length: None,
            tag: None,
            application: None,
            content_for_task_id: None,
            filtered_query_params: Vec::new(),
            priority: Priority::default(),
            disable_back_to_source: false,
            need_back_to_source: false,
            blob_trust: BlobTrust::Ignored,
            head: None,
            timeout: None,
            access: source::Access::default(),
            trust: source::Trust::default(),
            kept: None,
        }
    }

    /// A request for all of a content that the cluster keeps.
    pub(crate) fn kept(task_id: TaskId, kept: Kept) -> Self {
        // Nothing is ever fetched from there: it says what it is where a URL is expected.
        let url = Url::parse(&format!("dragonfly:{task_id}")).expect("hex digits are a path");
        Self {
            piece_length: Some(kept.piece_length),
            disable_back_to_source: true,
            kept: Some(kept),
            ..Self::new(task_id, url, source::Caller::Local)
        }
    }

    /// The request that goes to the origin.
    pub(crate) fn to_source(&self) -> source::Request {
        source::Request {
            url: self.url.clone(),
            headers: self.headers.clone(),
            caller: self.caller,
            // The caller's limit is for all of the download; an origin must begin its answer much sooner.
            timeout: None,
            range: None,
            trust: self.trust.clone(),
            access: self.access.clone(),
            if_match: self.head.as_ref().and_then(|head| head.validator.clone()),
        }
    }
}

impl fmt::Debug for Request {
    /// Leaves out headers and query, which may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("task_id", &self.task_id)
            .field("scheme", &self.url.scheme())
            .field("host", &self.url.host_str())
            .field("path", &self.url.path())
            .field("range", &self.range)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_request_holds_no_credentials() {
        let url = Url::parse("https://user:pa55@origin.example/file?Signature=s1gn").unwrap();
        let id = TaskId::parse(&"a".repeat(64)).unwrap();
        let mut request = Request::new(id, url, source::Caller::Local);
        request
            .headers
            .insert(http::header::AUTHORIZATION, "Bearer t0ken".parse().unwrap());
        request.access = source::Access::Hdfs(Some("hdf5".into()));
        let shown = format!("{request:?}");
        assert!(shown.contains("origin.example"));
        for secret in ["pa55", "s1gn", "t0ken", "hdf5"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}
