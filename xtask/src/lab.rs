//! `cargo xtask lab` and `cargo xtask article`: builds the binary that the lab runs, and becomes the lab.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::cargo::{cargo, release_binary};

/// Runs the lab's program with these words, whose first is its verb.
pub(crate) fn run(words: &[String]) -> Result<String> {
    // Kept out of here: it wants more libraries than all other verbs together, and they would wait for it.
    let mut command = cargo(&[
        "run",
        "--locked",
        "--quiet",
        "--package",
        "dragonfly-e2e",
        "--bin",
        "dragonfly-lab",
        "--",
    ]);
    let runs_our_programs = words
        .first()
        .is_some_and(|verb| ["up", "article"].contains(&verb.as_str()));
    if runs_our_programs && !words.iter().any(|word| word == "--help" || word == "-h") {
        command.env("DRAGONFLY_BIN", release_binary()?);
    }
    Err(command.args(words).exec()).context("running the lab")
}
