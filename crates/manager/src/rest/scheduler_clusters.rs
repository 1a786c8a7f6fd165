//! `/api/v1/scheduler-clusters`: the scheduler halves of clusters.

use super::clusters::Named;
use super::error::Problem;
use super::input::{Id, Params};
use super::{Rest, page};
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use dragonfly_api::rest::{self, Page};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(list)).routes(routes!(get))
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
