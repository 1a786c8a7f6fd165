//! The manager's part: being on its list of schedulers, signs of life, works of its jobs (`attend`), and the configuration
//! that it holds, which is asked for now and then and whenever the manager says that it has changed. All of it in the
//! background: without the manager the last good values hold, and before the first the defaults.

use crate::applications::Applications;
use crate::attend::{Attend, Works};
use crate::brain::Brain;
use crate::config::{Identity, ManagerConfig};
use crate::hosts::Hosts;
use crate::kept::Kept;
use crate::rules::Rules;
use dragonfly_api::ext::manager_client::ManagerClient as ExtensionClient;
use dragonfly_api::ext::{Hello, WatchRequest};
use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_api::manager::{
    self, GetSchedulerRequest, KeepAliveRequest, ListApplicationsRequest, SourceType, UpdateSchedulerRequest,
};
use dragonfly_scheduling::{Event, Limits};
use dragonfly_service::grpc::{self, ConnectError, Timeouts};
use dragonfly_service::tls::ClientTls;
use futures::StreamExt;
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::IntervalStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);
/// First and longest pause before the manager is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// However often the manager says that something has changed, it is asked no more often than this.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// What this scheduler is called on the manager's list.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) identity: Identity,
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
}

/// What the manager tells beside limits, for those who ask.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) applications: watch::Sender<Arc<Applications>>,
    pub(crate) rules: watch::Sender<Arc<Rules>>,
}

/// Keeps up the relation with the manager.
#[derive(Debug)]
pub(crate) struct Relation {
    client: ManagerClient<Channel>,
    extension: ExtensionClient<Channel>,
    config: ManagerConfig,
    place: Place,
    brain: Brain,
    told: Told,
    attend: Attend,
    /// Woken when the manager has forgotten this scheduler.
    forgotten: Notify,
    /// Woken when the manager says that something has changed.
    changed: Notify,
}

/// What a relation works with.
pub(crate) struct Parts {
    pub(crate) place: Place,
    pub(crate) brain: Brain,
    pub(crate) told: Told,
    pub(crate) hosts: Hosts,
    pub(crate) kept: Kept,
    pub(crate) works: Works,
}

/// The keys that concern a scheduler in a scheduler cluster's `config`.
#[derive(Debug, Default, Deserialize)]
struct ClusterConfig {
    candidate_parent_limit: Option<usize>,
    filter_parent_limit: Option<usize>,
}

/// The keys that concern a scheduler in a cluster's configuration of its peers.
#[derive(Debug, Default, Deserialize)]
struct PeerConfig {
    load_limit: Option<usize>,
}

impl Relation {
    /// A relation that begins when it is kept.
    pub(crate) fn new(config: ManagerConfig, tls: Option<&ClientTls>, parts: Parts) -> Result<Self, ConnectError> {
        // Calls are timed one by one, since the stream of signs of life has no end.
        let timeouts = Timeouts {
            request: None,
            ..Timeouts::default()
        };
        let channel = grpc::connect_lazy(&config.addr, tls, timeouts)?;
        let hello = Hello {
            hostname: parts.place.identity.hostname.clone(),
            ip: parts.place.ip.to_string(),
            scheduler_cluster_id: config.cluster_id,
        };
        Ok(Self {
            attend: Attend::new(channel.clone(), hello, (parts.hosts, parts.kept), parts.works),
            client: ManagerClient::new(channel.clone()),
            extension: ExtensionClient::new(channel),
            config,
            place: parts.place,
            brain: parts.brain,
            told: parts.told,
            forgotten: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Registers, gives signs of life, asks for the configuration and takes works, until `cancel`.
    pub(crate) async fn keep(self, cancel: CancellationToken) {
        let kept = async {
            tokio::join!(self.stay_listed(), self.refresh(), self.watch(), self.attend.keep());
        };
        cancel.run_until_cancelled(kept).await;
    }

    /// Registers, and again whenever the manager has forgotten; between gives signs of life.
    async fn stay_listed(&self) {
        loop {
            self.register().await;
            tokio::select! {
                () = self.keep_alive() => {}
                () = self.forgotten.notified() => {}
            }
        }
    }

    async fn register(&self) {
        let (mut pause, longest) = RETRY;
        while let Err(status) = timed(self.client.clone().update_scheduler(self.registration())).await {
            let (code, message) = (status.code(), status.message());
            tracing::warn!(%code, message, "the manager did not take this scheduler on its list");
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.8..1.2))).await;
            pause = (pause * 2).min(longest);
        }
        tracing::info!(addr = self.config.addr, "the manager has this scheduler on its list");
    }

