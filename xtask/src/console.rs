//! The console's files, which the manager keeps in the binary: built with Node where there is one.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Result, bail};

use crate::cargo::{root, step, succeed};

/// The oldest Node that builds it.
const OLDEST: (u32, u32) = (20, 19);

/// Builds the console, so that the next build of the binary has it; without Node the binary says how to get it.
pub(crate) fn build_if_possible() -> Result<()> {
    if !has_node() {
        eprintln!(
            "the console is left out: it takes Node {}.{} or later and npm (Debian: nodejs npm)",
            OLDEST.0, OLDEST.1
        );
        return Ok(());
    }
    if is_fresh(&root().join("console")) {
        return Ok(());
    }
    step("console", || {
        succeed(npm(&["ci"]).stdout(std::io::stderr()))?;
        succeed(npm(&["run", "build"]).stdout(std::io::stderr()))
    })
}

/// Holds the console's own code against its rules: types, style, tests, and a client that is that of REST's description.
pub(crate) fn check() -> Result<()> {
    if !has_node() {
        bail!(
            "this takes Node {}.{} or later and npm (Debian: nodejs npm)",
            OLDEST.0,
            OLDEST.1
        );
    }
    let console = root().join("console");
    if modified(&console.join("node_modules/.package-lock.json")) < modified(&console.join("package-lock.json")) {
        succeed(npm(&["ci"]).stdout(std::io::stderr()))?;
    }
    succeed(npm(&["run", "check"]).stdout(std::io::stderr()))
}

/// Whether nothing that it is made of is newer than what was made; files written anew would have the manager built anew.
fn is_fresh(console: &Path) -> bool {
    let parts = [
        "src",
        "build",
        "public",
        "index.html",
        "package-lock.json",
        "vite.config.ts",
    ];
    let newest = parts.iter().filter_map(|part| newest(&console.join(part))).max();
    let made = modified(&console.join("dist/site/index.html"));
    made.is_some() && made >= newest
}

fn newest(path: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let inside = entries.filter_map(|entry| newest(&entry.path())).max();
    modified(path).max(inside)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

fn npm(arguments: &[&str]) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(root().join("console")).args(arguments);
    command
}

fn has_node() -> bool {
    let answer = |program: &str| {
        let asked = Command::new(program)
            .arg("--version")
            .stderr(Stdio::null())
            .output()
            .ok()?;
        String::from_utf8(asked.stdout).ok().filter(|_| asked.status.success())
    };
    answer("npm").is_some() && answer("node").is_some_and(|version| is_new_enough(&version))
}

/// Of a version such as `v20.19.2`.
fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.trim().trim_start_matches('v').split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= OLDEST)
}

#[cfg(test)]
mod tests {
    use super::is_new_enough;

    #[test]
    fn only_a_node_that_can_build_it_is_asked_to() {
        for version in ["v20.19.0\n", "v22.0.1", "v24.1.0"] {
            assert!(is_new_enough(version), "{version}");
        }
        for version in ["v20.18.9", "v18.20.4", "", "node"] {
            assert!(!is_new_enough(version), "{version}");
        }
    }
}
