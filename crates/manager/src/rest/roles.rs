//! `/api/v1/roles` and `/api/v1/permissions`.

use super::Rest;
use super::error::Problem;
use super::input::{Input, Segments};
use crate::users::Caller;
use axum::extract::State;
use axum::{Extension, Json};
use dragonfly_api::rest::{CreateRole, Permission};

pub(super) async fn list(State(rest): State<Rest>) -> Result<Json<Vec<String>>, Problem> {
    Ok(Json(rest.users.roles().await?))
}

/// Each right as role, object and action.
pub(super) async fn get(
    State(rest): State<Rest>,
    Segments(name): Segments<String>,
) -> Result<Json<Vec<[String; 3]>>, Problem> {
    let permissions = rest.users.role(&name).await?.into_iter();
    let rows = permissions.map(|permission| [name.clone(), permission.object, permission.action]);
    Ok(Json(rows.collect()))
}

pub(super) async fn create(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Input(create): Input<CreateRole>,
) -> Result<(), Problem> {
    Ok(rest.users.create_role(&caller, create).await?)
}

pub(super) async fn delete(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments(name): Segments<String>,
) -> Result<(), Problem> {
    Ok(rest.users.delete_role(&caller, &name).await?)
}

pub(super) async fn permit(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments(name): Segments<String>,
    Input(permission): Input<Permission>,
) -> Result<(), Problem> {
    Ok(rest.users.permit(&caller, &name, permission).await?)
}

pub(super) async fn forbid(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments(name): Segments<String>,
    Input(permission): Input<Permission>,
) -> Result<(), Problem> {
    Ok(rest.users.forbid(&caller, &name, permission).await?)
}

/// Every right that a role can have.
pub(super) async fn permissions(State(rest): State<Rest>) -> Json<Vec<Permission>> {
    Json(rest.users.permissions())
}
