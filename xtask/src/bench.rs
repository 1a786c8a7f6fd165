//! `cargo xtask bench`: measures what the rooms promise, and the whole product.

use std::process::Command;

use anyhow::Result;

use crate::cargo::{release_binary, release_of, succeed};

/// Benches that run the product itself, on hosts of their own.
const OF_THE_PRODUCT: &[&str] = &["hit", "crowd", "transport", "small", "start"];

/// Builds the bench and runs it with these arguments; its tables go to stdout.
pub(crate) fn run(arguments: &[String]) -> Result<String> {
    let mut bench = Command::new(release_of("dragonfly-bench", "dragonfly-bench")?);
    let is_of_the_product = arguments
        .first()
        .is_some_and(|bench| OF_THE_PRODUCT.contains(&&**bench));
    if is_of_the_product && !arguments.iter().any(|word| word == "--help" || word == "-h") {
        bench.env("DRAGONFLY_BIN", release_binary()?);
    }
    succeed(bench.args(arguments))?;
    Ok(format!("bench {}: done", arguments.join(" ")))
}
