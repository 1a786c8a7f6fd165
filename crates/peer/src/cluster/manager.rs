//! The manager's part: which schedulers are ours, being on its list of seed peers, and hearing when to ask again.

use super::membership::Found;
use super::{Announcement, Error, long_lived, timed};
use crate::config::{Remote, Seed};
use dragonfly_api::ext::WatchRequest;
use dragonfly_api::ext::manager_client::ManagerClient as ExtensionClient;
use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_api::manager::{KeepAliveRequest, Scheduler, SourceType, UpdateSeedPeerRequest};
use dragonfly_service::grpc;
use dragonfly_service::tls::ClientTls;
use futures::StreamExt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_stream::wrappers::IntervalStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// How often a seed peer says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

pub(super) struct Manager {
    client: ManagerClient<Channel>,
    extension: ExtensionClient<Channel>,
    seed: Option<Seed>,
    announcement: Announcement,
}

impl Manager {
    pub(super) fn new(remote: &Remote, seed: Option<Seed>, announcement: &Announcement) -> Result<Self, Error> {
        let tls = remote.tls.as_ref().map(ClientTls::load).transpose()?;
        let channel = grpc::connect_lazy(&remote.addr, tls.as_ref(), long_lived()).map_err(Error::Manager)?;
        Ok(Self {
            client: ManagerClient::new(channel.clone()),
            extension: ExtensionClient::new(channel),
            seed,
            announcement: announcement.clone(),
        })
    }

    /// The cluster that the manager has chosen for this host, and its active schedulers.
    pub(super) async fn schedulers(&self) -> Result<Found, Status> {
        self.register().await?;
        let request = self.announcement.identity().schedulers_request();
        let listed = timed(self.client.clone().list_schedulers(request)).await?.schedulers;
        // One cluster only: bytes never cross from one to another.
        let cluster = listed.first().map(|scheduler| scheduler.scheduler_cluster_id);
        let ours = listed
            .iter()
            .filter(|scheduler| Some(scheduler.scheduler_cluster_id) == cluster);
        Ok(Found {
            cluster,
            schedulers: ours.filter_map(addr_of).collect(),
            config: self.config_in(&listed),
        })
    }

    /// What the first scheduler's cluster says of peers like this one.
    fn config_in(&self, listed: &[Scheduler]) -> Vec<u8> {
        let cluster = listed
            .first()
            .and_then(|scheduler| scheduler.scheduler_cluster.as_ref());
        let config = cluster.map(|cluster| match self.seed {
            Some(_) => &cluster.seed_client_config,
            None => &cluster.client_config,
        });
        config.cloned().unwrap_or_default()
    }

    /// Puts a seed peer on the manager's list before it asks for schedulers, since its cluster follows from that list.
    async fn register(&self) -> Result<(), Status> {
        let Some(cluster_id) = self.seed.as_ref().and_then(|seed| seed.cluster_id) else {
            return Ok(());
        };
        let identity = self.announcement.identity();
        let port = i32::from(self.announcement.ports().grpc);
        let request = UpdateSeedPeerRequest {
            source_type: SourceType::SeedPeerSource.into(),
            hostname: identity.hostname.clone(),
            // The manager knows one type, whatever the file says.
            r#type: "super".to_owned(),
            idc: identity.idc.clone(),
            location: identity.location.clone(),
            ip: identity.ip.to_string(),
            port,
            download_port: port,
            seed_peer_cluster_id: cluster_id,
        };
        timed(self.client.clone().update_seed_peer(request)).await.map(drop)
    }

    /// Holds a seed peer's lease at the manager. `refresh` is woken when the manager has forgotten it.
    pub(super) async fn keep_alive(&self, refresh: &Notify) {
        let Some(cluster_id) = self.seed.as_ref().and_then(|seed| seed.cluster_id) else {
            return;
        };
        let identity = self.announcement.identity();
        let request = KeepAliveRequest {
            source_type: SourceType::SeedPeerSource.into(),
            hostname: identity.hostname.clone(),
            cluster_id,
            ip: identity.ip.to_string(),
        };
        loop {
            let request = request.clone();
            let beats = IntervalStream::new(tokio::time::interval(KEEP_ALIVE)).map(move |_| request.clone());
            match self.client.clone().keep_alive(beats).await {
                Ok(_) => tracing::debug!("the manager ended the keep-alive stream"),
                Err(status) => {
                    tracing::debug!(%status, "the keep-alive stream to the manager broke");
                    if status.code() == Code::NotFound {
                        refresh.notify_one();
                    }
                }
            }
            tokio::time::sleep(KEEP_ALIVE.mul_f64(rand::random_range(0.2..0.6))).await;
        }
    }

    /// Wakes `refresh` whenever the manager says that something has changed.
    pub(super) async fn watch(&self, refresh: &Notify) {
        let identity = self.announcement.identity();
        let request = WatchRequest {
            source_type: identity.source_type().into(),
            hostname: identity.hostname.clone(),
            ip: identity.ip.to_string(),
        };
        let open = || {
            let (mut client, request) = (self.extension.clone(), request.clone());
            async move { client.watch(request).await }
        };
        grpc::follow("the watch for changes at the manager", open, |_| refresh.notify_one()).await;
    }
}

fn addr_of(scheduler: &Scheduler) -> Option<SocketAddr> {
    let ip: Option<IpAddr> = scheduler.ip.parse().ok();
    let addr = ip.zip(u16::try_from(scheduler.port).ok()).map(SocketAddr::from);
    if addr.is_none() {
        let (ip, port) = (&scheduler.ip, scheduler.port);
        tracing::warn!(ip, port, "the manager names a scheduler without a usable address");
    }
    addr
}
