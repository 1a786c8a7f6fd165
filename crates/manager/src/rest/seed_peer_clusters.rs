//! `/api/v1/seed-peer-clusters`: the seed peer halves of clusters.

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

/// Lists seed peer clusters.
#[utoipa::path(
    get,
    path = "/seed-peer-clusters",
    params(Page, Named),
    responses((status = 200, description = "Done", body = Vec<rest::SeedPeerCluster>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<Named>,
) -> Result<Response, Problem> {
    let (clusters, total) = rest.clusters.seed_peer_clusters(filter.name.as_deref(), page).await?;
    let clusters: Vec<rest::SeedPeerCluster> = clusters.into_iter().map(Into::into).collect();
    Ok(page::respond(&uri, page, total, &clusters))
}

/// Shows one seed peer cluster.
#[utoipa::path(
    get,
    path = "/seed-peer-clusters/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = rest::SeedPeerCluster)),
)]
pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<rest::SeedPeerCluster>, Problem> {
    Ok(Json(rest.clusters.seed_peer_cluster(id).await?.into()))
}
