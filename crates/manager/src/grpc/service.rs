//! The calls of `manager.v2`: parse, ask the room behind, answer.

use super::wire;
use crate::applications;
use crate::clusters::Clusters;
use crate::error::wire_id;
use crate::members::{self, schedulers, seed_peers};
use crate::metrics::Counts;
use crate::placement::{self, Caller, Told};
use crate::store::entity::{scheduler, seed_peer};
use crate::store::{Store, Time};
use crate::wake::{Topic, Wake};
use dragonfly_api::manager::manager_server::Manager;
use dragonfly_api::manager::{
    DeleteSeedPeerRequest, GetSchedulerRequest, GetSeedPeerRequest, KeepAliveRequest, ListApplicationsRequest,
    ListApplicationsResponse, ListSchedulersRequest, ListSchedulersResponse, ListSeedPeersRequest,
    ListSeedPeersResponse, Scheduler, SeedPeer, UpdateSchedulerRequest, UpdateSeedPeerRequest,
};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

/// Metadata of the answer to ListSchedulers: one word for the rule that decided.
const REASON: &str = "dragonfly-cluster-reason";

/// The service. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) store: Store,
    pub(super) clusters: Clusters,
    pub(super) wake: Wake,
    pub(super) counts: Counts,
    pub(super) told: Told,
    pub(super) cancel: CancellationToken,
}

#[tonic::async_trait]
impl Manager for Service {
    async fn get_seed_peer(&self, request: Request<GetSeedPeerRequest>) -> Result<Response<SeedPeer>, Status> {
        let request = request.into_inner();
        let identity = wire::identity(request.hostname, &request.ip, request.seed_peer_cluster_id)?;
        let row = members::find::<seed_peer::Entity>(self.store.db(), &identity)
            .await
            .map_err(wire::status)?;
        let now = Time::now();
        let snapshot = self.clusters.snapshot().await.map_err(wire::status)?;
        let cluster = snapshot
            .clusters
            .iter()
            .find(|cluster| cluster.seed.id == row.seed_peer_cluster_id);
        let mut seed_peer = wire::seed_peer(row, now);
        if let Some(cluster) = cluster {
            let schedulers = members::active::<scheduler::Entity>(self.store.db(), cluster.scheduler.id, now)
                .await
                .map_err(|error| wire::status(error.into()))?;
            seed_peer.seed_peer_cluster = Some(wire::seed_peer_cluster(&cluster.seed));
            seed_peer.schedulers = schedulers.into_iter().map(|row| wire::scheduler(row, now)).collect();
        }
        Ok(Response::new(seed_peer))
    }

    async fn list_seed_peers(
        &self,
        request: Request<ListSeedPeersRequest>,
    ) -> Result<Response<ListSeedPeersResponse>, Status> {
        let request = request.into_inner();
        let ip = wire::ip(&request.ip)?.ok_or_else(|| Status::invalid_argument("the request lacks ip"))?;
        let clusters = seed_peers::clusters_of(self.store.db(), &request.hostname, ip)
            .await
            .map_err(|error| wire::status(error.into()))?;
        let Some(cluster) = clusters.first() else {
            return Err(Status::not_found(format!("there is no seed peer {}", request.hostname)));
        };
        let now = Time::now();
        let rows = members::active::<seed_peer::Entity>(self.store.db(), *cluster, now)
            .await
            .map_err(|error| wire::status(error.into()))?;
        Ok(Response::new(ListSeedPeersResponse {
            seed_peers: rows.into_iter().map(|row| wire::seed_peer(row, now)).collect(),
        }))
    }

    async fn update_seed_peer(&self, request: Request<UpdateSeedPeerRequest>) -> Result<Response<SeedPeer>, Status> {
        let registration = wire::seed_peer_registration(request.into_inner())?;
        let now = Time::now();
        let row = seed_peers::register(&self.store, registration, now)
            .await
            .map_err(wire::status)?;
        self.wake.changed(Topic::Members);
        tracing::info!(
            seed_peer.id = row.id,
            host.name = row.host_name,
            "a seed peer registered"
        );
        Ok(Response::new(wire::seed_peer(row, now)))
    }

