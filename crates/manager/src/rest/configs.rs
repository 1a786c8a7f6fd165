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
use dragonfly_api::rest::{CreateSetting, Page, Setting, SettingFilter, UpdateSetting};

pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<SettingFilter>,
) -> Result<Response, Problem> {
    let (entries, total) = settings::list(&rest.store, filter, page).await?;
    Ok(page::respond(&uri, page, total, &entries))
}

pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<Setting>, Problem> {
    Ok(Json(settings::get(&rest.store, id).await?))
}

pub(super) async fn create(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Input(create): Input<CreateSetting>,
) -> Result<Json<Setting>, Problem> {
    Ok(Json(
        settings::create(&rest.store, caller.id, create, Time::now()).await?,
    ))
}

pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateSetting>,
) -> Result<Json<Setting>, Problem> {
    Ok(Json(settings::update(&rest.store, id, update, Time::now()).await?))
}

pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(settings::delete(&rest.store, id).await?)
}
