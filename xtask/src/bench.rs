//! `cargo xtask bench`: measures what the rooms promise.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::cargo::release_of;

/// Builds the bench and runs it with these arguments; its tables go to stdout.
pub(crate) fn run(arguments: &[String]) -> Result<String> {
    let binary = release_of("dragonfly-bench", "dragonfly-bench")?;
    let status = Command::new(&binary)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("running {}", binary.display()))?;
    if !status.success() {
        bail!("the bench failed: {status}");
    }
    Ok(format!("bench {}: done", arguments.join(" ")))
}
