//! The cluster under measure: an origin, a manager, a scheduler, a seed peer and nodes, each on a host of its own.

use anyhow::{Context, Result};
use dragonfly_api::dfdaemon::DeleteTaskRequest;
use dragonfly_api::dfdaemon::dfdaemon_download_client::DfdaemonDownloadClient;
use dragonfly_api::scheduler::ListHostsRequest;
use dragonfly_api::scheduler::scheduler_client::SchedulerClient;
use dragonfly_service::grpc::{Timeouts, connect_unix};
use dragonfly_testkit::content::Content;
use dragonfly_testkit::lab::{Added, Console, Launch, Network, Program, Rate, Segment, until};
use dragonfly_testkit::nginx::Nginx;
use dragonfly_testkit::packages::{self, CURL};
use dragonfly_testkit::place::Place;
use dragonfly_testkit::up::binary;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tonic::transport::Channel;

const ORIGIN: &str = "origin";
const MANAGER: &str = "manager";
const SCHEDULER: &str = "sched";
const SEED: &str = "seed";
/// An nginx on a node itself, where the same bytes lie.
const BESIDE: u16 = 8081;
const PROXY: u16 = 4001;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    pub(super) nodes: usize,
    /// What the links of origin, seed peer and nodes carry each way.
    pub(super) rate: Option<Rate>,
    /// Where everything is stored.
    pub(super) dir: &'a Path,
}

/// A running cluster. Its programs end before the network that they run on.
pub(super) struct Room {
    pub(super) origin: Nginx,
    pub(super) seed: Program,
    pub(super) nodes: Vec<Program>,
    scheduler: Program,
    _manager: Program,
    _network: Network,
    dir: TempDir,
}

/// A content that the origin has, named as blobs of registries are.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    sha256: String,
    pub(super) length: u64,
}

impl Blob {
    /// Its path at the origin and at every peer's proxy.
    pub(super) fn path(&self) -> String {
        format!("/v2/bench/blobs/sha256:{}", self.sha256)
    }
}

impl Room {
    pub(super) async fn start(plan: Plan<'_>) -> Result<Self> {
        packages::require(&[CURL])?;
        let dir = tempfile::Builder::new()
            .prefix("dragonfly-bench-")
            .tempdir_in(plan.dir)?;
        let names: Vec<String> = (1..=plan.nodes).map(|n| format!("n{n}")).collect();
        let network = laid(&names, plan.rate)?;
        std::fs::create_dir_all(files(dir.path()))?;
        let address = SocketAddr::from((network.host(ORIGIN)?.ip, 80));
        let origin = Nginx::start_in(&network.host(ORIGIN)?.place(), address, &files(dir.path())).await?;
        let maker = Maker {
            network: &network,
            binary: binary()?,
            dir: dir.path(),
            mirror: origin.url(""),
        };
        let manager = maker.manager().await?;
        let ids = Console::first(manager.host().ip).await?.first_cluster().await?;
        let scheduler = maker.scheduler(&ids).await?;
        let seed = maker.peer(SEED, &ids).await?;
        let mut nodes = Vec::new();
        for name in &names {
            nodes.push(maker.peer(name, &ids).await?);
        }
        let room = Self {
            origin,
            seed,
            nodes,
            scheduler,
            _manager: manager,
            _network: network,
            dir,
        };
        room.until_joined().await?;
        Ok(room)
    }

    /// Gives the origin a content of this many bytes; other seeds are other contents.
    pub(super) fn put(&self, seed: u64, length: u64) -> Result<Blob> {
        let content = Content::new(seed, length);
        let blob = Blob {
            sha256: content.sha256(),
            length,
        };
        let path = files(self.dir.path()).join(blob.path().trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().context("a blob lies in a directory")?)?;
        std::io::copy(&mut content.reader(), &mut std::fs::File::create(path)?)?;
        Ok(blob)
    }

    /// An nginx on the node itself with the origin's files.
    pub(super) async fn nginx_on(&self, node: &Program) -> Result<Nginx> {
        let address = SocketAddr::from((node.host().ip, BESIDE));
        Nginx::start_in(&node.host().place(), address, &files(self.dir.path())).await
    }

