//! Which schedulers a peer is given: the active ones of exactly one cluster. The cluster is chosen before activity is
//! looked at, so a peer never crosses into another cluster because its own has no scheduler.

mod told;

pub(crate) use told::Told;

use crate::clusters::{Cluster, Clusters, Snapshot};
use crate::error::Error;
use crate::members::{self, seed_peers};
use crate::scopes::{self, Choice, NoCluster, Opinion, Origin, Pins};
use crate::store::entity::{scheduler, seed_peer};
use crate::store::{Store, Time};
use dragonfly_api::rest::{ClusterMatch, ClusterVerdict, FEATURE_SCHEDULE, Verdict};
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;

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

/// The cluster of a caller, whether or not anybody is there, and why no other is.
#[derive(Debug, Clone)]
pub(crate) struct Judgement {
    snapshot: Arc<Snapshot>,
    caller: Caller,
    pins: Pins,
    pub(crate) choice: Choice,
}

/// The members of a caller's cluster that are alive; at least one is a scheduler.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    pub(crate) schedulers: Vec<scheduler::Model>,
    pub(crate) seed_peers: Vec<seed_peer::Model>,
}

/// Chooses the caller's cluster.
pub(crate) async fn judge(store: &Store, clusters: &Clusters, caller: &Caller) -> Result<Judgement, Error> {
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
    let choice = scopes::choose(&snapshot.candidates, &pins, &caller.origin()).map_err(|error| match error {
        NoCluster::Unknown(id) => Error::no(crate::clusters::WHAT, id),
        NoCluster::NoDefault => Error::Unavailable(error.to_string()),
    })?;
    Ok(Judgement {
        snapshot,
        caller: caller.clone(),
        pins,
        choice,
    })
}

impl Caller {
    fn origin(&self) -> Origin<'_> {
        Origin {
            ip: self.ip,
            hostname: &self.host_name,
            idc: &self.idc,
            location: &self.location,
        }
    }
}

impl Judgement {
    /// What every cluster had to do with the choice.
    fn opinions(&self) -> Vec<Opinion> {
        scopes::explain(
            &self.snapshot.candidates,
            &self.pins,
            &self.caller.origin(),
            &self.choice,
        )
    }

    /// The chosen cluster.
    pub(crate) fn cluster(&self) -> &Cluster {
        self.snapshot
            .cluster(self.choice.cluster)
            .expect("candidates and clusters of a snapshot are made from the same rows")
    }

    /// The members of the cluster that are alive.
    pub(crate) async fn placement(&self, store: &Store, now: Time) -> Result<Placement, Error> {
        let cluster = self.cluster();
        let schedulers = schedulers(store, cluster, now).await?;
        if schedulers.is_empty() {
            return Err(Error::Unavailable(format!(
                "cluster {} ({}) has no active scheduler; it is the caller's because {}",
                self.choice.cluster, cluster.scheduler.name, self.choice
            )));
        }
        let seed_peers = members::active::<seed_peer::Entity>(store.db(), cluster.seed.id, now).await?;
        Ok(Placement { schedulers, seed_peers })
    }

    /// The choice in one line, and what the other clusters lacked.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("cluster {} ({}): ", self.choice.cluster, self.cluster().scheduler.name);
        line.push_str(&self.choice.to_string());
        for other in self.opinions() {
            if other.verdict == Verdict::Chosen {
                continue;
            }
            // Writing to a String does not fail.
            write!(line, "; not cluster {}: {}", other.cluster, other.explanation).ok();
        }
        line
    }

    /// As REST shows it.
    pub(crate) async fn wire(self, store: &Store, now: Time) -> Result<ClusterMatch, Error> {
        let cluster = self.cluster();
        let active = schedulers(store, cluster, now).await?.len();
        let name = |id: u64| match self.snapshot.cluster(id) {
            Some(cluster) => cluster.scheduler.name.clone(),
            None => String::new(),
        };
        let verdicts = self.opinions().into_iter().map(|opinion| ClusterVerdict {
            id: opinion.cluster,
            name: name(opinion.cluster),
            verdict: opinion.verdict,
            explanation: opinion.explanation,
        });
        Ok(ClusterMatch {
            cluster_id: self.choice.cluster,
            cluster_name: cluster.scheduler.name.clone(),
            reason: self.choice.reason.word().to_owned(),
            explanation: self.choice.to_string(),
            active_schedulers: active as u64,
            clusters: verdicts.collect(),
        })
    }
}

/// The schedulers of a cluster that are alive and schedule.
async fn schedulers(store: &Store, cluster: &Cluster, now: Time) -> Result<Vec<scheduler::Model>, Error> {
    let mut schedulers = members::active::<scheduler::Entity>(store.db(), cluster.scheduler.id, now).await?;
    schedulers.retain(|scheduler| scheduler.features.0.iter().any(|feature| feature == FEATURE_SCHEDULE));
    Ok(schedulers)
}
