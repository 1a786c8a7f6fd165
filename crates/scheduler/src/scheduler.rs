//! The program: reserve, run, drain.

use crate::applications::Applications;
use crate::attend::Works;
use crate::brain::{Brain, Owner, Parts};
use crate::config::{Config, ManagerConfig};
use crate::credentials::Numbering;
use crate::grpc::{self, Grpc};
use crate::hosts::{self, Hosts};
use crate::kept::{self, Keeper, Kept};
use crate::manager::{self, Place, Relation, Told};
use crate::metrics::Counts;
use crate::preheat::Preheat;
use crate::reach::Reach;
use crate::rules::Rules;
use crate::seeds::Seeds;
use dragonfly_service::fs::{self, DataDir};
use dragonfly_service::grpc::ConnectError;
use dragonfly_service::ops::{self, Routes};
use dragonfly_service::tls::{self, ClientTls, ServerTls};
use dragonfly_service::{Metrics, Ready, Workers, exit, net};
use dragonfly_source::{self as source, EgressPolicy, Sources};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// For requests and streams that are open when the scheduler is cancelled.
const DRAIN: Duration = Duration::from_secs(3);
/// How long the manager's name may take to resolve, when the way to it decides which address is told to others.
const RESOLVE: Duration = Duration::from_secs(2);
/// How long after a restart nobody is sent to an origin for what nobody has said yet that he holds.
const SETTLE: Duration = Duration::from_secs(2);

/// A scheduler whose sockets are bound, but which serves nothing yet.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    grpc_listener: TcpListener,
    grpc_tls: Option<ServerTls>,
    seeds_tls: Option<ClientTls>,
    manager: Option<(ManagerConfig, Option<ClientTls>, Place)>,
    ops: Option<TcpListener>,
    hosts: Hosts,
    kept: Kept,
    sources: Sources,
    addresses: Addresses,
    ready: Ready,
    metrics: Metrics,
    counts: Counts,
    /// Held as long as the table of hosts is written.
    data_dir: DataDir,
}

/// Where a scheduler listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// Metrics, if they are served.
    pub metrics: Option<SocketAddr>,
}

