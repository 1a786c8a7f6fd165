//! `cargo xtask check`: everything that is known about the code without running it.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::cargo::{cargo, step, succeed};
use crate::{audit, console, deps, metrics, openapi};

/// Runs every check and fails if one didn't hold, after all of them were tried.
pub(crate) fn run() -> Result<String> {
    let start = Instant::now();
    let clippy = [
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ];
    // By the whole workspace, so that what they build is what the tests use afterwards.
    let descriptors = ["test", "--locked", "--workspace", "--test", "descriptors"];
    let openapi = ["test", "--locked", "--workspace", "--test", openapi::TEST];
    let checks: [(&str, &dyn Fn() -> Result<()>); 9] = [
        ("formatting", &|| succeed(&mut cargo(&["fmt", "--all", "--check"]))),
        ("lock file fresh", &|| {
            succeed(cargo(&["metadata", "--locked", "--format-version=1"]).stdout(std::process::Stdio::null()))
        }),
        ("rooms and their arrows", &|| deps::run().map(drop)),
        ("audit map", &audit::run),
        ("lints", &|| succeed(&mut cargo(&clippy))),
        ("descriptors of the wire", &|| {
            succeed(cargo(&descriptors).stdout(std::io::stderr()))
        }),
        ("description of REST fresh", &|| {
            succeed(cargo(&openapi).stdout(std::io::stderr()))
        }),
        ("document of the metrics fresh", &metrics::check),
        ("console", &console::check),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(error) = step(name, check) {
            eprintln!("error: {error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!(
            "{} of {} checks failed: {}",
            failed.len(),
            checks.len(),
            failed.join(", ")
        );
    }
    Ok(format!(
        "check: all {} checks held in {} s",
        checks.len(),
        start.elapsed().as_secs()
    ))
}
