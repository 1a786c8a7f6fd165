//! `/api/v1/users`.

use super::Rest;
use super::error::{Problem, challenge};
use super::input::{Id, Input};
use crate::store::Time;
use crate::users::{Attempt, Caller};
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use dragonfly_api::rest::{ResetPassword, SignIn};
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

pub(super) async fn sign_out(State(rest): State<Rest>) -> impl IntoResponse {
    [(SET_COOKIE, rest.cookie().removal())]
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
