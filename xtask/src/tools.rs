//! What verbs that make packages need: programs of Debian, the binary, a moment, an empty directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{release_binary, root, succeed};

/// Makes sure that a Debian package's program is there: as root it is installed.
pub(crate) fn debian(package: &str, program: &str) -> Result<()> {
    if Path::new(program).exists() {
        return Ok(());
    }
    let install = ["install", "--yes", "--no-install-recommends", package];
    for arguments in [&["update"][..], &install] {
        let mut apt = Command::new("apt-get");
        apt.arg("--quiet")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        let done = succeed(apt.stdout(std::io::stderr()));
        done.with_context(|| format!("{program} is missing: run `apt-get install {package}` as root"))?;
    }
    if !Path::new(program).exists() {
        bail!("the package {package} has no {program}");
    }
    Ok(())
}

/// The product's binary: that of `DRAGONFLY_BIN`, else one that is built for release.
pub(crate) fn product() -> Result<PathBuf> {
    match std::env::var_os("DRAGONFLY_BIN") {
        Some(binary) => Ok(binary.into()),
        None => release_binary(),
    }
}

/// The moment that everything made bears: `SOURCE_DATE_EPOCH`, else that of the last commit.
pub(crate) fn epoch() -> Result<u64> {
    let said = match std::env::var_os("SOURCE_DATE_EPOCH") {
        Some(said) => said.to_string_lossy().into_owned(),
        None => output(
            Command::new("git")
                .args(["log", "-1", "--format=%ct"])
                .current_dir(root()),
        )?,
    };
    let said = said.trim();
    said.parse()
        .with_context(|| format!("SOURCE_DATE_EPOCH is {said:?}, not seconds since 1970"))
}

/// What a command prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let what = format!("{command:?}");
    let output = command.output().with_context(|| format!("starting {what}"))?;
    if !output.status.success() {
        bail!(
            "{what}: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// An empty directory below `target`.
pub(crate) fn fresh(name: &str) -> Result<PathBuf> {
    let dir = root().join("target").join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir).with_context(|| format!("emptying {}", dir.display()))?;
    }
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
