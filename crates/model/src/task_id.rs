//! How a request becomes a task id: the same content asked for anywhere in the cluster must get the same id.
//!
//! The formulas are those of Dragonfly 2.5's peer (`id_generator`), byte for byte, but for blobs of registries that are
//! not trusted to vouch for each other (see [`BlobTrust`]).

use crate::{Algorithm, Digest, TaskId};
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;
use url::Url;

/// Query parameters that sign or locate a request and say nothing about the content, left out of task ids by default.
pub const DEFAULT_FILTERED_QUERY_PARAMS: &[&str] = &[
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
    "X-Amz-User-Agent",
    "X-Goog-Algorithm",
    "X-Goog-Credential",
    "X-Goog-Date",
    "X-Goog-Expires",
    "X-Goog-SignedHeaders",
    "X-Goog-Signature",
    "OSSAccessKeyId",
    "Expires",
    "Signature",
    "SecurityToken",
    "AccessKeyId",
    "X-Obs-Date",
    "X-Obs-Security-Token",
    "q-sign-algorithm",
    "q-ak",
    "q-sign-time",
    "q-key-time",
    "q-header-list",
    "q-url-param-list",
    "q-signature",
    "x-cos-security-token",
    "ns",
];

/// Whether a registry's word that "this is blob D" may be taken for every other registry's blob D.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobTrust {
    /// The registry is configured: its blobs share one task with the same digest elsewhere.
    Shared,
    /// Anyone may have named this origin: its blobs are tasks of that origin alone.
    OwnOrigin,
    /// Blob digests do not make ids here (`enableTaskIDBasedBlobDigest: false`).
    Ignored,
}

/// Everything about a request that decides its task id.
#[derive(Debug, Clone, Copy)]
pub struct TaskIdentity<'a> {
    /// What is asked for.
    pub url: &'a Url,
    /// The caller's own text for "the same content"; alone decides the id if given.
    pub content: Option<&'a str>,
    /// Salt that separates otherwise equal tasks; empty counts as absent.
    pub tag: Option<&'a str>,
    /// Application name, also a salt; empty counts as absent.
    pub application: Option<&'a str>,
    /// Revision of a model hub's repository.
    pub revision: Option<&'a str>,
    /// Piece length in bytes, only if the caller asked for one.
    pub piece_length: Option<u64>,
    /// Query parameters to leave out, matched exactly.
    pub filtered_query_params: &'a [String],
    /// What a blob digest in the URL is worth.
    pub blob_trust: BlobTrust,
}

impl TaskIdentity<'_> {
    /// The task id.
    pub fn task_id(&self) -> TaskId {
        if let Some(content) = self.content.filter(|c| !c.is_empty()) {
            return task_id_of_text(content);
        }
        match (self.blob_trust, blob_digest_of(self.url)) {
            (BlobTrust::Shared, Some(digest)) => return digest_id(&digest),
            (BlobTrust::OwnOrigin, Some(digest)) => return self.own_origin_id(&digest),
            _ => {}
        }
        let mut hasher = Sha256::new();
        hasher.update(canonical_url(self.url, self.filtered_query_params));
        for salt in [self.tag, self.application, self.revision].into_iter().flatten() {
            hasher.update(salt);
        }
        if let Some(piece_length) = self.piece_length {
            hasher.update(piece_length.to_string());
        }
        hasher.update("STANDARD");
        hex_id(hasher.finalize().as_slice())
    }

    /// A separator that neither part can contain keeps two pairs from sharing an id.
    fn own_origin_id(&self, digest: &Digest) -> TaskId {
        let origin = self.url.origin().ascii_serialization();
        let port = self.url.port_or_known_default().unwrap_or_default();
        let text = format!(
            "{digest}\n{}://{}:{port}",
            self.url.scheme(),
            self.url.host_str().unwrap_or(&origin)
        );
        hex_id(Sha256::digest(text.as_bytes()).as_slice())
    }
}

/// The id of a task that a caller's own text names.
pub fn task_id_of_text(text: &str) -> TaskId {
    hex_id(Sha256::digest(text.as_bytes()).as_slice())
}