    async fn delete_seed_peer(&self, request: Request<DeleteSeedPeerRequest>) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        let identity = wire::identity(request.hostname, &request.ip, request.seed_peer_cluster_id)?;
        seed_peers::leave(&self.store, &identity).await.map_err(wire::status)?;
        self.wake.changed(Topic::Members);
        tracing::info!(host.name = identity.host_name, "a seed peer left");
        Ok(Response::new(()))
    }

    async fn get_scheduler(&self, request: Request<GetSchedulerRequest>) -> Result<Response<Scheduler>, Status> {
        let request = request.into_inner();
        let identity = wire::identity(request.hostname, &request.ip, request.scheduler_cluster_id)?;
        let row = members::find::<scheduler::Entity>(self.store.db(), &identity)
            .await
            .map_err(wire::status)?;
        self.scheduler_with_cluster(row).await.map(Response::new)
    }

    async fn update_scheduler(&self, request: Request<UpdateSchedulerRequest>) -> Result<Response<Scheduler>, Status> {
        let registration = wire::scheduler_registration(request.into_inner())?;
        let row = schedulers::register(&self.store, registration, Time::now())
            .await
            .map_err(wire::status)?;
        self.wake.changed(Topic::Members);
        tracing::info!(
            scheduler.id = row.id,
            host.name = row.host_name,
            "a scheduler registered"
        );
        self.scheduler_with_cluster(row).await.map(Response::new)
    }

    async fn list_schedulers(
        &self,
        request: Request<ListSchedulersRequest>,
    ) -> Result<Response<ListSchedulersResponse>, Status> {
        let caller = wire::caller(request.into_inner())?;
        let answer = self.place(&caller).await;
        if answer.is_err() {
            self.counts.not_placed();
        }
        answer
    }

    async fn list_applications(
        &self,
        _request: Request<ListApplicationsRequest>,
    ) -> Result<Response<ListApplicationsResponse>, Status> {
        let rows = applications::with_priority(&self.store).await.map_err(wire::status)?;
        Ok(Response::new(ListApplicationsResponse {
            applications: rows.into_iter().map(wire::application).collect(),
        }))
    }

    async fn keep_alive(&self, request: Request<Streaming<KeepAliveRequest>>) -> Result<Response<()>, Status> {
        self.signs_of_life(request.into_inner()).await?;
        Ok(Response::new(()))
    }
}

impl Service {
    async fn place(&self, caller: &Caller) -> Result<Response<ListSchedulersResponse>, Status> {
        let now = Time::now();
        let judgement = placement::judge(&self.store, &self.clusters, caller)
            .await
            .map_err(wire::status)?;
        let reason = judgement.choice.reason.word();
        if self.told.is_news(caller, &judgement) {
            tracing::info!(
                host.name = caller.host_name,
                host.ip = caller.ip.map(tracing::field::display),
                cluster.id = judgement.choice.cluster,
                reason,
                "{}",
                judgement.line()
            );
        }
        let placement = judgement.placement(&self.store, now).await.map_err(wire::status)?;
        self.counts.placed(reason);
        let cluster = wire::scheduler_cluster(judgement.cluster());
        let seed_peers: Vec<SeedPeer> = placement
            .seed_peers
            .into_iter()
            .map(|row| wire::seed_peer(row, now))
            .collect();
        let schedulers = placement.schedulers.into_iter().map(|row| Scheduler {
            scheduler_cluster: Some(cluster.clone()),
            seed_peers: seed_peers.clone(),
            ..wire::scheduler(row, now)
        });
        let mut response = Response::new(ListSchedulersResponse {
            schedulers: schedulers.collect(),
        });
        response
            .metadata_mut()
            .insert(REASON, MetadataValue::from_static(reason));
        Ok(response)
    }

    /// What a scheduler needs to know: its cluster's configuration and the seed peers that are alive.
    async fn scheduler_with_cluster(&self, row: scheduler::Model) -> Result<Scheduler, Status> {
        let now = Time::now();
        let cluster = self
            .clusters
            .get(wire_id(row.scheduler_cluster_id))
            .await
            .map_err(wire::status)?;
        let seed_peers = members::active::<seed_peer::Entity>(self.store.db(), cluster.seed.id, now)
            .await
            .map_err(|error| wire::status(error.into()))?;
        Ok(Scheduler {
            scheduler_cluster: Some(wire::scheduler_cluster(&cluster)),
            seed_peers: seed_peers.into_iter().map(|row| wire::seed_peer(row, now)).collect(),
            ..wire::scheduler(row, now)
        })
    }
}
