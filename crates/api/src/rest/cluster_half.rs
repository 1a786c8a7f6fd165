//! The two halves of clusters, made and changed one by one, as scripts of Dragonfly 2.5 do.

use super::cluster::{MAX_BIO_CHARS, MAX_NAME_CHARS};
use super::{
    Check, CreateCluster, PeerClusterConfig, Problems, SchedulerClusterConfig, Scopes, SeedPeerClusterConfig,
    null_is_default,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A scheduler half to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateSchedulerCluster {
    /// Its name.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What it is for.
    #[schema(max_length = 1000, nullable)]
    #[serde(default, deserialize_with = "null_is_default")]
    pub bio: String,
    /// How its schedulers choose.
    pub config: SchedulerClusterConfig,
    /// What its peers may do.
    pub client_config: PeerClusterConfig,
    /// What its seed peers may do.
    pub seed_client_config: SeedPeerClusterConfig,
    /// Which peers it serves.
    #[schema(value_type = Option<Scopes>)]
    #[serde(default, deserialize_with = "null_is_default")]
    pub scopes: Scopes,
    /// Whether it becomes the default instead of the present one.
    #[schema(nullable)]
    #[serde(default, deserialize_with = "null_is_default")]
    pub is_default: bool,
    /// Its seed peer half, which belongs to no other cluster; left out: one of the same name is made, too.
    #[schema(minimum = 1)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_peer_cluster_id: Option<u64>,
}

impl From<CreateSchedulerCluster> for CreateCluster {
    fn from(half: CreateSchedulerCluster) -> Self {
        Self {
            name: half.name,
            bio: half.bio,
            scopes: half.scopes,
            scheduler_cluster_config: half.config,
            seed_peer_cluster_config: half.seed_client_config,
            peer_cluster_config: half.client_config,
            is_default: half.is_default,
        }
    }
}

/// Changes to a scheduler half. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateSchedulerCluster {
    /// A new name.
    #[schema(min_length = 1, max_length = 255)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A new description; it may be empty.
    #[schema(max_length = 1000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// A new configuration of its schedulers, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<SchedulerClusterConfig>,
    /// A new configuration of its peers, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_config: Option<PeerClusterConfig>,
    /// A new configuration of its seed peers, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed_client_config: Option<SeedPeerClusterConfig>,
    /// New scopes, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Scopes>,
    /// `true` makes it the default instead of the present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_default: Option<bool>,
    /// Another seed peer half, which belongs to no other cluster.
    #[schema(minimum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed_peer_cluster_id: Option<u64>,
}

/// A seed peer half to be made. It serves no cluster until it is given to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateSeedPeerCluster {
    /// Its name.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What it is for.
    #[schema(max_length = 1000, nullable)]
    #[serde(default, deserialize_with = "null_is_default")]
    pub bio: String,
    /// What its seed peers may do.
    pub config: SeedPeerClusterConfig,
}

impl Check for CreateSeedPeerCluster {
    fn check(&self, problems: &mut Problems) {
        problems.chars("name", &self.name, 1..=MAX_NAME_CHARS);
        problems.chars("bio", &self.bio, 0..=MAX_BIO_CHARS);
        self.config.check(problems);
    }
}

/// Changes to a seed peer half. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateSeedPeerCluster {
    /// A new name.
    #[schema(min_length = 1, max_length = 255)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A new description; it may be empty.
    #[schema(max_length = 1000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bio: Option<String>,
    /// A new configuration, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<SeedPeerClusterConfig>,
}

impl Check for UpdateSeedPeerCluster {
    fn check(&self, problems: &mut Problems) {
        if let Some(name) = &self.name {
            problems.chars("name", name, 1..=MAX_NAME_CHARS);
        }
        if let Some(bio) = &self.bio {
            problems.chars("bio", bio, 0..=MAX_BIO_CHARS);
        }
        if let Some(config) = &self.config {
            config.check(problems);
        }
    }
}
