//! The manager's REST API, as this tool calls it.

use super::args::Connection;
use super::file::{self, File};
use crate::failure::Failure;
use dragonfly_api::rest::{Errors, JaegerAnswer, Message, PASSWORD_CHANGE_REQUIRED, Session, SignIn};
use dragonfly_service::{exit, tls};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// The manager of this host.
const DEFAULT_MANAGER: &str = "http://127.0.0.1:8080";
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Entries that are asked for at once.
const PER_PAGE: usize = 500;
/// Of an answer that is no list: no more is read.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// A manager, and a token that it knows.
pub(super) struct Manager {
    client: Client,
    base: Url,
    token: Option<SecretString>,
    /// Whether the token is a session that this tool has opened.
    is_session: bool,
}

impl Manager {
    /// Finds out which manager is meant and who calls, and signs in where there is no token.
    pub(super) async fn connect(connection: &Connection) -> Result<Self, Failure> {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let file = file::read(connection.config.as_deref(), home.as_deref())?;
        let named = connection.manager.clone().or_else(|| file.manager.clone());
        let base = base(named.as_deref().unwrap_or(DEFAULT_MANAGER))?;
        let ca = connection.ca.as_deref().or(file.ca.as_deref());
        let mut manager = Self {
            client: client(ca)?,
            base,
            token: None,
            is_session: false,
        };
        manager.token = token(connection, &file)?;
        if manager.token.is_none() {
            manager.token = Some(manager.sign_in(connection, &file).await?);
            manager.is_session = true;
        }
        Ok(manager)
    }

    /// Ends the session if this tool has opened one: a user may have only so many. One that stays ends by itself.
    pub(super) async fn leave(&self) {
        if !self.is_session {
            return;
        }
        let left = match self.request(Method::POST, "/api/v1/users/signout") {
            Ok(request) => self.body(request).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = left {
            tracing::debug!(%error, "the session stays open");
        }
    }

    /// What a POST is answered.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let request = self.request(Method::POST, path)?.json(body);
        let (answer, _) = self.answer(request).await?;
        Ok(answer)
    }

    /// What a PATCH is answered.
    pub(super) async fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let request = self.request(Method::PATCH, path)?.json(body);
        let (answer, _) = self.answer(request).await?;
        Ok(answer)
    }

    /// Removes what has this path, and returns what comes of it.
    pub(super) async fn remove<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Failure> {
        let request = self.request(Method::DELETE, path)?.query(query);
        let (answer, _) = self.answer(request).await?;
        Ok(answer)
    }

    /// Removes what has this path.
    pub(super) async fn delete(&self, path: &str) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, path)?;
        self.body(request).await.map(drop)
    }

    /// The first entries of a list.
    pub(super) async fn first<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
        most: u16,
    ) -> Result<Vec<T>, Failure> {
        let request = self.request(Method::GET, path)?;
        let request = request.query(query).query(&[("per_page", most)]);
        let (entries, _) = self.answer(request).await?;
        Ok(entries)
    }

    /// What a GET is answered.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Failure> {
        let request = self.request(Method::GET, path)?.query(query);
        let (answer, _) = self.answer(request).await?;
        Ok(answer)
    }

    /// All entries of a list, page by page.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &impl Serialize,
    ) -> Result<Vec<T>, Failure> {
        let mut entries: Vec<T> = Vec::new();
        for page in 1.. {
            let request = self.request(Method::GET, path)?;
            let request = request.query(query).query(&[("page", page), ("per_page", PER_PAGE)]);
            let (more, total): (Vec<T>, Option<usize>) = self.answer(request).await?;
            let last = more.is_empty();
            entries.extend(more);
            if last || total.is_some_and(|total| entries.len() >= total) {
                break;
            }
        }
        Ok(entries)
    }

    async fn sign_in(&self, connection: &Connection, file: &File) -> Result<SecretString, Failure> {
        let Some(user) = connection.user.clone().or_else(|| file.user.clone()) else {
            return Err(Failure::new(
                "who calls? name a user with --user, or a token with DFCTL_TOKEN or --token-file",
            ));
        };
        let password = password(connection, file, &user)?;
        let sign_in = SignIn { name: user, password };
        let request = self.request(Method::POST, "/api/v1/users/signin")?.json(&sign_in);
        let (session, _): (Session, _) = self.answer(request).await?;
        Ok(session.token)
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        let url = self.base.join(path.trim_start_matches('/'));
        let url = url.map_err(|error| Failure::new(format!("{path}: {error}")))?;
        let request = self.client.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        })
    }

    /// The answer, and the total of a list.
    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<(T, Option<usize>), Failure> {
        let (body, total) = self.body(request).await?;
        let answer = serde_json::from_slice(&body);
        let answer = answer.map_err(|error| {
            Failure::new(format!(
                "{} answered something else than a manager does: {error}",
                self.base
            ))
        })?;
        Ok((answer, total))
    }

    /// The body of a success, and the total of a list.
    async fn body(&self, request: RequestBuilder) -> Result<(Vec<u8>, Option<usize>), Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let total = response.headers().get("x-total-count");
        let total = total.and_then(|total| total.to_str().ok()?.parse().ok());
        let body = body(response).await.map_err(|error| self.unreachable(&error))?;
        match status.is_success() {
            true => Ok((body, total)),
            false => Err(refusal(status, &body)),
        }
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        Failure::of(error, exit::FAILURE).within(&format!("the manager at {} does not answer", self.base))
    }
}

