//! `cargo xtask contract`: a thousand calls of each operation of the manager's REST API, where the tests make a few.

use anyhow::Result;

use crate::cargo::{cargo, succeed};

/// Runs it with so many calls of each operation in each phase, made up from this seed.
pub(crate) fn run(cases: u32, seed: u32) -> Result<String> {
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
        .env("DRAGONFLY_CONTRACT_SEED", seed.to_string());
    succeed(test.stdout(std::io::stderr()))?;
    Ok(format!(
        "contract: every answer to root and to a guest is as described ({cases} cases, seed {seed})"
    ))
}
