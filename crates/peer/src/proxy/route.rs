//! Where a request goes: which origin it means, and whether it travels peer to peer. Pure, so that every case is an
//! example.

use super::headers::{REGISTRY, Wishes};
use super::manifests::Document;
use super::refusal::Refusal;
use super::registry::{self, no_userinfo, origin_text};
use crate::config::{RegistryMirror, Rule};
use dragonfly_model::{BlobTrust, Digest, Priority, TaskId, TaskIdentity, blob_digest_of, content_digest_of};
use dragonfly_source::Caller;
use http::header;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{Method, StatusCode, Uri, Version};
use std::net::{IpAddr, SocketAddr};
use url::Url;

/// Where a request came in.
#[derive(Debug, Clone)]
pub(super) struct Door {
    /// Whether a process of this host asks.
    pub(super) caller: Caller,
    /// The address the client connected to.
    pub(super) local: SocketAddr,
    /// The host and port of the tunnel in which TLS was ended, if it was.
    pub(super) tunnel: Option<Authority>,
}

/// What kind of request names the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// It names only a path: a registry behind the mirror.
    Mirror,
    /// It names the whole URL.
    Forward,
    /// It came through a tunnel whose TLS ended here.
    Tunnel,
}

impl Via {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Via::Mirror => "mirror",
            Via::Forward => "forward",
            Via::Tunnel => "tunnel",
        }
    }
}

/// The origin's name for what is asked for.
#[derive(Debug, Clone)]
pub(super) struct Destination {
    pub(super) url: Url,
    /// As `url`, but with path and query byte for byte as the client wrote them.
    pub(super) uri: Uri,
    pub(super) via: Via,
}

/// One content, as the engine is asked for it.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) task_id: TaskId,
    pub(super) url: Url,
    pub(super) digest: Option<Digest>,
    pub(super) blob_trust: BlobTrust,
    /// The text whose hash is the task id, where the URL is not what makes it.
    pub(super) content_for_task_id: Option<String>,
    pub(super) filtered_query_params: Vec<String>,
    pub(super) tag: Option<String>,
    pub(super) application: Option<String>,
    pub(super) piece_length: Option<u64>,
    pub(super) priority: Priority,
}

/// What is done with a request.
#[derive(Debug, Clone)]
pub(super) enum Route {
    /// Answered with a content that travels peer to peer.
    Peers(Destination, Box<Plan>),
    /// A document of a registry, which is kept here.
    Registry(Destination, Document),
    /// Passed to the origin.
    Direct(Destination),
}

impl Route {
    pub(super) fn destination(&self) -> &Destination {
        match self {
            Route::Peers(destination, _) | Route::Registry(destination, _) | Route::Direct(destination) => destination,
        }
    }
}

/// The rules by which requests are routed.
#[derive(Debug, Clone)]
pub(super) struct Router {
    rules: Vec<Rule>,
    mirror: RegistryMirror,
    server_ip: IpAddr,
}

impl Router {
    pub(super) fn new(config: &crate::config::Proxy, server_ip: IpAddr) -> Self {
        Self {
            rules: config.rules.clone(),
            mirror: config.registry_mirror.clone(),
            server_ip,
        }
    }

    /// The configured registries.
    pub(super) fn mirror(&self) -> &RegistryMirror {
        &self.mirror
    }

    /// Routes any request but CONNECT. `has_body` keeps a GET that carries one from being answered from elsewhere.
    pub(super) fn route(&self, parts: &Parts, door: &Door, has_body: bool) -> Result<Route, Refusal> {
        let wishes = Wishes::parse(&parts.headers)?;
        let destination = self.destination(parts, door)?;
        let is_head = parts.method == Method::HEAD;
        if !(is_head || parts.method == Method::GET) || has_body || is_conditional_on_match(parts) {
            return Ok(Route::Direct(destination));
        }
        let rule = self.matching_rule(&destination.url);
        let blob = blob_digest_of(&destination.url).is_some();
        let by_default = self.rules.is_empty() && blob && destination.via == Via::Mirror;
        let by_peers = rule.is_some() || wishes.use_p2p || by_default;
        if let Some(document) = document_of(&destination) {
            // A tag is the registry's to explain, and a head is no content.
            if is_head || !by_peers || !document.is_named_by_digest() {
                return Ok(Route::Registry(destination, document));
            }
        }
        // What only its origin can describe is described by it.
        if !by_peers || is_head && !blob {
            return Ok(Route::Direct(destination));
        }
        let plan = self.plan(&destination.url, rule, wishes, door.caller)?;
        Ok(Route::Peers(destination, Box::new(plan)))
    }

