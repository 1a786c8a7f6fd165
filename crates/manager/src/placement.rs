//! Which schedulers a peer is given: the active ones of exactly one cluster. The cluster is chosen before activity is
//! looked at, so a peer never crosses into another cluster because its own has no scheduler.

use crate::clusters::{Cluster, Clusters};
use crate::error::Error;
use crate::members::{self, seed_peers};
use crate::scopes::{self, Choice, NoCluster, Origin, Pins};
use crate::store::entity::{scheduler, seed_peer};
use crate::store::{Store, Time};
use dragonfly_api::rest::FEATURE_SCHEDULE;
use std::net::IpAddr;

/// A peer or seed peer that asks for schedulers.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) is_seed_peer: bool,
    pub(crate) host_name: String,
    pub(crate) ip: Option<IpAddr>,
    pub(crate) idc: String,
    pub(crate) location: String,
    /// The cluster that its configuration names.
    pub(crate) pinned: Option<u64>,
}

/// A cluster with at least one active scheduler.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    pub(crate) cluster: Cluster,
    pub(crate) choice: Choice,
    pub(crate) schedulers: Vec<scheduler::Model>,
    pub(crate) seed_peers: Vec<seed_peer::Model>,
}

/// Finds the caller's cluster and the members of it that are alive.
pub(crate) async fn place(store: &Store, clusters: &Clusters, caller: &Caller, now: Time) -> Result<Placement, Error> {
    let snapshot = clusters.snapshot().await?;
    let registered = match caller.ip {
        Some(ip) if caller.is_seed_peer && caller.pinned.is_none() => {
            snapshot.of_seed_peer_clusters(&seed_peers::clusters_of(store.db(), &caller.host_name, ip).await?)
        }
        _ => Vec::new(),
    };
    let pins = Pins {
        configured: caller.pinned,
        registered,
    };
    let origin = Origin {
        ip: caller.ip,
        hostname: &caller.host_name,
        idc: &caller.idc,
        location: &caller.location,
    };
    let choice = scopes::choose(&snapshot.candidates, &pins, &origin).map_err(|error| match error {
        NoCluster::Unknown(id) => Error::no(crate::clusters::WHAT, id),
        NoCluster::NoDefault => Error::Unavailable(error.to_string()),
    })?;
    let cluster = snapshot
        .cluster(choice.cluster)
        .expect("candidates and clusters of a snapshot are made from the same rows")
        .clone();
    let mut schedulers = members::active::<scheduler::Entity>(store.db(), cluster.scheduler.id, now).await?;
    schedulers.retain(|scheduler| scheduler.features.0.iter().any(|feature| feature == FEATURE_SCHEDULE));
    if schedulers.is_empty() {
        return Err(Error::Unavailable(format!(
            "cluster {} ({}) has no active scheduler; it is the caller's because {choice}",
            choice.cluster, cluster.scheduler.name
        )));
    }
    let seed_peers = members::active::<seed_peer::Entity>(store.db(), cluster.seed.id, now).await?;
    Ok(Placement {
        cluster,
        choice,
        schedulers,
        seed_peers,
    })
}
