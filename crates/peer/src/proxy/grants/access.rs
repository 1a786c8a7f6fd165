//! Who asks for what: the three names under which an origin's answer is remembered.

use super::book::{Name, Seconds};
use crate::proxy::registry::origin_text;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dragonfly_model::blob_digest_of;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{self, HeaderMap, HeaderName};
use sha2::Sha256;
use url::Url;

/// One caller's wish to read one content.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct Access {
    /// This principal may read this repository.
    pub(super) grant: Name,
    /// This repository holds this content.
    pub(super) held: Name,
    /// What this registry asks of callers without credentials for this repository.
    pub(super) challenge: Name,
    /// Whether the caller sent credentials that a challenge could have asked for.
    pub(super) has_credentials: bool,
    /// Whether the URL is one of a registry's, whose permissions reach a whole repository.
    pub(super) is_registry: bool,
    /// When the caller's credentials end by their own word.
    pub(super) credentials_end: Option<Seconds>,
}

impl Access {
    /// Of a request for `url` with these headers.
    pub(super) fn of(key: &Key, url: &Url, headers: &HeaderMap) -> Self {
        let origin = origin_text(url);
        let repository = repository_of(url);
        // Outside a registry nothing says how far a permission reaches, so it reaches this very URL.
        let whole = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let scope = repository.unwrap_or(whole);
        let principal = principal_of(headers);
        let mut grant = vec![origin.as_bytes(), scope.as_bytes()];
        grant.extend(principal.iter().flat_map(|(name, value)| [name.as_bytes(), *value]));
        // `ns` names the registry to a mirror and chooses nothing at the registry; any other parameter might.
        let query = url.query().unwrap_or_default().split('&');
        let parameters = query.filter(|pair| !pair.is_empty() && !pair.starts_with("ns="));
        let mut held = vec![origin.as_bytes(), scope.as_bytes(), url.path().as_bytes()];
        held.extend(parameters.map(str::as_bytes));
        Self {
            grant: key.name("grant", &grant),
            held: key.name("held", &held),
            challenge: key.name("challenge", &[origin.as_bytes(), scope.as_bytes()]),
            has_credentials: headers.contains_key(header::AUTHORIZATION),
            is_registry: repository.is_some(),
            credentials_end: headers.get(header::AUTHORIZATION).and_then(token_end),
        }
    }
}

/// The key under which all names are made. It never leaves this host.
pub(super) struct Key(Hmac<Sha256>);

impl Key {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self(Hmac::new_from_slice(secret).expect("an HMAC takes a key of any length"))
    }

    /// The parts' lengths are hashed too, so that no two lists of parts read the same.
    fn name(&self, kind: &str, parts: &[&[u8]]) -> Name {
        let mut mac = self.0.clone();
        for part in std::iter::once(&kind.as_bytes()).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let mut name = [0; 16];
        name.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        Name(name)
    }
}

/// The repository of a registry's URL: everything in front of `/blobs/<digest>` or `/manifests/<tag or digest>`.
fn repository_of(url: &Url) -> Option<&str> {
    let (rest, _) = url.path().rsplit_once('/')?;
    let repository = match blob_digest_of(url) {
        Some(_) => rest.strip_suffix("/blobs")?,
        None => rest.strip_suffix("/manifests")?,
    };
    repository.contains("/v2/").then_some(repository)
}

/// The headers that may make an origin answer one caller and not another, in a fixed order: credentials, cookies, and
/// whatever is not known to be harmless, since any header may carry a key.
fn principal_of(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    let mut kept: Vec<(&str, &[u8])> = headers
        .iter()
        .filter(|(name, _)| !is_harmless(name))
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    kept.sort_unstable();
    kept
}

fn is_harmless(name: &HeaderName) -> bool {
    const KNOWN: [HeaderName; 20] = [
        header::ACCEPT,
        header::ACCEPT_CHARSET,
        header::ACCEPT_ENCODING,
        header::ACCEPT_LANGUAGE,
        header::CACHE_CONTROL,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::DATE,
        header::DNT,
        header::EXPECT,
        header::HOST,
        header::IF_MODIFIED_SINCE,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
        header::PRAGMA,
        header::PROXY_AUTHORIZATION,
        header::RANGE,
        header::USER_AGENT,
        header::VIA,
    ];
    let text = name.as_str();
    KNOWN.contains(name)
        || text.starts_with("x-dragonfly-")
        || matches!(
            text,
            "proxy-connection" | "keep-alive" | "traceparent" | "tracestate" | "x-request-id"
        )
}

