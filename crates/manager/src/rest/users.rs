//! `/api/v1/users`: users, their sessions and roles.

use super::Rest;
use super::error::{Problem, challenge};
use super::input::{Id, Input, Params, Segments};
use super::page;
use crate::store::Time;
use crate::users::{Attempt, Caller};
use axum::extract::{ConnectInfo, OriginalUri, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use dragonfly_api::rest::{
    CreateUser, Message, Page, ResetPassword, Session, SignIn, UpdateUser, User, UserFilter, UserSession,
};
use http::StatusCode;
use http::header::SET_COOKIE;
use std::net::SocketAddr;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(sign_in))
        .routes(routes!(sign_out))
        .routes(routes!(refresh))
        .routes(routes!(reset_password))
        .routes(routes!(list, create))
        .routes(routes!(sign_up))
        .routes(routes!(get, update, delete))
        .routes(routes!(roles))
        .routes(routes!(grant, revoke))
        .routes(routes!(sessions, end_sessions))
        .routes(routes!(end_session))
}

/// Opens a session, by a cookie and a token.
#[utoipa::path(
    post,
    path = "/users/signin",
    request_body = SignIn,
    responses(
        (status = 200, description = "Done", body = Session),
        (status = 401, description = "Name or password are wrong", body = Message),
        (status = 429, description = "Too many attempts; Retry-After says when the next one counts", body = Message),
    ),
)]
pub(super) async fn sign_in(
    State(rest): State<Rest>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Input(sign_in): Input<SignIn>,
) -> Response {
    match rest.users.sign_in(sign_in, attempt(from)).await {
        Ok(session) => ([(SET_COOKIE, rest.cookie().of(&session))], Json(session)).into_response(),
        Err(error) => {
            rest.counts.sign_in_failed();
            let response = Problem::from(error).into_response();
            match response.status() {
                StatusCode::UNAUTHORIZED => challenge(&rest.realm, response),
                _ => response,
            }
        }
    }
}

/// Ends the session of this request.
#[utoipa::path(
    post,
    path = "/users/signout",
    responses((status = 200, description = "Done")),
)]
pub(super) async fn sign_out(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
) -> Result<impl IntoResponse, Problem> {
    rest.users.sign_out(&caller).await?;
    Ok([(SET_COOKIE, rest.cookie().removal())])
}

/// Another session in place of this one, whose token is void from then on.
#[utoipa::path(
    post,
    path = "/users/refresh_token",
    responses(
        (status = 200, description = "Done", body = Session),
        (status = 401, description = "No session, or the sign-in is too long ago", body = Message),
    ),
)]
pub(super) async fn refresh(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
) -> Result<impl IntoResponse, Problem> {
    let session = rest.users.refresh(&caller, attempt(from)).await?;
    Ok(([(SET_COOKIE, rest.cookie().of(&session))], Json(session)))
}

/// Sets another password, which ends all sessions of the user.
#[utoipa::path(
    post,
    path = "/users/{id}/reset_password",
    params(Id),
    request_body = ResetPassword,
    responses(
        (status = 200, description = "Done"),
        (status = 429, description = "Too many attempts; Retry-After says when the next one counts", body = Message),
    ),
)]
pub(super) async fn reset_password(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Id(id): Id,
    Input(reset): Input<ResetPassword>,
) -> Result<impl IntoResponse, Problem> {
    rest.users.reset_password(&caller, id, reset, attempt(from)).await?;
    Ok([(SET_COOKIE, rest.cookie().removal())])
}

pub(super) fn attempt(from: SocketAddr) -> Attempt {
    Attempt {
        from: from.ip(),
        now: Time::now(),
    }
}

/// Lists users.
#[utoipa::path(
    get,
    path = "/users",
    params(Page, UserFilter),
    responses((status = 200, description = "Done", body = Vec<User>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<UserFilter>,
) -> Result<Response, Problem> {
    let (users, total) = rest.users.list(filter, page).await?;
    Ok(page::respond(&uri, page, total, &users))
}

/// Shows one user.
#[utoipa::path(
    get,
    path = "/users/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = User)),
)]
pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<User>, Problem> {
    Ok(Json(rest.users.get(id).await?))
}

