//! Why the manager refuses or fails to do what a caller asks; both doors translate it.

use crate::store::may_pass;
use dragonfly_api::rest;
use dragonfly_service::chain;
use sea_orm::{DbErr, SqlErr};
use std::time::Duration;

/// A refusal or failure. All but [`Error::Store`] are answers to the caller; `Store` is ours, is logged where it is
/// answered, and may pass if the caller tries again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// What the caller names does not exist.
    #[error("there is no {what} {key}")]
    NotFound { what: &'static str, key: String },
    /// What the caller wants to make exists.
    #[error("there is a {what} {key} already")]
    Exists { what: &'static str, key: String },
    /// It can't be done in the present state.
    #[error("{0}")]
    Conflict(String),
    /// The request breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// Nobody is there who could do it now; the caller should try again.
    #[error("{0}")]
    Unavailable(String),
    /// The caller, and others, ask for more than is granted; after a while they may again.
    #[error("{what}")]
    TooMany { what: String, wait: Duration },
    /// The database failed.
    #[error("the database failed")]
    Store(#[source] DbErr),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if may_pass(&error) {
            tracing::warn!(error = %chain(&error), "the database does not answer");
            return Self::Unavailable("the database does not answer; try again".to_owned());
        }
        Self::Store(error)
    }
}

impl From<rest::Problems> for Error {
    fn from(problems: rest::Problems) -> Self {
        Self::Invalid(problems.to_string())
    }
}

impl Error {
    /// An id that no row has.
    pub(crate) fn no(what: &'static str, id: u64) -> Self {
        Self::NotFound {
            what,
            key: id.to_string(),
        }
    }

    /// A failure of writing a row that must be the only one with its key.
    pub(crate) fn unless_exists(error: DbErr, what: &'static str, key: &str) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => Self::Exists {
                what,
                key: key.to_owned(),
            },
            _ => error.into(),
        }
    }
}

/// An id from the wire as the database keeps it. One beyond its range can't exist, which 0 can't either.
pub(crate) fn row_id(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(0)
}

/// An id from the database for the wire.
pub(crate) fn wire_id(id: i64) -> u64 {
    u64::try_from(id).unwrap_or(0)
}
