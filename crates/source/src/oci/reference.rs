//! Names of images, in all the forms in which people and tools write them.

use dragonfly_model::Digest;
use std::fmt;
use std::str::FromStr;
use url::{Host, Url};

/// Longest name, in bytes.
const MAX_NAME: usize = 2048;
/// Longest repository and tag, in bytes (OCI distribution specification).
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;
/// The names under which Docker Hub is known; only the first serves its registry API.
const DOCKER_HUB: [&str; 3] = ["registry-1.docker.io", "index.docker.io", "docker.io"];
/// Prefixes that say no more than that an image follows.
const NO_SCHEMES: [&str; 2] = ["oci://", "docker://"];

/// An image: its registry, its repository, and its tag or digest.
///
/// It is read from what containers' tools take (`nginx:1.27`, `host:port/team/app@sha256:…`), from the same with a
/// scheme in front (`http://host/team/app:1`), and from the URL of a manifest. A name without a host is Docker Hub's.
/// A host without a scheme is asked by https, but on the loopback by http, as container runtimes do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    registry: Url,
    repository: String,
    reference: Reference,
}

/// Which version of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The one that this name leads to now.
    Tag(String),
    /// The one with this digest.
    Digest(Digest),
}

/// Why a text names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} names no image: {what}; write nginx:1.27, host:5000/team/app@sha256:… or https://host/v2/team/app/manifests/1.27"
)]
pub struct ReferenceError {
    /// What was given, without what might be a password, and shortened.
    name: String,
    what: &'static str,
}

impl ImageRef {
    /// The registry: scheme, host and port.
    pub fn registry(&self) -> &Url {
        &self.registry
    }

    /// The repository.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag or digest.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Where a manifest of this repository is.
    pub fn manifest_url(&self, reference: &Reference) -> Url {
        self.url("manifests", &reference.to_string())
    }

    /// Where a blob of this repository is.
    pub fn blob_url(&self, digest: &Digest) -> Url {
        self.url("blobs", &digest.to_string())
    }

    fn url(&self, kind: &str, name: &str) -> Url {
        let mut url = self.registry.clone();
        url.set_path(&format!("/v2/{}/{kind}/{name}", self.repository));
        url
    }

    /// `rest` is `repository[:tag][@digest]`.
    fn named(registry: Url, rest: &str) -> Result<Self, &'static str> {
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest_of(digest)?)),
            None => (rest, None),
        };
        // A colon after the last slash begins a tag.
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(if tag.is_empty() {
                "its tag is empty"
            } else {
                "its tag has an unfit character or length"
            });
        }
        let reference = match digest {
            Some(digest) => Reference::Digest(digest),
            None => Reference::Tag(tag.unwrap_or("latest").to_owned()),
        };
        let is_hub = registry.host_str() == Some(DOCKER_HUB[0]);
        let repository = match is_hub && !repository.contains('/') {
            true => format!("library/{repository}"),
            false => repository.to_owned(),
        };
        Self::checked(registry, repository, reference)
    }

    fn checked(registry: Url, repository: String, reference: Reference) -> Result<Self, &'static str> {
        if !is_repository(&repository) {
            return Err("its repository is not lower-case letters, digits and single separators");
        }
        Ok(Self {
            registry,
            repository,
            reference,
        })
    }

    /// The URL of a manifest, or a name with a scheme in front.
    fn of_url(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
        let (authority, path) = rest.split_once('/').ok_or("it has no repository")?;
        let registry = base(&scheme.to_ascii_lowercase(), authority)?;
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let manifest = path
            .strip_prefix("v2/")
            .and_then(|path| path.rsplit_once("/manifests/"));
        let Some((repository, reference)) = manifest else {
            return Self::named(registry, path);
        };
        let decoded = reference.replacen("%3A", ":", 1).replacen("%3a", ":", 1);
        let reference = match decoded.contains(':') {
            true => Reference::Digest(digest_of(&decoded)?),
            false if is_tag(&decoded) => Reference::Tag(decoded),
            false => return Err("its tag has an unfit character or length"),
        };
        Self::checked(registry, repository.to_owned(), reference)
    }

    /// A name as containers' tools take it.
    fn of_name(text: &str) -> Result<Self, &'static str> {
        match text.split_once('/') {
            Some((host, rest)) if is_host(host) => {
                let secure = base("https", host)?;
                let plain = base("http", host)?;
                // The port of https, written down or not, is asked by https even on the loopback.
                let by_http = is_loopback(&plain) && !host.ends_with(":443");
                Self::named(if by_http { plain } else { secure }, rest)
            }
            _ => Self::named(base("https", DOCKER_HUB[0])?, text),
        }
    }
}

