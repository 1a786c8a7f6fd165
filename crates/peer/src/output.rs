//! Writing a finished content to a path that a tool of this host named.
//!
//! Whoever may connect to the socket is not whoever may write a file with this daemon's rights: the path is accepted
//! only from the daemon's own user and from root, as the kernel names the caller. Everybody else gets the bytes and
//! writes them by itself.

use dragonfly_api::{Invalid, common::Download};
use dragonfly_model::{Algorithm, Digest};
use dragonfly_storage as storage;
use dragonfly_storage::{Export, Pin};
use sha2::{Digest as _, Sha256, Sha512};
use std::path::PathBuf;
use tonic::Status;

/// Bytes that are hashed at once.
const CHUNK: usize = 1 << 20;

/// Why a content was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The caller has no right to name a path. It may write the bytes itself.
    #[error("the daemon writes files only for its own user and root; ask for the content instead (dfget does)")]
    NotAllowed,
    /// The path is not absolute.
    #[error("the output path {0:?} is not absolute")]
    Relative(String),
    /// The request asks for something that is not done here.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The digest in the request is no digest.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The content is not what the caller expected. It stays in the cache: only the caller says that it is wrong.
    #[error("the content has not the digest {expected}")]
    Digest {
        /// What the caller expected.
        expected: Digest,
    },
    /// The disk refused.
    #[error("can't write the output")]
    Storage(#[from] storage::Error),
}

/// Where to write, and what the caller expects.
#[derive(Debug)]
pub(crate) struct Output {
    path: PathBuf,
    replace: bool,
    digest: Option<Digest>,
}

impl Output {
    /// The output that a request names, if it names one. `caller` is the user id at the other end of the socket.
    pub(crate) fn of(download: &Download, caller: Option<u32>) -> Result<Option<Self>, Error> {
        let Some(path) = download.output_path.as_deref().filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        if !may_name_paths(caller) {
            return Err(Error::NotAllowed);
        }
        if !path.starts_with('/') {
            return Err(Error::Relative(path.to_owned()));
        }
        if download.force_hard_link {
            return Err(Error::Unsupported(
                "a hard link would let whoever writes the file change the cache; leave force_hard_link out",
            ));
        }
        if download.range.is_some() {
            return Err(Error::Unsupported("only a whole content is written to an output path"));
        }
        Ok(Some(Self {
            path: path.into(),
            replace: download.overwrite,
            digest: download.expected_digest()?,
        }))
    }

    /// Checks the finished content and writes it; the file appears whole or not at all.
    pub(crate) async fn write(self, pin: &Pin) -> Result<(), Error> {
        if let Some(expected) = self.digest
            && pin.record().digest.as_ref() != Some(&expected)
            && digest_of(pin, expected.algorithm()).await? != expected
        {
            return Err(Error::Digest { expected });
        }
        Ok(pin.export(&self.path, Export::Reflink, self.replace).await?)
    }
}

/// Whether this user at the other end of the socket may have the daemon use its own rights on a path.
pub(crate) fn may_name_paths(caller: Option<u32>) -> bool {
    let own = rustix::process::geteuid().as_raw();
    caller.is_some_and(|caller| caller == 0 || caller == own)
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        let source = std::error::Error::source(&error)
            .map(|source| format!(": {source}"))
            .unwrap_or_default();
        let message = format!("{error}{source}");
        match error {
            Error::NotAllowed => Status::permission_denied(message),
            Error::Relative(_) | Error::Unsupported(_) | Error::Invalid(_) => Status::invalid_argument(message),
            Error::Digest { .. } | Error::Storage(storage::Error::Quarantined { .. }) => Status::data_loss(message),
            Error::Storage(storage::Error::Exists { .. }) => Status::already_exists(message),
            Error::Storage(storage::Error::DiskFull { .. }) => Status::resource_exhausted(message),
            Error::Storage(_) => Status::internal(message),
        }
    }
}

enum Hasher {
    Crc32(crc32fast::Hasher),
    Sha256(Sha256),
    Sha512(Sha512),
}

/// The digest of a finished content.
async fn digest_of(pin: &Pin, algorithm: Algorithm) -> Result<Digest, storage::Error> {
    let mut hasher = match algorithm {
        Algorithm::Crc32 => Hasher::Crc32(crc32fast::Hasher::new()),
        Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
        Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
    };
    let mut at = 0;
    loop {
        let bytes = pin.read(at, CHUNK).await?;
        if bytes.is_empty() {
            break;
        }
        at += bytes.len() as u64;
        match &mut hasher {
            Hasher::Crc32(hasher) => hasher.update(&bytes),
            Hasher::Sha256(hasher) => hasher.update(&bytes),
            Hasher::Sha512(hasher) => hasher.update(&bytes),
        }
    }
    let hex = match hasher {
        Hasher::Crc32(hasher) => format!("{:08x}", hasher.finalize()),
        Hasher::Sha256(hasher) => hex::encode(hasher.finalize()),
        Hasher::Sha512(hasher) => hex::encode(hasher.finalize()),
    };
    Ok(Digest::new(algorithm, &hex).expect("a hasher's output has its algorithm's length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn download(path: &str) -> Download {
        Download {
            output_path: Some(path.to_owned()),
            ..Default::default()
        }
    }

    #[test]
    fn only_the_daemons_own_user_and_root_name_a_path() {
        let own = rustix::process::geteuid().as_raw();
        assert!(matches!(Output::of(&download("/tmp/x"), Some(own)), Ok(Some(_))));
        assert!(matches!(Output::of(&download("/tmp/x"), Some(0)), Ok(Some(_))));
        assert!(matches!(
            Output::of(&download("/tmp/x"), Some(own + 1)),
            Err(Error::NotAllowed)
        ));
        assert!(matches!(Output::of(&download("/tmp/x"), None), Err(Error::NotAllowed)));
        assert!(matches!(Output::of(&Download::default(), None), Ok(None)));
    }

    #[test]
    fn what_a_path_can_not_be_is_told() {
        let own = Some(rustix::process::geteuid().as_raw());
        assert!(matches!(Output::of(&download("x"), own), Err(Error::Relative(_))));
        let linked = Download {
            force_hard_link: true,
            ..download("/tmp/x")
        };
        assert!(matches!(Output::of(&linked, own), Err(Error::Unsupported(_))));
    }
}
