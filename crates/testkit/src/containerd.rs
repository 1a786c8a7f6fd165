//! A real containerd of a test's own: its own root, state and socket, pulling through a peer's proxy.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::mount::{MntFlags, umount2};
use tempfile::TempDir;

use crate::packages::{self, CONTAINERD};
use crate::place::Place;
use crate::process::{Process, Ready, run};
use crate::registry::Registry;
use crate::tokens::User;

const START_WITHIN: Duration = Duration::from_secs(30);
const COMMAND_WITHIN: Duration = Duration::from_secs(30);
const PULL_WITHIN: Duration = Duration::from_secs(240);
const CTR: &str = "/usr/bin/ctr";
const PULL: [&str; 5] = ["images", "pull", "--snapshotter", "overlayfs", "--hosts-dir"];
/// A URL behind which there is nothing: what can't come through the mirror doesn't come.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A running containerd.
#[derive(Debug)]
pub struct Containerd {
    // Ended before its directory is cleared.
    _process: Process,
    place: Place,
    dir: Directory,
}

/// A directory in which something may still be mounted.
#[derive(Debug)]
struct Directory(TempDir);

impl Containerd {
    /// Installs and starts containerd with an empty store.
    ///
    /// # Errors
    /// When the package is missing and can't be installed, or it doesn't come up.
    pub async fn start() -> Result<Self> {
        Self::start_in(Place::Here).await
    }

    /// The same on another network; pulls go out from there, too.
    ///
    /// # Errors
    /// When the package is missing and can't be installed, or it doesn't come up.
    pub async fn start_in(place: Place) -> Result<Self> {
        packages::require(&[CONTAINERD])?;
        let dir = tempfile::Builder::new().prefix("testkit-containerd-").tempdir()?;
        let dir = Directory(dir);
        let at = |name: &str| dir.0.path().join(name);
        // Only the parts that pull: without the CRI plugin it wants no network of containers.
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\n  address = {:?}\n",
            at("root"),
            at("state"),
            at("containerd.sock"),
        );
        std::fs::write(at("config.toml"), config)?;
        let mut command = place.command(CONTAINERD.1);
        command.arg("--config").arg(at("config.toml"));
        let mut process = Process::start("containerd", command, dir.0.path())?;
        process
            .ready(&Ready::Socket(at("containerd.sock")), START_WITHIN)
            .await?;
        Ok(Self {
            _process: process,
            place,
            dir,
        })
    }

    /// Pulls from `registry` go through the proxy at `proxy` (a URL) and there is no way around it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn pull_through(&self, registry: &Registry, proxy: &str) -> Result<()> {
        let header = format!(
            "  [host.{proxy:?}.header]\n    X-Dragonfly-Registry = {:?}\n",
            registry.url()
        );
        self.write_hosts(registry, NOWHERE, proxy, &header)
    }

    /// Pulls from `registry` go to it.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn pull_directly(&self, registry: &Registry) -> Result<()> {
        let ca = registry.ca().map(|ca| format!("  ca = {ca:?}\n")).unwrap_or_default();
        self.write_hosts(registry, &registry.url(), &registry.url(), &ca)
    }

    /// Pulls an image.
    ///
    /// # Errors
    /// When ctr fails; the error says what it said.
    pub async fn pull(&self, reference: &str, user: Option<User>) -> Result<()> {
        let mut command = self.ctr(&PULL);
        command.arg(self.hosts());
        if let Some(user) = user {
            command.arg("--user").arg(format!("{}:{}", user.name, user.password));
        }
        run(with(command, reference), PULL_WITHIN).await?;
        Ok(())
    }

    /// The words of a command that pulls an image as [`Containerd::pull`] does, for people to type on its host.
    #[must_use]
    pub fn pull_command(&self, reference: &str) -> Vec<OsString> {
        let mut words = vec![CTR.into(), "--address".into(), self.socket().into()];
        words.extend(PULL.iter().map(OsString::from));
        words.extend([self.hosts().into(), reference.into()]);
        words
    }

    /// The digest of the image's target, as containerd keeps it.
    ///
    /// # Errors
    /// When it has no such image.
    pub async fn digest(&self, reference: &str) -> Result<String> {
        let listed = run(self.ctr(&["images", "list"]), COMMAND_WITHIN).await?;
        let line = listed
            .lines()
            .find(|line| line.split_whitespace().next() == Some(reference));
        let digest = line.and_then(|line| line.split_whitespace().find(|word| word.starts_with("sha256:")));
        digest
            .map(str::to_owned)
            .with_context(|| format!("no image {reference} among\n{listed}"))
    }

    /// The digests of everything in its content store. containerd has checked each when it arrived.
    ///
    /// # Errors
    /// When ctr fails.
    pub async fn content(&self) -> Result<BTreeSet<String>> {
        let listed = run(self.ctr(&["content", "list", "--quiet"]), COMMAND_WITHIN).await?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// Whether every layer of the image is there and unpacked.
    ///
    /// # Errors
    /// When ctr fails.
    pub async fn is_complete(&self, reference: &str) -> Result<bool> {
        let filter = format!("name=={reference}");
        let checked = run(with(self.ctr(&["images", "check", "--quiet"]), &filter), COMMAND_WITHIN).await?;
        Ok(checked.lines().any(|line| line.trim() == reference))
    }

    /// Forgets an image with all its content, so that the next pull is a first one; there is no other image.
    ///
    /// # Errors
    /// When something of it stays.
    pub async fn forget(&self, reference: &str) -> Result<()> {
        self.forget_image(reference).await?;
        let left = self.content().await?;
        if !left.is_empty() {
            bail!("{reference} was removed and still there is {left:?}");
        }
        Ok(())
    }

    /// Forgets an image with the content that no other image has.
    ///
    /// # Errors
    /// When ctr fails.
    pub async fn forget_image(&self, reference: &str) -> Result<()> {
        let command = self.ctr(&["images", "remove", "--sync"]);
        run(with(command, reference), COMMAND_WITHIN).await?;
        Ok(())
    }

    fn ctr(&self, arguments: &[&str]) -> Command {
        // A pull is the client's own work: it fetches, the server keeps.
        let mut command = self.place.command(CTR);
        command.arg("--address").arg(self.socket()).args(arguments);
        command
    }

    fn socket(&self) -> PathBuf {
        self.dir.0.path().join("containerd.sock")
    }

    fn hosts(&self) -> PathBuf {
        self.dir.0.path().join("certs.d")
    }

    /// `certs.d/<registry>/hosts.toml` with one host that answers pulls.
    fn write_hosts(&self, registry: &Registry, server: &str, host: &str, more: &str) -> Result<()> {
        let dir = self.hosts().join(registry.host());
        std::fs::create_dir_all(&dir)?;
        let text = format!("server = {server:?}\n\n[host.{host:?}]\n  capabilities = [\"pull\", \"resolve\"]\n{more}");
        std::fs::write(dir.join("hosts.toml"), text)?;
        Ok(())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is still mounted would keep the directory from being removed.
        if let Err(error) = unmount_below(self.0.path()) {
            eprintln!("unmounting below {}: {error:#}", self.0.path().display());
        }
    }
}

fn with(mut command: Command, argument: &str) -> Command {
    command.arg(argument);
    command
}

fn unmount_below(dir: &Path) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/mounts")?;
    let mut below: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    below.retain(|point| Path::new(point).starts_with(dir));
    // The innermost first.
    below.sort_by_key(|point| std::cmp::Reverse(point.len()));
    for point in below {
        umount2(point, MntFlags::MNT_DETACH).with_context(|| format!("unmounting {point}"))?;
    }
    Ok(())
}