impl FromStr for ImageRef {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let name = text.trim();
        let bare = NO_SCHEMES.iter().find_map(|scheme| name.strip_prefix(scheme));
        let read = match (name.len(), bare) {
            (0, _) => Err("it is empty"),
            (length, _) if length > MAX_NAME => Err("it is too long"),
            (_, Some(bare)) => Self::of_name(bare),
            _ if name.contains("://") => Self::of_url(name),
            _ => Self::of_name(name),
        };
        read.map_err(|what| ReferenceError {
            name: harmless(name),
            what,
        })
    }
}

impl fmt::Display for ImageRef {
    /// The URL of its manifest, which is read as this very image.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.manifest_url(&self.reference).fmt(f)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Tag(tag) => f.write_str(tag),
            Reference::Digest(digest) => digest.fmt(f),
        }
    }
}

/// `scheme://authority`, with Docker Hub under the one name that serves its API.
fn base(scheme: &str, authority: &str) -> Result<Url, &'static str> {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    if !matches!(scheme, "http" | "https") {
        return Err("its scheme is not http or https");
    }
    if authority.is_empty() || !authority.bytes().all(is_fit) {
        return Err("its host has an unfit character, or it holds a user or password");
    }
    let url = Url::parse(&format!("{scheme}://{authority}")).map_err(|_| "its host makes no sense")?;
    let is_hub = url.host_str().is_some_and(|host| DOCKER_HUB.contains(&host));
    if is_hub && url.port().is_none() {
        return Url::parse(&format!("https://{}", DOCKER_HUB[0])).map_err(|_| "its host makes no sense");
    }
    Ok(url)
}

/// Whether the first part of a name is a host and not the first part of a repository.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn digest_of(text: &str) -> Result<Digest, &'static str> {
    let digest: Digest = text
        .parse()
        .map_err(|_| "its digest is not sha256: or sha512: with hex digits of that length")?;
    match digest.algorithm().is_cryptographic() {
        true => Ok(digest),
        false => Err("only sha256 and sha512 name an image"),
    }
}

/// Parts of letters and digits, joined inside by `.`, `_`, `__` or dashes.
fn is_repository(text: &str) -> bool {
    (1..=MAX_REPOSITORY).contains(&text.len()) && text.split('/').all(is_component)
}

fn is_component(part: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_separator = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    let ends_plain = part.bytes().next().is_some_and(is_plain) && part.bytes().last().is_some_and(is_plain);
    let mut separators = part
        .split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit())
        .filter(|between| !between.is_empty());
    ends_plain && separators.all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let begins = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    begins && text.len() <= MAX_TAG && text.bytes().all(is_part)
}