    fn destination(&self, parts: &Parts, door: &Door) -> Result<Destination, Refusal> {
        let target = parts.uri.path_and_query();
        let target = target
            .filter(|target| target.as_str().starts_with('/'))
            .ok_or_else(|| Refusal::bad_request("the request target must be a path or a URL".to_owned()))?;
        if let Some(authority) = &door.tunnel {
            let named = parts.uri.authority();
            // A tunnel leads to one host; a request inside for another one would be vetted as the wrong one.
            if named.is_some_and(|named| !same_host(named, authority)) {
                return Err(Refusal::proxy(
                    StatusCode::MISDIRECTED_REQUEST,
                    "the tunnel leads to another host",
                ));
            }
            return at(&base("https", authority.as_str())?, target, Via::Tunnel);
        }
        let forward = match (parts.uri.scheme_str(), parts.uri.authority()) {
            (Some(scheme), Some(authority)) if !self.is_mirror_request(parts, authority, door) => {
                Some((scheme, authority))
            }
            _ => None,
        };
        match forward {
            Some((scheme @ ("http" | "https"), authority)) => {
                at(&base(scheme, authority.as_str())?, target, Via::Forward)
            }
            Some((scheme, _)) => Err(Refusal::bad_request(format!(
                "URLs of scheme {scheme:?} are not supported; use http or https"
            ))),
            None => at(&self.mirrored_registry(parts)?, target, Via::Mirror),
        }
    }

    /// Whether a request that names a host names only ours. In HTTP/2 every request names one.
    fn is_mirror_request(&self, parts: &Parts, authority: &Authority, door: &Door) -> bool {
        if parts.version == Version::HTTP_2 && (parts.headers.contains_key(REGISTRY) || ns_of(&parts.uri).is_some()) {
            return true;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let ours = match host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || ip == door.local.ip().to_canonical() || ip == self.server_ip,
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        };
        ours && authority.port_u16().unwrap_or(80) == door.local.port()
    }

    /// The registry that a request without a host means.
    fn mirrored_registry(&self, parts: &Parts) -> Result<Url, Refusal> {
        let wrong = |what: &str| {
            Refusal::bad_request(format!(
                "{what} names no registry; give a host or an http or https URL without user and password"
            ))
        };
        if let Some(value) = parts.headers.get(REGISTRY) {
            let word = value.to_str().ok().map(str::trim);
            let url = word.and_then(|word| registry::resolve(&self.mirror, word));
            return url.ok_or_else(|| wrong(REGISTRY.as_str()));
        }
        match ns_of(&parts.uri) {
            Some(word) => registry::resolve(&self.mirror, &word).ok_or_else(|| wrong("the query parameter ns")),
            None => Ok(self.mirror.addr.clone()),
        }
    }

    fn matching_rule(&self, url: &Url) -> Option<&Rule> {
        let mut bare = url.clone();
        bare.set_query(None);
        bare.set_fragment(None);
        self.rules.iter().find(|rule| rule.regex.is_match(bare.as_str()))
    }

    fn plan(&self, url: &Url, rule: Option<&Rule>, wishes: Wishes, caller: Caller) -> Result<Plan, Refusal> {
        let url = match rule {
            Some(rule) => redirected(url, rule)?,
            None => url.clone(),
        };
        let digest = content_digest_of(&url);
        let by_digest = wishes
            .blob_digest_ids
            .unwrap_or(self.mirror.enable_task_id_based_blob_digest);
        let blob_trust = match by_digest {
            true => registry::blob_trust(&self.mirror, &url),
            false => BlobTrust::Ignored,
        };
        let filtered_query_params = wishes
            .filtered_query_params
            .or_else(|| rule.map(|rule| rule.filtered_query_params.clone()))
            .unwrap_or_else(default_filtered_query_params);
        let content_for_task_id = match (wishes.content, &digest) {
            (Some(content), _) => Some(content_text(content, &url, caller)),
            (None, Some(digest)) if blob_trust == BlobTrust::OwnOrigin => Some(own_origin_text(digest, &url)),
            _ => None,
        };
        let task_id = TaskIdentity {
            url: &url,
            content: content_for_task_id.as_deref(),
            tag: wishes.tag.as_deref(),
            application: wishes.application.as_deref(),
            revision: None,
            piece_length: wishes.piece_length,
            filtered_query_params: &filtered_query_params,
            blob_trust,
        }
        .task_id();
        Ok(Plan {
            task_id,
            url,
            digest,
            blob_trust,
            content_for_task_id,
            filtered_query_params,
            tag: wishes.tag,
            application: wishes.application,
            piece_length: wishes.piece_length,
            priority: wishes.priority,
        })
    }
}

