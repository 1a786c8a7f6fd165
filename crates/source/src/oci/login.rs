//! How a caller shows a registry who it is, and the token that it gets for that.

use super::challenge::Challenge;
use super::{Error, ReadError, Registry, read};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use std::fmt;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use url::Url;

/// Longest answer of a token server, in bytes.
const MAX_ANSWER: usize = 256 * 1024;
/// What a token without a time of its own is valid for (Docker's token specification).
const VALID_FOR: Duration = Duration::from_secs(60);
/// A token is renewed so long before its end that a request made now is over then, or at half its time.
const MARGIN: Duration = Duration::from_secs(15);

/// How a caller proves who it is.
#[derive(Clone, Default)]
pub enum Login {
    /// It doesn't.
    #[default]
    Anonymous,
    /// User and password: sent when the registry asks for them, or to where it says that tokens are given.
    Basic(Credentials),
    /// A whole `Authorization`, sent as it is.
    Given(HeaderValue),
}

/// A user's name and password, as a header value.
#[derive(Clone)]
pub struct Credentials {
    user: String,
    value: HeaderValue,
}

impl Login {
    /// A login by name and password.
    pub fn basic(user: &str, password: &str) -> Self {
        let encoded = STANDARD.encode(format!("{user}:{password}"));
        let mut value =
            HeaderValue::try_from(format!("Basic {encoded}")).expect("base64 consists of characters of a header");
        value.set_sensitive(true);
        Self::Basic(Credentials {
            user: user.to_owned(),
            value,
        })
    }

    /// A login by a whole `Authorization`.
    pub fn given(mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        Self::Given(value)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Login::Anonymous => "Anonymous",
            Login::Basic(_) => "Basic(..)",
            Login::Given(_) => "Given(..)",
        })
    }
}

/// What the registry has asked for, and what it was shown.
pub(super) struct Session {
    login: Login,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    challenge: Option<Challenge>,
    token: Option<Token>,
}

struct Token {
    value: HeaderValue,
    renewed_at: Instant,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Session {
    pub(super) fn new(login: Login) -> Self {
        Self {
            login,
            state: Mutex::default(),
        }
    }

    /// What is shown now without asking anybody.
    pub(super) async fn present(&self) -> Option<HeaderValue> {
        let state = self.state.lock().await;
        self.shown(&state)
    }

    fn shown(&self, state: &State) -> Option<HeaderValue> {
        match (&self.login, &state.challenge) {
            (Login::Given(value), _) => Some(value.clone()),
            (Login::Basic(credentials), Some(Challenge::Basic)) => Some(credentials.value.clone()),
            _ => state.token.as_ref().map(|token| token.value.clone()),
        }
    }

    /// Does what a 401 asks for. Whether another request has better prospects.
    pub(super) async fn answer(&self, registry: &Registry, headers: &HeaderMap) -> Result<bool, Error> {
        if matches!(self.login, Login::Given(_)) {
            return Ok(false);
        }
        let Some(challenge) = Challenge::of(headers) else {
            return Ok(false);
        };
        let mut state = self.state.lock().await;
        let had = self.shown(&state);
        state.challenge = Some(challenge);
        if matches!(state.challenge, Some(Challenge::Bearer { .. })) {
            self.fetch(registry, &mut state).await?;
        }
        let shown = self.shown(&state);
        Ok(shown.is_some() && shown != had)
    }

    /// See [`Registry::authorization`].
    pub(super) async fn authorization(&self, registry: &Registry) -> Result<Option<HeaderValue>, Error> {
        let mut state = self.state.lock().await;
        let is_old = state
            .token
            .as_ref()
            .is_some_and(|token| token.renewed_at <= Instant::now());
        if is_old {
            self.fetch(registry, &mut state).await?;
        }
        Ok(self.shown(&state))
    }

    /// See [`Registry::renew`].
    pub(super) async fn renew(&self, registry: &Registry, refused: Option<&HeaderValue>) -> Result<bool, Error> {
        let mut state = self.state.lock().await;
        let shown = self.shown(&state);
        if shown.as_ref() != refused {
            // Another who was refused has been here.
            return Ok(shown.is_some());
        }
        if matches!(self.login, Login::Given(_)) || !matches!(state.challenge, Some(Challenge::Bearer { .. })) {
            return Ok(false);
        }
        self.fetch(registry, &mut state).await?;
        Ok(true)
    }

    /// What a caller who is refused can do.
    pub(super) fn remedy(&self) -> &'static str {
        match self.login {
            Login::Anonymous => "give a user and a password, or an Authorization header",
            Login::Basic(_) => "check user and password, and that this user may pull",
            Login::Given(_) => "check the given Authorization header; it may have ended",
        }
    }