/// What was given, as it may be repeated: without a user, a password or a query, and not too much of it.
fn harmless(name: &str) -> String {
    let bare = name.split(['?', '#']).next().unwrap_or_default();
    let authority_end = bare.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = bare.split_at(authority_end);
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match (scheme.is_empty(), authority.rsplit_once('@')) {
        (false, Some((_, host))) => host,
        _ => authority,
    };
    format!("{scheme}{host}{path}").chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url_of(name: &str) -> String {
        match name.parse::<ImageRef>() {
            Ok(image) => image.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_mean_what_container_tools_take_them_for() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let hub = "https://registry-1.docker.io/v2";
        for (name, url) in [
            ("nginx", format!("{hub}/library/nginx/manifests/latest")),
            ("nginx:1.27", format!("{hub}/library/nginx/manifests/1.27")),
            ("docker.io/nginx:1.27", format!("{hub}/library/nginx/manifests/1.27")),
            (
                "index.docker.io/library/nginx",
                format!("{hub}/library/nginx/manifests/latest"),
            ),
            ("oci://nginx:1", format!("{hub}/library/nginx/manifests/1")),
            ("team/app:v1", format!("{hub}/team/app/manifests/v1")),
            (
                "https://index.docker.io/v2/library/nginx/manifests/1?ns=x",
                format!("{hub}/library/nginx/manifests/1"),
            ),
            (
                "ghcr.io/team/app",
                "https://ghcr.io/v2/team/app/manifests/latest".to_owned(),
            ),
            ("localhost/app", "http://localhost/v2/app/manifests/latest".to_owned()),
            (
                "localhost:443/app",
                "https://localhost/v2/app/manifests/latest".to_owned(),
            ),
            (
                "127.0.0.1:5000/a/b:x",
                "http://127.0.0.1:5000/v2/a/b/manifests/x".to_owned(),
            ),
            ("[::1]:5000/a", "http://[::1]:5000/v2/a/manifests/latest".to_owned()),
            (
                "10.0.0.1:5000/a",
                "https://10.0.0.1:5000/v2/a/manifests/latest".to_owned(),
            ),
            (
                "http://10.0.0.1:5000/a:1",
                "http://10.0.0.1:5000/v2/a/manifests/1".to_owned(),
            ),
            (
                "HTTPS://R.example/v2/a/manifests/1",
                "https://r.example/v2/a/manifests/1".to_owned(),
            ),
        ] {
            assert_eq!(url_of(name), url, "{name}");
        }
        let by_digest = format!("https://r.example:5000/v2/a/b/manifests/{digest}");
        for name in [
            format!("r.example:5000/a/b@{digest}"),
            format!("r.example:5000/a/b:tag@{digest}"),
            by_digest.replace("sha256:", "sha256%3A"),
        ] {
            assert_eq!(url_of(&name), by_digest, "{name}");
        }
        let image: ImageRef = "nginx".parse().unwrap();
        let blob = image.blob_url(&digest.parse().unwrap());
        assert_eq!(blob.as_str(), format!("{hub}/library/nginx/blobs/{digest}"));
    }

    #[test]
    fn what_names_no_image_is_said_without_its_password() {
        for name in [
            "",
            " ",
            "Nginx",
            "nginx:",
            "nginx@sha256:12",
            "nginx@crc32:00000001",
            "a//b",
            "-a",
            "a_",
            "a___b",
            "a..b",
            "host:port:1/a",
            "https://host",
            "ftp://host/a",
            "https://host/v2/a/manifests/",
            "https://host/v2/a/manifests/..",
            "../../etc/passwd",
            "host.example/a/../b",
            "a b",
            "a?b",
        ] {
            assert!(name.parse::<ImageRef>().is_err(), "{name}");
        }
        let error = url_of("https://user:s3cret@host/v2/a/manifests/1?token=s3cret");
        assert!(!error.contains("s3cret") && error.contains("host"), "{error}");
        assert!(url_of(&"a".repeat(3000)).contains("too long"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,80}") {
            check(&text)?;
        }

        #[test]
        fn nor_one_that_is_almost_a_name(text in "(https?://|oci://)?[a-zA-Z0-9.:@\\[\\]%_/?#-]{0,60}(:|@sha256:|/manifests/)?[a-z0-9.:-]{0,66}") {
            check(&text)?;
        }

        #[test]
        fn names_of_the_grammar_are_read_and_written_alike(
            host in "[a-z]{1,8}\\.example(:[1-9][0-9]{1,3})?",
            repository in "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,6}){0,3}",
            tag in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}",
        ) {
            let image: ImageRef = format!("{host}/{repository}:{tag}").parse().unwrap();
            prop_assert_eq!(image.repository(), &repository);
            prop_assert_eq!(image.reference(), &Reference::Tag(tag));
            check(&image.to_string())?;
        }
    }

    /// Whatever is read is a URL of the registry's API and nothing else, and is read from it again.
    fn check(text: &str) -> Result<(), TestCaseError> {
        let Ok(image) = text.parse::<ImageRef>() else {
            return Ok(());
        };
        let url = image.manifest_url(image.reference());
        prop_assert_eq!(
            url.path(),
            format!("/v2/{}/manifests/{}", image.repository(), image.reference())
        );
        prop_assert!(url.query().is_none() && url.username().is_empty() && url.password().is_none());
        prop_assert_eq!(image.to_string().parse::<ImageRef>(), Ok(image));
        Ok(())
    }
}
