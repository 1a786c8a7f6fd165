//! Errors -> answers. Failures of ours are logged here; their details stay here.

use crate::error::Error;
use crate::traces;
use crate::users;
use axum::Json;
use axum::response::{IntoResponse, Response};
use dragonfly_api::rest::{Errors, Message, PASSWORD_CHANGE_REQUIRED};
use dragonfly_service::chain;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use std::time::Duration;

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    body: Body,
    retry_after: Option<Duration>,
}

#[derive(Debug)]
enum Body {
    Message(Message),
    Errors(String),
}

impl Problem {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            body: Body::Message(Message {
                message: message.into(),
                code: None,
            }),
            retry_after: None,
        }
    }

    /// A body or query that can't be read or breaks a rule.
    pub(super) fn unprocessable(errors: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            body: Body::Errors(errors.into()),
            retry_after: None,
        }
    }

    pub(super) fn no_such_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such page")
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "this page does not know this method")
    }

    pub(super) fn unavailable(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// More is asked for than is granted; after `wait` it may be again.
    pub(super) fn too_many(message: impl Into<String>, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, message)
        }
    }

    fn ours(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }

    fn code(mut self, code: &str) -> Self {
        if let Body::Message(message) = &mut self.body {
            message.code = Some(code.to_owned());
        }
        self
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::NotFound { .. } => StatusCode::NOT_FOUND,
            Error::Exists { .. } | Error::Conflict(_) => StatusCode::CONFLICT,
            Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Invalid(errors) => return Self::unprocessable(errors.as_str()),
            Error::TooMany { what, wait } => return Self::too_many(what.as_str(), *wait),
            Error::Store(_) => return Self::ours(&error),
        };
        Self::new(status, error.to_string())
    }
}

impl From<traces::Error> for Problem {
    fn from(error: traces::Error) -> Self {
        Self::ours(&error)
    }
}

impl From<users::Error> for Problem {
    fn from(error: users::Error) -> Self {
        let message = error.to_string();
        match error {
            users::Error::WrongPassword | users::Error::NotSignedIn | users::Error::TooLate(_) => {
                Self::new(StatusCode::UNAUTHORIZED, message)
            }
            users::Error::Forbidden { .. } | users::Error::Beyond { .. } | users::Error::SessionRequired => {
                Self::new(StatusCode::FORBIDDEN, message)
            }
            users::Error::PasswordChangeRequired(_) => {
                Self::new(StatusCode::FORBIDDEN, message).code(PASSWORD_CHANGE_REQUIRED)
            }
            users::Error::Throttled(wait) => Self::too_many(message, wait),
            users::Error::Invalid(errors) => Self::unprocessable(errors),
            users::Error::Store(error) => error.into(),
            users::Error::Hash(_) => Self::ours(&error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Body::Message(message) => (self.status, Json(message)).into_response(),
            Body::Errors(errors) => (self.status, Json(Errors { errors })).into_response(),
        };
        if let Some(wait) = self.retry_after {
            // Rounded up: an attempt after so many seconds succeeds.
            let seconds = wait.as_secs() + 1;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Names the scheme to one who has to sign in.
pub(super) fn challenge(realm: &str, mut response: Response) -> Response {
    let quoted: String = realm.chars().filter(|c| !['"', '\\'].contains(c)).collect();
    if let Ok(value) = HeaderValue::try_from(format!("Bearer realm=\"{quoted}\"")) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}
