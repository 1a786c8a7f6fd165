//! From a `Download` on the wire to a request for the engine.

use crate::access;
use crate::engine::{Request, own_origin_text};
use dragonfly_api::common::{Download, TaskType};
use dragonfly_model::{BlobTrust, PieceLayout, TaskIdentity, content_digest_of};
use dragonfly_source::{Caller, Trust};
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;
use tonic::Status;
use url::Url;

/// Largest piece length that a caller may choose, in bytes: a piece is held in memory where it is sent in a message.
const MAX_PIECE_LENGTH: u64 = PieceLayout::MAX_PIECE_LENGTH;

/// Who asks, and what its word on blob digests is worth.
pub(super) struct Asker<'a> {
    pub(super) caller: Caller,
    /// What a blob digest is worth if the caller wants it to make the task id.
    pub(super) trust: &'a (dyn Fn(&Url) -> BlobTrust + Sync),
}

/// The request, with its task id.
pub(super) fn parse(download: &Download, asker: &Asker<'_>) -> Result<Request, Status> {
    check_kind(download)?;
    let url = url(download)?;
    let piece_length = piece_length(download.piece_length)?;
    let (content, blob_trust) = identity(download, &url, asker)?;
    let access = access::of(download, &url)?;
    let (tag, application) = (given(&download.tag), given(&download.application));
    let task_id = TaskIdentity {
        url: &url,
        content: content.as_deref(),
        tag: tag.as_deref(),
        application: application.as_deref(),
        revision: access::revision(&access),
        piece_length,
        filtered_query_params: &download.filtered_query_params,
        blob_trust,
    }
    .task_id();
    let digest = content_digest_of(&url);
    Ok(Request {
        headers: headers(download)?,
        access,
        trust: trust(download, digest.is_some())?,
        digest,
        range: download.range.map(dragonfly_api::byte_range),
        piece_length,
        tag,
        application,
        content_for_task_id: content,
        filtered_query_params: download.filtered_query_params.clone(),
        priority: download.level()?,
        disable_back_to_source: download.disable_back_to_source,
        need_back_to_source: download.need_back_to_source,
        blob_trust,
        timeout: timeout(download)?,
        ..Request::new(task_id, url, asker.caller)
    })
}

fn check_kind(download: &Download) -> Result<(), Status> {
    if download.r#type() != TaskType::Standard {
        return Err(invalid("only standard tasks are downloaded".to_owned()));
    }
    Ok(())
}

pub(super) fn url(download: &Download) -> Result<Url, Status> {
    Url::parse(&download.url).map_err(|error| invalid(format!("the URL makes no sense: {error}")))
}

pub(super) fn piece_length(asked: Option<u64>) -> Result<Option<u64>, Status> {
    let fits = |length: &u64| (PieceLayout::MIN_PIECE_LENGTH..=MAX_PIECE_LENGTH).contains(length);
    match asked.filter(|length| *length > 0) {
        Some(length) if !fits(&length) => Err(invalid(format!("a piece length of {length} bytes; use 4MiB to 64MiB"))),
        length => Ok(length),
    }
}

/// What decides the task id besides URL and salts. A caller's text that has the form of "this blob at that origin" is
/// accepted for this very URL only; else anybody could vouch for another origin's blob.
fn identity(download: &Download, url: &Url, asker: &Asker<'_>) -> Result<(Option<String>, BlobTrust), Status> {
    let content = given(&download.content_for_calculating_task_id);
    match content {
        Some(text) if own_origin_text(url).as_deref() == Some(&text) => Ok((None, BlobTrust::OwnOrigin)),
        Some(text) if names_a_blob(&text) => Err(invalid("the content text names a blob of another origin".to_owned())),
        Some(text) => Ok((Some(text), BlobTrust::Ignored)),
        None if download.enable_task_id_based_blob_digest => Ok((None, (asker.trust)(url))),
        None => Ok((None, BlobTrust::Ignored)),
    }
}

/// Whether a text could be what [`own_origin_text`] returns for some URL.
pub(super) fn names_a_blob(text: &str) -> bool {
    let first = text.split('\n').next().unwrap_or_default();
    text.contains('\n') && first.parse::<dragonfly_model::Digest>().is_ok()
}

