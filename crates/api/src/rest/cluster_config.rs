//! What an operator decides for a cluster. These objects are kept by the manager, shown by REST and sent to schedulers
//! and peers as bytes in `manager.v2`, always with the same field names.

use super::{BlockList, Check, Problems, null_is_default};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which peers a cluster serves. A peer's cluster is found by CIDR, then hostname, then IDC, then location.
///
/// CIDRs and hostname patterns are parsed where they are used, the manager, which refuses malformed ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Scopes {
    /// Names of data centres, alternatives separated by `|`.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(max_length = 1024, nullable)]
    pub idc: String,
    /// A place from wide to narrow, at most five elements, separated by `|`.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(max_length = 1024, nullable)]
    pub location: String,
    /// Networks.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(max_items = 1000, nullable)]
    pub cidrs: Vec<String>,
    /// Regular expressions that are searched in the peer's hostname.
    #[serde(deserialize_with = "null_is_default")]
    #[schema(max_items = 1000, nullable)]
    pub hostnames: Vec<String>,
}

impl Scopes {
    /// The most elements of a location.
    pub const MAX_LOCATION_ELEMENTS: usize = 5;
    /// The most CIDRs, and the most hostname patterns, of a cluster.
    pub const MAX_ENTRIES: usize = 1000;
    /// The most characters of each text in a scope.
    pub const MAX_CHARS: usize = 1024;
}

impl Check for Scopes {
    fn check(&self, problems: &mut Problems) {
        problems.chars("scopes.idc", &self.idc, 0..=Self::MAX_CHARS);
        if !self.idc.is_empty() && self.idc.split('|').any(|idc| idc.trim().is_empty()) {
            problems.push("scopes.idc", "has an empty alternative");
        }
        problems.chars("scopes.location", &self.location, 0..=Self::MAX_CHARS);
        if !self.location.is_empty() {
            let elements: Vec<&str> = self.location.split('|').collect();
            if elements.len() > Self::MAX_LOCATION_ELEMENTS {
                problems.push(
                    "scopes.location",
                    format_args!(
                        "must have at most {} elements, not {}",
                        Self::MAX_LOCATION_ELEMENTS,
                        elements.len()
                    ),
                );
            }
            if elements.iter().any(|element| element.trim().is_empty()) {
                problems.push("scopes.location", "has an empty element");
            }
        }
        for (field, entries) in [("scopes.cidrs", &self.cidrs), ("scopes.hostnames", &self.hostnames)] {
            if entries.len() > Self::MAX_ENTRIES {
                problems.push(
                    field,
                    format_args!("must have at most {} entries, not {}", Self::MAX_ENTRIES, entries.len()),
                );
            }
            for entry in entries {
                problems.chars(field, entry, 1..=Self::MAX_CHARS);
            }
        }
    }
}

/// How a cluster's schedulers choose. What a request leaves out has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SchedulerClusterConfig {
    /// The most parents that a peer is given, 1 to 20.
    #[schema(minimum = 1, maximum = 20)]
    pub candidate_parent_limit: u32,
    /// How many peers are looked at to find those parents, 10 to 1000.
    #[schema(minimum = 10, maximum = 1000)]
    pub filter_parent_limit: u32,
    /// The most jobs per second that are accepted for this cluster, 1 to 1 000 000.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub job_rate_limit: u32,
}

impl Default for SchedulerClusterConfig {
    fn default() -> Self {
        Self {
            candidate_parent_limit: 3,
            filter_parent_limit: 15,
            job_rate_limit: 10,
        }
    }
}

impl Check for SchedulerClusterConfig {
    fn check(&self, problems: &mut Problems) {
        let mut within = |field: &str, value: u32, limits| {
            problems.within(&format!("scheduler_cluster_config.{field}"), u64::from(value), limits);
        };
        within("candidate_parent_limit", self.candidate_parent_limit, 1..=20);
        within("filter_parent_limit", self.filter_parent_limit, 10..=1000);
        within("job_rate_limit", self.job_rate_limit, 1..=1_000_000);
    }
}

/// What the peers of a cluster may do. What a request leaves out has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PeerClusterConfig {
    /// The most concurrent uploads of a peer, 1 to 2000.
    #[schema(minimum = 1, maximum = 2000)]
    pub load_limit: u32,
    /// What peers refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_list: Option<BlockList>,
}

impl Default for PeerClusterConfig {
    fn default() -> Self {
        Self {
            load_limit: 200,
            block_list: None,
        }
    }
}

impl Check for PeerClusterConfig {
    fn check(&self, problems: &mut Problems) {
        problems.within("peer_cluster_config.load_limit", u64::from(self.load_limit), 1..=2000);
        if let Some(list) = &self.block_list {
            list.check_as("peer_cluster_config.block_list", problems);
        }
    }
}

/// What the seed peers of a cluster may do. What a request leaves out has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SeedPeerClusterConfig {
    /// The most concurrent uploads of a seed peer, 1 to 50 000.
    #[schema(minimum = 1, maximum = 50_000)]
    pub load_limit: u32,
    /// What seed peers refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_list: Option<BlockList>,
}

impl Default for SeedPeerClusterConfig {
    fn default() -> Self {
        Self {
            load_limit: 2000,
            block_list: None,
        }
    }
}

impl Check for SeedPeerClusterConfig {
    fn check(&self, problems: &mut Problems) {
        problems.within(
            "seed_peer_cluster_config.load_limit",
            u64::from(self.load_limit),
            1..=50_000,
        );
        if let Some(list) = &self.block_list {
            list.check_as("seed_peer_cluster_config.block_list", problems);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_left_out_have_their_defaults_and_the_others_are_checked() {
        let config: SchedulerClusterConfig = serde_json::from_str(r#"{"candidate_parent_limit":21}"#).unwrap();
        assert_eq!(config.filter_parent_limit, 15);
        let problems = config.checked().unwrap_err().to_string();
        assert!(
            problems.contains("candidate_parent_limit must be 1 to 20, not 21"),
            "{problems}"
        );
    }

    #[test]
    fn a_location_of_six_elements_or_with_an_empty_one_is_refused() {
        for location in ["a|b|c|d|e|f", "a||c", "|"] {
            let scopes = Scopes {
                location: location.into(),
                ..Scopes::default()
            };
            assert!(scopes.checked().is_err(), "{location}");
        }
    }
}
