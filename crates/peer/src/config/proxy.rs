//! The proxy's part of the configuration.

use super::raw;
use dragonfly_service::config::Problems;
use regex::Regex;
use secrecy::{ExposeSecret, SecretString};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The HTTP proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Which requests travel peer to peer; the first match counts.
    pub rules: Vec<Rule>,
    /// Registries.
    pub registry_mirror: RegistryMirror,
    /// What clients must show, if anything.
    pub basic_auth: Option<BasicAuth>,
    /// How long an origin's word that a caller may read is remembered.
    pub authorization_ttl: Duration,
    /// Signs certificates for intercepted hosts; without one, no tunnel is intercepted.
    pub mitm: Option<MitmCa>,
    /// Requests per second.
    pub request_rate_limit: u32,
    /// Requests of the proxy never go to the origin.
    pub disable_back_to_source: bool,
    /// How long an origin's word holds that a content is still the same, if it does not say itself.
    pub revalidate_after: Duration,
}

/// One rule for peer-to-peer traffic.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Matched against the URL without query and fragment.
    pub regex: Regex,
    /// Ask the origin over TLS.
    pub use_tls: bool,
    /// Ask this `host[:port]` instead.
    pub redirect: Option<String>,
    /// Query parameters that don't enter the task id.
    pub filtered_query_params: Vec<String>,
}

/// Registries that the proxy stands in for.
#[derive(Debug, Clone)]
pub struct RegistryMirror {
    /// The registry of requests that name none.
    pub addr: Url,
    /// PEM file of CAs that origins' TLS is verified with, besides the system's.
    pub cert: Option<PathBuf>,
    /// Registries that may vouch for each other's blobs, and for those of `addr`.
    pub trusted_registries: Vec<Url>,
    /// How long a tag is believed without asking its registry.
    pub tag_ttl: Duration,
    /// Whether blob digests make task ids.
    pub enable_task_id_based_blob_digest: bool,
}

/// User and password of the proxy.
#[derive(Debug, Clone)]
pub struct BasicAuth {
    /// User.
    pub username: String,
    /// Password.
    pub password: SecretString,
}

/// Files of the CA for intercepted hosts.
#[derive(Debug, Clone)]
pub struct MitmCa {
    /// Certificate, PEM.
    pub cert: PathBuf,
    /// Key, PEM.
    pub key: PathBuf,
}

pub(super) fn resolve(raw: &raw::Proxy, any: IpAddr, problems: &mut Problems) -> Proxy {
    let server = &raw.server;
    let rate = server.request_rate_limit;
    problems.require(rate > 0, "proxy.server.requestRateLimit", rate, "use 1 or more");
    super::positive("proxy.authorizationTTL", raw.authorization_ttl, problems);
    Proxy {
        addr: SocketAddr::new(server.ip.unwrap_or(any), server.port),
        rules: raw.rules.iter().filter_map(|raw| rule(raw, problems)).collect(),
        registry_mirror: registry_mirror(&raw.registry_mirror, problems),
        basic_auth: server.basic_auth.as_ref().map(|auth| basic_auth(auth, problems)),
        authorization_ttl: raw.authorization_ttl,
        mitm: mitm(server, problems),
        request_rate_limit: rate,
        disable_back_to_source: raw.disable_back_to_source,
        revalidate_after: raw.revalidate_after,
    }
}

fn rule(raw: &raw::ProxyRule, problems: &mut Problems) -> Option<Rule> {
    let regex = problems.take("proxy.rules[].regex", &raw.regex, Regex::new(&raw.regex))?;
    let defaults = || {
        dragonfly_model::DEFAULT_FILTERED_QUERY_PARAMS
            .iter()
            .map(|p| (*p).to_owned())
            .collect()
    };
    Some(Rule {
        regex,
        use_tls: raw.use_tls,
        redirect: raw.redirect.clone().filter(|host| !host.is_empty()),
        filtered_query_params: raw.filtered_query_params.clone().unwrap_or_else(defaults),
    })
}

fn registry_mirror(raw: &raw::RegistryMirror, problems: &mut Problems) -> RegistryMirror {
    let addr = registry(&raw.addr, "proxy.registryMirror.addr", problems);
    let trusted = raw
        .trusted_registries
        .iter()
        .filter_map(|text| registry(text, "proxy.registryMirror.trustedRegistries", problems))
        .collect();
    RegistryMirror {
        addr: addr.unwrap_or_else(|| Url::parse("https://index.docker.io").expect("it is a URL")),
        cert: raw.cert.clone(),
        trusted_registries: trusted,
        tag_ttl: raw.tag_ttl,
        enable_task_id_based_blob_digest: raw.enable_task_id_based_blob_digest,
    }
}

/// A registry given as URL or as `host[:port]`, which means https.
fn registry(text: &str, key: &str, problems: &mut Problems) -> Option<Url> {
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = problems.take(key, text, Url::parse(&full))?;
    let usable = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    problems.require(usable, key, text, "write http(s)://host[:port]");
    usable.then_some(url)
}

fn basic_auth(raw: &raw::BasicAuth, problems: &mut Problems) -> BasicAuth {
    let fits = |text: &str| (1..=20).contains(&text.chars().count());
    problems.require(
        fits(&raw.username),
        "proxy.server.basicAuth.username",
        &raw.username,
        "use 1 to 20 characters",
    );
    problems.require(
        fits(raw.password.expose_secret()),
        "proxy.server.basicAuth.password",
        "<hidden>",
        "use 1 to 20 characters",
    );
    BasicAuth {
        username: raw.username.clone(),
        password: raw.password.clone(),
    }
}

fn mitm(raw: &raw::ProxyServer, problems: &mut Problems) -> Option<MitmCa> {
    match (&raw.ca_cert, &raw.ca_key) {
        (Some(cert), Some(key)) => Some(MitmCa {
            cert: cert.clone(),
            key: key.clone(),
        }),
        (None, None) => None,
        (cert, _) => {
            let missing = if cert.is_none() {
                "proxy.server.caCert"
            } else {
                "proxy.server.caKey"
            };
            problems.push(missing, "", "interception needs caCert and caKey together");
            None
        }
    }
}
