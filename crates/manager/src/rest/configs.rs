//! `/api/v1/configs`.

use super::error::Problem;
use super::input::{Id, Input, Params};
use super::{Rest, page};
use crate::settings;
use crate::store::Time;
use crate::users::Caller;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use axum::{Extension, Json};
use dragonfly_api::rest::{CreateSetting, Message, Page, Setting, SettingFilter, UpdateSetting};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
}

/// Lists settings.
#[utoipa::path(
    get,
    path = "/configs",
    params(Page, SettingFilter),
    responses((status = 200, description = "Done", body = Vec<Setting>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<SettingFilter>,
) -> Result<Response, Problem> {
    let (entries, total) = settings::list(&rest.store, filter, page).await?;
    Ok(page::respond(&uri, page, total, &entries))
}

/// Shows one setting.
#[utoipa::path(
    get,
    path = "/configs/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = Setting)),
)]
pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<Setting>, Problem> {
    Ok(Json(settings::get(&rest.store, id).await?))
}

/// Makes a setting.
#[utoipa::path(
    post,
    path = "/configs",
    request_body = CreateSetting,
    responses(
        (status = 200, description = "Done", body = Setting),
        (status = 409, description = "The name is taken", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Input(create): Input<CreateSetting>,
) -> Result<Json<Setting>, Problem> {
    Ok(Json(
        settings::create(&rest.store, caller.id, create, Time::now()).await?,
    ))
}

/// Changes one setting; what is left out stays.
#[utoipa::path(
    patch,
    path = "/configs/{id}",
    params(Id),
    request_body = UpdateSetting,
    responses((status = 200, description = "Done", body = Setting)),
)]
pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateSetting>,
) -> Result<Json<Setting>, Problem> {
    Ok(Json(settings::update(&rest.store, id, update, Time::now()).await?))
}

/// Removes one setting.
#[utoipa::path(
    delete,
    path = "/configs/{id}",
    params(Id),
    responses((status = 200, description = "Done")),
)]
pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(settings::delete(&rest.store, id).await?)
}
