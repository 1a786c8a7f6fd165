//! A whole installation on one machine: a core with manager, database, Redis and registry, and clusters of nodes that
//! can't reach each other, each host a network namespace.
//!
//! It needs root and Debian's packages, which it installs. All of it is gone when a [`Lab`] is dropped; what a killed
//! process leaves is cleared by the next lab.

mod cluster;
mod console;
mod network;
mod program;
mod slot;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use self::cluster::{Cluster, Membership, Names, Node, Says, known_hosts, metrics_url, until};
pub use self::console::{Added, Console, PASSWORD, ROOT};
pub use self::network::{Host, Network, Rate, Segment, clear_left_behind};
pub use self::program::{Launch, Program};
pub use self::slot::descriptions;

use self::cluster::Surroundings;
use crate::mariadb::{self, MariaDb};
use crate::redis::{Redis, Role};
use crate::registry::Registry;

const ORIGIN: &str = "origin";
const DATABASE: &str = "mariadb";
const REDIS: &str = "redis";
const REDIS_REPLICA: &str = "redis-2";
const MANAGERS: [&str; 2] = ["manager", "manager-2"];
const REST: u16 = 8080;
const DATABASE_NAME: &str = "manager";
/// Port of the registry.
const REGISTRY: u16 = 5000;

/// What a lab consists of.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// The binary that all our programs are.
    pub binary: PathBuf,
    /// Nodes of cluster `a` and of cluster `b`, not counting their seed peers.
    pub nodes: usize,
    /// How much every node's and seed peer's link carries each way.
    pub rate: Option<Rate>,
    /// How much the registry's link carries each way.
    pub origin_rate: Option<Rate>,
}

/// The core and, as they are started, the clusters.
#[derive(Debug)]
pub struct Lab {
    /// Cluster `a` and cluster `b`, as far as they were started. Ended before what they need.
    pub clusters: Vec<Cluster>,
    /// The manager and its replica.
    pub managers: Vec<Program>,
    /// Where images come from.
    pub registry: Registry,
    /// The managers' database.
    pub database: MariaDb,
    /// What the managers wake each other by.
    pub redis: Redis,
    /// The copy of it.
    pub redis_replica: Redis,
    /// The hosts.
    pub network: Network,
    blueprint: Blueprint,
    dir: TempDir,
}

impl Lab {
    /// Makes the hosts and starts the core: registry, MariaDB, Redis with a replica, and the manager.
    ///
    /// # Errors
    /// When this is not root, a package can't be installed, or something doesn't come up.
    pub async fn start(blueprint: Blueprint) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("dragonfly-lab-").tempdir()?;
        let core = [ORIGIN, DATABASE, REDIS, REDIS_REPLICA].into_iter().chain(MANAGERS);
        let core = Segment {
            name: "core".to_owned(),
            hosts: core.map(str::to_owned).collect(),
        };
        let clusters = ["a", "b"].map(|name| Names::new(name, blueprint.nodes).segment());
        let network = Network::create(&core, &clusters)?;
        for name in clusters.iter().flat_map(|cluster| &cluster.hosts) {
            network.shape(name, blueprint.rate)?;
        }
        let at = |name: &str, port: u16| -> Result<_> {
            let host = network.host(name)?;
            Ok((host.place(), SocketAddr::from((host.ip, port)), dir.path().join(name)))
        };
        let (place, address, _) = at(ORIGIN, REGISTRY)?;
        let registry = Registry::start_in(place, address).await?;
        let (place, address, data) = at(DATABASE, 3306)?;
        let database = MariaDb::start(&place, &data, address).await?;
        database.create_database(DATABASE_NAME).await?;
        let (place, address, data) = at(REDIS, 6379)?;
        let redis = Redis::start(&place, &data, address, Role::Master).await?;
        let (place, address, data) = at(REDIS_REPLICA, 6379)?;
        let role = Role::Replica { of: redis.address() };
        let redis_replica = Redis::start(&place, &data, address, role).await?;
        let mut lab = Self {
            clusters: Vec::new(),
            managers: Vec::new(),
            registry,
            database,
            redis,
            redis_replica,
            network,
            blueprint,
            dir,
        };
        lab.add_manager().await?;
        Ok(lab)
    }

    /// Limits the registry's link as the blueprint says; until then images are pushed at full speed.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn shape_origin(&self) -> Result<()> {
        self.network.shape(ORIGIN, self.blueprint.origin_rate)
    }

    /// Starts the manager, or its replica.
    ///
    /// # Errors
    /// When both run, or it doesn't come up.
    pub async fn add_manager(&mut self) -> Result<()> {
        let name = MANAGERS.get(self.managers.len()).context("both managers run")?;
        let host = self.network.host(name)?;
        let dir = self.dir.path().join(name);
        let launch = Launch {
            host,
            binary: &self.blueprint.binary,
            verb: "manager",
            config: self.manager_config(&dir),
            port: REST,
            dir,
        };
        self.managers.push(Program::start(launch).await?);
        Ok(())
    }

    /// Starts cluster `name` (`a` or `b`) as a member that the manager knows by these ids.
    ///
    /// # Errors
    /// When one of its programs doesn't come up or isn't known in time.
    pub async fn start_cluster(&mut self, name: &str, membership: &Membership, console: &Console) -> Result<&Cluster> {
        let registry = self.registry.url();
        let around = Surroundings {
            network: &self.network,
            binary: &self.blueprint.binary,
            manager: self.managers[0].host().ip,
            registry: &registry,
            dir: self.dir.path(),
        };
        let names = Names::new(name, self.blueprint.nodes);
        let cluster = Cluster::start(around, names, membership, console).await?;
        self.clusters.push(cluster);
        self.clusters.last().context("it was just pushed")
    }

    /// An operator's first visit.
    ///
    /// # Errors
    /// When the manager doesn't answer or refuses.
    pub async fn first_sign_in(&self) -> Result<Console> {
        Console::first(self.managers[0].host().ip).await
    }

    fn manager_config(&self, dir: &Path) -> Value {
        json!({
            "server": { "dataDir": dir.join("data") },
            "database": {
                "type": "mysql",
                "mysql": {
                    "host": self.database.address().ip(),
                    "port": self.database.address().port(),
                    "user": mariadb::USER,
                    "password": mariadb::PASSWORD,
                    "dbname": DATABASE_NAME,
                },
                "redis": { "addrs": [self.redis.address()] },
            },
            "metrics": { "enable": true },
        })
    }
}
