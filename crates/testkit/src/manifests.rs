//! Kubernetes' own schemas of its objects, for judging manifests without a cluster.
//!
//! They come with a program of Python's package index, installed into a directory of the caller; pip verifies checksums.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

use crate::packages::{self, Tool};
use crate::process::said_by;

const PACKAGE: &str = "kubernetes-validate==1.37.0";
/// Python with what makes environments.
const PYTHON: Tool = ("python3-venv", "/usr/share/doc/python3-venv");

/// Judges manifests.
#[derive(Clone, Debug)]
pub struct Validator {
    program: PathBuf,
}

impl Validator {
    /// The one in `cache`, which is made if it isn't there.
    ///
    /// # Errors
    /// When Python is missing and can't be installed, or the package can't be had.
    pub fn get(cache: &Path) -> Result<Self> {
        let home = cache.join("kubernetes-validate");
        std::fs::create_dir_all(&home)?;
        let lock = File::create(home.join("lock"))?;
        let _one_at_a_time = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        let program = home.join("bin/kubernetes-validate");
        if !program.exists() {
            install(&home).with_context(|| format!("installing Python's package {PACKAGE}"))?;
        }
        Ok(Self { program })
    }

    /// Holds every object of the files against the strict schemas of a version such as `1.30`. What it says of each.
    ///
    /// # Errors
    /// With what it says of those that are wrong.
    pub fn judge(&self, files: &[PathBuf], version: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(["--strict", "--kubernetes-version", version]).args(files);
        said_by(command)
    }
}

fn install(home: &Path) -> Result<()> {
    let makes_environments = || {
        let mut python = Command::new("python3");
        python.args(["-c", "import ensurepip, venv"]).stderr(Stdio::null());
        python.status().is_ok_and(|status| status.success())
    };
    if !makes_environments() {
        packages::require(&[PYTHON])?;
    }
    let mut environment = Command::new("python3");
    environment.args(["-m", "venv"]).arg(home);
    said_by(environment)?;
    let mut pip = Command::new(home.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", PACKAGE]);
    said_by(pip)?;
    Ok(())
}
