//! `/api/v1/schedulers`.

use super::Rest;
use super::error::Problem;
use super::input::{Id, Input, Params};
use super::page;
use crate::members::{self, schedulers};
use crate::store::Time;
use crate::store::entity::scheduler::Entity;
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use dragonfly_api::rest::{CreateScheduler, Message, Page, Scheduler, SchedulerFilter, UpdateScheduler};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
}

/// Lists schedulers.
#[utoipa::path(
    get,
    path = "/schedulers",
    params(Page, SchedulerFilter),
    responses((status = 200, description = "Done", body = Vec<Scheduler>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<SchedulerFilter>,
) -> Result<Response, Problem> {
    let now = Time::now();
    let (rows, total) = schedulers::list(&rest.store, filter, page, now).await?;
    let entries: Vec<Scheduler> = rows.into_iter().map(|row| schedulers::wire(row, now)).collect();
    Ok(page::respond(&uri, page, total, &entries))
}

/// Shows one scheduler.
#[utoipa::path(
    get,
    path = "/schedulers/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = Scheduler)),
)]
pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<Scheduler>, Problem> {
    let row = members::get::<Entity>(rest.store.db(), id).await?;
    Ok(Json(schedulers::wire(row, Time::now())))
}

/// Makes a scheduler by hand; one that runs registers itself.
#[utoipa::path(
    post,
    path = "/schedulers",
    request_body = CreateScheduler,
    responses(
        (status = 200, description = "Done", body = Scheduler),
        (status = 404, description = "The cluster does not exist", body = Message),
        (status = 409, description = "A scheduler with this name and address is in the cluster", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Input(create): Input<CreateScheduler>,
) -> Result<Json<Scheduler>, Problem> {
    let now = Time::now();
    let row = schedulers::create(&rest.store, create, now).await?;
    Ok(Json(schedulers::wire(row, now)))
}

/// Changes one scheduler; what is left out stays.
#[utoipa::path(
    patch,
    path = "/schedulers/{id}",
    params(Id),
    request_body = UpdateScheduler,
    responses(
        (status = 200, description = "Done", body = Scheduler),
        (status = 409, description = "A scheduler with this name and address is in the cluster", body = Message),
    ),
)]
pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateScheduler>,
) -> Result<Json<Scheduler>, Problem> {
    let now = Time::now();
    let row = schedulers::update(&rest.store, id, update, now).await?;
    Ok(Json(schedulers::wire(row, now)))
}

/// Removes one scheduler.
#[utoipa::path(
    delete,
    path = "/schedulers/{id}",
    params(Id),
    responses((status = 200, description = "Done")),
)]
pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(members::delete::<Entity>(rest.store.db(), id).await?)
}
