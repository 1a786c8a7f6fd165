//! What the project's own verbs make out of the release binary.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use dragonfly_testkit::up::binary;

/// The project's root.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What `cargo xtask` made, by the last line that it says.
///
/// # Errors
/// With what it said, when it failed.
pub fn made(words: &[&str]) -> Result<String> {
    let mut xtask = Command::new(env!("CARGO"));
    xtask
        .args(["run", "--quiet", "--locked", "--package", "xtask", "--"])
        .args(words);
    // Some build scripts look at what cargo tells a test of its package, and would be run again by the next build.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_")) {
        if name != "CARGO_TARGET_DIR" && name != "CARGO_HOME" && name != "CARGO_INCREMENTAL" {
            xtask.env_remove(name);
        }
    }
    let output = xtask.current_dir(root()).env("DRAGONFLY_BIN", binary()?).output()?;
    let said = said(&output)?;
    said.lines().last().map(str::to_owned).context("it said nothing")
}

/// What a command said that must succeed.
///
/// # Errors
/// With what it said, when it failed.
pub fn said(output: &Output) -> Result<String> {
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout.clone())?)
}
