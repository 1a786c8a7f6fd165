//! The real binary as `dragonfly up`: a whole cluster in one process, on a loopback address of its own.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tempfile::TempDir;

use crate::process::{Process, Ready, own_loopback};

/// The environment variable that names the binary under test; `cargo xtask test` builds it and sets this.
pub const BINARY: &str = "DRAGONFLY_BIN";

const START_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The binary under test.
///
/// # Errors
/// When the environment doesn't name it.
pub fn binary() -> Result<PathBuf> {
    let path = std::env::var_os(BINARY)
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    path.with_context(|| {
        format!("{BINARY} must name a built `dragonfly`; `cargo xtask test e2e` builds it and sets this")
    })
}

/// What a cluster is started with, beside its own address and directory.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many peers, not counting the seed peer.
    pub peers: usize,
    /// The peers' configuration file.
    pub dfdaemon_config: Option<String>,
    /// The seed peer's configuration file.
    pub seed_config: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            peers: 1,
            dfdaemon_config: None,
            seed_config: None,
        }
    }
}

impl Options {
    /// So many peers and no configuration files.
    #[must_use]
    pub fn with_peers(peers: usize) -> Self {
        Self {
            peers,
            ..Self::default()
        }
    }

    /// The same file for peers and seed peer.
    #[must_use]
    pub fn with_config(self, config: &str) -> Self {
        let config = Some(config.to_owned());
        Self {
            dfdaemon_config: config.clone(),
            seed_config: config,
            ..self
        }
    }
}

/// Where everything listens, as the ready file says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// The manager.
    pub manager: Manager,
    /// The scheduler.
    pub scheduler: Scheduler,
    /// The seed peer.
    pub seed_peer: SeedPeer,
    /// The peers.
    pub peers: Vec<Peer>,
    /// The first user.
    pub root: Root,
}

/// The manager's doors.
#[derive(Clone, Debug, Deserialize)]
pub struct Manager {
    /// REST.
    pub rest: String,
    /// gRPC.
    pub grpc: String,
}

/// The scheduler's door.
#[derive(Clone, Debug, Deserialize)]
pub struct Scheduler {
    /// gRPC.
    pub grpc: String,
}

/// The seed peer's doors.
#[derive(Clone, Debug, Deserialize)]
pub struct SeedPeer {
    /// The socket for tools of the host.
    pub socket: PathBuf,
    /// The HTTP proxy.
    pub proxy: String,
    /// The service for other peers.
    pub upload: String,
}

/// A peer's doors.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// The socket for tools of the host.
    pub socket: PathBuf,
    /// The HTTP proxy.
    pub proxy: String,
    /// The service for other peers.
    pub upload: String,
    /// Metrics.
    pub metrics: String,
    /// Where it keeps its pieces.
    pub data_dir: PathBuf,
}

/// The first user's credentials.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Root {
    /// The name.
    pub name: String,
    /// The file that holds the password.
    pub password_file: PathBuf,
}

/// A running cluster, gone with its data when dropped.
#[derive(Debug)]
pub struct Up {
    process: Option<Process>,
    cluster: Cluster,
    command: Arguments,
    dir: TempDir,
}

/// What it takes to start the same cluster again.
#[derive(Clone, Debug)]
struct Arguments {
    binary: PathBuf,
    ip: Ipv4Addr,
    data: PathBuf,
    ready: PathBuf,
    options: Options,
}

