//! `/etc/dragonfly/dfinit.yaml`: which runtimes are led through the proxy, and how.

use dragonfly_service::config::{Error, Problems};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use url::Url;

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(crate) struct Raw {
    proxy: Proxy,
    container_runtime: Runtimes,
    /// Without effect: charts and older files have it.
    #[serde(skip_serializing)]
    verbose: serde::de::IgnoredAny,
    /// Without effect: charts and older files have it.
    #[serde(skip_serializing)]
    log: serde::de::IgnoredAny,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            proxy: Proxy::default(),
            container_runtime: Runtimes::default(),
            verbose: serde::de::IgnoredAny,
            log: serde::de::IgnoredAny,
        }
    }
}

/// The proxy of the peer on this host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Proxy {
    addr: String,
    /// `proxy.registryMirror.addr` of dfdaemon: whom the proxy asks when a request names no registry.
    registry_mirror: String,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            addr: "http://127.0.0.1:4001".to_owned(),
            registry_mirror: "https://index.docker.io".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Runtimes {
    containerd: Option<Containerd>,
    docker: Option<Docker>,
    crio: Option<Registries>,
    podman: Option<Registries>,
}

/// containerd.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(crate) struct Containerd {
    pub(crate) config_path: PathBuf,
    /// Where host files go if the configuration does not say where they are.
    pub(crate) hosts_path: PathBuf,
    pub(crate) registries: Vec<HostRegistry>,
    /// Lead every registry through the proxy, also those that are not listed.
    pub(crate) proxy_all_registries: bool,
}

impl Default for Containerd {
    fn default() -> Self {
        Self {
            config_path: "/etc/containerd/config.toml".into(),
            hosts_path: "/etc/containerd/certs.d".into(),
            registries: Vec::new(),
            proxy_all_registries: true,
        }
    }
}

/// One registry as containerd knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct HostRegistry {
    /// The host in image names.
    pub(crate) host_namespace: String,
    /// Its URL.
    pub(crate) server_addr: String,
    #[serde(default = "pull_and_resolve")]
    pub(crate) capabilities: Vec<String>,
    #[serde(default)]
    pub(crate) skip_verify: Option<bool>,
    #[serde(default)]
    pub(crate) ca: Option<Vec<String>>,
}

pub(crate) fn pull_and_resolve() -> Vec<String> {
    ["pull", "resolve"].map(str::to_owned).to_vec()
}

/// Docker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(crate) struct Docker {
    pub(crate) config_path: PathBuf,
}

impl Default for Docker {
    fn default() -> Self {
        Self {
            config_path: "/etc/docker/daemon.json".into(),
        }
    }
}

/// CRI-O and Podman, which share a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub(crate) struct Registries {
    pub(crate) config_path: PathBuf,
    pub(crate) unqualified_search_registries: Vec<String>,
    pub(crate) registries: Vec<Registry>,
}

impl Default for Registries {
    fn default() -> Self {
        let usual = ["registry.fedoraproject.org", "registry.access.redhat.com", "docker.io"];
        Self {
            config_path: "/etc/containers/registries.conf".into(),
            unqualified_search_registries: usual.map(str::to_owned).to_vec(),
            registries: Vec::new(),
        }
    }
}

/// One registry as CRI-O and Podman know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Registry {
    /// The beginning of image names.
    pub(crate) prefix: String,
    /// Where these images are.
    pub(crate) location: String,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Config {
    /// The proxy's URL, without a slash at its end.
    pub(crate) proxy: String,
    /// Its host and port.
    pub(crate) proxy_authority: String,
    pub(crate) containerd: Option<Containerd>,
    pub(crate) docker: Option<Docker>,
    pub(crate) crio: Option<Registries>,
    pub(crate) podman: Option<Registries>,
}

