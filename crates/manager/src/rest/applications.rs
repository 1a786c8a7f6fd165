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
use dragonfly_api::rest::{Application, CreateApplication, Page, UpdateApplication};

pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<Named>,
) -> Result<Response, Problem> {
    let (entries, total) = applications::list(&rest.store, filter.name.as_deref(), page).await?;
    Ok(page::respond(&uri, page, total, &entries))
}

pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<Application>, Problem> {
    Ok(Json(applications::get(&rest.store, id).await?))
}

pub(super) async fn create(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Input(create): Input<CreateApplication>,
) -> Result<Json<Application>, Problem> {
    let made = applications::create(&rest.store, caller.id, create, Time::now()).await?;
    Ok(Json(made))
}

pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateApplication>,
) -> Result<Json<Application>, Problem> {
    Ok(Json(applications::update(&rest.store, id, update, Time::now()).await?))
}

pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(applications::delete(&rest.store, id).await?)
}
