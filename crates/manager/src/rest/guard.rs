//! Who may pass: sessions from the cookie or the `Authorization` header, and rights.

use super::Rest;
use super::error::{Problem, challenge};
use crate::users::{Action, Caller, Error};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dragonfly_api::rest::Session;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use jiff::Timestamp;
use secrecy::ExposeSecret;

/// Name of the cookie.
const COOKIE_NAME: &str = "jwt";

/// How the session's cookie is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct CookieRules {
    /// Whether scripts of a page may read it.
    pub(super) readable: bool,
    /// Whether it travels over TLS only.
    pub(super) secure: bool,
}

impl CookieRules {
    /// The cookie of a session.
    pub(super) fn of(self, session: &Session) -> HeaderValue {
        let seconds = session.expire.as_second() - Timestamp::now().as_second();
        self.cookie(session.token.expose_secret(), seconds.max(0))
    }

    /// The cookie that ends the one before.
    pub(super) fn removal(self) -> HeaderValue {
        self.cookie("", 0)
    }

    fn cookie(self, token: &str, seconds: i64) -> HeaderValue {
        let mut text = format!("{COOKIE_NAME}={token}; Path=/; Max-Age={seconds}; SameSite=Strict");
        if !self.readable {
            text.push_str("; HttpOnly");
        }
        if self.secure {
            text.push_str("; Secure");
        }
        let mut value = HeaderValue::try_from(text).expect("tokens are base64url and dots");
        value.set_sensitive(true);
        value
    }
}

/// Lets users with a session pass, and tells the handler who it is.
pub(super) async fn signed_in(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    pass(&rest, request, next, None).await
}

/// Lets users with a session and a right pass. The right's object is the first segment of the path.
pub(super) async fn permitted(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let action = match *request.method() {
        Method::GET | Method::HEAD => Action::Read,
        _ => Action::Write,
    };
    pass(&rest, request, next, Some(action)).await
}

async fn pass(rest: &Rest, mut request: Request, next: Next, action: Option<Action>) -> Response {
    match check(rest, request.headers(), request.uri(), action).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => {
            let response = Problem::from(error).into_response();
            match response.status() {
                StatusCode::UNAUTHORIZED => challenge(&rest.realm, response),
                _ => response,
            }
        }
    }
}

async fn check(rest: &Rest, headers: &HeaderMap, uri: &Uri, action: Option<Action>) -> Result<Caller, Error> {
    let token = token(headers).ok_or(Error::NotSignedIn)?;
    let caller = rest.users.authenticate(token).await?;
    if let Some(action) = action {
        let object = uri.path().split('/').nth(1).unwrap_or_default();
        rest.users.authorize(&caller, action, object).await?;
    }
    Ok(caller)
}

/// A token in a query would be in every log on the way, so it is not looked for there.
fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    bearer.or_else(|| {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == COOKIE_NAME)
            .map(|(_, token)| token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_token_is_found_in_the_header_before_the_cookie_and_nowhere_else() {
        let both = headers(&[(AUTHORIZATION, "bearer  one"), (COOKIE, "a=b; jwt=two")]);
        assert_eq!(token(&both), Some("one"));
        assert_eq!(token(&headers(&[(COOKIE, "a=b; jwt=two")])), Some("two"));
        assert_eq!(
            token(&headers(&[(COOKIE, "xjwt=two"), (AUTHORIZATION, "Basic one")])),
            None
        );
    }

    #[test]
    fn a_cookie_is_for_this_site_only_and_hidden_from_scripts_unless_told_otherwise() {
        let strict = CookieRules {
            readable: false,
            secure: true,
        };
        let value = strict.removal();
        assert_eq!(
            value.to_str().unwrap(),
            "jwt=; Path=/; Max-Age=0; SameSite=Strict; HttpOnly; Secure"
        );
        assert!(value.is_sensitive());
        let open = CookieRules {
            readable: true,
            secure: false,
        };
        assert!(!open.removal().to_str().unwrap().contains("HttpOnly"));
    }
}
