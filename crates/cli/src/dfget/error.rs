//! What ends a download, told so that the user knows what to do. No query, header or password is ever told.

use super::args::Args;
use super::{part, verify};
use dragonfly_service::grpc::ConnectError;
use std::path::PathBuf;
use tonic::{Code, Status};

/// What ended the download.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// No daemon.
    #[error(
        "no dfdaemon answers on {}; start one with `dragonfly dfdaemon`, or a whole cluster with `dragonfly up`, and \
         name its socket with --endpoint",
        socket.display()
    )]
    NoDaemon {
        /// Its socket.
        socket: PathBuf,
        /// Why not.
        #[source]
        source: ConnectError,
    },
    /// The origin refused.
    #[error("the origin of {url} answered {status}{}", remedy(url, *status))]
    Origin {
        /// What was asked for, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// dfdaemon went away in the middle.
    #[error(
        "the connection to dfdaemon was lost; run the same command again, it goes on with the pieces that dfdaemon kept"
    )]
    Lost,
    /// dfdaemon refused or failed.
    #[error("{url}: {message}")]
    Refused {
        /// What was asked for, without its query.
        url: String,
        /// Its words.
        message: String,
        /// The gRPC code.
        code: Code,
    },
    /// dfdaemon said that all is there, but it is not.
    #[error("dfdaemon ended the download of {url} after {got} of {} bytes; run the same command again",
        expected.map_or("an unknown number of".to_owned(), |length| length.to_string()))]
    Incomplete {
        /// What was asked for, without its query.
        url: String,
        /// Bytes that came.
        got: u64,
        /// Bytes of the content.
        expected: Option<u64>,
    },
    /// The output.
    #[error(transparent)]
    Part(#[from] part::Error),
    /// The content.
    #[error(transparent)]
    Verify(#[from] verify::Error),
    /// The file of a credential.
    #[error("can't read the credential {}", path.display())]
    Credential {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A defect of dfget.
    #[error("dfget broke off")]
    Crashed(#[source] tokio::task::JoinError),
}

impl Error {
    /// Whether the same may go well a moment later.
    pub(super) fn passes(&self) -> bool {
        match self {
            Error::Lost | Error::Incomplete { .. } => true,
            Error::Origin { status, .. } => *status == 429 || *status >= 500,
            Error::Refused { code, .. } => {
                matches!(code, Code::Unavailable | Code::Aborted | Code::DeadlineExceeded)
            }
            _ => false,
        }
    }
}

fn remedy(url: &str, status: u16) -> &'static str {
    match status {
        401 | 403 if !url.starts_with("http") => "; give the key or the token that it wants, --help names the flags",
        401 | 403 => "; give the credentials that it wants with --header",
        404 | 410 => "; check the URL",
        429 | 503 => "; try again later",
        _ => "",
    }
}

/// Whether the download may have failed only because the daemon can't write where we asked.
pub(super) fn may_be_the_path(error: &Error) -> bool {
    matches!(
        error,
        Error::Refused {
            code: Code::PermissionDenied | Code::FailedPrecondition | Code::InvalidArgument | Code::Internal,
            ..
        }
    )
}

pub(super) fn no_link(args: &Args) -> Error {
    Error::Refused {
        url: shown(args),
        message: "dfdaemon linked its cache to a path that is not the same here; leave --force-hard-link out"
            .to_owned(),
        code: Code::FailedPrecondition,
    }
}

/// What a status of dfdaemon means.
pub(super) fn explain(args: &Args, status: &Status) -> Error {
    let url = shown(args);
    if let Some(origin) = dragonfly_api::backend_error_of(status) {
        return match origin.status {
            Some(status) => Error::Origin { url, status },
            None => Error::Refused {
                url,
                message: origin.message,
                // Never a matter of the path, whatever the status was.
                code: Code::Unavailable,
            },
        };
    }
    // What tonic makes of a connection that ends under a call.
    let broken = matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled
    );
    if broken && std::error::Error::source(status).is_some() {
        return Error::Lost;
    }
    Error::Refused {
        url,
        message: status.message().to_owned(),
        code: status.code(),
    }
}

/// The URL without what may be a credential.
pub(super) fn shown(args: &Args) -> String {
    let mut url = args.url.clone();
    url.set_query(None);
    // Only URLs that can't have a password refuse to lose it.
    url.set_password(None).ok();
    url.set_username("").ok();
    url.to_string()
}
