//! Who may pass: sessions from the cookie or the `Authorization` header, personal access tokens from the latter, and rights.
//!
//! The guard stands before all of `/api/v1` and `/oapi/v1`, known paths or not: what [`rule`] does not except needs a right to
//! the object that is the first segment of the path.

use super::error::{Problem, challenge};
use super::{Rest, audit};
use crate::store::Time;
use crate::users::{Action, Caller, Error};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dragonfly_api::rest::Session;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use secrecy::ExposeSecret;

/// Name of the cookie.
pub(super) const COOKIE_NAME: &str = "jwt";

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

    /// Name of the cookie that a browser carries to an identity provider and back.
    pub(super) const TICKET: &str = "dragonfly_sign_in";

    /// The cookie of a sign-in under way. Unlike a session's it comes along when the provider sends the browser back.
    pub(super) fn ticket(self, sealed: &str) -> HeaderValue {
        self.lax(sealed, crate::oauth::TTL.as_secs())
    }

    /// The cookie that ends the one of a sign-in.
    pub(super) fn ticket_removal(self) -> HeaderValue {
        self.lax("", 0)
    }

    fn lax(self, sealed: &str, seconds: u64) -> HeaderValue {
        let secure = if self.secure { "; Secure" } else { "" };
        let name = Self::TICKET;
        let text =
            format!("{name}={sealed}; Path=/api/v1/users/signin; Max-Age={seconds}; SameSite=Lax; HttpOnly{secure}");
        let mut value = HeaderValue::try_from(text).expect("what is sealed is written in hex");
        value.set_sensitive(true);
        value
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

/// What it takes to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule<'a> {
    /// Nothing.
    Open,
    /// A session, even of a user who has to set a password first.
    Session,
    /// A session: the handler shows and changes what is the caller's own.
    Own,
    /// To be this user, or a right to users.
    Oneself(u64, Action),
    /// A right to these objects.
    Right(&'a str, Action),
}

pub(super) fn rule<'a>(method: &Method, path: &'a str) -> Rule<'a> {
    let action = match *method {
        Method::GET | Method::HEAD => Action::Read,
        _ => Action::Write,
    };
    let mut segments = path.trim_start_matches('/').split('/');
    let object = segments.next().unwrap_or_default();
    let rest: Vec<&str> = segments.collect();
    let id = rest.first().and_then(|id| id.parse().ok());
    match (method.as_str(), object, rest.as_slice(), id) {
        ("POST" | "GET" | "HEAD", "users", ["signin"], _)
        | ("GET" | "HEAD", "users", ["signin", _] | ["signin", _, "callback"], _)
        | ("GET" | "HEAD", "openapi.json", [], _) => Rule::Open,
        ("POST", "users", ["signout"], _)
        | ("POST", "users", [_, "reset_password"], Some(_))
        | ("GET" | "HEAD", "session", [], _) => Rule::Session,
        ("GET" | "HEAD" | "PATCH", "users", [_], Some(id))
        | ("GET" | "HEAD", "users", [_, "roles"], Some(id))
        | ("GET" | "HEAD" | "DELETE", "users", [_, "sessions"], Some(id))
        | ("DELETE", "users", [_, "sessions", _], Some(id)) => Rule::Oneself(id, action),
        (_, "personal-access-tokens", _, _) | ("POST", "users", ["refresh_token"], _)
        // What changed is told of what the caller may read.
        | ("GET" | "HEAD", "events", [], _) => Rule::Own,
        // No objects of their own.
        (_, "scheduler-features", ..) => Rule::Right("schedulers", action),
        _ => Rule::Right(object, action),
    }
}

/// Lets pass who may, tells the handler who it is, and has it recorded.
pub(super) async fn guard(State(rest): State<Rest>, mut request: Request, next: Next) -> Response {
    let rule = rule(request.method(), request.uri().path());
    if rule == Rule::Open {
        return audit::recorded(&rest, None, request, next).await;
    }
    let caller = match known(&rest, request.headers()).await {
        Ok(caller) => caller,
        Err(error) => return unknown(&rest, error),
    };
    if let Err(error) = check(&rest, rule, &caller).await {
        let response = Problem::from(error).into_response();
        let (parts, _) = request.into_parts();
        audit::refused(&rest, &caller, &parts, response.status()).await;
        return response;
    }
    request.extensions_mut().insert(caller.clone());
    audit::recorded(&rest, Some(&caller), request, next).await
}

