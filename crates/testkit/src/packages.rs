//! The programs that tests run for real come from Debian's packages, and the tests themselves install them.
//!
//! A program that is missing and can't be installed fails the test that wanted it: a lab that quietly skips proves nothing.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

/// A Debian package and the program in it that says whether it is installed.
pub type Tool = (&'static str, &'static str);

/// Images: written by [`crate::image`], pushed by skopeo.
pub const SKOPEO: Tool = ("skopeo", "/usr/bin/skopeo");
/// The origin of images.
pub const REGISTRY: Tool = ("docker-registry", "/usr/bin/docker-registry");
/// `htpasswd`, for registries with basic auth.
pub const HTPASSWD: Tool = ("apache2-utils", "/usr/bin/htpasswd");
/// The container runtime and its client `ctr`.
pub const CONTAINERD: Tool = ("containerd", "/usr/bin/containerd");
/// Runs containers.
pub const RUNC: Tool = ("runc", "/usr/sbin/runc");
/// Unpacks images.
pub const UMOCI: Tool = ("umoci", "/usr/bin/umoci");
/// A shell and its tools in one file that needs no other; the package beside it, which is linked, has the same path.
pub const BUSYBOX: Tool = ("busybox-static", "/var/lib/dpkg/info/busybox-static.list");
/// Network namespaces, and with `tc` their links' rates.
pub const IP: Tool = ("iproute2", "/sbin/ip");
/// MariaDB's server.
pub const MARIADB: Tool = ("mariadb-server", "/usr/sbin/mariadbd");
/// Makes MariaDB's first files.
pub const MARIADB_INSTALL: Tool = ("mariadb-server", "/usr/bin/mariadb-install-db");
/// MariaDB's client.
pub const MARIADB_CLIENT: Tool = ("mariadb-client", "/usr/bin/mariadb");
/// PostgreSQL; its programs lie in a directory of their version.
pub const POSTGRES: Tool = ("postgresql", "/usr/bin/pg_createcluster");
/// Redis, which is also the sentinel.
pub const REDIS: Tool = ("redis-server", "/usr/bin/redis-server");
/// Redis's client.
pub const REDIS_CLIENT: Tool = ("redis-tools", "/usr/bin/redis-cli");
/// Packet filters.
pub const NFT: Tool = ("nftables", "/usr/sbin/nft");
/// Prometheus, whose `promtool` judges rules.
pub const PROMETHEUS: Tool = ("prometheus", "/usr/bin/promtool");
/// A server of files that is as fast as the kernel lets it be: what others are measured by.
pub const NGINX: Tool = ("nginx-light", "/usr/sbin/nginx");
/// A client that does nothing but fetch, and tells how long it took.
pub const CURL: Tool = ("curl", "/usr/bin/curl");
/// Hears what a process asks of the kernel.
pub const STRACE: Tool = ("strace", "/usr/bin/strace");
/// A browser.
pub const CHROMIUM: Tool = ("chromium", "/usr/bin/chromium");

/// The package lists are brought up to date once in a process.
static UPDATED: AtomicBool = AtomicBool::new(false);

/// Makes sure that every tool is there, installing what is missing.
///
/// # Errors
/// Names the packages when they are missing and this is not Debian, or not root, or the installation failed.
pub fn require(tools: &[Tool]) -> Result<()> {
    let missing = |tools: &[Tool]| -> Vec<&'static str> {
        tools
            .iter()
            .filter(|(_, path)| !Path::new(path).exists())
            .map(|(package, _)| *package)
            .collect()
    };
    if missing(tools).is_empty() {
        return Ok(());
    }
    let lock = File::create(std::env::temp_dir().join("dragonfly-testkit-packages.lock"))?;
    // Tests are processes of their own and may want packages at the same moment.
    let _one_at_a_time = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    let packages = missing(tools);
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("missing programs of the Debian packages: {list}; install them by hand, this system has no apt-get");
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("missing packages: {list}; run `apt-get install {list}` as root first");
    }
    if !UPDATED.swap(true, Ordering::Relaxed) {
        apt(&["update"]).context("updating Debian's package lists")?;
    }
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(&packages);
    apt(&arguments).with_context(|| format!("installing the Debian packages {list}"))?;
    let packages = missing(tools);
    if !packages.is_empty() {
        bail!("installed, yet without the expected program: {}", packages.join(" "));
    }
    Ok(())
}

fn apt(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        // The run level keeps a package's service from being started: tests start their own.
        .args(["--quiet", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .envs([("DEBIAN_FRONTEND", "noninteractive"), ("RUNLEVEL", "1")])
        .output()
        .context("running apt-get")?;
    if !output.status.success() {
        bail!(
            "apt-get {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_installed_again() {
        require(&[("base-files", "/etc/os-release")]).unwrap();
    }

    #[test]
    fn a_package_that_does_not_exist_fails_and_is_named() {
        let error = require(&[("no-such-package-of-dragonfly", "/no/such/program")]).unwrap_err();
        assert!(
            format!("{error:#}").contains("no-such-package-of-dragonfly"),
            "{error:#}"
        );
    }
}
