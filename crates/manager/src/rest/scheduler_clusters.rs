//! `/api/v1/scheduler-clusters`: the scheduler halves of clusters.

use super::clusters::Named;
use super::error::Problem;
use super::input::{Id, Input, Params, Segments};
use super::{Rest, page};
use crate::members::schedulers;
use crate::store::Time;
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use dragonfly_api::rest::{self, CreateSchedulerCluster, Message, Page, UpdateScheduler, UpdateSchedulerCluster};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(add_scheduler))
}

/// Lists scheduler clusters.
#[utoipa::path(
    get,
    path = "/scheduler-clusters",
    params(Page, Named),
    responses((status = 200, description = "Done", body = Vec<rest::SchedulerCluster>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<Named>,
) -> Result<Response, Problem> {
    let (clusters, total) = rest.clusters.list(filter.name.as_deref(), page).await?;
    let clusters: Vec<rest::SchedulerCluster> = clusters.into_iter().map(Into::into).collect();
    Ok(page::respond(&uri, page, total, &clusters))
}

/// Shows one scheduler cluster.
#[utoipa::path(
    get,
    path = "/scheduler-clusters/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = rest::SchedulerCluster)),
)]
pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<rest::SchedulerCluster>, Problem> {
    Ok(Json(rest.clusters.get(id).await?.into()))
}

/// Makes a scheduler cluster, with a seed peer cluster of the same name unless it names one that is free.
#[utoipa::path(
    post,
    path = "/scheduler-clusters",
    request_body = CreateSchedulerCluster,
    responses(
        (status = 200, description = "Done", body = rest::SchedulerCluster),
        (status = 404, description = "The seed peer cluster does not exist", body = Message),
        (status = 409, description = "The name is taken, or the seed peer cluster belongs to another", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Input(create): Input<CreateSchedulerCluster>,
) -> Result<Json<rest::SchedulerCluster>, Problem> {
    let cluster = rest.clusters.create_scheduler_half(create, Time::now()).await?;
    Ok(Json(cluster.into()))
}

/// Changes one scheduler cluster; what is left out stays.
#[utoipa::path(
    patch,
    path = "/scheduler-clusters/{id}",
    params(Id),
    request_body = UpdateSchedulerCluster,
    responses(
        (status = 200, description = "Done", body = rest::SchedulerCluster),
        (
            status = 409,
            description = "The name is taken, the seed peer cluster belongs to another, or no cluster would be the default",
            body = Message,
        ),
    ),
)]
pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateSchedulerCluster>,
) -> Result<Json<rest::SchedulerCluster>, Problem> {
    let cluster = rest.clusters.update_scheduler_half(id, update, Time::now()).await?;
    Ok(Json(cluster.into()))
}

/// Removes one scheduler cluster; its seed peer cluster stays and is free.
#[utoipa::path(
    delete,
    path = "/scheduler-clusters/{id}",
    params(Id),
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "The cluster is the default one, or has living schedulers", body = Message),
    ),
)]
pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(rest.clusters.delete_scheduler_half(id, Time::now()).await?)
}

/// Moves a scheduler to this cluster.
#[utoipa::path(
    put,
    path = "/scheduler-clusters/{id}/schedulers/{scheduler_id}",
    params(Id, ("scheduler_id" = u64, Path, description = "Which scheduler", minimum = 1)),
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "A scheduler with this name and address is in the cluster", body = Message),
    ),
)]
pub(super) async fn add_scheduler(
    State(rest): State<Rest>,
    Segments((Id(cluster), Id(scheduler))): Segments<(Id, Id)>,
) -> Result<(), Problem> {
    let update = UpdateScheduler {
        scheduler_cluster_id: Some(cluster),
        ..UpdateScheduler::default()
    };
    schedulers::update(&rest.store, scheduler, update, Time::now()).await?;
    Ok(())
}
