//! One cluster of the lab: a scheduler, a seed peer, and nodes that each run a peer and a containerd.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dragonfly_api::scheduler::scheduler_client::SchedulerClient;
use dragonfly_api::scheduler::{ListHostsRequest, PreheatImageRequest, StatImageRequest};
use serde_json::{Value, json};

use super::console::{Added, Console};
use super::network::{Host, Network, Segment};
use super::program::{Launch, Program};
use crate::containerd::Containerd;

const MANAGER_GRPC: u16 = 65003;
const SCHEDULER_GRPC: u16 = 8002;
const PROXY: u16 = 4001;
const METRICS: u16 = 4002;
/// How long members may take to find each other.
const JOIN_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

type Client = SchedulerClient<tonic::transport::Channel>;

/// The names of a cluster's hosts, before there is anything of it.
#[derive(Clone, Debug)]
pub struct Names {
    cluster: String,
    nodes: usize,
}

impl Names {
    /// A cluster of so many nodes.
    #[must_use]
    pub fn new(cluster: &str, nodes: usize) -> Self {
        Self {
            cluster: cluster.to_owned(),
            nodes,
        }
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The scheduler's host.
    #[must_use]
    pub fn scheduler(&self) -> String {
        format!("{}-sched", self.cluster)
    }

    /// The seed peer's host.
    #[must_use]
    pub fn seed(&self) -> String {
        format!("{}-seed", self.cluster)
    }

    /// The nodes, which count from 1.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        (1..=self.nodes).map(|n| format!("{}-{n}", self.cluster)).collect()
    }

    /// All of them as a part of a network.
    #[must_use]
    pub fn segment(&self) -> Segment {
        let mut hosts = vec![self.scheduler(), self.seed()];
        hosts.extend(self.nodes());
        Segment {
            name: self.cluster.clone(),
            hosts,
        }
    }
}

/// What the members of a cluster are told in their files.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The ids that the manager's API returned.
    pub ids: Added,
    /// What its peers say of themselves: the first node this, the second that, and so on, over and over.
    pub says: Vec<Says>,
    /// How often its peers ask the manager where they belong; without this as often as they do by default.
    pub refresh: Option<Duration>,
}

/// What a peer says of itself, by which the manager may know its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// Nothing but its address.
    Nothing,
    /// `host.idc`.
    Idc(String),
    /// `host.location`.
    Location(String),
    /// The cluster itself: `host.schedulerClusterID`.
    Cluster,
}

impl Membership {
    /// Peers that all say the same.
    #[must_use]
    pub fn of(ids: Added, says: Says) -> Self {
        Self {
            ids,
            says: vec![says],
            refresh: None,
        }
    }
}

/// What is the same for all programs of a lab.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) network: &'a Network,
    pub(crate) binary: &'a Path,
    /// The manager's address.
    pub(crate) manager: Ipv4Addr,
    /// The URL of the registry that peers mirror.
    pub(crate) registry: &'a str,
    /// The directory that holds all.
    pub(crate) dir: &'a Path,
}

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    /// Its hosts' names.
    pub names: Names,
    /// Its ids.
    pub ids: Added,
    /// Its scheduler.
    pub scheduler: Program,
    /// Its seed peer.
    pub seed: Program,
    /// Its nodes.
    pub nodes: Vec<Node>,
}

/// A host that pulls.
#[derive(Debug)]
pub struct Node {
    /// The peer.
    pub peer: Program,
    /// The runtime that pulls through it.
    pub containerd: Containerd,
}

impl Node {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.peer.host().name
    }

    /// The URL of its peer's proxy, as its containerd reaches it.
    #[must_use]
    pub fn proxy(&self) -> String {
        format!("http://127.0.0.1:{PROXY}")
    }
}

impl Cluster {
    /// Starts the scheduler, the seed peer and the nodes, each when the one that it needs is known to the manager or
    /// the scheduler.
    ///
    /// # Errors
    /// When one doesn't come up or isn't known in time.
    pub(crate) async fn start(
        around: Surroundings<'_>,
        names: Names,
        membership: &Membership,
        console: &Console,
    ) -> Result<Self> {
        let ids = membership.ids.clone();
        let scheduler = start_scheduler(around, &names, &ids).await?;
        until("the scheduler is active", async || {
            Ok(console.active("schedulers", ids.scheduler_cluster_id).await? > 0)
        })
        .await?;
        let seed = start_peer(around, &names.seed(), membership, None).await?;
        let mut cluster = Self {
            names,
            ids,
            scheduler,
            seed,
            nodes: Vec::new(),
        };
        cluster.until_joined(&[cluster.names.seed()]).await?;
        for (name, says) in cluster.names.nodes().iter().zip(membership.says.iter().cycle()) {
            let peer = start_peer(around, name, membership, Some(says)).await?;
            let containerd = Containerd::start_in(peer.host().place()).await?;
            cluster.nodes.push(Node { peer, containerd });
        }
        cluster.until_joined(&cluster.names.nodes()).await?;
        Ok(cluster)
    }

    /// The names of the hosts that its scheduler knows.
    ///
    /// # Errors
    /// When the scheduler doesn't answer.
    pub async fn known_hosts(&self) -> Result<Vec<String>> {
        known_hosts(self.scheduler.host().ip).await
    }

    async fn scheduler_client(&self) -> Result<Client> {
        scheduler_client(self.scheduler.host().ip).await
    }

