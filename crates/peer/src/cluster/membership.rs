//! The worker that keeps membership up to date: look up the schedulers, ask which of them are well, publish these,
//! announce this host to those that don't know it (yet); again at the next interval or when woken.

use super::{Directory, Inner, Members, Ring, SchedulerClient, lock};
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

/// First wait after a failed look-up; doubles up to [`SLOWEST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(500);
const SLOWEST_RETRY: Duration = Duration::from_secs(10);
/// However often the worker is woken, it looks no more often than this.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
/// How long a scheduler may take to say that it is well.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// What a directory says.
#[derive(Default)]
pub(super) struct Found {
    /// The cluster that this host belongs to, where the directory knows clusters.
    pub(super) cluster: Option<u64>,
    /// The schedulers of it.
    pub(super) schedulers: BTreeSet<SocketAddr>,
    /// What it says of peers like this one, with its block list; empty where the directory knows clusters not.
    pub(super) config: Vec<u8>,
}

/// What the worker remembers between two rounds.
#[derive(Default)]
struct Rounds {
    /// What the directory last said; stays in force while the directory is away.
    known: Found,
    channels: HashMap<SocketAddr, Channel>,
    announced: HashMap<SocketAddr, Instant>,
    retry: Option<Duration>,
    /// Whether the last round failed, so that an outage is logged once.
    failing: bool,
}

pub(super) async fn run(cluster: &Inner) {
    let mut rounds = Rounds::default();
    loop {
        let begun = Instant::now();
        let well = rounds.round(cluster).await;
        let pause = rounds.pause(cluster, well);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cluster.poke.notified() => tokio::time::sleep_until(begun + SHORTEST_PAUSE).await,
        }
    }
}

impl Rounds {
    /// One look around. Whether everything went well.
    async fn round(&mut self, cluster: &Inner) -> bool {
        let found = look_up(&cluster.directory).await;
        let looked_up = found.is_ok();
        match found {
            Ok(found) => {
                self.take(cluster, found).await;
                self.failing = false;
            }
            Err(error) if self.failing => tracing::debug!(error, "still no list of schedulers"),
            Err(error) => {
                tracing::warn!(error, "can't get the list of schedulers; going on with those known");
                self.failing = true;
            }
        }
        for addr in &self.known.schedulers {
            if !self.channels.contains_key(addr) {
                match cluster.channel(*addr) {
                    Ok(channel) => drop(self.channels.insert(*addr, channel)),
                    Err(error) => tracing::warn!(%error, "a scheduler can't be used"),
                }
            }
        }
        self.channels.retain(|addr, _| self.known.schedulers.contains(addr));
        let healthy = self.healthy().await;
        // A download that begins in between is told that this host is unknown, and announces it by itself.
        publish(cluster, self.known.cluster, &healthy);
        let announced = self.announce(cluster, &healthy).await;
        // One that is away and stays listed is about to come back, and has tasks that are its.
        looked_up && announced && !healthy.is_empty() && healthy.len() == self.channels.len()
    }

    /// Takes over what the directory says. A host that has moved to another cluster parts with the old one at once: to
    /// be a parent there any longer would carry bytes from cluster to cluster.
    async fn take(&mut self, cluster: &Inner, found: Found) {
        cluster.take_rules(&found.config);
        let before = std::mem::replace(&mut self.known, found);
        let (from, to) = (before.cluster, self.known.cluster);
        if from.is_none() || to.is_none() || from == to {
            return;
        }
        tracing::info!(
            cluster.from = from,
            cluster.to = to,
            "this host has moved to another cluster"
        );
        let gone: Vec<_> = before.schedulers.difference(&self.known.schedulers).copied().collect();
        cluster.part_with(&gone).await;
    }

    async fn healthy(&self) -> BTreeMap<SocketAddr, Channel> {
        let checks = self.channels.iter().map(|(addr, channel)| async move {
            let healthy = is_serving(channel.clone()).await;
            if !healthy {
                tracing::debug!(scheduler.addr = %addr, "a scheduler does not answer that it is well");
            }
            healthy.then(|| (*addr, channel.clone()))
        });
        join_all(checks).await.into_iter().flatten().collect()
    }

