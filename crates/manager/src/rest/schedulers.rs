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
use dragonfly_api::rest::{CreateScheduler, Page, Scheduler, SchedulerFilter, UpdateScheduler};

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

pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<Scheduler>, Problem> {
    let row = members::get::<Entity>(rest.store.db(), id).await?;
    Ok(Json(schedulers::wire(row, Time::now())))
}

pub(super) async fn create(
    State(rest): State<Rest>,
    Input(create): Input<CreateScheduler>,
) -> Result<Json<Scheduler>, Problem> {
    let now = Time::now();
    let row = schedulers::create(&rest.store, create, now).await?;
    Ok(Json(schedulers::wire(row, now)))
}

pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateScheduler>,
) -> Result<Json<Scheduler>, Problem> {
    let now = Time::now();
    let row = schedulers::update(&rest.store, id, update, now).await?;
    Ok(Json(schedulers::wire(row, now)))
}

pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(members::delete::<Entity>(rest.store.db(), id).await?)
}
