//! Registries: what a client's word for one means, and which may vouch for each other's blobs.

use crate::config::RegistryMirror;
use dragonfly_model::{BlobTrust, blob_digest_of};
use url::Url;

/// The names under which Docker Hub is known; only the first serves its registry API.
const DOCKER_HUB: [&str; 3] = ["registry-1.docker.io", "index.docker.io", "docker.io"];

/// The base URL that a client's word for a registry (a header or `?ns=`) means: a URL as it is, `docker.io` as Docker
/// Hub's API, another plain host with the scheme of the configured registry of that name, else http on loopback as
/// container runtimes do, else https. `None` if it names no registry.
pub(super) fn resolve(mirror: &RegistryMirror, word: &str) -> Option<Url> {
    if word.contains("://") {
        let url = Url::parse(word).ok()?;
        let usable = matches!(url.scheme(), "http" | "https") && url.has_host() && no_userinfo(&url);
        return usable.then_some(url);
    }
    if word.contains(&['/', '\\', '?', '#', '@'][..]) {
        return None;
    }
    if word.eq_ignore_ascii_case("docker.io") {
        return Url::parse(&format!("https://{}", DOCKER_HUB[0])).ok();
    }
    let secure = Url::parse(&format!("https://{word}")).ok()?;
    let plain = Url::parse(&format!("http://{word}")).ok()?;
    if is_configured(mirror, &secure) {
        Some(secure)
    } else if is_configured(mirror, &plain) || (is_loopback(&plain) && secure.port_or_known_default() != Some(443)) {
        Some(plain)
    } else {
        Some(secure)
    }
}

/// What a blob digest in the URL is worth for the task id, where blob digests make ids at all. Docker Hub is one
/// registry by whichever name it is asked.
pub(crate) fn blob_trust(mirror: &RegistryMirror, url: &Url) -> BlobTrust {
    if blob_digest_of(url).is_none() {
        return BlobTrust::Ignored;
    }
    let is_hub = url.host_str().is_some_and(|host| DOCKER_HUB.contains(&host));
    let is_trusted = is_configured(mirror, url)
        || is_hub
            && DOCKER_HUB.iter().any(|name| {
                let mut url = url.clone();
                url.set_host(Some(name)).is_ok() && is_configured(mirror, &url)
            });
    if is_trusted {
        BlobTrust::Shared
    } else {
        BlobTrust::OwnOrigin
    }
}

/// Whether the operator named this very origin.
fn is_configured(mirror: &RegistryMirror, url: &Url) -> bool {
    configured(mirror).any(|known| known.origin() == url.origin())
}

fn configured(mirror: &RegistryMirror) -> impl Iterator<Item = &Url> {
    std::iter::once(&mirror.addr).chain(&mirror.trusted_registries)
}

/// Ports of the configured registries.
pub(super) fn ports(mirror: &RegistryMirror) -> impl Iterator<Item = u16> {
    configured(mirror).filter_map(Url::port_or_known_default)
}

/// `scheme://host:port`, always with its port.
pub(super) fn origin_text(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}://{}:{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// Whether the URL carries no `user:password@`.
pub(super) fn no_userinfo(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror() -> RegistryMirror {
        RegistryMirror {
            addr: Url::parse("https://index.docker.io").unwrap(),
            cert: None,
            trusted_registries: vec![Url::parse("http://registry.lab:5000").unwrap()],
            tag_ttl: std::time::Duration::ZERO,
            enable_task_id_based_blob_digest: true,
        }
    }

    #[test]
    fn a_plain_host_gets_the_scheme_that_fits_it() {
        for (word, expected) in [
            ("docker.io", "https://registry-1.docker.io:443"),
            ("ghcr.io", "https://ghcr.io:443"),
            ("registry.lab:5000", "http://registry.lab:5000"),
            ("registry.lab", "https://registry.lab:443"),
            ("127.0.0.1:5050", "http://127.0.0.1:5050"),
            ("localhost:443", "https://localhost:443"),
            ("[::1]:5000", "http://[::1]:5000"),
            ("http://10.0.0.1:5000", "http://10.0.0.1:5000"),
        ] {
            let resolved = resolve(&mirror(), word).map(|url| origin_text(&url));
            assert_eq!(resolved.as_deref(), Some(expected), "{word}");
        }
    }

    #[test]
    fn what_is_no_registry_resolves_to_nothing() {
        for word in [
            "",
            "a/b",
            "user@host",
            "https://user:secret@host",
            "file:///etc/passwd",
            "host?x=1",
            "host#x",
            "ftp://host",
        ] {
            assert!(resolve(&mirror(), word).is_none(), "{word}");
        }
    }

    #[test]
    fn trust_is_an_origins_not_a_names() {
        let digest = "a".repeat(64);
        for (base, expected) in [
            ("https://registry-1.docker.io", BlobTrust::Shared),
            ("https://index.docker.io", BlobTrust::Shared),
            ("http://registry.lab:5000", BlobTrust::Shared),
            ("https://registry.lab:5000", BlobTrust::OwnOrigin),
            ("http://registry.lab", BlobTrust::OwnOrigin),
            ("http://index.docker.io", BlobTrust::OwnOrigin),
            ("https://index.docker.io.evil.example", BlobTrust::OwnOrigin),
        ] {
            let url = Url::parse(&format!("{base}/v2/a/blobs/sha256:{digest}")).unwrap();
            assert_eq!(blob_trust(&mirror(), &url), expected, "{base}");
        }
    }
}
