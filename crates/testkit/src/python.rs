//! Programs of Python's package index, installed into a directory of the caller; pip verifies checksums.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

use crate::packages::{self, Tool};
use crate::process::said_by;

/// Python with what makes environments.
const PYTHON: Tool = ("python3-venv", "/usr/share/doc/python3-venv");

/// A program, and the package that has it; beside it others, separated by spaces.
pub(crate) type Program<'a> = (&'a str, &'a str);

/// The program of a package, in an environment of its own in `cache`.
///
/// # Errors
/// When Python is missing and can't be installed, or the package can't be had.
pub(crate) fn program(cache: &Path, (name, package): Program<'_>) -> Result<PathBuf> {
    let home = cache.join(name);
    std::fs::create_dir_all(&home)?;
    let lock = File::create(home.join("lock"))?;
    let _one_at_a_time = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    let program = home.join("bin").join(name);
    if !program.exists() {
        install(&home, package).with_context(|| format!("installing Python's package {package}"))?;
    }
    Ok(program)
}

fn install(home: &Path, package: &str) -> Result<()> {
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
    said_by(&mut environment)?;
    let mut pip = Command::new(home.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    pip.args(package.split_whitespace());
    said_by(&mut pip)?;
    Ok(())
}