/// The document that is asked for. An origin that might read the path in another way than we do is left to itself.
fn document_of(destination: &Destination) -> Option<Document> {
    let same_path = destination.uri.path() == destination.url.path();
    Document::of(&destination.url).filter(|_| same_path)
}

/// Only the origin can say whether its present version is the one the client insists on.
fn is_conditional_on_match(parts: &Parts) -> bool {
    parts.headers.contains_key(header::IF_MATCH) || parts.headers.contains_key(header::IF_UNMODIFIED_SINCE)
}

/// A client's own text for "the same content" is as upstream's peers use it when a process of this host gives it: that
/// one may also ask over the unix socket. From elsewhere it counts for one origin only, for whoever may read something
/// at one origin must not get what another origin gave.
fn content_text(content: String, url: &Url, caller: Caller) -> String {
    match caller {
        Caller::Local => content,
        Caller::Remote => format!("content\n{}\n{content}", origin_text(url)),
    }
}

/// The text whose SHA-256 is the task id of an untrusted registry's blob; a seed peer gets it to find the same id.
fn own_origin_text(digest: &Digest, url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!(
        "{digest}\n{}://{}:{port}",
        url.scheme(),
        url.host_str().unwrap_or_default()
    )
}

fn default_filtered_query_params() -> Vec<String> {
    dragonfly_model::DEFAULT_FILTERED_QUERY_PARAMS
        .iter()
        .map(|&name| name.to_owned())
        .collect()
}

fn redirected(url: &Url, rule: &Rule) -> Result<Url, Refusal> {
    let scheme = if rule.use_tls { "https" } else { url.scheme() };
    let Some(authority) = rule.redirect.as_deref() else {
        let mut url = url.clone();
        // A port that was written down stays; the default one follows the scheme.
        url.set_scheme(scheme)
            .map_err(|()| Refusal::bad_request("the URL can't be asked by https".to_owned()))?;
        return Ok(url);
    };
    let mut target = base(scheme, authority)?;
    target.set_path(url.path());
    target.set_query(url.query());
    Ok(target)
}

/// The value of the query parameter that container runtimes send to a mirror.
fn ns_of(uri: &Uri) -> Option<String> {
    url::form_urlencoded::parse(uri.query()?.as_bytes())
        .find(|(name, value)| name == "ns" && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

fn same_host(one: &Authority, other: &Authority) -> bool {
    let port = |authority: &Authority| authority.port_u16().unwrap_or(443);
    one.host().eq_ignore_ascii_case(other.host()) && port(one) == port(other)
}

fn base(scheme: &str, authority: &str) -> Result<Url, Refusal> {
    let url = Url::parse(&format!("{scheme}://{authority}"));
    url.ok()
        .filter(|url| url.has_host() && url.path() == "/" && no_userinfo(url))
        .ok_or_else(|| Refusal::bad_request("the URL must have a host and no user or password".to_owned()))
}

fn at(base: &Url, target: &PathAndQuery, via: Via) -> Result<Destination, Refusal> {
    let mut url = base.clone();
    url.set_path(target.path());
    url.set_query(target.query());
    url.set_fragment(None);
    let host = url.host_str().unwrap_or_default();
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let uri = Uri::builder()
        .scheme(url.scheme())
        .authority(authority)
        .path_and_query(target.clone())
        .build()
        .map_err(|_| Refusal::bad_request("the URL can't be asked for".to_owned()))?;
    Ok(Destination { url, uri, via })
}

#[cfg(test)]
mod tests;