/// The `exp` of a bearer token that is a JWT. Its signature is the origin's to check; a forged `exp` only makes the
/// memory of a forged token longer, and the origin has refused that one.
fn token_end(authorization: &http::HeaderValue) -> Option<Seconds> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parts = token.trim().split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let end = claims.get("exp")?;
    // A fraction of a second is dropped, so that it never ends late.
    end.as_u64().or_else(|| {
        let seconds = end.as_f64().filter(|seconds| *seconds >= 0.0)?;
        format!("{:.0}", seconds.floor()).parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(url: &str, headers: &[(&str, &str)]) -> Access {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        Access::of(&Key::new(&[7; 32]), &Url::parse(url).unwrap(), &map)
    }

    const BLOB: &str = concat!(
        "https://r.lab/v2/team/app/blobs/sha256:",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    );

    #[test]
    fn a_grant_is_for_one_registry_one_repository_and_one_principal() {
        let basic = [("authorization", "Basic YTpi")];
        let base = access(BLOB, &basic);
        let same = access("https://r.lab/v2/team/app/manifests/latest?ns=x", &basic);
        assert_eq!(base.grant, same.grant);
        assert_ne!(base.held, same.held);
        for other in [
            access(BLOB, &[]),
            access(BLOB, &[("authorization", "Basic YTpj")]),
            access(BLOB, &[("authorization", "Bearer YTpi")]),
            access(&BLOB.replace("r.lab", "r.lab:444"), &basic),
            access(&BLOB.replace("https", "http"), &basic),
            access(&BLOB.replace("app", "other"), &basic),
        ] {
            assert_ne!(base.grant, other.grant);
        }
    }

    #[test]
    fn any_header_that_might_carry_a_key_makes_another_principal() {
        let plain = access(
            BLOB,
            &[("accept", "*/*"), ("user-agent", "containerd"), ("range", "bytes=0-")],
        );
        for name in ["cookie", "private-token", "x-api-key", "x-amz-security-token"] {
            let keyed = access(BLOB, &[(name, "1")]);
            assert_ne!(plain.grant, keyed.grant, "{name}");
        }
    }

    #[test]
    fn outside_a_registry_a_grant_reaches_one_url_with_its_query() {
        let one = access("https://files.lab/a?id=1", &[]);
        assert_ne!(one.grant, access("https://files.lab/a?id=2", &[]).grant);
        assert_ne!(one.grant, access("https://files.lab/b?id=1", &[]).grant);
        // It only looks like a registry's: nothing says that its files share their permissions.
        let file = access("https://files.lab/v2/x/blobs/one", &[]);
        assert_ne!(file.grant, access("https://files.lab/v2/x/blobs/two", &[]).grant);
        assert!(!file.is_registry && access(BLOB, &[]).is_registry);
    }

    #[test]
    fn ns_chooses_no_content_but_other_parameters_may() {
        let held = |query: &str| access(&format!("{BLOB}{query}"), &[]).held;
        assert_eq!(held(""), held("?ns=r.lab"));
        assert_ne!(held(""), held("?id=1"));
        assert_ne!(held("?id=1"), held("?id=2"));
        assert_eq!(held("?ns=r.lab&id=1"), held("?id=1"));
    }

    #[test]
    fn a_token_ends_when_it_says_so() {
        let token = |claims: &str| {
            let value = format!("Bearer e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
            access(BLOB, &[("authorization", &value)]).credentials_end
        };
        assert_eq!(token(r#"{"exp":1700000000}"#), Some(1_700_000_000));
        assert_eq!(token(r#"{"exp":1700000000.9}"#), Some(1_700_000_000));
        assert_eq!(token(r#"{"exp":"soon"}"#), None);
        assert_eq!(token("{}"), None);
        assert_eq!(
            access(BLOB, &[("authorization", "Bearer opaque")]).credentials_end,
            None
        );
        assert_eq!(access(BLOB, &[("authorization", "Basic a.b.c")]).credentials_end, None);
    }

    #[test]
    fn two_lists_of_parts_never_make_one_name() {
        let key = Key::new(&[1; 32]);
        assert_ne!(key.name("grant", &[b"ab", b"c"]), key.name("grant", &[b"a", b"bc"]));
        assert_ne!(key.name("grant", &[b"a"]), key.name("held", &[b"a"]));
    }
}