    /// Has its scheduler fetch an image ahead, named by the URL of its manifest, to `single_seed_peer`, `all_seed_peers` or
    /// `all_peers`.
    ///
    /// # Errors
    /// When the scheduler doesn't answer or refuses.
    pub async fn preheat(&self, image: &str, scope: &str) -> Result<()> {
        let request = PreheatImageRequest {
            url: image.to_owned(),
            scope: scope.to_owned(),
            enable_task_id_based_blob_digest: true,
            ..Default::default()
        };
        self.scheduler_client().await?.preheat_image(request).await?;
        Ok(())
    }

    /// How many blobs of an image each host has whole that has any.
    ///
    /// # Errors
    /// When the scheduler doesn't answer or refuses.
    pub async fn holders(&self, image: &str) -> Result<BTreeMap<String, usize>> {
        let request = StatImageRequest {
            url: image.to_owned(),
            enable_task_id_based_blob_digest: true,
            ..Default::default()
        };
        let told = self.scheduler_client().await?.stat_image(request).await?.into_inner();
        let whole = told.peers.into_iter().map(|peer| {
            let whole = peer
                .cached_layers
                .iter()
                .filter(|layer| layer.is_finished == Some(true));
            (peer.hostname, whole.count())
        });
        Ok(whole.collect())
    }

    /// Waits until its scheduler knows these hosts.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn until_joined(&self, names: &[String]) -> Result<()> {
        until(&format!("{} have joined", names.join(", ")), async || {
            let known = self.known_hosts().await?;
            Ok(names.iter().all(|name| known.contains(name)))
        })
        .await
    }

    /// The peers: the seed, then the nodes'.
    pub fn peers(&self) -> impl Iterator<Item = &Program> {
        std::iter::once(&self.seed).chain(self.nodes.iter().map(|node| &node.peer))
    }
}

/// The names of the hosts that a scheduler knows.
///
/// # Errors
/// When it doesn't answer.
pub async fn known_hosts(scheduler: Ipv4Addr) -> Result<Vec<String>> {
    let mut client = scheduler_client(scheduler).await?;
    let listed = client.list_hosts(ListHostsRequest::default()).await?.into_inner();
    Ok(listed.hosts.into_iter().map(|host| host.hostname).collect())
}

async fn scheduler_client(scheduler: Ipv4Addr) -> Result<Client> {
    Ok(SchedulerClient::connect(format!("http://{scheduler}:{SCHEDULER_GRPC}")).await?)
}

/// The address at which a peer's metrics are read.
#[must_use]
pub fn metrics_url(peer: &Program) -> String {
    format!("http://{}:{METRICS}/metrics", peer.host().ip)
}

/// Waits until something holds. An error while it doesn't is that of the last try.
///
/// # Errors
/// When it doesn't hold in time.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let end = tokio::time::Instant::now() + JOIN_WITHIN;
    loop {
        let last = holds().await;
        if matches!(last, Ok(true)) {
            return Ok(());
        }
        if tokio::time::Instant::now() > end {
            let late = || format!("not within {JOIN_WITHIN:?}: {what}");
            return match last {
                Err(error) => Err(error).with_context(late),
                Ok(_) => bail!(late()),
            };
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn start_scheduler(around: Surroundings<'_>, names: &Names, ids: &Added) -> Result<Program> {
    let host = around.network.host(&names.scheduler())?;
    let dir = around.dir.join(&host.name);
    let config = json!({
        "server": { "host": host.name, "dataDir": dir.join("data") },
        "manager": {
            "addr": format!("{}:{MANAGER_GRPC}", around.manager),
            "schedulerClusterID": ids.scheduler_cluster_id,
        },
        "metrics": { "enable": true },
    });
    Program::start(launch(around, host, "scheduler", config, SCHEDULER_GRPC)).await
}

/// A node's peer says what it says; a seed peer belongs where its configuration puts it.
async fn start_peer(
    around: Surroundings<'_>,
    name: &str,
    membership: &Membership,
    node: Option<&Says>,
) -> Result<Program> {
    let host = around.network.host(name)?;
    let dir = around.dir.join(&host.name);
    let ids = &membership.ids;
    let mut config = json!({
        "host": { "hostname": host.name },
        "manager": { "addr": format!("http://{}:{MANAGER_GRPC}", around.manager) },
        "storage": { "dir": dir.join("data") },
        "download": { "server": { "socketPath": dir.join("dfdaemon.sock") } },
        "proxy": { "registryMirror": { "addr": around.registry } },
        "seedPeer": { "enable": node.is_none() },
    });
    let host_config = &mut config["host"];
    match node {
        Some(Says::Nothing) => {}
        Some(Says::Idc(idc)) => host_config["idc"] = json!(idc),
        Some(Says::Location(location)) => host_config["location"] = json!(location),
        Some(Says::Cluster) => host_config["schedulerClusterID"] = json!(ids.scheduler_cluster_id),
        None => config["seedPeer"]["clusterID"] = json!(ids.seed_peer_cluster_id),
    }
    if let Some(refresh) = membership.refresh {
        config["dynconfig"] = json!({ "refreshInterval": format!("{}ms", refresh.as_millis()) });
    }
    Program::start(launch(around, host, "dfdaemon", config, PROXY)).await
}

fn launch<'a>(around: Surroundings<'a>, host: &'a Host, verb: &'static str, config: Value, port: u16) -> Launch<'a> {
    Launch {
        host,
        binary: around.binary,
        verb,
        config,
        port,
        dir: around.dir.join(&host.name),
    }
}
