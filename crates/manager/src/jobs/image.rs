//! How people name images, and the URL of the manifest that is meant.

use dragonfly_model::Digest;
use std::net::Ipv4Addr;
use url::Url;

/// Where Docker Hub's images are, under whatever name it is called.
const DOCKER_HUB: &str = "registry-1.docker.io";
const DOCKER_HUB_NAMES: [&str; 4] = ["docker.io", "index.docker.io", "registry.hub.docker.com", DOCKER_HUB];
const MAX_TAG_CHARS: usize = 128;
const MAX_REPOSITORY_CHARS: usize = 255;

/// The URL of an image's manifest, from that URL or from a name such as `nginx:1.27` or `ghcr.io/x/y@sha256:…`. The error says
/// what is wrong with it.
pub(super) fn manifest_url(text: &str) -> Result<String, String> {
    if text.contains("://") {
        of_url(text)
    } else {
        of_name(text)
    }
}

fn of_url(text: &str) -> Result<String, String> {
    let mut url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    let form = || "must be like https://registry/v2/repository/manifests/tag, or a name like nginx:1.27".to_owned();
    if !["http", "https"].contains(&url.scheme()) {
        return Err(form());
    }
    let host = url.host_str().ok_or_else(form)?.to_owned();
    let (repository, reference) = url
        .path()
        .strip_prefix("/v2/")
        .and_then(|path| path.rsplit_once("/manifests/"))
        .ok_or_else(form)?;
    check_repository(repository)?;
    check_reference(reference)?;
    if DOCKER_HUB_NAMES.contains(&host.as_str()) {
        url.set_host(Some(DOCKER_HUB)).map_err(|error| error.to_string())?;
    }
    Ok(url.into())
}

fn of_name(text: &str) -> Result<String, String> {
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    let (path, tag) = match named.rsplit_once(':') {
        // A colon before a slash is a port.
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (named, None),
    };
    let (registry, repository) = match path.split_once('/') {
        Some((first, rest)) if is_registry(first) => (first, rest.to_owned()),
        Some(_) => (DOCKER_HUB, path.to_owned()),
        None => (DOCKER_HUB, format!("library/{path}")),
    };
    let (registry, repository) = match DOCKER_HUB_NAMES.contains(&registry) {
        true if !repository.contains('/') => (DOCKER_HUB, format!("library/{repository}")),
        true => (DOCKER_HUB, repository),
        false => (registry, repository),
    };
    check_repository(&repository)?;
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    let reference = digest.or(tag).unwrap_or("latest");
    check_reference(reference)?;
    check_registry(registry)?;
    let scheme = if is_of_this_host(registry) { "http" } else { "https" };
    let url = format!("{scheme}://{registry}/v2/{repository}/manifests/{reference}");
    match Url::parse(&url) {
        Ok(url) => Ok(url.into()),
        Err(error) => Err(format!("has {registry:?}, which is no registry: {error}")),
    }
}

/// As container tools tell a registry from the first part of a repository's name.
fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

/// Container tools speak HTTP without TLS to those only.
fn is_of_this_host(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    let is_loopback = host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback());
    host == "localhost" || is_loopback || host == "[::1]"
}

fn check_registry(registry: &str) -> Result<(), String> {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    let label = |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if host.starts_with('[') || host.split('.').all(label) {
        return Ok(());
    }
    Err(format!("has {registry:?}, which is no registry"))
}

fn check_repository(repository: &str) -> Result<(), String> {
    let part = |part: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(plain) && part.ends_with(plain) && part.chars().all(|c| plain(c) || "._-".contains(c))
    };
    if repository.len() > MAX_REPOSITORY_CHARS || !repository.split('/').all(part) {
        return Err(format!(
            "has {repository:?}, which is no repository: lower-case letters, digits, '.', '_', '-' and '/'"
        ));
    }
    Ok(())
}

fn check_reference(reference: &str) -> Result<(), String> {
    if reference.contains(':') {
        return match reference.parse::<Digest>() {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("has {reference:?}, which is no digest: {error}")),
        };
    }
    check_tag(reference)
}

fn check_tag(tag: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if tag.is_empty() || tag.len() > MAX_TAG_CHARS || tag.starts_with(['.', '-']) || !tag.chars().all(inner) {
        return Err(format!("has {tag:?}, which is no tag"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn names_mean_what_container_tools_mean_by_them() {
        for (name, url) in [
            (
                "nginx",
                "https://registry-1.docker.io/v2/library/nginx/manifests/latest",
            ),
            (
                "nginx:1.27",
                "https://registry-1.docker.io/v2/library/nginx/manifests/1.27",
            ),
            (
                "grafana/loki:3",
                "https://registry-1.docker.io/v2/grafana/loki/manifests/3",
            ),
            (
                "docker.io/nginx",
                "https://registry-1.docker.io/v2/library/nginx/manifests/latest",
            ),
            (
                "index.docker.io/a/b:c",
                "https://registry-1.docker.io/v2/a/b/manifests/c",
            ),
            ("ghcr.io/x/y/z:v1", "https://ghcr.io/v2/x/y/z/manifests/v1"),
            ("harbor.lan:8443/p/a", "https://harbor.lan:8443/v2/p/a/manifests/latest"),
            ("localhost/a:1", "http://localhost/v2/a/manifests/1"),
            ("127.0.0.1:5000/a:1", "http://127.0.0.1:5000/v2/a/manifests/1"),
            ("127.example/a:1", "https://127.example/v2/a/manifests/1"),
            (
                "https://index.docker.io/v2/library/nginx/manifests/1",
                "https://registry-1.docker.io/v2/library/nginx/manifests/1",
            ),
        ] {
            assert_eq!(manifest_url(name).as_deref(), Ok(url), "{name}");
        }
        let by_digest = manifest_url(&format!("ghcr.io/x/y:v1@{DIGEST}"));
        assert_eq!(by_digest, Ok(format!("https://ghcr.io/v2/x/y/manifests/{DIGEST}")));
        let whole = format!("https://h/v2/a/b/manifests/{DIGEST}");
        assert_eq!(manifest_url(&whole), Ok(whole));
    }

    #[test]
    fn what_names_no_image_is_refused_with_the_reason() {
        for (name, word) in [
            ("", "no repository"),
            ("Nginx", "no repository"),
            ("a//b", "no repository"),
            ("../etc", "no registry"),
            ("a.b@c.d/x:1", "no digest"),
            ("nginx:", "no tag"),
            ("nginx:a b", "no tag"),
            ("nginx@sha256:12", "no digest"),
            ("u:p@h.io/a", "no tag"),
            ("https://h/nginx:1", "must be like"),
            ("ftp://h/v2/a/manifests/1", "must be like"),
            ("https://h/v2/A/manifests/1", "no repository"),
        ] {
            let error = manifest_url(name).unwrap_err();
            assert!(error.contains(word), "{name}: {error}");
        }
    }
}
