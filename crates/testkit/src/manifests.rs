//! Judges of manifests that need no cluster: Kubernetes' own schemas of its objects, compose's, and checkov's rules of security.
//!
//! All are programs of Python's package index.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::said_by;
use crate::python::program;

/// Holds manifests against Kubernetes' schemas.
#[derive(Clone, Debug)]
pub struct Validator {
    program: PathBuf,
}

/// Finds what makes pods unsafe.
#[derive(Clone, Debug)]
pub struct Checkov {
    program: PathBuf,
}

impl Checkov {
    /// The one in `cache`, which is made if it isn't there.
    ///
    /// # Errors
    /// When Python is missing and can't be installed, or the package can't be had.
    pub fn get(cache: &Path) -> Result<Self> {
        program(cache, ("checkov", "checkov==3.3.30")).map(|program| Self { program })
    }

    /// The numbers of the checks that a file of manifests failed, and how many it passed.
    ///
    /// # Errors
    /// When it finds no manifest.
    pub fn failed(&self, file: &Path) -> Result<(BTreeSet<String>, u64)> {
        let mut command = Command::new(&self.program);
        command.args([
            "--framework",
            "kubernetes",
            "--skip-download",
            "--output",
            "json",
            "--soft-fail",
            "--file",
        ]);
        command.arg(file);
        let report: serde_json::Value = serde_json::from_str(&said_by(&mut command)?)?;
        let passed = report["summary"]["passed"]
            .as_u64()
            .context("checkov found no manifest")?;
        let failed = report["results"]["failed_checks"]
            .as_array()
            .context("no list of failed checks")?;
        let numbers = failed.iter().filter_map(|check| check["check_id"].as_str());
        Ok((numbers.map(str::to_owned).collect(), passed))
    }
}

impl Validator {
    /// The one in `cache`, which is made if it isn't there.
    ///
    /// # Errors
    /// When Python is missing and can't be installed, or the package can't be had.
    pub fn get(cache: &Path) -> Result<Self> {
        program(cache, ("kubernetes-validate", "kubernetes-validate==1.37.0")).map(|program| Self { program })
    }

    /// Holds every object of the files against the strict schemas of a version such as `1.30`. What it says of each.
    ///
    /// # Errors
    /// With what it says of those that are wrong.
    pub fn judge(&self, files: &[PathBuf], version: &str) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(["--strict", "--kubernetes-version", version]).args(files);
        said_by(&mut command)
    }
}

/// Holds files of compose against the specification's own schema.
#[derive(Clone, Debug)]
pub struct Compose {
    program: PathBuf,
}

impl Compose {
    /// The one in `cache`, which is made if it isn't there.
    ///
    /// # Errors
    /// When Python is missing and can't be installed, or the package can't be had.
    pub fn get(cache: &Path) -> Result<Self> {
        program(cache, ("check-jsonschema", "check-jsonschema==0.37.1")).map(|program| Self { program })
    }

    /// What it says of a file.
    ///
    /// # Errors
    /// With what it says of one that is wrong.
    pub fn judge(&self, file: &Path) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(["--builtin-schema", "vendor.compose-spec"]).arg(file);
        said_by(&mut command)
    }
}
