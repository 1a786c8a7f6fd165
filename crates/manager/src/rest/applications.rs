//! `/api/v1/applications`.

use super::clusters::Named;
use super::error::Problem;
use super::input::{Id, Input, Params};
use super::{Rest, page};
use crate::applications;
use crate::store::Time;
use crate::users::Caller;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use axum::{Extension, Json};
use dragonfly_api::rest::{Application, CreateApplication, Message, Page, UpdateApplication};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
}

/// Lists applications.
#[utoipa::path(
    get,
    path = "/applications",
    params(Page, Named),
    responses((status = 200, description = "Done", body = Vec<Application>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<Named>,
) -> Result<Response, Problem> {
    let (entries, total) = applications::list(&rest.store, filter.name.as_deref(), page).await?;
    Ok(page::respond(&uri, page, total, &entries))
}

/// Shows one application.
#[utoipa::path(
    get,
    path = "/applications/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = Application)),
)]
pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<Application>, Problem> {
    Ok(Json(applications::get(&rest.store, id).await?))
}

/// Makes an application.
#[utoipa::path(
    post,
    path = "/applications",
    request_body = CreateApplication,
    responses(
        (status = 200, description = "Done", body = Application),
        (status = 409, description = "The name is taken", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Input(create): Input<CreateApplication>,
) -> Result<Json<Application>, Problem> {
    let made = applications::create(&rest.store, caller.id, create, Time::now()).await?;
    Ok(Json(made))
}

/// Changes one application; what is left out stays.
#[utoipa::path(
    patch,
    path = "/applications/{id}",
    params(Id),
    request_body = UpdateApplication,
    responses(
        (status = 200, description = "Done", body = Application),
        (status = 409, description = "The name is taken", body = Message),
    ),
)]
pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateApplication>,
) -> Result<Json<Application>, Problem> {
    Ok(Json(applications::update(&rest.store, id, update, Time::now()).await?))
}

/// Removes one application.
#[utoipa::path(
    delete,
    path = "/applications/{id}",
    params(Id),
    responses((status = 200, description = "Done")),
)]
pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(applications::delete(&rest.store, id).await?)
}
