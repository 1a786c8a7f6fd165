//! `/api/v1/oauth`, and signing in by an identity provider.

use super::Rest;
use super::error::{Problem, challenge};
use super::guard::{CookieRules, cookie};
use super::input::{Id, Input, Params};
use super::page;
use crate::oauth::{Arrival, Error};
use crate::store::Time;
use axum::Json;
use axum::extract::{ConnectInfo, OriginalUri, Path, State};
use axum::response::{AppendHeaders, IntoResponse, Response};
use dragonfly_api::rest::{CreateOauth, Message, Oauth, OauthFilter, Page, SignInWay, UpdateOauth};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use std::net::SocketAddr;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where a browser goes after it has signed in.
const HOME: &str = "/";

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(ways))
        .routes(routes!(depart))
        .routes(routes!(arrive))
}

/// What a provider sends a browser back with.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Answer {
    /// For a token.
    code: Option<String>,
    /// What the browser was sent with.
    state: Option<String>,
    /// Why there is no code.
    error: Option<String>,
}

/// Lists identity providers.
#[utoipa::path(
    get,
    path = "/oauth",
    params(Page, OauthFilter),
    responses((status = 200, description = "Done", body = Vec<Oauth>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<OauthFilter>,
) -> Result<Response, Problem> {
    let (entries, total) = rest.providers.list(filter, page).await?;
    Ok(page::respond(&uri, page, total, &entries))
}

/// Shows one identity provider.
#[utoipa::path(
    get,
    path = "/oauth/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = Oauth)),
)]
pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<Oauth>, Problem> {
    Ok(Json(rest.providers.get(id).await?))
}

/// Makes an identity provider.
#[utoipa::path(
    post,
    path = "/oauth",
    request_body = CreateOauth,
    responses(
        (status = 200, description = "Done", body = Oauth),
        (status = 409, description = "The name is taken", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Input(create): Input<CreateOauth>,
) -> Result<Json<Oauth>, Problem> {
    Ok(Json(rest.providers.create(create, Time::now()).await?))
}

/// Changes one identity provider; what is left out stays.
#[utoipa::path(
    patch,
    path = "/oauth/{id}",
    params(Id),
    request_body = UpdateOauth,
    responses((status = 200, description = "Done", body = Oauth)),
)]
pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateOauth>,
) -> Result<Json<Oauth>, Problem> {
    Ok(Json(rest.providers.update(id, update, Time::now()).await?))
}

/// Removes one identity provider; its users stay, and can't sign in by it any more.
#[utoipa::path(
    delete,
    path = "/oauth/{id}",
    params(Id),
    responses((status = 200, description = "Done")),
)]
pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(rest.providers.delete(id).await?)
}

/// Lists the identity providers by which one may sign in.
#[utoipa::path(
    get,
    path = "/users/signin",
    responses((status = 200, description = "Done", body = Vec<SignInWay>)),
)]
pub(super) async fn ways(State(rest): State<Rest>) -> Result<Json<Vec<SignInWay>>, Problem> {
    Ok(Json(rest.providers.ways().await?))
}

/// Sends a browser to an identity provider. With a session, the account there is connected to its user.
#[utoipa::path(
    get,
    path = "/users/signin/{provider}",
    params(("provider" = String, Path, description = "Name of the identity provider")),
    responses(
        (status = 302, description = "Go on at the provider"),
        (status = 404, description = "There is no such provider", body = Message),
        (status = 502, description = "The provider can't be asked", body = Message),
    ),
)]
pub(super) async fn depart(
    State(rest): State<Rest>,
    Path(provider): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = rest.present(&headers).await;
    let departure = rest
        .providers
        .depart(&provider, caller.map(|caller| caller.id), Time::now())
        .await?;
    let cookie = rest.cookie().ticket(&departure.ticket);
    let headers = [(LOCATION, text(departure.location)), (SET_COOKIE, cookie)];
    Ok((StatusCode::FOUND, AppendHeaders(headers)).into_response())
}

/// Takes a browser back from an identity provider, and opens a session.
#[utoipa::path(
    get,
    path = "/users/signin/{provider}/callback",
    params(("provider" = String, Path, description = "Name of the identity provider"), Answer),
    responses(
        (status = 302, description = "Signed in, or connected"),
        (status = 401, description = "Not begun here, refused or unproven", body = Message),
        (status = 403, description = "The account is nobody's here", body = Message),
        (status = 404, description = "There is no such provider", body = Message),
        (status = 409, description = "The account is another user's", body = Message),
        (status = 429, description = "Too many attempts; Retry-After says when the next one counts", body = Message),
        (status = 502, description = "The provider can't be asked", body = Message),
    ),
)]
pub(super) async fn arrive(
    State(rest): State<Rest>,
    Path(provider): Path<String>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Params(answer): Params<Answer>,
    headers: HeaderMap,
) -> Response {
    let arrival = Arrival {
        ticket: cookie(&headers, CookieRules::TICKET).unwrap_or_default(),
        state: answer.state.as_deref().unwrap_or_default(),
        outcome: match (answer.error, answer.code) {
            (None, Some(code)) => Ok(code),
            (error, _) => Err(error.map_or_else(|| "no code".to_owned(), |error| plain(&error))),
        },
    };
    let attempt = super::users::attempt(from);
    let arrived = rest.providers.arrive(&rest.users, &provider, arrival, attempt).await;
    let mut headers = vec![(SET_COOKIE, rest.cookie().ticket_removal())];
    match arrived {
        Ok(session) => {
            headers.extend(session.map(|session| (SET_COOKIE, rest.cookie().of(&session))));
            headers.push((LOCATION, text(HOME.to_owned())));
            (StatusCode::FOUND, AppendHeaders(headers)).into_response()
        }
        Err(error) => {
            rest.counts.sign_in_failed();
            let response = (AppendHeaders(headers), Problem::from(error)).into_response();
            match response.status() {
                StatusCode::UNAUTHORIZED => challenge(&rest.realm, response),
                _ => response,
            }
        }
    }
}

fn text(text: String) -> http::HeaderValue {
    text.try_into().expect("URLs are written in ASCII")
}

/// A code of an error, as RFC 6749 has it: what anybody can write into a link is not repeated in full.
fn plain(error: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    error.chars().filter(is_plain).take(64).collect()
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::NotBegun | Error::Refused { .. } | Error::Unproven { .. } => {
                Self::new(StatusCode::UNAUTHORIZED, message)
            }
            Error::Stranger(_) => Self::new(StatusCode::FORBIDDEN, message),
            Error::Unreachable { .. } => Self::new(StatusCode::BAD_GATEWAY, message),
            Error::Users(error) => error.into(),
        }
    }
}
