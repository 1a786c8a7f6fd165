//! Why an image can't be resolved.

use super::{PlatformError, ReferenceError};
use dragonfly_model::Digest;

/// Why an image can't be resolved. No text of it holds a credential or a query.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is none. The caller's fault.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The platform is none. The caller's fault.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The registry does not let this caller read the image.
    #[error("the registry answered {status} for {image}; {remedy}")]
    Denied {
        /// The image's manifest.
        image: String,
        /// The status.
        status: u16,
        /// What the caller can do.
        remedy: &'static str,
    },
    /// There is no such image.
    #[error("the registry has no {0}")]
    NotFound(String),
    /// The image exists, but not for this platform.
    #[error("{image} is not there for {asked}, only for {offered}")]
    NoPlatform {
        /// The image's manifest.
        image: String,
        /// The platform that was asked for.
        asked: String,
        /// Those that there are.
        offered: String,
    },
    /// What came is not what its digest names.
    #[error("{image}: the registry gave a manifest with digest {found} where {asked} was asked for")]
    Digest {
        /// The image's manifest.
        image: String,
        /// What was asked for.
        asked: Digest,
        /// What came.
        found: Digest,
    },
    /// What came makes no sense.
    #[error("the manifest {image} can't be used: {what}")]
    Malformed {
        /// The image's manifest.
        image: String,
        /// What is wrong with it.
        what: String,
    },
    /// Where tokens are given out, none was given.
    #[error("no token for {image}: {what}")]
    Token {
        /// The image's manifest.
        image: String,
        /// What is wrong.
        what: String,
        /// What the token server said, if it failed.
        #[source]
        source: Option<Box<crate::Error>>,
    },
    /// The registry did not answer, or badly.
    #[error(transparent)]
    Source(Box<crate::Error>),
}

impl Error {
    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Source(source) => source.is_transient(),
            Error::Token {
                source: Some(source), ..
            } => source.is_transient(),
            _ => false,
        }
    }
}
