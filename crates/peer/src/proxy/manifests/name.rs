//! Which document of a registry a URL names. Pure.

use crate::proxy::registry::origin_text;
use dragonfly_model::{Digest, content_digest_of};
use http::header::{self, HeaderMap};
use sha2::{Digest as _, Sha256};
use url::Url;

/// Longer tags than this exist in no registry.
const MAX_TAG_BYTES: usize = 128;

/// A document that registries serve beside blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::proxy) enum Document {
    /// `/v2/`: whether this is a registry, and whether it lets this caller in.
    Ping,
    /// `/v2/<repository>/manifests/<tag or digest>`.
    Manifest(Reference),
}

/// How a manifest is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::proxy) enum Reference {
    /// By what it is: the same for ever.
    Digest(Digest),
    /// By a name that may be moved to another manifest.
    Tag,
}

impl Document {
    /// The document that a URL names, if it is one. A query that is more than a mirror's `ns` may choose another.
    pub(in crate::proxy) fn of(url: &Url) -> Option<Self> {
        let query = url.query().unwrap_or_default();
        if query
            .split('&')
            .any(|pair| !pair.is_empty() && !pair.starts_with("ns="))
        {
            return None;
        }
        if matches!(url.path(), "/v2/" | "/v2") {
            return Some(Document::Ping);
        }
        let (repository, reference) = url.path().strip_prefix("/v2/")?.rsplit_once("/manifests/")?;
        if repository.is_empty() {
            return None;
        }
        if let Some(digest) = content_digest_of(url) {
            return Some(Document::Manifest(Reference::Digest(digest)));
        }
        is_tag(reference).then_some(Document::Manifest(Reference::Tag))
    }

    /// Whether the URL's content can never change.
    pub(in crate::proxy) fn is_named_by_digest(&self) -> bool {
        matches!(self, Document::Manifest(Reference::Digest(_)))
    }
}

/// The grammar of tags (OCI distribution specification, "Pulling manifests").
fn is_tag(text: &str) -> bool {
    let begins = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    begins && text.len() <= MAX_TAG_BYTES && text.bytes().all(is_part)
}

/// The name under which an origin's manifest is kept. What one origin gave is never given in another's name: the bytes
/// would be the same, but not what the origin says they are.
pub(super) fn of_manifest(url: &Url, digest: &Digest) -> String {
    name('m', &[&origin_text(url), &digest.to_string()])
}

/// The name under which it is kept where a tag leads. A registry may answer clients that accept other types of manifests
/// with another one.
pub(super) fn of_tag(url: &Url, headers: &HeaderMap) -> String {
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut types: Vec<String> = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|word| word.trim().to_ascii_lowercase())
        .collect();
    types.sort_unstable();
    types.dedup();
    name('t', &[&origin_text(url), url.path(), &types.join(",")])
}

fn name(kind: char, parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    format!("{kind}-{}", hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Option<Document> {
        Document::of(&Url::parse(&format!("https://r.lab{path}")).unwrap())
    }

    #[test]
    fn pings_tags_and_digests_are_told_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(of("/v2/"), Some(Document::Ping));
        assert_eq!(of("/v2/?ns=r.lab"), Some(Document::Ping));
        let tag = Some(Document::Manifest(Reference::Tag));
        assert_eq!(of("/v2/team/app/manifests/latest?ns=r.lab"), tag);
        assert_eq!(of("/v2/a/manifests/v1.2_x-3"), tag);
        let named = of(&format!("/v2/a/b/manifests/{digest}"));
        assert_eq!(
            named,
            Some(Document::Manifest(Reference::Digest(digest.parse().unwrap())))
        );
    }

    #[test]
    fn what_may_be_something_else_is_none() {
        for path in [
            "/",
            "/v2/a/tags/list",
            "/v2/manifests/latest",
            "/v2/a/manifests/",
            "/v2/a/manifests/.hidden",
            "/v2/a/manifests/sha256:short",
            "/v2/a/manifests/latest?platform=arm64",
            "/files/v2/a/manifests/latest",
            "/v2/a/blobs/latest",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn the_types_a_client_accepts_choose_where_a_tag_leads_but_not_their_order() {
        let url = Url::parse("https://r.lab/v2/a/manifests/latest?ns=x").unwrap();
        let named = |types: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, types.parse().unwrap());
            of_tag(&url, &headers)
        };
        assert_eq!(named("a/b, c/d"), named("c/d,A/B"));
        assert_ne!(named("a/b"), named("a/b, c/d"));
    }
}