/// The bytes of a persistent cache task as they come, which make its digest and, with what separates equal contents, its id.
#[derive(Debug, Clone, Default)]
pub struct CachedContent {
    hasher: Sha256,
}

impl CachedContent {
    /// The next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        let hex = hex::encode(self.hasher.clone().finalize());
        Digest::new(Algorithm::Sha256, &hex).expect("a SHA-256 has the length of one")
    }

    /// The id of the task. The piece length counts only if the caller chose it.
    pub fn task_id(&self, tag: Option<&str>, application: Option<&str>, piece_length: Option<u64>) -> TaskId {
        let mut hasher = self.hasher.clone();
        for salt in [tag, application].into_iter().flatten() {
            hasher.update(salt);
        }
        if let Some(piece_length) = piece_length {
            hasher.update(piece_length.to_string());
        }
        hasher.update("PERSISTENT_CACHE");
        hex_id(hasher.finalize().as_slice())
    }
}

/// The digest in a registry's blob URL (`…/v2/<repository>/blobs/<algorithm>:<hex>`), if it is a SHA-2 of exact length.
pub fn blob_digest_of(url: &Url) -> Option<Digest> {
    named_by_digest(url)
        .filter(|(kind, _)| kind == "blobs")
        .map(|(_, digest)| digest)
}

/// The digest that names the content of a registry's URL: a blob's, or that of a manifest which is asked for by digest.
pub fn content_digest_of(url: &Url) -> Option<Digest> {
    named_by_digest(url).map(|(_, digest)| digest)
}

fn named_by_digest(url: &Url) -> Option<(String, Digest)> {
    static NAMED: LazyLock<regex::Regex> = LazyLock::new(|| {
        regex::Regex::new(r"^/(?:.*/)?v2/.+/(blobs|manifests)/([^/]+)$").expect("the pattern is constant")
    });
    let (_, [kind, text]) = NAMED.captures(url.path())?.extract();
    // A colon may arrive percent-encoded.
    let digest: Digest = text.replacen("%3A", ":", 1).replacen("%3a", ":", 1).parse().ok()?;
    digest.algorithm().is_cryptographic().then(|| (kind.to_owned(), digest))
}

/// The URL as it enters the hash: filtered parameters gone, the rest re-encoded in their order, no `?` if none is left,
/// and no slash for a bare host.
fn canonical_url(url: &Url, filtered: &[String]) -> String {
    let mut url = url.clone();
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| !filtered.iter().any(|f| f == key))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    if kept.is_empty() {
        url.set_query(None);
    } else {
        url.query_pairs_mut().clear().extend_pairs(kept);
    }
    let bare = url.path() == "/";
    let text = String::from(url);
    match text.strip_suffix('/') {
        Some(trimmed) if bare => trimmed.to_owned(),
        _ => text,
    }
}

fn digest_id(digest: &Digest) -> TaskId {
    TaskId::parse(digest.hex()).expect("a SHA-2 digest has the length of a task id")
}