/// An answer of any length that a manager gives, and no more.
async fn body(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() as u64 > MAX_ANSWER_BYTES {
            break;
        }
    }
    Ok(body)
}

fn client(ca: Option<&Path>) -> Result<Client, Failure> {
    tls::install_provider();
    let mut builder = Client::builder().connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN);
    if let Some(ca) = ca {
        let pem = std::fs::read(ca).map_err(|error| Failure::of(&error, exit::FAILURE).within(&shown(ca)))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem);
        let certificates = certificates.map_err(|error| Failure::of(&error, exit::FAILURE).within(&shown(ca)))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| Failure::of(&error, exit::FAILURE))
}

/// Ends with a slash, so that paths are joined to it. An address without a scheme is one of HTTP.
fn base(text: &str) -> Result<Url, Failure> {
    let text = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let wrong = || {
        Failure::new(format!(
            "--manager can't be {text:?}; write http://host:port or https://host:port"
        ))
    };
    let url = Url::parse(&format!("{}/", text.trim_end_matches('/'))).map_err(|_| wrong())?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(wrong());
    }
    Ok(url)
}

/// A user that is named on the command line stands above any token that isn't.
fn token(connection: &Connection, file: &File) -> Result<Option<SecretString>, Failure> {
    if let Some(token) = &connection.token {
        return Ok(Some(token.clone()));
    }
    if let Some(path) = &connection.token_file {
        return first_line(path).map(Some);
    }
    if connection.user.is_some() {
        return Ok(None);
    }
    Ok(file.token.clone())
}

fn password(connection: &Connection, file: &File, user: &str) -> Result<SecretString, Failure> {
    if let Some(password) = &connection.password {
        return Ok(password.clone());
    }
    if let Some(path) = &connection.password_file {
        return first_line(path);
    }
    if let Some(password) = file.password.clone().filter(|_| file.user.as_deref() == Some(user)) {
        return Ok(password);
    }
    anstream::eprintln!("password of {user}:");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::of(&error, exit::FAILURE).within("stdin"))?;
    Ok(line.trim_end_matches(['\r', '\n']).into())
}

fn first_line(path: &Path) -> Result<SecretString, Failure> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failure::of(&error, exit::FAILURE).within(&shown(path)))?;
    Ok(text.lines().next().unwrap_or_default().trim().into())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// What the manager says, and what to do about it.
fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let message: Option<Message> = serde_json::from_slice(body).ok();
    let errors: Option<Errors> = serde_json::from_slice(body).ok();
    let missing: Option<JaegerAnswer<IgnoredAny>> = serde_json::from_slice(body).ok();
    let missing = missing.and_then(|answer| answer.errors?.pop());
    let said = match (&message, errors, missing) {
        (Some(message), ..) => message.message.clone(),
        (None, Some(errors), _) => errors.errors,
        (None, None, Some(missing)) => missing.msg,
        (None, None, None) => format!("the manager answered {status}"),
    };
    let code = message.and_then(|message| message.code);
    if code.as_deref() == Some(PASSWORD_CHANGE_REQUIRED) {
        return Failure::new(format!("{said} (the console does it, too)"));
    }
    Failure::new(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_scheme_and_keeps_its_path() {
        for (text, url) in [
            ("10.0.0.1:8080", "http://10.0.0.1:8080/"),
            ("https://m/dragonfly/", "https://m/dragonfly/"),
            ("[::1]:8080", "http://[::1]:8080/"),
        ] {
            assert_eq!(base(text).ok().map(String::from).as_deref(), Some(url), "{text}");
        }
        for text in ["ftp://m", "http://", "::"] {
            assert!(base(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_says_what_the_manager_said() {
        let said = |status, body: &str| refusal(status, body.as_bytes()).to_string();
        assert_eq!(said(StatusCode::FORBIDDEN, r#"{"message":"no right"}"#), "no right");
        assert_eq!(
            said(StatusCode::UNPROCESSABLE_ENTITY, r#"{"errors":"ip has \"x\""}"#),
            "ip has \"x\""
        );
        let missing = r#"{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":404,"msg":"trace not found"}]}"#;
        assert_eq!(said(StatusCode::NOT_FOUND, missing), "trace not found");
        assert!(said(StatusCode::BAD_GATEWAY, "<html>").contains("502"));
    }
}