pub(super) fn headers(download: &Download) -> Result<HeaderMap, Status> {
    let mut headers = HeaderMap::with_capacity(download.request_header.len());
    for (name, value) in &download.request_header {
        let name: HeaderName = name
            .parse()
            .map_err(|_| invalid(format!("{name:?} is no header name")))?;
        // The value may be a credential, so it is not repeated.
        let mut value =
            HeaderValue::from_str(value).map_err(|_| invalid(format!("the value of header {name} makes no sense")))?;
        value.set_sensitive([AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(&name));
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Whom the origin's certificate may be of. Authorities that a caller brings along are believed only for what a digest
/// names: of anything else they could say what everybody then gets.
fn trust(download: &Download, named_by_digest: bool) -> Result<Trust, Status> {
    if download.certificate_chain.is_empty() {
        return Ok(Trust::default());
    }
    if !named_by_digest {
        let text = "certificate authorities in a request are believed only for blobs; \
                    configure proxy.registryMirror.cert on the peers";
        return Err(Status::permission_denied(text));
    }
    Trust::in_authorities(&download.certificate_chain).map_err(|error| invalid(error.to_string()))
}

pub(super) fn timeout(download: &Download) -> Result<Option<Duration>, Status> {
    let Some(timeout) = download.timeout else {
        return Ok(None);
    };
    let timeout = Duration::try_from(timeout).map_err(|_| invalid("a negative timeout".to_owned()))?;
    Ok(Some(timeout).filter(|timeout| !timeout.is_zero()))
}

pub(super) fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

fn invalid(text: String) -> Status {
    Status::invalid_argument(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn parsed(download: &Download) -> Result<Request, Status> {
        let trust = |_: &Url| BlobTrust::Shared;
        parse(
            download,
            &Asker {
                caller: Caller::Remote,
                trust: &trust,
            },
        )
    }

    fn blob(host: &str) -> String {
        format!("https://{host}/v2/a/blobs/sha256:{}", "a".repeat(64))
    }

    #[test]
    fn a_blob_is_named_by_its_digest_only_if_the_caller_says_so() {
        let plain = Download {
            url: blob("registry.example"),
            ..Default::default()
        };
        let by_digest = Download {
            enable_task_id_based_blob_digest: true,
            ..plain.clone()
        };
        assert_ne!(parsed(&plain).unwrap().task_id.as_str(), "a".repeat(64));
        assert_eq!(parsed(&by_digest).unwrap().task_id.as_str(), "a".repeat(64));
        assert!(parsed(&plain).unwrap().digest.is_some());
    }

    #[test]
    fn nobody_vouches_for_another_origins_blob() {
        let text = own_origin_text(&Url::parse(&blob("good.example")).unwrap()).unwrap();
        let honest = Download {
            url: blob("good.example"),
            content_for_calculating_task_id: Some(text.clone()),
            ..Default::default()
        };
        let hostile = Download {
            url: "https://evil.example/anything".to_owned(),
            ..honest.clone()
        };
        assert_eq!(parsed(&honest).unwrap().blob_trust, BlobTrust::OwnOrigin);
        assert_eq!(parsed(&hostile).unwrap_err().code(), Code::InvalidArgument);
    }

    #[test]
    fn impossible_values_are_named_but_not_credentials() {
        let base = Download {
            url: "http://o.example/x".to_owned(),
            ..Default::default()
        };
        let short = Download {
            piece_length: Some(1),
            ..base.clone()
        };
        assert!(parsed(&short).unwrap_err().message().contains("4MiB"));
        let header = Download {
            request_header: [("authorization".to_owned(), "Bearer s3cret\n".to_owned())].into(),
            ..base.clone()
        };
        let message = parsed(&header).unwrap_err().message().to_owned();
        assert!(
            message.contains("authorization") && !message.contains("s3cret"),
            "{message}"
        );
        let chain = Download {
            certificate_chain: vec![b"x".to_vec()],
            ..base.clone()
        };
        assert_eq!(parsed(&chain).unwrap_err().code(), Code::PermissionDenied);
        let chain = Download {
            url: blob("o.example"),
            ..chain
        };
        assert_eq!(parsed(&chain).unwrap_err().code(), Code::InvalidArgument);
        let priority = Download { priority: 9, ..base };
        assert_eq!(parsed(&priority).unwrap_err().code(), Code::InvalidArgument);
    }
}
