//! `cargo xtask metrics`: the document of the metrics, written anew from what the programs say. `check` compares.

use anyhow::Result;

use crate::cargo::{cargo, succeed};

/// The test that builds the programs, and compares unless this is set.
const WRITE: &str = "DRAGONFLY_WRITE_METRICS";
const TEST: [&str; 7] = [
    "test",
    "--locked",
    "--workspace",
    "--bin",
    "dragonfly",
    "--",
    "the_document_of_the_metrics",
];

/// Compares `docs/metrics.md`.
pub(crate) fn check() -> Result<()> {
    succeed(cargo(&TEST).stdout(std::io::stderr()))
}

/// Writes `docs/metrics.md`.
pub(crate) fn run() -> Result<String> {
    succeed(cargo(&TEST).env(WRITE, "1").stdout(std::io::stderr()))?;
    Ok("metrics: docs/metrics.md is that of the programs".to_owned())
}