    /// Takes a content from these hosts, as if they had never had it.
    pub(super) async fn forget<'a>(&self, blob: &Blob, peers: impl IntoIterator<Item = &'a Program>) -> Result<()> {
        for peer in peers {
            let request = DeleteTaskRequest {
                task_id: blob.sha256.clone(),
                ..Default::default()
            };
            match self.daemon(peer).await?.delete_task(request).await {
                Err(status) if status.code() != tonic::Code::NotFound => return Err(status.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes a content from every host.
    pub(super) async fn forget_everywhere(&self, blob: &Blob) -> Result<()> {
        self.forget(blob, self.peers()).await
    }

    /// The nodes of a room of two.
    pub(super) fn pair(&self) -> Result<(&Program, &Program)> {
        match &self.nodes[..] {
            [first, second] => Ok((first, second)),
            nodes => anyhow::bail!("a room of {} nodes", nodes.len()),
        }
    }

    /// The seed peer, then the nodes.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Program> {
        std::iter::once(&self.seed).chain(&self.nodes)
    }

    /// What a node is asked by the programs on it.
    pub(super) async fn daemon(&self, peer: &Program) -> Result<DfdaemonDownloadClient<Channel>> {
        let channel = connect_unix(
            &socket(peer.dir()),
            Timeouts {
                request: None,
                ..Timeouts::default()
            },
        )
        .await?;
        Ok(DfdaemonDownloadClient::new(channel))
    }

    /// Bytes of a content that left the origin.
    pub(super) fn left_origin(&self, blob: &Blob) -> Result<u64> {
        let path = blob.path();
        let served = self.origin.served()?;
        let given = served
            .iter()
            .filter(|one| one.method == "GET" && one.uri.starts_with(&path));
        Ok(given.map(|one| one.bytes).sum())
    }

    /// A directory for what a caller writes.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    async fn until_joined(&self) -> Result<()> {
        let address = format!("http://{}:8002", self.scheduler.host().ip);
        let mut scheduler = SchedulerClient::connect(address).await?;
        let wanted = self.nodes.len() + 1;
        until("all peers have joined", async || {
            let hosts = scheduler.list_hosts(ListHostsRequest::default()).await?.into_inner();
            Ok(hosts.hosts.len() >= wanted)
        })
        .await
    }
}

/// A path at a node's own proxy.
pub(super) fn through(path: &str) -> String {
    format!("http://127.0.0.1:{PROXY}{path}")
}

/// Where a program's callers are.
pub(super) fn place(program: &Program) -> Place {
    program.host().place()
}

fn files(dir: &Path) -> PathBuf {
    dir.join("files")
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("dfdaemon.sock")
}

fn laid(nodes: &[String], rate: Option<Rate>) -> Result<Network> {
    let core = Segment {
        name: "core".to_owned(),
        hosts: [ORIGIN, MANAGER].map(str::to_owned).to_vec(),
    };
    let mut hosts = vec![SCHEDULER.to_owned(), SEED.to_owned()];
    hosts.extend_from_slice(nodes);
    let cluster = Segment {
        name: "a".to_owned(),
        hosts,
    };
    let network = Network::create(&core, &[cluster])?;
    for host in [ORIGIN, SEED].into_iter().chain(nodes.iter().map(String::as_str)) {
        network.shape(host, rate)?;
    }
    Ok(network)
}

/// What all programs of a room have in common.
struct Maker<'a> {
    network: &'a Network,
    binary: PathBuf,
    dir: &'a Path,
    mirror: String,
}

impl Maker<'_> {
    async fn manager(&self) -> Result<Program> {
        let config = |dir: &Path| json!({ "server": { "dataDir": dir.join("data") } });
        self.start(MANAGER, "manager", 8080, config).await
    }

    async fn scheduler(&self, ids: &Added) -> Result<Program> {
        let manager = format!("{}:65003", self.network.host(MANAGER)?.ip);
        let config = |dir: &Path| {
            json!({
                "server": { "host": SCHEDULER, "dataDir": dir.join("data") },
                "manager": { "addr": manager, "schedulerClusterID": ids.scheduler_cluster_id },
            })
        };
        self.start(SCHEDULER, "scheduler", 8002, config).await
    }

    async fn peer(&self, name: &str, ids: &Added) -> Result<Program> {
        let manager = format!("http://{}:65003", self.network.host(MANAGER)?.ip);
        let is_seed = name == SEED;
        let config = |dir: &Path| {
            json!({
                "host": { "hostname": name, "schedulerClusterID": ids.scheduler_cluster_id },
                "manager": { "addr": manager },
                "storage": { "dir": dir.join("data") },
                "download": { "server": { "socketPath": socket(dir) } },
                "proxy": { "registryMirror": { "addr": self.mirror } },
                "seedPeer": { "enable": is_seed, "clusterID": ids.seed_peer_cluster_id },
            })
        };
        self.start(name, "dfdaemon", PROXY, config).await
    }

    async fn start(
        &self,
        host: &str,
        verb: &'static str,
        port: u16,
        config: impl FnOnce(&Path) -> Value,
    ) -> Result<Program> {
        let dir = self.dir.join(host);
        Program::start(Launch {
            host: self.network.host(host)?,
            binary: &self.binary,
            verb,
            config: config(&dir),
            port,
            dir,
        })
        .await
    }
}
