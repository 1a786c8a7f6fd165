//! Schemathesis, which calls an API in all the ways that its description allows, and in those that it does not, and holds
//! every answer against the description.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::said_by;
use crate::python::program;

/// What it is made of, too, so that the same seed is the same calls.
const PACKAGES: &str = "schemathesis==4.32.5";
/// The file in which it looks for its hooks, in Python's words.
const HOOKS: &str = "SCHEMATHESIS_HOOKS";

/// The judge of an API.
#[derive(Clone, Debug)]
pub struct Schemathesis {
    program: PathBuf,
}

/// Who calls which API, how often.
#[derive(Clone, Debug)]
pub struct Trial<'a> {
    /// Where the description is served.
    pub document: String,
    /// Directory of `schemathesis.toml` and of the module `hooks`.
    pub rules: &'a Path,
    /// Some of `examples,coverage,fuzzing,stateful`.
    pub phases: &'a str,
    /// Calls of each operation in each phase, at most.
    pub cases: u32,
    /// The same seed is the same calls.
    pub seed: u64,
    /// For the hooks: variables of the environment.
    pub told: &'a [(&'a str, &'a str)],
}

impl Schemathesis {
    /// The one in `cache`, which is made if it isn't there.
    ///
    /// # Errors
    /// When Python is missing and can't be installed, or the package can't be had.
    pub fn get(cache: &Path) -> Result<Self> {
        program(cache, ("schemathesis", PACKAGES)).map(|program| Self { program })
    }

    /// Calls the API by its description. The report, if every answer was as described.
    ///
    /// # Errors
    /// With each answer that was not, and the call that leads to it.
    pub fn judge(&self, trial: &Trial<'_>) -> Result<String> {
        let mut command = Command::new(&self.program);
        command
            .arg("--config-file")
            .arg(trial.rules.join("schemathesis.toml"))
            .args(["run", &trial.document, "--no-color"])
            .args(["--max-examples", &trial.cases.to_string()])
            .args(["--seed", &trial.seed.to_string()])
            .args(["--phases", trial.phases])
            .envs(trial.told.iter().copied())
            .env(HOOKS, "hooks")
            .env("PYTHONPATH", trial.rules)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(std::env::temp_dir());
        said_by(&mut command)
    }
}
