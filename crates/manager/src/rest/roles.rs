//! `/api/v1/roles` and `/api/v1/permissions`.

use super::Rest;
use super::error::Problem;
use super::input::{Input, Segments};
use crate::users::Caller;
use axum::extract::State;
use axum::{Extension, Json};
use dragonfly_api::rest::{CreateRole, Message, Permission};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
        .routes(routes!(permit, forbid))
        .routes(routes!(permissions))
}

/// Lists the names of the roles.
#[utoipa::path(
    get,
    path = "/roles",
    responses((status = 200, description = "Done", body = Vec<String>)),
)]
pub(super) async fn list(State(rest): State<Rest>) -> Result<Json<Vec<String>>, Problem> {
    Ok(Json(rest.users.roles().await?))
}

/// Shows what a role permits: each right as role, object and action.
#[utoipa::path(
    get,
    path = "/roles/{role}",
    params(("role" = String, Path, description = "Name of the role")),
    responses((status = 200, description = "Done", body = Vec<[String; 3]>)),
)]
pub(super) async fn get(
    State(rest): State<Rest>,
    Segments(name): Segments<String>,
) -> Result<Json<Vec<[String; 3]>>, Problem> {
    let permissions = rest.users.role(&name).await?.into_iter();
    let rows = permissions.map(|permission| [name.clone(), permission.object, permission.action]);
    Ok(Json(rows.collect()))
}

/// Makes a role.
#[utoipa::path(
    post,
    path = "/roles",
    request_body = CreateRole,
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "The name is taken", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Input(create): Input<CreateRole>,
) -> Result<(), Problem> {
    Ok(rest.users.create_role(&caller, create).await?)
}

/// Removes a role, which its users lose.
#[utoipa::path(
    delete,
    path = "/roles/{role}",
    params(("role" = String, Path, description = "Name of the role")),
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "The role is built in", body = Message),
    ),
)]
pub(super) async fn delete(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments(name): Segments<String>,
) -> Result<(), Problem> {
    Ok(rest.users.delete_role(&caller, &name).await?)
}

/// Adds a right to a role.
#[utoipa::path(
    post,
    path = "/roles/{role}/permissions",
    params(("role" = String, Path, description = "Name of the role")),
    request_body = Permission,
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "The role has the right, or is built in", body = Message),
    ),
)]
pub(super) async fn permit(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments(name): Segments<String>,
    Input(permission): Input<Permission>,
) -> Result<(), Problem> {
    Ok(rest.users.permit(&caller, &name, permission).await?)
}

/// Takes a right from a role.
#[utoipa::path(
    delete,
    path = "/roles/{role}/permissions",
    params(("role" = String, Path, description = "Name of the role")),
    request_body = Permission,
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "The role is built in", body = Message),
    ),
)]
pub(super) async fn forbid(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments(name): Segments<String>,
    Input(permission): Input<Permission>,
) -> Result<(), Problem> {
    Ok(rest.users.forbid(&caller, &name, permission).await?)
}

/// Lists every right that a role can have.
#[utoipa::path(
    get,
    path = "/permissions",
    responses((status = 200, description = "Done", body = Vec<Permission>)),
)]
pub(super) async fn permissions(State(rest): State<Rest>) -> Json<Vec<Permission>> {
    Json(rest.users.permissions())
}
