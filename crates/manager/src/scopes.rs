//! Which cluster serves a peer. Pure: clusters and a peer in, a choice and its reason out.
//!
//! A strict order, not a sum of weights: pins, CIDR, hostname, IDC, location, the default. The first rule that any
//! cluster matches decides, and within it the most specific match: the longest network prefix, the longest location.
//! What is still equal goes to the older cluster, which has the lower id, and the choice names the others.

mod explain;

pub(crate) use explain::{Opinion, explain};

use dragonfly_api::rest::Scopes;
use ipnet::IpNet;
use regex::Regex;
use std::fmt;
use std::net::IpAddr;

/// A cluster with its scopes parsed.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Id of the scheduler cluster.
    pub(crate) id: u64,
    pub(crate) is_default: bool,
    matchers: Matchers,
}

/// Scopes, ready to be compared with peers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matchers {
    cidrs: Vec<IpNet>,
    hostnames: Vec<Regex>,
    idcs: Vec<String>,
    location: Vec<String>,
}

/// A text in a scope that is no CIDR or no regular expression. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("has {0:?}, which is no network, such as 10.0.0.0/8")]
    Cidr(String),
    #[error("has {pattern:?}, which is no regular expression: {why}")]
    Hostname { pattern: String, why: String },
}

impl Malformed {
    /// Where it stands.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::Cidr(_) => "scopes.cidrs",
            Self::Hostname { .. } => "scopes.hostnames",
        }
    }
}

/// What a peer says about itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin<'a> {
    pub(crate) ip: Option<IpAddr>,
    pub(crate) hostname: &'a str,
    pub(crate) idc: &'a str,
    pub(crate) location: &'a str,
}

/// Clusters that were decided on before any scope is looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pins {
    /// The cluster that the caller's configuration names.
    pub(crate) configured: Option<u64>,
    /// The clusters in which the caller is registered as a seed peer.
    pub(crate) registered: Vec<u64>,
}

/// Why a cluster was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The caller's configuration names it.
    Pinned,
    /// The caller is registered in it as a seed peer.
    SeedPeer,
    /// The caller's address is in this network.
    Cidr(IpNet),
    /// The caller's hostname matches this pattern.
    Hostname(String),
    /// The caller is in this data centre.
    Idc(String),
    /// The caller is at this place.
    Location(String),
    /// No scope of any cluster matches.
    Default,
}

/// A cluster for a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) cluster: u64,
    pub(crate) reason: Reason,
    /// Other clusters that match just as well; their ids are higher.
    pub(crate) ties: Vec<u64>,
}

/// Why no cluster was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoCluster {
    #[error("there is no cluster {0}, which the caller's configuration names")]
    Unknown(u64),
    #[error("no cluster's scopes match and none is the default")]
    NoDefault,
}

/// The cluster for a peer.
pub(crate) fn choose(candidates: &[Candidate], pins: &Pins, origin: &Origin<'_>) -> Result<Choice, NoCluster> {
    if let Some(id) = pins.configured {
        if !candidates.iter().any(|candidate| candidate.id == id) {
            return Err(NoCluster::Unknown(id));
        }
        return Ok(Choice {
            cluster: id,
            reason: Reason::Pinned,
            ties: Vec::new(),
        });
    }
    RULES
        .into_iter()
        .find_map(|rule| best(candidates, |candidate| candidate.matches(rule, pins, origin)))
        .ok_or(NoCluster::NoDefault)
}

/// A question that is asked of every cluster. The first that any of them answers decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Registered,
    Cidr,
    Hostname,
    Idc,
    Location,
    Default,
}

/// In their order.
const RULES: [Rule; 6] = [
    Rule::Registered,
    Rule::Cidr,
    Rule::Hostname,
    Rule::Idc,
    Rule::Location,
    Rule::Default,
];

/// The candidates' most specific match by one rule.
fn best(candidates: &[Candidate], rule: impl Fn(&Candidate) -> Option<(usize, Reason)>) -> Option<Choice> {
    let mut matches: Vec<(usize, u64, Reason)> = candidates
        .iter()
        .filter_map(|candidate| rule(candidate).map(|(length, reason)| (length, candidate.id, reason)))
        .collect();
    let longest = matches.iter().map(|(length, ..)| *length).max()?;
    matches.retain(|(length, ..)| *length == longest);
    matches.sort_by_key(|(_, id, _)| *id);
    let ties = matches.iter().skip(1).map(|(_, id, _)| *id).collect();
    let (_, cluster, reason) = matches.into_iter().next()?;
    Some(Choice { cluster, reason, ties })
}

impl Candidate {
    pub(crate) fn new(id: u64, is_default: bool, matchers: Matchers) -> Self {
        Self {
            id,
            is_default,
            matchers,
        }
    }

