//! An answer of the proxy's own that is not the content: who failed, why, and what the origin said.

use super::body::{self, Body};
use super::headers::{ERROR_TYPE, strip_connection};
use dragonfly_service::chain;
use dragonfly_source as source;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

/// Who failed; clients decide by it whether another peer may do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The origin.
    Backend,
    /// The request, or a rule of this proxy.
    Proxy,
    /// This peer.
    Dfdaemon,
}

impl Blame {
    fn as_str(self) -> &'static str {
        match self {
            Blame::Backend => "backend",
            Blame::Proxy => "proxy",
            Blame::Dfdaemon => "dfdaemon",
        }
    }
}

/// A refusal or failure, as the client is told. Its message names no secret.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    status: StatusCode,
    blame: Blame,
    message: String,
    headers: HeaderMap,
    /// Whether the origin said so itself.
    is_origins: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, blame: Blame, message: impl Into<String>) -> Self {
        Self {
            status,
            blame,
            message: message.into(),
            headers: HeaderMap::new(),
            is_origins: false,
        }
    }

    /// The request's own fault, or that of one of our rules.
    pub(super) fn proxy(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, Blame::Proxy, message)
    }

    /// The origin's fault.
    pub(super) fn backend(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, Blame::Backend, message)
    }

    /// The origin's answer with its status and headers; its body did not come this far.
    pub(super) fn of_origin(status: StatusCode, headers: &HeaderMap) -> Self {
        let mut kept = headers.clone();
        strip_connection(&mut kept);
        for name in [
            header::CONTENT_LENGTH,
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::CONTENT_RANGE,
            header::ETAG,
            header::LAST_MODIFIED,
            header::DATE,
            header::SET_COOKIE,
            header::ALT_SVC,
        ] {
            kept.remove(name);
        }
        Self {
            headers: kept,
            is_origins: true,
            ..Self::backend(status, format!("the origin answered {status}"))
        }
    }

    /// As it is, with the origin's headers that tell a client what to do.
    pub(super) fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// As it is, with one more header.
    pub(super) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether something failed, rather than that the origin or a rule said no.
    pub(super) fn is_failure(&self) -> bool {
        self.status.is_server_error() && !self.is_origins
    }

    /// Whether the origin gave no answer at all.
    pub(super) fn is_silence(&self) -> bool {
        self.blame == Blame::Backend && self.status.is_server_error() && !self.is_origins
    }

    /// Whether this peer could do it if its disk had room.
    pub(super) fn lacks_room(&self) -> bool {
        self.blame == Blame::Dfdaemon && self.status == StatusCode::INSUFFICIENT_STORAGE
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// The code that registries use in error bodies, which container runtimes print.
    fn code(&self) -> &'static str {
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => "UNAUTHORIZED",
            StatusCode::FORBIDDEN => "DENIED",
            StatusCode::NOT_FOUND => "NAME_UNKNOWN",
            StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
            StatusCode::BAD_REQUEST => "UNSUPPORTED",
            _ => "UNAVAILABLE",
        }
    }

    /// The response: the shape of a registry's error, since that is what container runtimes can show.
    pub(super) fn into_response(self) -> Response<Body> {
        let errors = serde_json::json!({ "errors": [{ "code": self.code(), "message": self.message }] });
        let mut response = Response::new(body::full(errors.to_string()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        let headers = response.headers_mut();
        headers.insert(ERROR_TYPE, HeaderValue::from_static(self.blame.as_str()));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl From<&source::Error> for Refusal {
    /// No text of a source's error holds a query, a header or a credential, so the client may read all of it.
    fn from(error: &source::Error) -> Self {
        let message = chain(error).to_string();
        match error {
            source::Error::Status { status, headers, .. } => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
                Self::of_origin(status, headers)
            }
            source::Error::Refused(_) => Self::proxy(StatusCode::FORBIDDEN, message),
            source::Error::UnsupportedScheme(_) => Self::proxy(StatusCode::BAD_REQUEST, message),
            source::Error::Config { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, Blame::Dfdaemon, message),
            source::Error::Timeout { .. } => Self::backend(StatusCode::GATEWAY_TIMEOUT, message),
            _ => Self::backend(StatusCode::BAD_GATEWAY, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origins_challenge_passes_and_its_entity_headers_do_not() {
        let mut headers = HeaderMap::new();
        let challenge = HeaderValue::from_static("Bearer realm=\"https://auth/token\"");
        headers.insert(header::WWW_AUTHENTICATE, challenge.clone());
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("99"));
        headers.insert(header::SET_COOKIE, HeaderValue::from_static("session=1"));
        let response = Refusal::of_origin(StatusCode::UNAUTHORIZED, &headers).into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], challenge);
        assert_eq!(response.headers()[ERROR_TYPE], "backend");
        assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
        assert!(!response.headers().contains_key(header::SET_COOKIE));
    }
}
