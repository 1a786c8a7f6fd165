//! All clusters at one moment.

use crate::error::wire_id;
use crate::scopes::{Candidate, Matchers};
use crate::store::entity::{cluster_link, scheduler_cluster, seed_peer_cluster};
use dragonfly_api::rest;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryOrder};

/// The rows of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) scheduler: scheduler_cluster::Model,
    pub(crate) seed: seed_peer_cluster::Model,
}

/// All clusters, with their scopes parsed.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) candidates: Vec<Candidate>,
}

impl Cluster {
    /// Clusters from rows of the join of their link with both halves, which references keep whole.
    pub(super) fn of_rows(
        rows: Vec<(
            cluster_link::Model,
            Option<scheduler_cluster::Model>,
            Option<seed_peer_cluster::Model>,
        )>,
    ) -> Vec<Self> {
        rows.into_iter()
            .filter_map(|(_, scheduler, seed)| {
                Some(Self {
                    scheduler: scheduler?,
                    seed: seed?,
                })
            })
            .collect()
    }

    fn candidate(&self) -> Candidate {
        let (matchers, malformed) = Matchers::parse(&self.scheduler.scopes.0);
        for malformed in malformed {
            tracing::warn!(
                cluster.id = self.scheduler.id,
                "a part of a cluster's scopes is ignored: {} {malformed}",
                malformed.field()
            );
        }
        Candidate::new(wire_id(self.scheduler.id), self.scheduler.is_default, matchers)
    }
}

impl From<Cluster> for rest::Cluster {
    fn from(cluster: Cluster) -> Self {
        let Cluster { scheduler, seed } = cluster;
        Self {
            id: wire_id(scheduler.id),
            name: scheduler.name,
            bio: scheduler.bio,
            scopes: scheduler.scopes.0,
            scheduler_cluster_id: wire_id(scheduler.id),
            seed_peer_cluster_id: wire_id(seed.id),
            scheduler_cluster_config: scheduler.config.0,
            seed_peer_cluster_config: seed.config.0,
            peer_cluster_config: scheduler.client_config.0,
            created_at: scheduler.created_at.timestamp(),
            updated_at: scheduler.updated_at.timestamp(),
            is_default: scheduler.is_default,
        }
    }
}

impl From<Cluster> for rest::SchedulerCluster {
    fn from(cluster: Cluster) -> Self {
        let Cluster { scheduler, seed } = cluster;
        Self {
            id: wire_id(scheduler.id),
            created_at: scheduler.created_at.timestamp(),
            updated_at: scheduler.updated_at.timestamp(),
            is_del: 0,
            name: scheduler.name,
            bio: scheduler.bio,
            config: scheduler.config.0,
            client_config: scheduler.client_config.0,
            seed_client_config: seed.config.0,
            scopes: scheduler.scopes.0,
            is_default: scheduler.is_default,
        }
    }
}

impl From<seed_peer_cluster::Model> for rest::SeedPeerCluster {
    fn from(row: seed_peer_cluster::Model) -> Self {
        Self {
            id: wire_id(row.id),
            created_at: row.created_at.timestamp(),
            updated_at: row.updated_at.timestamp(),
            is_del: 0,
            name: row.name,
            bio: row.bio,
            config: row.config.0,
        }
    }
}

impl Snapshot {
    pub(super) async fn load(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let rows = cluster_link::Entity::find()
            .find_also_related(scheduler_cluster::Entity)
            .find_also_related(seed_peer_cluster::Entity)
            .order_by_asc(cluster_link::Column::SchedulerClusterId)
            .all(db)
            .await?;
        let clusters = Cluster::of_rows(rows);
        let candidates = clusters.iter().map(Cluster::candidate).collect();
        Ok(Self { clusters, candidates })
    }

    /// The cluster with this id.
    pub(crate) fn cluster(&self, id: u64) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| wire_id(cluster.scheduler.id) == id)
    }

    /// The ids of the clusters whose seed peer halves these are.
    pub(crate) fn of_seed_peer_clusters(&self, ids: &[i64]) -> Vec<u64> {
        let halves = self.clusters.iter().filter(|cluster| ids.contains(&cluster.seed.id));
        halves.map(|cluster| wire_id(cluster.scheduler.id)).collect()
    }
}
