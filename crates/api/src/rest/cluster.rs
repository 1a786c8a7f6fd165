//! Clusters. A cluster is a scheduler cluster and a seed peer cluster that belong together; its id is the scheduler
//! cluster's.

use super::{
    Check, PeerClusterConfig, Problems, SchedulerClusterConfig, Scopes, SeedPeerClusterConfig, null_is_default,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most characters of a cluster's name.
const MAX_NAME_CHARS: usize = 255;
/// The most characters of a description.
const MAX_BIO_CHARS: usize = 1000;

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    /// Its id, which is also `scheduler_cluster_id`.
    pub id: u64,
    /// Its name, which no other cluster has.
    pub name: String,
    /// What it is for.
    pub bio: String,
    /// Which peers it serves.
    pub scopes: Scopes,
    /// For `scheduler.config.manager.schedulerClusterID`.
    pub scheduler_cluster_id: u64,
    /// For `seedPeer.clusterID`.
    pub seed_peer_cluster_id: u64,
    /// How its schedulers choose.
    pub scheduler_cluster_config: SchedulerClusterConfig,
    /// What its seed peers may do.
    pub seed_peer_cluster_config: SeedPeerClusterConfig,
    /// What its peers may do.
    pub peer_cluster_config: PeerClusterConfig,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Whether it serves the peers that no scope matches. One cluster is the default.
    pub is_default: bool,
}

/// A cluster to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateCluster {
    /// Its name.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What it is for.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(max_length = 1000, nullable)]
    pub bio: String,
    /// Which peers it serves.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(value_type = Option<Scopes>)]
    pub scopes: Scopes,
    /// How its schedulers choose.
    pub scheduler_cluster_config: SchedulerClusterConfig,
    /// What its seed peers may do.
    pub seed_peer_cluster_config: SeedPeerClusterConfig,
    /// What its peers may do.
    pub peer_cluster_config: PeerClusterConfig,
    /// Whether it becomes the default instead of the present one.
    #[serde(default, deserialize_with = "null_is_default")]
    #[schema(nullable)]
    pub is_default: bool,
}

impl Check for CreateCluster {
    fn check(&self, problems: &mut Problems) {
        problems.chars("name", &self.name, 1..=MAX_NAME_CHARS);
        problems.chars("bio", &self.bio, 0..=MAX_BIO_CHARS);
        self.scopes.check(problems);
        self.scheduler_cluster_config.check(problems);
        self.seed_peer_cluster_config.check(problems);
        self.peer_cluster_config.check(problems);
    }
}

/// Changes to a cluster. What is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct UpdateCluster {
    /// A new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub name: Option<String>,
    /// A new description; it may be empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1000)]
    pub bio: Option<String>,
    /// New scopes, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Scopes>,
    /// A new scheduler configuration, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler_cluster_config: Option<SchedulerClusterConfig>,
    /// A new seed peer configuration, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed_peer_cluster_config: Option<SeedPeerClusterConfig>,
    /// A new peer configuration, as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer_cluster_config: Option<PeerClusterConfig>,
    /// `true` makes it the default instead of the present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_default: Option<bool>,
}

impl Check for UpdateCluster {
    fn check(&self, problems: &mut Problems) {
        if let Some(name) = &self.name {
            problems.chars("name", name, 1..=MAX_NAME_CHARS);
        }
        if let Some(bio) = &self.bio {
            problems.chars("bio", bio, 0..=MAX_BIO_CHARS);
        }
        if let Some(scopes) = &self.scopes {
            scopes.check(problems);
        }
        if let Some(config) = &self.scheduler_cluster_config {
            config.check(problems);
        }
        if let Some(config) = &self.seed_peer_cluster_config {
            config.check(problems);
        }
        if let Some(config) = &self.peer_cluster_config {
            config.check(problems);
        }
    }
}

/// The scheduler half of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchedulerCluster {
    /// Its id.
    pub id: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub bio: String,
    /// How its schedulers choose.
    pub config: SchedulerClusterConfig,
    /// What its peers may do.
    pub client_config: PeerClusterConfig,
    /// What its seed peers may do.
    pub seed_client_config: SeedPeerClusterConfig,
    /// Which peers it serves.
    pub scopes: Scopes,
    /// Whether it serves the peers that no scope matches.
    pub is_default: bool,
}

/// The seed peer half of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeedPeerCluster {
    /// Its id.
    pub id: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Always 0.
    pub is_del: u8,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub bio: String,
    /// What its seed peers may do.
    pub config: SeedPeerClusterConfig,
}
