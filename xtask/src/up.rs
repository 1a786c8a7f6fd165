//! `cargo xtask up`: from a clone to a running cluster.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::release_binary;

/// Builds the console and `dragonfly`, and becomes `dragonfly up`, so that signals and the exit code are its own.
pub(crate) fn run(arguments: &[String]) -> Result<String> {
    let binary = release_binary()?;
    let error = Command::new(&binary).arg("up").args(arguments).exec();
    Err(error).with_context(|| format!("running {}", binary.display()))
}