    fn registration(&self) -> UpdateSchedulerRequest {
        let Place { identity, ip, port } = &self.place;
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let nanos = u64::try_from(self.config.keep_alive.as_nanos()).unwrap_or(u64::MAX);
        UpdateSchedulerRequest {
            source_type: SourceType::SchedulerSource.into(),
            hostname: identity.hostname.clone(),
            scheduler_cluster_id: self.config.cluster_id,
            idc: given(&identity.idc),
            location: given(&identity.location),
            ip: ip.to_string(),
            port: i32::from(*port),
            features: ["schedule", "preheat"].map(str::to_owned).to_vec(),
            config: serde_json::json!({ "manager_keep_alive_interval": nanos })
                .to_string()
                .into_bytes(),
        }
    }

    /// Gives signs of life until the stream breaks; then pauses a little, so that a manager that comes back is not run
    /// over by all schedulers at once.
    async fn keep_alive(&self) {
        let sign = KeepAliveRequest {
            source_type: SourceType::SchedulerSource.into(),
            hostname: self.place.identity.hostname.clone(),
            cluster_id: self.config.cluster_id,
            ip: self.place.ip.to_string(),
        };
        let signs = IntervalStream::new(tokio::time::interval(self.config.keep_alive)).map(move |_| sign.clone());
        match self.client.clone().keep_alive(signs).await {
            Ok(_) => tracing::debug!("the manager ended the stream of signs of life"),
            Err(status) => {
                let (code, message) = (status.code(), status.message());
                tracing::debug!(%code, message, "the stream of signs of life broke");
            }
        }
        tokio::time::sleep(RETRY.0.mul_f64(rand::random_range(0.5..1.5))).await;
    }