/// Makes a user, who has to set another password first.
#[utoipa::path(
    post,
    path = "/users",
    request_body = CreateUser,
    responses(
        (status = 200, description = "Done", body = User),
        (status = 409, description = "The name is taken", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Input(create): Input<CreateUser>,
) -> Result<Json<User>, Problem> {
    Ok(Json(rest.users.create(&caller, create, Time::now()).await?))
}

/// Makes a user, as above: where the console of Dragonfly 2.5 does it. It takes the same right.
#[utoipa::path(
    post,
    path = "/users/signup",
    request_body = CreateUser,
    responses(
        (status = 200, description = "Done", body = User),
        (status = 409, description = "The name is taken", body = Message),
    ),
)]
pub(super) async fn sign_up(
    state: State<Rest>,
    caller: Extension<Caller>,
    input: Input<CreateUser>,
) -> Result<Json<User>, Problem> {
    create(state, caller, input).await
}

/// Changes one user; what is left out stays.
#[utoipa::path(
    patch,
    path = "/users/{id}",
    params(Id),
    request_body = UpdateUser,
    responses(
        (status = 200, description = "Done", body = User),
        (status = 409, description = "The mail address is taken, or somebody would disable himself", body = Message),
    ),
)]
pub(super) async fn update(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Input(update): Input<UpdateUser>,
) -> Result<Json<User>, Problem> {
    Ok(Json(rest.users.update(&caller, id, update, Time::now()).await?))
}

/// Removes one user.
#[utoipa::path(
    delete,
    path = "/users/{id}",
    params(Id),
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "Root, or the caller himself", body = Message),
    ),
)]
pub(super) async fn delete(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<(), Problem> {
    Ok(rest.users.delete(&caller, id).await?)
}

/// Lists the roles of a user.
#[utoipa::path(
    get,
    path = "/users/{id}/roles",
    params(Id),
    responses((status = 200, description = "Done", body = Vec<String>)),
)]
pub(super) async fn roles(State(rest): State<Rest>, Id(id): Id) -> Result<Json<Vec<String>>, Problem> {
    Ok(Json(rest.users.roles_of(id).await?))
}

/// Gives a role to a user.
#[utoipa::path(
    put,
    path = "/users/{id}/roles/{role}",
    params(Id, ("role" = String, Path, description = "Name of the role")),
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "The user has the role", body = Message),
    ),
)]
pub(super) async fn grant(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments((Id(id), role)): Segments<(Id, String)>,
) -> Result<(), Problem> {
    Ok(rest.users.grant(&caller, id, &role).await?)
}

/// Takes a role from a user.
#[utoipa::path(
    delete,
    path = "/users/{id}/roles/{role}",
    params(Id, ("role" = String, Path, description = "Name of the role")),
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "Root keeps its role", body = Message),
    ),
)]
pub(super) async fn revoke(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments((Id(id), role)): Segments<(Id, String)>,
) -> Result<(), Problem> {
    Ok(rest.users.revoke(&caller, id, &role).await?)
}

/// Lists the sessions of a user.
#[utoipa::path(
    get,
    path = "/users/{id}/sessions",
    params(Id),
    responses((status = 200, description = "Done", body = Vec<UserSession>)),
)]
pub(super) async fn sessions(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<Vec<UserSession>>, Problem> {
    Ok(Json(rest.users.sessions_of(&caller, id, Time::now()).await?))
}

/// Ends a session of a user.
#[utoipa::path(
    delete,
    path = "/users/{id}/sessions/{session}",
    params(Id, ("session" = String, Path, description = "Id of the session")),
    responses((status = 200, description = "Done")),
)]
pub(super) async fn end_session(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments((Id(id), session)): Segments<(Id, String)>,
) -> Result<(), Problem> {
    Ok(rest.users.end_session(&caller, id, &session).await?)
}

/// Ends all sessions of a user.
#[utoipa::path(
    delete,
    path = "/users/{id}/sessions",
    params(Id),
    responses((status = 200, description = "Done")),
)]
pub(super) async fn end_sessions(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<(), Problem> {
    Ok(rest.users.end_sessions(&caller, id).await?)
}