/// The kind of object that traces are, whatever the path is.
const TRACES: &str = "traces";

/// The rule for traces, which are read in Jaeger's form and sent in OTLP's.
pub(super) fn rule_of_traces(method: &Method) -> Rule<'static> {
    rule(method, TRACES)
}

/// Lets pass who has a right to traces. Nothing is recorded: exports come by the second, and change nothing that an operator
/// has set.
pub(super) async fn guard_traces(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let caller = match known(&rest, request.headers()).await {
        Ok(caller) => caller,
        Err(error) => return unknown(&rest, error),
    };
    match check(&rest, rule_of_traces(request.method()), &caller).await {
        Ok(()) => next.run(request).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

fn unknown(rest: &Rest, error: Error) -> Response {
    let response = Problem::from(error).into_response();
    match response.status() {
        StatusCode::UNAUTHORIZED => challenge(&rest.realm, response),
        _ => response,
    }
}

impl Rest {
    /// Who calls where anybody may, if he has a session and may work.
    pub(super) async fn present(&self, headers: &HeaderMap) -> Option<Caller> {
        let caller = known(self, headers).await.ok()?;
        check(self, Rule::Own, &caller).await.ok().map(|()| caller)
    }
}

async fn known(rest: &Rest, headers: &HeaderMap) -> Result<Caller, Error> {
    let token = token(headers).ok_or(Error::NotSignedIn)?;
    rest.users.authenticate(token, Time::now()).await
}

async fn check(rest: &Rest, rule: Rule<'_>, caller: &Caller) -> Result<(), Error> {
    match rule {
        Rule::Open => Ok(()),
        Rule::Session => caller.session().map(drop),
        Rule::Own => {
            caller.at_work()?;
            caller.session().map(drop)
        }
        Rule::Oneself(id, _) if id == caller.id => {
            caller.at_work()?;
            caller.session().map(drop)
        }
        Rule::Oneself(_, action) => rest.users.authorize(caller, action, "users").await,
        Rule::Right(object, action) => rest.users.authorize(caller, action, object).await,
    }
}

/// A token in a query would be in every log on the way, so it is not looked for there.
fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    bearer.or_else(|| cookie(headers, COOKIE_NAME))
}

/// The cookie of this name.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
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

    /// TOB-DF2-1: deny by default.
    #[test]
    fn whatever_is_not_excepted_needs_a_right() {
        let right = |object, action| Rule::Right(object, action);
        let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
        assert_eq!(rule(&post, "/users/signin"), Rule::Open);
        assert_eq!(rule(&get, "/users/signin"), Rule::Open);
        assert_eq!(rule(&get, "/users/signin/github/callback"), Rule::Open);
        assert_eq!(rule(&get, "/users/signin/github/x"), right("users", Action::Read));
        assert_eq!(rule(&post, "/users/signin/x"), right("users", Action::Write));
        assert_eq!(rule(&post, "/users/signup"), right("users", Action::Write));
        assert_eq!(rule(&post, "/users/7/reset_password"), Rule::Session);
        assert_eq!(rule(&post, "/users/refresh_token"), Rule::Own);
        assert_eq!(rule(&get, "/session"), Rule::Session);
        assert_eq!(rule(&get, "/events"), Rule::Own);
        assert_eq!(rule(&post, "/events"), right("events", Action::Write));
        assert_eq!(rule(&delete, "/session"), right("session", Action::Write));
        assert_eq!(rule(&get, "/users/7"), Rule::Oneself(7, Action::Read));
        assert_eq!(rule(&delete, "/users/7"), right("users", Action::Write));
        assert_eq!(rule(&Method::PUT, "/users/7/roles/root"), right("users", Action::Write));
        assert_eq!(rule(&post, "/jobs"), right("jobs", Action::Write));
        assert_eq!(rule(&get, "/oauth/1"), right("oauth", Action::Read));
        assert_eq!(rule(&get, "/"), right("", Action::Read));
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