    /// Asks for the configuration again and again. What can't be had stays as it is.
    async fn refresh(&self) {
        let mut ticks = tokio::time::interval(self.config.refresh);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut known = Limits::default();
        let (mut pause, longest) = RETRY;
        loop {
            let begun = Instant::now();
            match self.described().await {
                Ok(scheduler) => {
                    self.take_rules(scheduler.scheduler_cluster.as_ref());
                    let limits = limits_of(&scheduler);
                    if limits != known && self.brain.tell(Event::LimitsChanged(limits.clone())).await.is_ok() {
                        known = limits;
                    }
                    pause = RETRY.0;
                    self.refresh_applications().await;
                    ticks.reset();
                    tokio::select! {
                        _ = ticks.tick() => {}
                        () = self.changed.notified() => tokio::time::sleep_until(begun + SHORTEST_PAUSE).await,
                    }
                }
                Err(status) => {
                    if status.code() == Code::NotFound {
                        self.forgotten.notify_one();
                    }
                    let (code, message) = (status.code(), status.message());
                    tracing::debug!(%code, message, "the manager gave no configuration");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    /// Hears from the manager when to ask again.
    async fn watch(&self) {
        let request = WatchRequest {
            source_type: SourceType::SchedulerSource.into(),
            hostname: self.place.identity.hostname.clone(),
            ip: self.place.ip.to_string(),
        };
        let open = || {
            let (mut client, request) = (self.extension.clone(), request.clone());
            async move { client.watch(request).await }
        };
        grpc::follow("the watch for changes at the manager", open, |_| {
            self.changed.notify_one()
        })
        .await;
    }

    /// Takes over the cluster's block lists, if they are not those that hold.
    fn take_rules(&self, cluster: Option<&manager::SchedulerCluster>) {
        let Some(cluster) = cluster else { return };
        let held = self.told.rules.borrow().clone();
        if let Some(rules) = held.after(cluster) {
            self.told.rules.send_replace(Arc::new(rules));
        }
    }

    /// This scheduler and its cluster, as the manager describes them.
    async fn described(&self) -> Result<manager::Scheduler, Status> {
        let request = GetSchedulerRequest {
            source_type: SourceType::SchedulerSource.into(),
            hostname: self.place.identity.hostname.clone(),
            scheduler_cluster_id: self.config.cluster_id,
            ip: self.place.ip.to_string(),
        };
        timed(self.client.clone().get_scheduler(request)).await
    }

    async fn refresh_applications(&self) {
        let request = ListApplicationsRequest {
            source_type: SourceType::SchedulerSource.into(),
            hostname: self.place.identity.hostname.clone(),
            ip: self.place.ip.to_string(),
        };
        match timed(self.client.clone().list_applications(request)).await {
            Ok(answer) => {
                self.told.applications.send_replace(Arc::new(Applications::of(answer)));
            }
            // A manager without applications says so in either way.
            Err(status) if matches!(status.code(), Code::NotFound | Code::Unimplemented) => {
                self.told.applications.send_replace(Arc::default());
            }
            Err(status) => {
                let (code, message) = (status.code(), status.message());
                tracing::debug!(%code, message, "the manager gave no applications");
            }
        }
    }
}

/// The limits in a manager's answer; what is absent or malformed there has its default.
fn limits_of(scheduler: &manager::Scheduler) -> Limits {
    let cluster = scheduler.scheduler_cluster.clone().unwrap_or_default();
    let seeds = scheduler
        .seed_peers
        .iter()
        .find_map(|seed| seed.seed_peer_cluster.as_ref());
    let config: ClusterConfig = json(&cluster.config);
    let normal: PeerConfig = json(&cluster.client_config);
    let seed: PeerConfig = seeds.map(|seeds| json(&seeds.config)).unwrap_or_default();
    let mut limits = Limits::default();
    let set = |limit: &mut usize, given: Option<usize>| {
        if let Some(given) = given.filter(|given| *given > 0) {
            *limit = given;
        }
    };
    set(&mut limits.candidate_parents, config.candidate_parent_limit);
    set(&mut limits.filter_parents, config.filter_parent_limit);
    set(&mut limits.slots.normal, normal.load_limit);
    set(&mut limits.slots.seed, seed.load_limit);
    limits
}

fn json<T: Default + for<'de> Deserialize<'de>>(bytes: &[u8]) -> T {
    if bytes.is_empty() {
        return T::default();
    }
    serde_json::from_slice(bytes).unwrap_or_else(|error| {
        tracing::warn!(%error, "a part of the manager's configuration is malformed; the defaults hold");
        T::default()
    })
}

async fn timed<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, Status> {
    let answer = tokio::time::timeout(CALL, call).await;
    let answer = answer.map_err(|_| Status::deadline_exceeded(format!("no answer within {CALL:?}")))?;
    Ok(answer?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_from_three_places_and_bad_ones_are_ignored() {
        let cluster = |config: &str, client: &str| manager::SchedulerCluster {
            config: config.into(),
            client_config: client.into(),
            ..Default::default()
        };
        let seed = manager::SeedPeer {
            seed_peer_cluster: Some(manager::SeedPeerCluster {
                config: r#"{"load_limit": 1000}"#.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let scheduler = manager::Scheduler {
            scheduler_cluster: Some(cluster(
                r#"{"candidate_parent_limit": 4, "filter_parent_limit": 0, "job_rate_limit": 10}"#,
                r#"{"load_limit": 50}"#,
            )),
            seed_peers: vec![seed],
            ..Default::default()
        };
        let limits = limits_of(&scheduler);
        assert_eq!((limits.candidate_parents, limits.filter_parents), (4, 15));
        assert_eq!((limits.slots.normal, limits.slots.seed), (50, 1000));
        let malformed = manager::Scheduler {
            scheduler_cluster: Some(cluster("{", "")),
            ..Default::default()
        };
        assert_eq!(limits_of(&malformed), Limits::default());
    }
}