/// Why a scheduler can't be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The data directory is in use or can't be used.
    #[error(transparent)]
    DataDir(#[from] fs::Error),
    /// The table of hosts can't be read.
    #[error(transparent)]
    Hosts(#[from] hosts::Error),
    /// The kept tasks can't be read.
    #[error(transparent)]
    Kept(#[from] kept::Error),
    /// Registries can't be asked.
    #[error("origins can't be asked")]
    Sources(#[from] source::Error),
    /// A port is taken or can't be bound.
    #[error(transparent)]
    Bind(#[from] net::Error),
    /// A certificate or key can't be used.
    #[error("{key} can't be used")]
    Tls {
        /// The key of the configuration.
        key: &'static str,
        /// Why not.
        #[source]
        source: tls::Error,
    },
}

impl BuildError {
    /// For the process: 64 if the configuration is to blame, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Tls { .. } => exit::BAD_CONFIG,
            _ => exit::FAILURE,
        }
    }
}

/// Why a scheduler ceased to serve without being cancelled.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The gRPC server failed.
    #[error(transparent)]
    Grpc(#[from] grpc::Error),
    /// The address of the manager is malformed.
    #[error("manager.addr can't be used")]
    Manager(#[from] ConnectError),
}

impl RunError {
    /// For the process: 64 if the configuration is to blame, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Manager(_) => exit::BAD_CONFIG,
            Self::Grpc(_) => exit::FAILURE,
        }
    }
}

impl Scheduler {
    /// Takes the data directory, binds every socket and reads the table of hosts.
    pub async fn build(config: Config) -> Result<Self, BuildError> {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let grpc_tls = config.grpc.tls.as_ref().map(ServerTls::load).transpose();
        let grpc_tls = grpc_tls.map_err(|source| BuildError::Tls {
            key: "server.tls",
            source,
        })?;
        let seeds_tls = client_tls("seedPeer.tls", config.seed_peer.tls.as_ref())?;
        let data_dir = DataDir::lock(&config.data_dir)?;
        let grpc_listener = net::bind_tcp(config.grpc.addr, "scheduler gRPC")?;
        let ops = match config.metrics {
            Some(addr) => Some(net::bind_tcp(addr, "scheduler metrics")?),
            None => None,
        };
        let hosts = Hosts::load(data_dir.path().join("hosts"), SystemTime::now())?;
        let kept = Kept::open(&data_dir.path().join("kept"), hosts.clone())?;
        let addresses = Addresses {
            grpc: bound(&grpc_listener),
            metrics: ops.as_ref().map(bound),
        };
        let sources = Sources::new(source::Config {
            egress: EgressPolicy {
                own_ports: [Some(addresses.grpc), addresses.metrics]
                    .into_iter()
                    .flatten()
                    .collect(),
                ..config.egress.clone()
            },
            user_agent: concat!("dragonfly/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..source::Config::default()
        })?;
        let manager = match &config.manager {
            None => None,
            Some(manager) => {
                let tls = client_tls("manager.tls", manager.tls.as_ref())?;
                let place = Place {
                    ip: advertised(&config, manager).await,
                    port: config.identity.port.unwrap_or(addresses.grpc.port()),
                    identity: config.identity.clone(),
                };
                Some((manager.clone(), tls, place))
            }
        };
        let metrics = Metrics::new();
        Ok(Self {
            config,
            grpc_listener,
            grpc_tls,
            seeds_tls,
            manager,
            ops,
            hosts,
            kept,
            sources,
            addresses,
            ready: Ready::new(),
            counts: Counts::new(&metrics),
            metrics,
            data_dir,
        })
    }

    /// What it tells of itself.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Where it listens; ports that were 0 in the configuration are the ones that were taken.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Set when it serves.
    pub fn ready(&self) -> Ready {
        self.ready.clone()
    }

    /// Serves until `cancel`, ends the streams of peers, and writes the table of hosts.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), RunError> {
        let workers = Workers::new(cancel.child_token());
        let counts = self.counts;
        let (brain, commands) = Brain::new();
        let (applications, known_applications) = watch::channel(Arc::<Applications>::default());
        let (rules, known_rules) = watch::channel(Arc::<Rules>::default());
        let reach = Reach::new(self.seeds_tls);
        let keeper = Keeper::new(self.kept.clone(), self.hosts.clone(), reach.clone(), workers.clone());
        let preheat = Preheat::new(self.hosts.clone(), reach.clone(), self.sources, counts.clone());
        if let Some((manager, tls, place)) = self.manager {
            let parts = manager::Parts {
                place,
                brain: brain.clone(),
                told: Told { applications, rules },
                hosts: self.hosts.clone(),
                kept: self.kept.clone(),
                works: Works::new(preheat.clone(), keeper.clone(), workers.clone()),
            };
            let relation = Relation::new(manager, tls.as_ref(), parts)?;
            workers.spawn("relation with the manager", relation.keep(workers.cancel_token()));
        }
        let owner = Owner::new(Parts {
            scheduling: settling(self.config.scheduling, &self.hosts),
            hosts: self.hosts.clone(),
            seeds: Seeds::new(reach, self.config.seed_peer.task_timeout),
            counts: counts.clone(),
            brain: brain.clone(),
            workers: workers.clone(),
        });
        workers.spawn("scheduling", owner.run(commands));
        workers.spawn("replicas of kept tasks", keeper.clone().keep(workers.cancel_token()));
        workers.spawn("table of hosts", self.hosts.clone().keep(workers.cancel_token()));
        let grpc = Grpc {
            brain,
            hosts: self.hosts,
            preheat,
            kept: self.kept,
            keeper,
            counts,
            applications: known_applications,
            rules: known_rules,
            numbering: Numbering::default(),
            requests_per_second: self.config.grpc.requests_per_second,
            tls: self.grpc_tls,
        };
        let (failed, failure) = oneshot::channel();
        let serving = grpc.serve(self.grpc_listener, workers.clone());
        workers.spawn("scheduler gRPC", async move {
            if let Err(error) = serving.await {
                // Nobody waits for it only if the scheduler is stopping anyway.
                failed.send(error).ok();
            }
        });
        if let Some(listener) = self.ops {
            let (ready, metrics) = (self.ready.clone(), Some(self.metrics));
            let serving = ops::serve(listener, Routes { ready, metrics }, workers.cancel_token());
            workers.spawn("scheduler metrics", serving);
        }
        tracing::info!(grpc = %self.addresses.grpc, "the scheduler serves");
        self.ready.set();
        let outcome = tokio::select! {
            () = cancel.cancelled() => Ok(()),
            Ok(error) = failure => Err(error.into()),
        };
        if let Err(error) = workers.drain(DRAIN).await {
            tracing::warn!(%error, "the scheduler cut off requests");
        }
        drop(self.data_dir);
        outcome
    }
}

/// With hosts in the table this is a restart: they are about to say what they hold, and nobody is sent to an origin before.
fn settling(scheduling: dragonfly_scheduling::Config, hosts: &Hosts) -> dragonfly_scheduling::Config {
    let settle = if hosts.all().is_empty() { Duration::ZERO } else { SETTLE };
    dragonfly_scheduling::Config { settle, ..scheduling }
}

fn bound(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound socket has an address")
}

fn client_tls(key: &'static str, files: Option<&tls::Files>) -> Result<Option<ClientTls>, BuildError> {
    files
        .map(ClientTls::load)
        .transpose()
        .map_err(|source| BuildError::Tls { key, source })
}

/// The address that others are told: the configured one, else the one from which the manager is reached.
async fn advertised(config: &Config, manager: &ManagerConfig) -> IpAddr {
    if let Some(ip) = config.identity.ip {
        return ip;
    }
    let addr = manager.addr.rsplit("://").next().unwrap_or(&manager.addr);
    let resolved = tokio::time::timeout(RESOLVE, tokio::net::lookup_host(addr)).await;
    let toward: Vec<SocketAddr> = match resolved {
        Ok(Ok(addrs)) => addrs.collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    net::advertised_ip(&toward)
}