impl TryFrom<Raw> for Config {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self, Error> {
        let mut problems = Problems::new();
        let runtimes = raw.container_runtime;
        let none = runtimes.containerd.is_none()
            && runtimes.docker.is_none()
            && runtimes.crio.is_none()
            && runtimes.podman.is_none();
        let remedy = "name containerd, docker, crio or podman";
        problems.require(!none, "containerRuntime", "", remedy);
        let proxy = problems.take("proxy.addr", &raw.proxy.addr, Url::parse(&raw.proxy.addr));
        let authority = proxy.as_ref().and_then(authority_of);
        if proxy.is_some() && authority.is_none() {
            problems.push("proxy.addr", &raw.proxy.addr, "write http://host:port");
        }
        for registry in runtimes.containerd.iter().flat_map(|runtime| &runtime.registries) {
            check_host_registry(registry, &mut problems);
        }
        for (key, runtime) in [
            ("containerRuntime.crio.registries", &runtimes.crio),
            ("containerRuntime.podman.registries", &runtimes.podman),
        ] {
            for registry in runtime.iter().flat_map(|runtime| &runtime.registries) {
                check_registry(key, registry, &raw.proxy.registry_mirror, &mut problems);
            }
        }
        problems.into_result(Config {
            proxy: raw.proxy.addr.trim_end_matches('/').to_owned(),
            proxy_authority: authority.unwrap_or_default(),
            containerd: runtimes.containerd,
            docker: runtimes.docker,
            crio: runtimes.crio,
            podman: runtimes.podman,
        })
    }
}

fn authority_of(url: &Url) -> Option<String> {
    let usable = matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none();
    let host = url.host_str().filter(|_| usable)?;
    Some(format!("{host}:{}", url.port_or_known_default()?))
}

fn check_host_registry(registry: &HostRegistry, problems: &mut Problems) {
    let name = &registry.host_namespace;
    // It becomes the name of a directory.
    let is_host = !name.is_empty() && !name.contains(['/', '\\']) && name != "." && name != "..";
    let key = "containerRuntime.containerd.registries[].hostNamespace";
    problems.require(is_host, key, name, "write a host, such as ghcr.io");
    let url = Url::parse(&registry.server_addr).ok();
    let is_url = url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let key = "containerRuntime.containerd.registries[].serverAddr";
    problems.require(is_url, key, &registry.server_addr, "write http(s)://host[:port]");
}

/// The requests of CRI-O and Podman do not say which registry they mean: whatever is led through the proxy comes from its
/// one registry, and an image of the same name there would be taken for the one that was meant.
fn check_registry(key: &str, registry: &Registry, mirror: &str, problems: &mut Problems) {
    let remedy = "CRI-O and Podman do not tell the proxy which registry they mean: lead only the one of \
                  proxy.registryMirror through it, and name that one there as in dfdaemon.yaml";
    let host = registry.location.split('/').next().unwrap_or_default();
    problems.require(host_of(mirror) == host_of(host), key, &registry.location, remedy);
}

/// The host of a registry; the names of Docker Hub are one.
fn host_of(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    match rest.trim_end_matches('/') {
        "index.docker.io" | "registry-1.docker.io" | "docker.io" => "docker.io",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_service::config::parse;

    fn config(text: &str) -> Result<Config, Error> {
        parse::<Raw>(text, "dfinit.yaml").and_then(Config::try_from)
    }

    #[test]
    fn a_chart_s_file_is_understood() {
        let config = config(
            "verbose: true\nlog:\n  level: info\nproxy:\n  addr: http://127.0.0.1:4001\ncontainerRuntime:\n  containerd:\n    \
             configPath: /etc/containerd/config.toml\n    registries:\n    - hostNamespace: docker.io\n      serverAddr: \
             https://index.docker.io\n      capabilities: [pull, resolve]\n      skipVerify: true\n",
        )
        .unwrap();
        let containerd = config.containerd.unwrap();
        assert!(containerd.proxy_all_registries);
        assert_eq!(containerd.registries[0].skip_verify, Some(true));
        assert_eq!(config.proxy_authority, "127.0.0.1:4001");
    }

    #[test]
    fn every_problem_is_named() {
        let error = config("proxy:\n  addr: 127.0.0.1\n").unwrap_err().to_string();
        assert!(
            error.contains("proxy.addr") && error.contains("containerRuntime"),
            "{error}"
        );
        let error = config("proxi: 1\n").unwrap_err().to_string();
        assert!(error.contains("proxy"), "{error}");
    }

    #[test]
    fn a_registry_that_the_proxy_would_look_for_elsewhere_is_refused() {
        let of = |location: &str, mirror: &str| {
            config(&format!(
                "proxy:\n  registryMirror: {mirror}\ncontainerRuntime:\n  crio:\n    registries:\n    - prefix: x\n      \
                 location: {location}\n"
            ))
        };
        assert!(of("docker.io", "https://index.docker.io").is_ok());
        assert!(of("ghcr.io/org", "https://ghcr.io").is_ok());
        assert!(of("ghcr.io", "https://index.docker.io").is_err());
    }
}
