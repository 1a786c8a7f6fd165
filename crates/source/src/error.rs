//! Why an origin did not give what was asked for, whose fault that is, and whether asking again can help.

use crate::Refusal;
use http::HeaderMap;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Whose fault an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller asked for what it may not have or what is not there.
    Caller,
    /// The origin answered, and answered badly.
    Origin,
    /// The origin was not reached or fell silent.
    Network,
    /// Our own configuration.
    Us,
}

/// Why an origin did not give what was asked for. No text of it holds a query, a header or a credential.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The origin answered with something else than success.
    #[error("{origin} answered {status}")]
    Status {
        /// What was asked for, without its query.
        origin: String,
        /// The HTTP status.
        status: u16,
        /// The headers of the answer, such as `WWW-Authenticate`; those of the connection and `Set-Cookie` are gone.
        headers: Box<HeaderMap>,
    },
    /// The egress guard does not let this request out.
    #[error("the request is not allowed to leave")]
    Refused(#[source] Refusal),
    /// There is no such host, it can't be reached, or it hung up before it answered.
    #[error("{origin} can't be reached")]
    Unreachable {
        /// What was asked for, without its query.
        origin: String,
        /// What the network said.
        #[source]
        source: BoxError,
    },
    /// The origin's certificate is not trusted, or it speaks no TLS.
    #[error("no secure connection to {origin}")]
    Tls {
        /// What was asked for, without its query.
        origin: String,
        /// What is wrong with the certificate or the handshake.
        #[source]
        source: BoxError,
    },
    /// The origin took too long.
    #[error("{origin} did not {awaited} in time")]
    Timeout {
        /// What was asked for, without its query.
        origin: String,
        /// What it should have done.
        awaited: &'static str,
    },
    /// The body ended before its announced length, or broke off.
    #[error("{origin} broke off after {received} bytes")]
    Truncated {
        /// What was asked for, without its query.
        origin: String,
        /// Bytes of this body that arrived.
        received: u64,
        /// What the connection said, if it failed.
        #[source]
        source: Option<BoxError>,
    },
    /// The content is not the version that was asked for.
    #[error("{origin} has another version of the content now")]
    Changed {
        /// What was asked for, without its query.
        origin: String,
    },
    /// There is no source for such URLs.
    #[error("URLs of scheme {0:?} are not supported; use one of {known}", known = crate::SCHEMES.join(", "))]
    UnsupportedScheme(String),
    /// Such origins have no directories.
    #[error("{origin} can't be listed: {scheme} has no directories; name each file")]
    NotListed {
        /// What was asked for, without its query.
        origin: String,
        /// The URL's scheme.
        scheme: String,
    },
    /// The directory is too large.
    #[error("{origin} holds more than {limit} files and directories; name a directory in it")]
    TooManyEntries {
        /// What was asked for, without its query.
        origin: String,
        /// How many are listed.
        limit: usize,
    },
    /// The URL names nothing that such an origin could have.
    #[error("{url} makes no sense: {what}")]
    Url {
        /// The URL, without its query.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// What the caller gave to open the origin does not.
    #[error("{origin} can't be asked: {what}")]
    Access {
        /// What was asked for, without its query.
        origin: String,
        /// What is missing or wrong, and what would do.
        what: String,
    },
    /// The origin redirects in a circle, or without end.
    #[error("{origin} redirects more than {limit} times")]
    TooManyRedirects {
        /// What was asked for, without its query.
        origin: String,
        /// How many redirects are followed.
        limit: usize,
    },
    /// The answer contradicts itself or the request.
    #[error("the answer of {origin} makes no sense: {what}")]
    Protocol {
        /// What was asked for, without its query.
        origin: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The configuration can't be used.
    #[error("{what}")]
    Config {
        /// What is wrong with it.
        what: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Error::Status { status, .. } if is_callers(*status) => Fault::Caller,
            Error::Refused(_)
            | Error::UnsupportedScheme(_)
            | Error::NotListed { .. }
            | Error::TooManyEntries { .. }
            | Error::Url { .. }
            | Error::Access { .. } => Fault::Caller,
            Error::Status { .. }
            | Error::Tls { .. }
            | Error::Truncated { .. }
            | Error::Changed { .. }
            | Error::TooManyRedirects { .. }
            | Error::Protocol { .. } => Fault::Origin,
            Error::Unreachable { .. } | Error::Timeout { .. } => Fault::Network,
            Error::Config { .. } => Fault::Us,
        }
    }

    /// Whether the origin gave no answer at all, so that nothing is known about what it would say.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Timeout { .. })
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Status { status, .. } => is_transient(*status),
            Error::Unreachable { .. } | Error::Timeout { .. } | Error::Truncated { .. } => true,
            _ => false,
        }
    }

    /// The status that the origin answered, if it answered with something else than success.
    pub fn status(&self) -> Option<u16> {
        match self {
            Error::Status { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// Statuses that say "not now" rather than "no".
pub(crate) fn is_transient(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

fn is_callers(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 421 | 425 | 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> Error {
        Error::Status {
            origin: "http://o/".to_owned(),
            status,
            headers: Box::default(),
        }
    }

    #[test]
    fn a_status_is_the_callers_or_the_origins_fault() {
        for code in [400, 401, 403, 404, 410, 416] {
            assert_eq!(status(code).fault(), Fault::Caller, "{code}");
            assert!(!status(code).is_transient(), "{code}");
        }
        for code in [429, 502, 503, 504] {
            assert_eq!(status(code).fault(), Fault::Origin, "{code}");
            assert!(status(code).is_transient(), "{code}");
        }
        assert_eq!(status(500).fault(), Fault::Origin);
        assert!(!status(503).is_unreachable());
    }
}
