//! A node: a host with files and processes of its own, on which containerd is a service.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::cri;
use super::objects::Labels;
use crate::lab::{Host, until};
use crate::packages::{self, CONTAINERD};
use crate::process::{Process, Ready, run};

const START_WITHIN: Duration = Duration::from_secs(30);
const ASK_WITHIN: Duration = Duration::from_secs(30);
const PULL_WITHIN: Duration = Duration::from_secs(120);
const CTR: &str = "/usr/bin/ctr";
/// As kind's nodes have it: nothing about registries. The plugin that is off would write outside of the node.
const CONFIG: &str = r#"version = 2
disabled_plugins = ["io.containerd.internal.v1.opt"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.7"
"#;

/// A running node.
#[derive(Debug)]
pub struct Node {
    host: Host,
    labels: Labels,
    dir: PathBuf,
    /// The first of its processes, as the machine numbers it.
    first: u32,
    _init: Process,
}

impl Node {
    /// Starts a node with these labels on a host, with its files in `dir`.
    ///
    /// # Errors
    /// When containerd can't be installed, or the node doesn't come up.
    pub(super) async fn start(host: &Host, labels: Labels, dir: PathBuf) -> Result<Self> {
        packages::require(&[CONTAINERD])?;
        for part in ["etc/containerd", "var/lib/containerd", "run/containerd", "run/node"] {
            std::fs::create_dir_all(dir.join(part))?;
        }
        std::fs::write(dir.join("etc/containerd/config.toml"), CONFIG)?;
        std::fs::write(dir.join("init"), include_str!("node.sh"))?;
        let mut command = host.place().command("/usr/bin/unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "--", "/bin/sh"])
            .arg(dir.join("init"))
            .arg(&dir);
        let mut init = Process::start(&host.name, command, &dir)?;
        init.ready(&Ready::File(dir.join("run/node/up")), START_WITHIN).await?;
        let outside = init.id().context("it runs")?;
        let children = std::fs::read_to_string(format!("/proc/{outside}/task/{outside}/children"))?;
        Ok(Self {
            host: host.clone(),
            labels,
            first: children
                .trim()
                .parse()
                .with_context(|| format!("one process: {children:?}"))?,
            dir,
            _init: init,
        })
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Where a file of the node is on the machine.
    #[must_use]
    pub fn path(&self, path: &Path) -> PathBuf {
        self.dir.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A process of the node, whose namespaces are the node's.
    pub(super) fn process(&self) -> u32 {
        self.first
    }

    /// How often containerd was started.
    ///
    /// # Errors
    /// When that can't be read.
    pub fn containerd_starts(&self) -> Result<usize> {
        let starts = std::fs::read_to_string(self.path(Path::new("/run/node/starts")))?;
        Ok(starts.lines().count())
    }

    /// Pulls an image as a kubelet does, and returns what containerd calls it by.
    ///
    /// # Errors
    /// When containerd can't pull it; the error says why.
    pub async fn pull(&self, image: &str) -> Result<String> {
        let socket = self.socket();
        until("containerd pulls", async || cri::ready(&socket).await.map(|()| true)).await?;
        tokio::time::timeout(PULL_WITHIN, cri::pull(&socket, image))
            .await
            .with_context(|| format!("no {image} on {} within {PULL_WITHIN:?}", self.host.name))?
    }

    /// The digests of everything in containerd's store. It has checked each when it arrived.
    ///
    /// # Errors
    /// When ctr fails.
    pub async fn content(&self) -> Result<BTreeSet<String>> {
        let mut command = Command::new(CTR);
        command.arg("--address").arg(self.socket());
        command.args(["--namespace", "k8s.io", "content", "list", "--quiet"]);
        let listed = run(command, ASK_WITHIN).await?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    fn socket(&self) -> PathBuf {
        self.path(Path::new("/run/containerd/containerd.sock"))
    }
}