impl Up {
    /// Starts a cluster on a loopback address of its own and waits until all of it serves.
    ///
    /// # Errors
    /// When there is no binary, or it doesn't become ready; the error says what it said.
    pub async fn start(options: Options) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("testkit-up-").tempdir()?;
        let at = |name: &str| dir.path().join(name);
        for (name, text) in [
            ("dfdaemon.yaml", &options.dfdaemon_config),
            ("seed.yaml", &options.seed_config),
        ] {
            if let Some(text) = text {
                std::fs::write(at(name), text)?;
            }
        }
        let (data, ready) = (at("data"), at("ready.json"));
        let command = Arguments {
            binary: binary()?,
            ip: own_loopback(),
            data,
            ready,
            options,
        };
        let (process, cluster) = command.run(dir.path()).await?;
        Ok(Self {
            process: Some(process),
            cluster,
            command,
            dir,
        })
    }

    /// Where everything listens.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The address on which everything listens.
    #[must_use]
    pub fn ip(&self) -> Ipv4Addr {
        self.command.ip
    }

    /// The directory that holds all data.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.command.data
    }

    /// The URL of a peer's proxy; peers count from 0.
    #[must_use]
    pub fn proxy(&self, peer: usize) -> String {
        as_url(&self.cluster.peers[peer].proxy)
    }

    /// What it printed so far.
    ///
    /// # Errors
    /// When it isn't running.
    pub fn printed(&self) -> Result<String> {
        self.process.as_ref().context("it is not running")?.stdout()
    }

    /// What it logged so far.
    ///
    /// # Errors
    /// When it isn't running.
    pub fn logged(&self) -> Result<String> {
        self.process.as_ref().context("it is not running")?.stderr()
    }

    /// `dfget` against a peer, for more arguments; peers count from 0.
    #[must_use]
    pub fn dfget(&self, peer: usize) -> Command {
        let mut command = Command::new(&self.command.binary);
        command
            .arg("dfget")
            .arg("--endpoint")
            .arg(&self.cluster.peers[peer].socket);
        command
    }

    /// The command line of this cluster with another address, but the same data.
    #[must_use]
    pub fn twin(&self) -> Command {
        let twin = Arguments {
            ip: own_loopback(),
            ready: self.dir.path().join("twin.json"),
            ..self.command.clone()
        };
        twin.command()
    }

    /// Asks it to end and waits as long as it may take.
    ///
    /// # Errors
    /// When it has ended before, or takes longer than 5 s.
    pub async fn stop(&mut self) -> Result<ExitStatus> {
        self.process
            .take()
            .context("it is not running")?
            .stop(STOP_WITHIN)
            .await
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When it has ended before.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.take().context("it is not running")?.kill().await
    }

    /// Starts it again with the same data at the same address.
    ///
    /// # Errors
    /// When it still runs or doesn't become ready.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("it is still running");
        }
        let (process, cluster) = self.command.run(self.dir.path()).await?;
        (self.process, self.cluster) = (Some(process), cluster);
        Ok(())
    }
}

impl Arguments {
    /// The command line.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .arg("up")
            .arg("--ip")
            .arg(self.ip.to_string())
            .arg("--data-dir")
            .arg(&self.data);
        command
            .arg("--ready-file")
            .arg(&self.ready)
            .arg("--peers")
            .arg(self.options.peers.to_string());
        for (flag, file, given) in [
            ("--dfdaemon-config", "dfdaemon.yaml", &self.options.dfdaemon_config),
            ("--seed-config", "seed.yaml", &self.options.seed_config),
        ] {
            if given.is_some() {
                command.arg(flag).arg(self.ready.with_file_name(file));
            }
        }
        command
    }

    async fn run(&self, logs: &Path) -> Result<(Process, Cluster)> {
        if self.ready.exists() {
            std::fs::remove_file(&self.ready)?;
        }
        let mut process = Process::start("up", self.command(), logs)?;
        process.ready(&Ready::File(self.ready.clone()), START_WITHIN).await?;
        let text = std::fs::read_to_string(&self.ready)?;
        let cluster = serde_json::from_str(&text).with_context(|| format!("reading the ready file {text}"))?;
        Ok((process, cluster))
    }
}

/// An address as the URL of a plain HTTP service, if it isn't one already.
#[must_use]
pub fn as_url(address: &str) -> String {
    if address.contains("://") {
        address.trim_end_matches('/').to_owned()
    } else {
        format!("http://{address}")
    }
}
