//! What the proxy is told to do. The peer's configuration resolves every default and builds this; nothing here is read
//! from a file.

use super::intercept::Interceptor;
use dragonfly_source::EgressPolicy;
use regex::Regex;
use rustls::RootCertStore;
use secrecy::SecretString;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Everything the proxy needs to know, without any "maybe" left.
pub struct Config {
    /// Which GETs travel peer to peer; the first that matches decides.
    pub rules: Vec<Rule>,
    /// The registries behind the registry mirror.
    pub registry_mirror: RegistryMirror,
    /// What clients must present in `Proxy-Authorization`; `None` lets everyone in.
    pub basic_auth: Option<BasicAuth>,
    /// Ends TLS inside CONNECT for hosts that a rule can match; `None` passes every tunnel through unread.
    pub interceptor: Option<Interceptor>,
    /// Requests answered per second over all clients; `None` for no limit.
    pub requests_per_second: Option<NonZeroU32>,
    /// Peers only: a P2P request never makes this host ask the origin for content.
    pub disable_back_to_source: bool,
    /// How long an origin's "may read" is remembered.
    pub authorization_ttl: Duration,
    /// Where requests may go.
    pub egress: EgressPolicy,
    /// The certificates that origins are verified with.
    pub roots: RootCertStore,
    /// Where the key and the list of remembered permissions are kept.
    pub data_dir: PathBuf,
    /// This host's address, as told to clients in `X-Dragonfly-Server-IP`.
    pub server_ip: IpAddr,
    /// Ports, beside 443 and those of the configured registries, that other hosts may CONNECT to.
    pub tunnel_ports: Vec<u16>,
    /// What bounds one client and all of them.
    pub limits: Limits,
}

/// Bounds of connections and headers.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Client connections at once, tunnels included. More are answered 503 and closed.
    pub max_connections: usize,
    /// Bytes of one request's header, request line included.
    pub max_header_bytes: usize,
    /// Header lines of one request.
    pub max_headers: usize,
    /// Requests at once in one HTTP/2 connection.
    pub max_streams: u32,
    /// How long a request header may take to arrive; also how long an HTTP/1.1 connection may idle.
    pub header_timeout: Duration,
    /// How long a connection may idle, a tunnel be silent, or a body stand still.
    pub idle_timeout: Duration,
    /// How long a connection to an origin may take to come up, TLS included.
    pub connect_timeout: Duration,
    /// Bytes that one HTTP/1.1 connection buffers for reading and writing.
    pub buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 8192,
            max_header_bytes: 64 * 1024,
            max_headers: 128,
            max_streams: 256,
            header_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(10),
            buffer_bytes: 512 * 1024,
        }
    }
}

/// Name and password of the proxy's clients.
#[derive(Debug, Clone)]
pub struct BasicAuth {
    /// The user's name.
    pub username: String,
    /// The user's password.
    pub password: SecretString,
}

/// Sends matching GETs peer to peer.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Matched against the URL without query and fragment.
    pub regex: Regex,
    /// Asks the origin by https whatever the URL says.
    pub use_tls: bool,
    /// `host` or `host:port` to ask in place of the URL's.
    pub redirect: Option<String>,
    /// Query parameters that do not enter the task id.
    pub filtered_query_params: Vec<String>,
}

/// Which registry a request without a host means, and which registries may vouch for each other's blobs.
#[derive(Debug, Clone)]
pub struct RegistryMirror {
    /// The registry of requests that name none.
    pub addr: Url,
    /// Registries, beside `addr`, whose blobs share one task with equal blobs elsewhere.
    pub trusted: Vec<Url>,
    /// Whether a blob's digest makes its task id.
    pub blob_digest_ids: bool,
}

/// The address under which Docker Hub serves its registry API; `docker.io` serves none.
const DOCKER_HUB: &str = "https://registry-1.docker.io";

impl RegistryMirror {
    /// Every registry the operator named.
    fn configured(&self) -> impl Iterator<Item = &Url> {
        std::iter::once(&self.addr).chain(&self.trusted)
    }

    /// Whether this origin's word "this is blob D" counts for other registries' blob D.
    pub fn trusts(&self, url: &Url) -> bool {
        let origin = origin_text(url);
        self.configured().any(|known| origin_text(known) == origin)
    }

    /// Ports of the configured registries.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.configured().filter_map(Url::port_or_known_default)
    }

    /// The base URL that a client's word for a registry (a header or `?ns=`) means: a URL as it is, `docker.io` as
    /// Docker Hub's API, another plain host with the scheme of the configured registry of that name, else http on
    /// loopback as container runtimes do, else https. `None` if it names no registry.
    pub(super) fn resolve(&self, word: &str) -> Option<Url> {
        if word.contains("://") {
            let url = Url::parse(word).ok()?;
            let usable = matches!(url.scheme(), "http" | "https") && url.has_host() && no_userinfo(&url);
            return usable.then_some(url);
        }
        if word.contains(['/', '\\', '?', '#', '@']) {
            return None;
        }
        if word.eq_ignore_ascii_case("docker.io") {
            return Url::parse(DOCKER_HUB).ok();
        }
        let secure = Url::parse(&format!("https://{word}")).ok()?;
        let plain = Url::parse(&format!("http://{word}")).ok()?;
        let known = |url: &Url| {
            let origin = origin_text(url);
            self.configured().any(|registry| origin_text(registry) == origin)
        };
        if known(&secure) {
            Some(secure)
        } else if known(&plain) || (is_loopback(&plain) && secure.port_or_known_default() != Some(443)) {
            Some(plain)
        } else {
            Some(secure)
        }
    }
}

/// `scheme://host:port`, always with its port, one text for each of Docker Hub's names.
pub(super) fn origin_text(url: &Url) -> String {
    let host = match url.host_str().unwrap_or_default() {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        host => host,
    };
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}://{host}:{port}", url.scheme())
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
            trusted: vec![Url::parse("http://registry.lab:5000").unwrap()],
            blob_digest_ids: true,
        }
    }

    #[test]
    fn a_plain_host_gets_the_scheme_that_fits_it() {
        let resolved = |word: &str| mirror().resolve(word).map(|url| origin_text(&url));
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
            assert_eq!(resolved(word).as_deref(), Some(expected), "{word}");
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
            assert!(mirror().resolve(word).is_none(), "{word}");
        }
    }

    #[test]
    fn trust_is_an_origins_not_a_names() {
        let trusts = |url: &str| mirror().trusts(&Url::parse(url).unwrap());
        assert!(trusts("https://registry-1.docker.io/v2/a/blobs/b"));
        assert!(trusts("http://registry.lab:5000/"));
        assert!(!trusts("https://registry.lab:5000/"));
        assert!(!trusts("http://registry.lab/"));
        assert!(!trusts("http://index.docker.io/"));
        assert!(!trusts("https://index.docker.io.evil.example/"));
    }
}
