//! `cargo xtask openapi`: the description of the manager's REST API, written anew from the code. `check` compares.

use anyhow::Result;

use crate::cargo::{cargo, succeed};

/// The test binary that knows both, and compares unless this is set.
pub(crate) const TEST: &str = "openapi";
const WRITE: &str = "DRAGONFLY_WRITE_OPENAPI";

/// Writes `docs/openapi.json`.
pub(crate) fn run() -> Result<String> {
    let mut test = cargo(&["test", "--locked", "--package", "dragonfly-manager", "--test", TEST]);
    succeed(test.env(WRITE, "1").stdout(std::io::stderr()))?;
    Ok("openapi: docs/openapi.json is that of the code".to_owned())
}
