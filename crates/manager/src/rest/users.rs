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
use dragonfly_api::rest::{CreateUser, Page, ResetPassword, SignIn, UpdateUser, User, UserFilter, UserSession};
use http::StatusCode;
use http::header::SET_COOKIE;
use std::net::SocketAddr;

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

pub(super) async fn sign_out(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
) -> Result<impl IntoResponse, Problem> {
    rest.users.sign_out(&caller).await?;
    Ok([(SET_COOKIE, rest.cookie().removal())])
}

pub(super) async fn refresh(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
) -> Result<impl IntoResponse, Problem> {
    let session = rest.users.refresh(&caller, attempt(from)).await?;
    Ok(([(SET_COOKIE, rest.cookie().of(&session))], Json(session)))
}

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

fn attempt(from: SocketAddr) -> Attempt {
    Attempt {
        from: from.ip(),
        now: Time::now(),
    }
}

pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<UserFilter>,
) -> Result<Response, Problem> {
    let (users, total) = rest.users.list(filter, page).await?;
    Ok(page::respond(&uri, page, total, &users))
}

pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<User>, Problem> {
    Ok(Json(rest.users.get(id).await?))
}

pub(super) async fn create(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Input(create): Input<CreateUser>,
) -> Result<Json<User>, Problem> {
    Ok(Json(rest.users.create(&caller, create, Time::now()).await?))
}

pub(super) async fn update(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Input(update): Input<UpdateUser>,
) -> Result<Json<User>, Problem> {
    Ok(Json(rest.users.update(&caller, id, update, Time::now()).await?))
}

pub(super) async fn delete(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<(), Problem> {
    Ok(rest.users.delete(&caller, id).await?)
}

pub(super) async fn roles(State(rest): State<Rest>, Id(id): Id) -> Result<Json<Vec<String>>, Problem> {
    Ok(Json(rest.users.roles_of(id).await?))
}

pub(super) async fn grant(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments((id, role)): Segments<(u64, String)>,
) -> Result<(), Problem> {
    Ok(rest.users.grant(&caller, id, &role).await?)
}

pub(super) async fn revoke(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments((id, role)): Segments<(u64, String)>,
) -> Result<(), Problem> {
    Ok(rest.users.revoke(&caller, id, &role).await?)
}

pub(super) async fn sessions(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<Vec<UserSession>>, Problem> {
    Ok(Json(rest.users.sessions_of(&caller, id, Time::now()).await?))
}

pub(super) async fn end_session(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments((id, session)): Segments<(u64, String)>,
) -> Result<(), Problem> {
    Ok(rest.users.end_session(&caller, id, &session).await?)
}

pub(super) async fn end_sessions(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<(), Problem> {
    Ok(rest.users.end_sessions(&caller, id).await?)
}
