//! `cargo xtask contract`: thousands of calls of the manager's REST API, where the tests make a few.

use anyhow::Result;

use crate::cargo::{cargo, succeed};

/// How much is called.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Calls of each operation in each phase
    #[arg(long, default_value_t = 250)]
    cases: u32,
    /// Calls of each class of operations (reading, making, changing, replacing, deleting), by each caller, or it fails
    #[arg(long, default_value_t = 1000)]
    at_least: u32,
    /// The same seed is the same calls
    #[arg(long, default_value_t = 1)]
    seed: u32,
}

/// Runs it.
pub(crate) fn run(arguments: &Arguments) -> Result<String> {
    let Arguments { cases, at_least, seed } = arguments;
    let mut test = cargo(&[
        "test",
        "--locked",
        "--package",
        "dragonfly-manager",
        "--test",
        "manager",
    ]);
    test.args(["--", "schemathesis::", "--nocapture", "--test-threads=1"])
        .env("DRAGONFLY_CONTRACT_CASES", cases.to_string())
        .env("DRAGONFLY_CONTRACT_AT_LEAST", at_least.to_string())
        .env("DRAGONFLY_CONTRACT_SEED", seed.to_string());
    succeed(test.stdout(std::io::stderr()))?;
    Ok(format!(
        "contract: every answer to root and to a guest is as described ({cases} cases of each operation, seed {seed})"
    ))
}
