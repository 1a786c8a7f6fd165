//! Why a download or a piece of it failed.

use crate::FetchError;
use dragonfly_model::{Digest, PeerId};
use dragonfly_storage::{BeginError, Fault};

/// Why a download has ended without success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The content is not what its digest names. It was quarantined: nobody is served from it any more.
    #[error("the content has digest {found}, not {expected}")]
    DigestMismatch {
        /// The digest of the task.
        expected: Digest,
        /// The digest of what arrived.
        found: Digest,
        /// Everybody who sent a piece of it; empty if all came from the origin.
        parents: Vec<PeerId>,
    },
    /// The origin has another version of the content than the pieces at hand, which were quarantined.
    #[error("the origin's content has changed since the first pieces were fetched")]
    Changed,
    /// What was written can't be read again to compute its digest.
    #[error("the content can't be read")]
    Unreadable(#[source] std::io::Error),
    /// The task was removed, or the disk failed.
    #[error("the content can't be kept")]
    Storage(#[source] dragonfly_storage::Error),
}

/// Why a parent failed a piece.
#[derive(Debug, thiserror::Error)]
pub enum PieceError {
    /// It could not be reached, refused, or broke off.
    #[error("the piece did not arrive")]
    Fetch(#[source] FetchError),
    /// What arrived is not what the parent announced.
    #[error("the piece is damaged")]
    Damaged(#[source] dragonfly_storage::Error),
    /// The parent cuts the content in another way.
    #[error("the parent's piece lies elsewhere in the content")]
    Misplaced,
}

impl From<dragonfly_storage::Error> for Error {
    fn from(error: dragonfly_storage::Error) -> Self {
        Error::Storage(error)
    }
}

/// Why a piece could not be begun or written, as far as it matters to who brings it.
pub(super) enum Unwritten {
    /// It is here.
    Present,
    /// Somebody else is writing it.
    Elsewhere,
    /// The sender sent wrong bytes.
    Damaged(dragonfly_storage::Error),
    /// There is no such piece.
    OutOfLayout,
    /// Nothing can be written.
    Storage(dragonfly_storage::Error),
}

impl From<BeginError> for Unwritten {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Present => Unwritten::Present,
            BeginError::Arriving => Unwritten::Elsewhere,
            BeginError::OutOfLayout => Unwritten::OutOfLayout,
            BeginError::Gone => Unwritten::Storage(dragonfly_storage::Error::Gone),
            BeginError::Disk(error) => Unwritten::Storage(error),
        }
    }
}

impl From<dragonfly_storage::Error> for Unwritten {
    fn from(error: dragonfly_storage::Error) -> Self {
        match error.fault() {
            Fault::Sender => Unwritten::Damaged(error),
            Fault::Caller | Fault::Disk => Unwritten::Storage(error),
        }
    }
}
