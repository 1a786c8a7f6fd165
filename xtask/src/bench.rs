//! `cargo xtask bench`: measures what the rooms promise.

use std::process::Command;

use anyhow::Result;

use crate::cargo::{release_of, succeed};

/// Builds the bench and runs it with these arguments; its tables go to stdout.
pub(crate) fn run(arguments: &[String]) -> Result<String> {
    let binary = release_of("dragonfly-bench", "dragonfly-bench")?;
    succeed(Command::new(binary).args(arguments))?;
    Ok(format!("bench {}: done", arguments.join(" ")))
}
