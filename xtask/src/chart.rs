//! `cargo xtask chart-docs`: the values in the chart's README, written anew from values.yaml. The chart's tests compare.

use anyhow::Result;

use crate::cargo::{cargo, succeed};

const WRITE: &str = "DRAGONFLY_WRITE_CHART_DOCS";

/// Writes `deploy/helm/dragonfly/README.md`.
pub(crate) fn docs() -> Result<String> {
    let mut test = cargo(&["test", "--locked", "--package", "dragonfly-e2e", "--test", "chart"]);
    test.args(["--", "readme::"]).env(WRITE, "1");
    succeed(test.stdout(std::io::stderr()))?;
    Ok("chart-docs: deploy/helm/dragonfly/README.md says what values.yaml says".to_owned())
}