    /// How specifically and why this cluster matches by one rule.
    fn matches(&self, rule: Rule, pins: &Pins, origin: &Origin<'_>) -> Option<(usize, Reason)> {
        match rule {
            Rule::Registered => pins.registered.contains(&self.id).then_some((0, Reason::SeedPeer)),
            Rule::Cidr => self.matchers.cidr(origin.ip?),
            Rule::Hostname => self.matchers.hostname(origin.hostname),
            Rule::Idc => self.matchers.idc(origin.idc),
            Rule::Location => self.matchers.location(origin.location),
            Rule::Default => self.is_default.then_some((0, Reason::Default)),
        }
    }
}

impl Matchers {
    /// Parses scopes; all that is malformed is told, and left out of the result.
    pub(crate) fn parse(scopes: &Scopes) -> (Self, Vec<Malformed>) {
        let mut malformed = Vec::new();
        let mut matchers = Self {
            idcs: elements(&scopes.idc),
            location: elements(&scopes.location),
            ..Self::default()
        };
        for text in &scopes.cidrs {
            match parse_cidr(text) {
                Some(cidr) => matchers.cidrs.push(cidr),
                None => malformed.push(Malformed::Cidr(text.clone())),
            }
        }
        for pattern in &scopes.hostnames {
            match Regex::new(pattern) {
                Ok(regex) => matchers.hostnames.push(regex),
                Err(error) => malformed.push(Malformed::Hostname {
                    pattern: pattern.clone(),
                    why: last_line(&error),
                }),
            }
        }
        (matchers, malformed)
    }

    fn cidr(&self, ip: IpAddr) -> Option<(usize, Reason)> {
        let ip = ip.to_canonical();
        let cidr = self
            .cidrs
            .iter()
            .filter(|cidr| cidr.contains(&ip))
            .max_by_key(|cidr| cidr.prefix_len())?;
        Some((usize::from(cidr.prefix_len()), Reason::Cidr(*cidr)))
    }

    fn hostname(&self, hostname: &str) -> Option<(usize, Reason)> {
        if hostname.is_empty() {
            // Else a pattern such as `.*` would match those that say nothing.
            return None;
        }
        let pattern = self.hostnames.iter().find(|pattern| pattern.is_match(hostname))?;
        Some((0, Reason::Hostname(pattern.as_str().to_owned())))
    }

    fn idc(&self, idc: &str) -> Option<(usize, Reason)> {
        let theirs = elements(idc);
        let ours = self.idcs.iter().find(|ours| theirs.iter().any(|idc| same(idc, ours)))?;
        Some((0, Reason::Idc(ours.clone())))
    }

    /// The cluster's place holds all places inside it, so it must be a prefix of the peer's.
    fn location(&self, location: &str) -> Option<(usize, Reason)> {
        let theirs = elements(location);
        let length = self.location.len();
        let inside = (1..=theirs.len()).contains(&length)
            && self
                .location
                .iter()
                .zip(&theirs)
                .all(|(ours, theirs)| same(ours, theirs));
        inside.then(|| (length, Reason::Location(self.location.join("|"))))
    }
}

/// A network. Host bits and a lone address are accepted; an IPv4 network written as IPv6 is the IPv4 network.
fn parse_cidr(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let cidr = match text.parse::<IpNet>() {
        Ok(cidr) => cidr,
        Err(_) => IpNet::from(text.parse::<IpAddr>().ok()?),
    };
    let mapped = match cidr {
        IpNet::V6(cidr) if cidr.prefix_len() >= 96 => cidr
            .addr()
            .to_ipv4_mapped()
            .and_then(|ip| IpNet::new(ip.into(), cidr.prefix_len() - 96).ok()),
        _ => None,
    };
    Some(mapped.unwrap_or(cidr).trunc())
}

fn elements(text: &str) -> Vec<String> {
    text.split('|')
        .map(str::trim)
        .filter(|element| !element.is_empty())
        .map(str::to_owned)
        .collect()
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// The regex parser draws a picture of the place above its last line, which a JSON message can't show.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

impl Reason {
    /// One word, for metrics and metadata.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::SeedPeer => "seed_peer",
            Self::Cidr(_) => "cidr",
            Self::Hostname(_) => "hostname",
            Self::Idc(_) => "idc",
            Self::Location(_) => "location",
            Self::Default => "default",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned => f.write_str("the caller's configuration names it"),
            Self::SeedPeer => f.write_str("the caller is registered in it as a seed peer"),
            Self::Cidr(cidr) => write!(f, "the caller's address is in its network {cidr}"),
            Self::Hostname(pattern) => write!(f, "the caller's hostname matches its pattern {pattern:?}"),
            Self::Idc(idc) => write!(f, "the caller is in its IDC {idc:?}"),
            Self::Location(location) => write!(f, "the caller is in its location {location:?}"),
            Self::Default => f.write_str("no cluster's scopes match the caller and it is the default"),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        if !self.ties.is_empty() {
            write!(f, "; clusters {:?} match as well, the older one won", self.ties)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
