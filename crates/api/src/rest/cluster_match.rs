//! The answer to "why this cluster?".

use super::{Check, Problems, null_is_default};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::{IntoParams, ToSchema};

/// The most characters of each text that is asked about.
const MAX_CHARS: usize = 1024;

/// A host, as it would ask for schedulers. What is left out it doesn't say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct MatchQuery {
    /// Its address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Its data centre.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub idc: String,
    /// Its place.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub location: String,
    /// The cluster that its configuration names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_cluster_id: Option<u64>,
    /// Whether it is a seed peer, which is served where it is registered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub seed_peer: bool,
}

impl MatchQuery {
    /// The address, if there is one; [`Check`] refuses what is none.
    pub fn address(&self) -> Option<IpAddr> {
        self.ip.parse().ok().map(|ip: IpAddr| ip.to_canonical())
    }
}

impl Check for MatchQuery {
    fn check(&self, problems: &mut Problems) {
        if !self.ip.is_empty() && self.address().is_none() {
            problems.push("ip", format_args!("has {:?}, which is no address", self.ip));
        }
        for (field, text) in [
            ("hostname", &self.hostname),
            ("idc", &self.idc),
            ("location", &self.location),
        ] {
            problems.chars(field, text, 0..=MAX_CHARS);
        }
    }
}

/// Which cluster serves a host, and why no other does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterMatch {
    /// Id of the cluster.
    pub cluster_id: u64,
    /// Its name.
    pub cluster_name: String,
    /// The rule that decided.
    pub reason: String,
    /// The same in words.
    pub explanation: String,
    /// How many of its schedulers are alive. With none the host gets no scheduler, not those of another cluster.
    pub active_schedulers: u64,
    /// Every cluster, the chosen one first, then by id.
    #[serde(default, deserialize_with = "null_is_default")]
    pub clusters: Vec<ClusterVerdict>,
}

/// What one cluster had to do with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterVerdict {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// In one word.
    pub verdict: Verdict,
    /// In words: why it was chosen, or what it lacked.
    pub explanation: String,
}

/// What one cluster had to do with a choice, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It serves the host.
    Chosen,
    /// It matches just as well, and is younger.
    Younger,
    /// It matches by the same rule, less specifically.
    LessSpecific,
    /// It matches by a rule that comes later.
    Outranked,
    /// It does not match.
    NoMatch,
}

impl Verdict {
    /// As it stands in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Younger => "younger",
            Self::LessSpecific => "less_specific",
            Self::Outranked => "outranked",
            Self::NoMatch => "no_match",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_named() {
        let query = MatchQuery {
            ip: "10.0.0".into(),
            idc: "a\nb".into(),
            ..MatchQuery::default()
        };
        let text = query.checked().unwrap_err().to_string();
        assert!(text.contains("\"10.0.0\"") && text.contains("idc"), "{text}");
        MatchQuery::default().checked().unwrap();
    }

    #[test]
    fn an_ipv4_address_written_as_ipv6_is_the_ipv4_address() {
        let query = MatchQuery {
            ip: "::ffff:10.0.0.9".into(),
            ..MatchQuery::default()
        };
        assert_eq!(query.address(), Some([10, 0, 0, 9].into()));
    }

    #[test]
    fn verdicts_are_their_words() {
        for verdict in [Verdict::Chosen, Verdict::LessSpecific, Verdict::NoMatch] {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.word());
        }
    }
}
