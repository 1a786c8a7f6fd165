//! What can go wrong while keeping, and whose fault it is.

use dragonfly_model::PieceNumber;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// Why storage refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system has no room (or the user no quota) for more; nothing that was there is lost.
    #[error("no room left on the file system while {doing}")]
    DiskFull {
        /// What needed room.
        doing: &'static str,
    },
    /// The file system refused or failed.
    #[error("{doing} {path:?} failed")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Something inside the storage directory is a link or of another kind than storage made it.
    #[error("{path:?} is not a plain file or directory of this storage; remove it, links are not followed here")]
    Foreign {
        /// What was found.
        path: PathBuf,
    },
    /// The metadata store failed; after a failed write it takes no more until the program is restarted.
    #[error("the metadata store failed while {doing}")]
    Metadata {
        /// What was tried.
        doing: &'static str,
        /// The store's answer.
        source: fjall::Error,
    },
    /// A newer or unknown program wrote this.
    #[error(
        "{what} has format {found}, this program knows {known}: \
         run the program that wrote it, or start with storage.keep=false once to begin with an empty cache"
    )]
    Version {
        /// Which part of the storage.
        what: &'static str,
        /// The format found.
        found: String,
        /// The format that this program writes and reads.
        known: u32,
    },
    /// Another process has this directory open.
    #[error("storage directory {dir:?} is in use by another process; stop that one or configure another storage.dir")]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// A piece's bytes don't have the checksum that its sender announced.
    #[error("piece {number:?} has CRC-32 {found:08x}, announced was {expected:08x}", number = number.0)]
    Crc {
        /// Which piece.
        number: PieceNumber,
        /// What the sender announced.
        expected: u32,
        /// What arrived.
        found: u32,
    },
    /// A piece's sender sent fewer or more bytes than the piece has.
    #[error("piece {number:?} has {found} bytes, it should have {expected}", number = number.0)]
    Length {
        /// Which piece.
        number: PieceNumber,
        /// How many bytes it has.
        expected: u64,
        /// How many arrived.
        found: u64,
    },
    /// The task can't be finished or exported yet.
    #[error("the task is not complete: {missing} pieces are missing")]
    Incomplete {
        /// How many pieces are missing.
        missing: u64,
    },
    /// The task can't be finished because nobody knows how long it is.
    #[error("the task's content length is not known")]
    LengthUnknown,
    /// The content length contradicts the one known, or the pieces present.
    #[error("a content length of {given} bytes contradicts what is known of the task")]
    LengthConflict {
        /// The length that was given.
        given: u64,
    },
    /// A content can't be cut like this: no piece length, or too many pieces.
    #[error("a content of {content_length:?} bytes can't be cut into pieces of {piece_length} bytes")]
    Layout {
        /// Bytes of the content, if known.
        content_length: Option<u64>,
        /// Bytes of a piece.
        piece_length: u64,
    },
    /// The byte that was asked for is not here (yet).
    #[error("byte {offset} of the content is not present")]
    NotPresent {
        /// The byte.
        offset: u64,
    },
    /// The task was removed while its pin was held.
    #[error("the task was removed")]
    Gone,
    /// The content turned out to be wrong and is never served again.
    #[error("the content is quarantined: {reason}")]
    Quarantined {
        /// What was found wrong.
        reason: String,
    },
    /// Storage was closed; it records nothing any more.
    #[error("the storage is closed")]
    Closed,
    /// The file to export to exists and may not be replaced.
    #[error("{path:?} exists already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
}

/// Who has to change something so that it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Who sent the bytes: a parent, or the origin.
    Sender,
    /// Who called this room, or the state of the task it asked for.
    Caller,
    /// This host's disk or its operator.
    Disk,
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Crc { .. } | Self::Length { .. } => Fault::Sender,
            Self::DiskFull { .. }
            | Self::Io { .. }
            | Self::Foreign { .. }
            | Self::Metadata { .. }
            | Self::Version { .. }
            | Self::InUse { .. } => Fault::Disk,
            Self::Incomplete { .. }
            | Self::LengthUnknown
            | Self::LengthConflict { .. }
            | Self::Layout { .. }
            | Self::NotPresent { .. }
            | Self::Gone
            | Self::Quarantined { .. }
            | Self::Closed
            | Self::Exists { .. } => Fault::Caller,
        }
    }

    /// From the system's answer; a full disk is told apart.
    pub(crate) fn io(doing: &'static str, path: &Path, source: impl Into<std::io::Error>) -> Self {
        let source = source.into();
        let path = path.to_owned();
        if is_full(&source) {
            return Self::DiskFull { doing };
        }
        match Errno::from_io_error(&source) {
            Some(Errno::LOOP | Errno::NOTDIR) => Self::Foreign { path },
            _ => Self::Io { doing, path, source },
        }
    }

    /// From the metadata store's answer; a full disk is told apart.
    pub(crate) fn metadata(doing: &'static str, source: fjall::Error) -> Self {
        match &source {
            fjall::Error::Io(io) if is_full(io) => Self::DiskFull { doing },
            _ => Self::Metadata { doing, source },
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// Why a piece can't be begun.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The piece is here already.
    #[error("the piece is present")]
    Present,
    /// Another writer is at it; watch [`changes`](crate::Pin::changes) to learn how that ends.
    #[error("the piece is being written")]
    Arriving,
    /// No piece of this content lies there.
    #[error("the task has no such piece")]
    OutOfLayout,
    /// The task was removed or quarantined, or the storage closed.
    #[error("the task is gone")]
    Gone,
    /// The disk refuses.
    #[error("the disk takes no piece")]
    Disk(#[source] Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_a_broken_one() {
        let at = Path::new("x");
        let full = Error::io("writing", at, rustix::io::Errno::NOSPC);
        assert!(matches!(full, Error::DiskFull { .. }));
        let quota = Error::io("writing", at, rustix::io::Errno::DQUOT);
        assert!(matches!(quota, Error::DiskFull { .. }));
        let broken = Error::io("writing", at, rustix::io::Errno::IO);
        assert!(matches!(broken, Error::Io { .. }));
        let link = Error::io("opening", at, rustix::io::Errno::LOOP);
        assert!(matches!(link, Error::Foreign { .. }));
        let journal = fjall::Error::Io(rustix::io::Errno::NOSPC.into());
        assert!(matches!(Error::metadata("recording", journal), Error::DiskFull { .. }));
    }
}