    /// Announces this host to the healthy schedulers that are due. Whether all of those took it.
    async fn announce(&mut self, cluster: &Inner, healthy: &BTreeMap<SocketAddr, Channel>) -> bool {
        for addr in std::mem::take(&mut *lock(&cluster.forgetful)) {
            self.announced.remove(&addr);
        }
        // One that was away may have restarted and forgotten everything.
        self.announced.retain(|addr, _| healthy.contains_key(addr));
        let due = |addr: &SocketAddr| {
            self.announced
                .get(addr)
                .is_none_or(|at| at.elapsed() >= cluster.announce_interval)
        };
        lock(&cluster.introduced).extend(healthy.iter().map(|(addr, channel)| (*addr, channel.clone())));
        let announcing =
            healthy
                .iter()
                .filter(|(addr, _)| due(addr))
                .map(|(addr, channel)| async move {
                    (*addr, cluster.announce_to(SchedulerClient::new(channel.clone())).await)
                });
        let mut all = true;
        for (addr, announced) in join_all(announcing).await {
            match announced {
                Ok(()) => drop(self.announced.insert(addr, Instant::now())),
                Err(status) => {
                    tracing::warn!(scheduler.addr = %addr, %status, "a scheduler did not take the announcement");
                    all = false;
                }
            }
        }
        all
    }

    /// How long to wait for the next round, with enough jitter to keep peers that started together apart.
    fn pause(&mut self, cluster: &Inner, well: bool) -> Duration {
        if well {
            self.retry = None;
            return jittered(cluster.refresh_interval.min(cluster.announce_interval));
        }
        let retry = self.retry.map_or(FIRST_RETRY, |last| (last * 2).min(SLOWEST_RETRY));
        self.retry = Some(retry);
        retry
            .min(cluster.refresh_interval)
            .mul_f64(rand::random_range(0.7..1.3))
    }
}

/// Never later than the interval says: whoever changes a cluster's scopes counts on it.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.8..1.0))
}

async fn look_up(directory: &Directory) -> Result<Found, String> {
    match directory {
        Directory::Nowhere => Ok(Found::default()),
        Directory::Manager(manager) => manager.schedulers().await.map_err(|status| status.to_string()),
        Directory::Names(names) => {
            let mut found = BTreeSet::new();
            for name in names {
                let addrs = tokio::net::lookup_host(name).await;
                found.extend(addrs.map_err(|error| format!("{name}: {error}"))?);
            }
            Ok(Found {
                schedulers: found,
                ..Found::default()
            })
        }
    }
}

async fn is_serving(channel: Channel) -> bool {
    let mut client = HealthClient::new(channel);
    let check = client.check(HealthCheckRequest::default());
    match tokio::time::timeout(HEALTH_TIMEOUT, check).await {
        Ok(Ok(answer)) => answer.get_ref().status() == ServingStatus::Serving,
        _ => false,
    }
}

fn publish(cluster: &Inner, id: Option<u64>, healthy: &BTreeMap<SocketAddr, Channel>) {
    cluster.members.send_if_modified(|members| {
        if members.cluster == id && members.channels.keys().eq(healthy.keys()) {
            return false;
        }
        tracing::info!(schedulers = ?healthy.keys().collect::<Vec<_>>(), "the schedulers of this host");
        *members = Arc::new(Members {
            cluster: id,
            channels: healthy.clone(),
            ring: Ring::new(healthy.keys().copied()),
        });
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_a_change_of_scopes_is_seen_within_a_minute() {
        let interval = crate::config::Raw::default().dynconfig.refresh_interval;
        let pauses: Vec<Duration> = (0..1000).map(|_| jittered(interval)).collect();
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(60)));
        assert!(
            pauses.iter().any(|pause| *pause != pauses[0]),
            "peers that started together drift apart"
        );
    }
}