    async fn fetch(&self, registry: &Registry, state: &mut State) -> Result<(), Error> {
        let Some(request) = self.question(registry, state)? else {
            return Ok(());
        };
        let body = match registry.sources.get(request).await {
            Ok(body) => body,
            Err(error) => {
                return Err(match error.status() {
                    Some(status @ (401 | 403)) => Error::Denied {
                        image: registry.image.to_string(),
                        status,
                        remedy: self.remedy(),
                    },
                    _ => no_token(registry, "the token server did not give one", Some(error)),
                });
            }
        };
        let bytes = read(body, MAX_ANSWER).await.map_err(|error| match error {
            ReadError::TooLong => no_token(registry, "the token server's answer is too long", None),
            ReadError::Source(error) => no_token(registry, "the token server broke off", Some(error)),
        })?;
        let answer = serde_json::from_slice(&bytes).ok().and_then(Token::of);
        state.token = Some(answer.ok_or_else(|| no_token(registry, "there is none in the answer", None))?);
        Ok(())
    }

    /// How a token is asked for, if tokens are what the registry wants.
    fn question(&self, registry: &Registry, state: &State) -> Result<Option<crate::Request>, Error> {
        let Some(Challenge::Bearer { realm, service, scope }) = &state.challenge else {
            return Ok(None);
        };
        let credentials = match &self.login {
            Login::Basic(credentials) => Some(credentials),
            Login::Anonymous | Login::Given(_) => None,
        };
        let mut url = realm.clone();
        let pull = format!("repository:{}:pull", registry.image.repository());
        url.query_pairs_mut()
            .append_pair("scope", scope.as_deref().unwrap_or(&pull))
            .extend_pairs(service.iter().map(|service| ("service", service)))
            .extend_pairs(credentials.map(|credentials| ("account", &credentials.user)));
        // The caller's own headers are for the registry alone.
        let mut request = crate::Request {
            headers: HeaderMap::new(),
            ..registry.request(url)
        };
        if let Some(credentials) = credentials {
            if is_weaker(realm, registry.image.registry()) {
                let what = "its token server would get the password without TLS";
                return Err(no_token(registry, what, None));
            }
            request.headers.insert(AUTHORIZATION, credentials.value.clone());
        }
        Ok(Some(request))
    }
}

fn no_token(registry: &Registry, what: &str, source: Option<crate::Error>) -> Error {
    Error::Token {
        image: registry.image.to_string(),
        what: what.to_owned(),
        source: source.map(Box::new),
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("login", &self.login)
            .finish_non_exhaustive()
    }
}

impl Token {
    fn of(answer: Answer) -> Option<Self> {
        let text = answer.token.or(answer.access_token).filter(|text| !text.is_empty())?;
        let mut value = HeaderValue::try_from(format!("Bearer {text}")).ok()?;
        value.set_sensitive(true);
        let valid = answer
            .expires_in
            .map_or(VALID_FOR, Duration::from_secs)
            .max(Duration::from_secs(1));
        let until_renewed = valid.saturating_sub(MARGIN).max(valid / 2);
        Some(Self {
            value,
            // A token for ages is as good as one for a day.
            renewed_at: Instant::now() + until_renewed.min(Duration::from_secs(24 * 3600)),
        })
    }
}

/// Whether a password that belongs to an https registry would travel in the clear.
fn is_weaker(realm: &Url, registry: &Url) -> bool {
    registry.scheme() == "https" && realm.scheme() == "http"
}
