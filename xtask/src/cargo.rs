//! Running cargo on this workspace.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cargo_metadata::Message;

use crate::console;

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the workspace")
}

/// A cargo command at the root of the workspace; the lock file stays as it is.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    // The cargo that runs us, or the one on the path.
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(root()).args(arguments);
    // Some build scripts look at these; with ours in it, their crates would be built again after every build by hand.
    for (name, _) in std::env::vars_os().filter(|(name, _)| tells_of_a_package(name)) {
        command.env_remove(name);
    }
    command
}

/// Whether cargo sets this variable for the package that it runs.
fn tells_of_a_package(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Runs a step that either holds or fails, with its time on stderr.
pub(crate) fn step(name: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("==> {name}");
    let start = Instant::now();
    let done = step();
    let held = if done.is_ok() { "held" } else { "FAILED" };
    eprintln!("<== {name} {held} after {:.1} s", start.elapsed().as_secs_f64());
    done.with_context(|| name.to_owned())
}

/// Runs a command whose output is for whoever watches.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let what = format!("{command:?}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("starting {what}"))?;
    if !status.success() {
        bail!("{what}: {status}");
    }
    Ok(())
}

/// Builds the console, where that can be, and the product's binary with it for release; returns where it is.
pub(crate) fn release_binary() -> Result<PathBuf> {
    console::build_if_possible()?;
    release_of("dragonfly-cli", "dragonfly")
}

/// Builds a package's binary for release and returns where it is.
pub(crate) fn release_of(package: &str, name: &str) -> Result<PathBuf> {
    let build = ["build", "--locked", "--release", "--package", package];
    let mut running = cargo(&build)
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting cargo build")?;
    let messages = running.stdout.take().context("cargo's messages")?;
    let mut binary = None;
    for message in Message::parse_stream(std::io::BufReader::new(messages)) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.target.name == name
        {
            binary = artifact.executable.or(binary);
        }
    }
    if !running.wait()?.success() {
        bail!("the release build failed");
    }
    Ok(binary
        .with_context(|| format!("the build named no binary `{name}`"))?
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_started_from_here_is_the_same_as_one_started_by_hand() {
        assert!(
            std::env::var_os("CARGO_PKG_NAME").is_some(),
            "cargo tells a test its package"
        );
        let removed = |name: &str| {
            cargo(&["build"])
                .get_envs()
                .any(|(key, value)| key == name && value.is_none())
        };
        assert!(removed("CARGO_PKG_NAME"));
        assert!(removed("CARGO_MANIFEST_DIR"));
        assert!(!removed("PATH"));
    }
}
