//! npm, which gets programs from its registry and verifies their checksums.

use std::path::PathBuf;

use anyhow::Result;

use crate::packages::{self, Tool};

/// npm, unless there is one on the path; Node.js comes along.
const NPM: Tool = ("npm", "/usr/bin/npm");

/// Where npm is.
///
/// # Errors
/// When it is missing and can't be installed.
pub(crate) fn npm() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("npm"))
        .find(|npm| npm.is_file());
    found.map_or_else(|| packages::require(&[NPM]).map(|()| NPM.1.into()), Ok)
}
