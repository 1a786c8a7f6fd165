//! What would be changed: whole files, before and after.

use similar::TextDiff;
use std::path::{Path, PathBuf};

/// Why a file can't be changed. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Its content can't be understood.
    #[error("can't change {}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl Error {
    pub(crate) fn content(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::Content {
            path: path.to_owned(),
            what: what.to_string(),
        }
    }
}

/// One file that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: PathBuf,
    /// `None` if there is no such file.
    pub(crate) before: Option<String>,
    pub(crate) after: String,
    /// The runtime that reads this file at its start only.
    pub(crate) restarts: Option<Runtime>,
}

/// A runtime that may have to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Runtime {
    Containerd,
    Docker,
    Crio,
}

impl Runtime {
    /// The systemd unit.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Runtime::Containerd => "containerd",
            Runtime::Docker => "docker",
            Runtime::Crio => "crio",
        }
    }

    /// What systemctl does so that the runtime reads its configuration.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Runtime::Containerd | Runtime::Docker => "restart",
            Runtime::Crio => "reload",
        }
    }
}

impl Change {
    /// The difference as `diff -u` shows it.
    pub(crate) fn diff(&self) -> String {
        let path = self.path.display().to_string();
        let old = match self.before {
            Some(_) => path.clone(),
            None => "/dev/null".to_owned(),
        };
        let before = self.before.as_deref().unwrap_or_default();
        TextDiff::from_lines(before, self.after.as_str())
            .unified_diff()
            .header(&old, &path)
            .to_string()
    }
}

/// The text of a file, `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// A change, unless the file is as it should be.
pub(crate) fn change(path: &Path, before: Option<String>, after: String, restarts: Option<Runtime>) -> Option<Change> {
    (before.as_deref() != Some(&after)).then(|| Change {
        path: path.to_owned(),
        before,
        after,
        restarts,
    })
}