fn hex_id(sha256: &[u8]) -> TaskId {
    TaskId::parse(&hex::encode(sha256)).expect("a SHA-256 has the length of a task id")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity<'a>(url: &'a Url, filtered: &'a [String]) -> TaskIdentity<'a> {
        TaskIdentity {
            url,
            content: None,
            tag: None,
            application: None,
            revision: None,
            piece_length: None,
            filtered_query_params: filtered,
            blob_trust: BlobTrust::Ignored,
        }
    }

    fn sha256(text: &str) -> String {
        hex::encode(Sha256::digest(text.as_bytes()))
    }

    #[test]
    fn url_ids_hash_the_parts_in_order_without_separators() {
        let url = Url::parse("https://example.com/file?a=1&Signature=x&b=2").unwrap();
        let filtered = vec!["Signature".to_owned()];
        let base = identity(&url, &filtered);
        assert_eq!(
            base.task_id().as_str(),
            sha256("https://example.com/file?a=1&b=2STANDARD")
        );
        let salted = TaskIdentity {
            tag: Some("t"),
            application: Some("app"),
            piece_length: Some(4194304),
            ..base
        };
        assert_eq!(
            salted.task_id().as_str(),
            sha256("https://example.com/file?a=1&b=2tapp4194304STANDARD")
        );
        let empty = TaskIdentity {
            tag: Some(""),
            application: Some(""),
            ..base
        };
        assert_eq!(empty.task_id(), base.task_id());
    }

    #[test]
    fn a_bare_host_has_no_slash_and_an_empty_query_no_question_mark() {
        let filtered = vec!["ns".to_owned()];
        let url = Url::parse("https://example.com/?ns=ghcr.io").unwrap();
        assert_eq!(
            identity(&url, &filtered).task_id().as_str(),
            sha256("https://example.comSTANDARD")
        );
        let url = Url::parse("https://example.com/a/?ns=ghcr.io").unwrap();
        assert_eq!(
            identity(&url, &filtered).task_id().as_str(),
            sha256("https://example.com/a/STANDARD")
        );
    }

    #[test]
    fn given_content_alone_decides() {
        let url = Url::parse("https://example.com/x").unwrap();
        let id = TaskIdentity {
            content: Some("hello"),
            tag: Some("t"),
            ..identity(&url, &[])
        }
        .task_id();
        assert_eq!(id.as_str(), sha256("hello"));
    }

    #[test]
    fn a_persistent_cache_task_is_its_bytes_and_what_separates_them() {
        let mut content = CachedContent::default();
        content.update(b"hel");
        content.update(b"lo");
        let id = |tag, application, piece_length| content.task_id(tag, application, piece_length).to_string();
        assert_eq!(content.digest().hex(), sha256("hello"));
        assert_eq!(id(None, None, None), sha256("helloPERSISTENT_CACHE"));
        assert_eq!(id(Some(""), Some(""), None), id(None, None, None));
        assert_eq!(
            id(Some("t"), Some("app"), Some(4194304)),
            sha256("hellotapp4194304PERSISTENT_CACHE")
        );
    }

    #[test]
    fn a_trusted_blob_is_its_digest_and_an_untrusted_one_is_its_origins() {
        let hex = "a".repeat(64);
        let url = Url::parse(&format!("https://one.example/v2/lab/small/blobs/sha256:{hex}?ns=x")).unwrap();
        let other = Url::parse(&format!("https://two.example/v2/lab/other/blobs/sha256:{hex}")).unwrap();
        let id = |url, trust| {
            TaskIdentity {
                blob_trust: trust,
                ..identity(url, &[])
            }
            .task_id()
        };
        assert_eq!(id(&url, BlobTrust::Shared).as_str(), hex);
        assert_eq!(id(&url, BlobTrust::Shared), id(&other, BlobTrust::Shared));
        assert_ne!(id(&url, BlobTrust::OwnOrigin), id(&other, BlobTrust::OwnOrigin));
        assert_ne!(id(&url, BlobTrust::OwnOrigin).as_str(), hex);
        assert_ne!(id(&url, BlobTrust::Ignored), id(&other, BlobTrust::Ignored));
    }

    #[test]
    fn only_sha2_of_exact_length_names_a_blob() {
        let blob = |tail: &str| blob_digest_of(&Url::parse(&format!("http://r/v2/a/b/blobs/{tail}")).unwrap());
        assert!(blob(&format!("sha256:{}", "0".repeat(64))).is_some());
        assert!(blob(&format!("sha256%3A{}", "0".repeat(64))).is_some());
        assert!(blob(&format!("sha512:{}", "0".repeat(128))).is_some());
        assert!(blob(&format!("sha256:{}", "0".repeat(65))).is_none());
        assert!(blob("crc32:00000000").is_none());
        assert!(blob("uploads").is_none());
        let manifest = Url::parse(&format!("http://r/v2/a/manifests/sha256:{}", "0".repeat(64))).unwrap();
        assert!(blob_digest_of(&manifest).is_none());
        assert!(content_digest_of(&manifest).is_some());
        let tag = Url::parse("http://r/v2/a/b/manifests/latest").unwrap();
        assert!(content_digest_of(&tag).is_none());
    }
}
