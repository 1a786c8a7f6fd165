//! Why the engine could not deliver.

use crate::room::NoRoom;
use dragonfly_source as source;
use dragonfly_storage as storage;
use dragonfly_transfer as transfer;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Why a download failed. Cheap to clone, since every caller who shares the download gets it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The origin refused, is broken or can't be reached, and no peer could help.
    #[error("the origin did not give the content")]
    Origin(#[source] Arc<source::Error>),
    /// Policy forbids this download; the caller's fault.
    #[error("the download is forbidden: {0}")]
    Forbidden(String),
    /// Going back to the source is disabled and no peer has the content.
    #[error("no peer that answers has the content, and it may not be fetched from an origin")]
    NoSource,
    /// The id is taken by a content of the other kind. The caller's fault: it has to name its content otherwise.
    #[error("this host has another content under this id: the cluster keeps one of the two, the other has an origin")]
    OtherKind,
    /// The bytes that arrived are not those that the content's name promises. They were thrown away.
    #[error("the content does not match the digest it is named by")]
    DigestMismatch,
    /// Our own disk has no room for it.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Our own disk or index failed.
    #[error("the local storage failed")]
    Storage(#[source] Arc<storage::Error>),
    /// The transfer failed in a way that is neither the origin's nor a parent's.
    #[error("the transfer failed")]
    Transfer(#[source] Arc<transfer::Error>),
    /// The request's own time limit ended.
    #[error("the download did not end within {}", humantime_text(*.0))]
    Timeout(Duration),
    /// The task was deleted while it was downloaded.
    #[error("the task was deleted")]
    Deleted,
    /// Everybody who wanted the download has gone.
    #[error("nobody waits for the download any more")]
    Abandoned,
    /// This peer is shutting down.
    #[error("the peer is shutting down")]
    ShuttingDown,
}

impl Error {
    /// The origin's status and headers, if it answered at all.
    pub fn origin_answer(&self) -> Option<(StatusCode, HeaderMap)> {
        match self {
            Error::Origin(error) => match &**error {
                source::Error::Status { status, headers, .. } => {
                    Some((StatusCode::from_u16(*status).ok()?, (**headers).clone()))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// What an HTTP client of the proxy is told: the origin's own status where it answered.
    pub fn status_for_proxy(&self) -> StatusCode {
        if let Some((status, _)) = self.origin_answer() {
            return status;
        }
        match self {
            Error::Origin(error) => match error.fault() {
                source::Fault::Caller => StatusCode::BAD_REQUEST,
                source::Fault::Us => StatusCode::INTERNAL_SERVER_ERROR,
                source::Fault::Origin | source::Fault::Network => StatusCode::BAD_GATEWAY,
            },
            Error::Forbidden(_) => StatusCode::FORBIDDEN,
            Error::OtherKind => StatusCode::CONFLICT,
            Error::NoSource | Error::Deleted | Error::Abandoned => StatusCode::NOT_FOUND,
            Error::DigestMismatch => StatusCode::BAD_GATEWAY,
            Error::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Error::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            Error::NoRoom(_) => StatusCode::INSUFFICIENT_STORAGE,
            Error::Storage(error) if matches!(**error, storage::Error::DiskFull { .. }) => {
                StatusCode::INSUFFICIENT_STORAGE
            }
            Error::Storage(_) | Error::Transfer(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether another caller's credentials could succeed where these failed.
    pub(crate) fn blames_credentials(&self) -> bool {
        matches!(self.origin_answer(), Some((status, _))
            if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN))
    }
}

impl From<storage::Error> for Error {
    /// A task may be taken from its readers at any moment: what they meet then is no failure of the disk.
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::Quarantined { .. } => Error::DigestMismatch,
            storage::Error::Gone => Error::Deleted,
            error => Error::Storage(Arc::new(error)),
        }
    }
}

impl From<source::Error> for Error {
    fn from(error: source::Error) -> Self {
        Error::Origin(Arc::new(error))
    }
}

/// Why a response had to be broken off. The client must see a reset, never a clean end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The download failed.
    #[error(transparent)]
    Download(#[from] Error),
    /// Bytes that were passed on before their check turned out to be wrong.
    #[error("bytes that had already been passed on failed their check")]
    Retracted,
    /// The content was replaced at its origin between two parts of one answer.
    #[error("the content has changed at its origin")]
    Replaced,
    /// The requested range lies behind the content's end.
    #[error("the range lies behind the {content_length} bytes of the content")]
    Unsatisfiable {
        /// Bytes of the whole content.
        content_length: u64,
    },
}

fn humantime_text(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
