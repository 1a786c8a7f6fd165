//! `/api/v1/seed-peer-clusters`: the seed peer halves of clusters.

use super::clusters::Named;
use super::error::Problem;
use super::input::{Id, Input, Params, Segments};
use super::{Rest, page};
use crate::members::seed_peers;
use crate::store::Time;
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use dragonfly_api::rest::{self, CreateSeedPeerCluster, Message, Page, UpdateSeedPeer, UpdateSeedPeerCluster};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(add_seed_peer))
        .routes(routes!(give))
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

/// Makes a seed peer cluster, which is free until a scheduler cluster takes it.
#[utoipa::path(
    post,
    path = "/seed-peer-clusters",
    request_body = CreateSeedPeerCluster,
    responses(
        (status = 200, description = "Done", body = rest::SeedPeerCluster),
        (status = 409, description = "The name is taken", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Input(create): Input<CreateSeedPeerCluster>,
) -> Result<Json<rest::SeedPeerCluster>, Problem> {
    let half = rest.clusters.create_seed_peer_half(create, Time::now()).await?;
    Ok(Json(half.into()))
}

/// Changes one seed peer cluster; what is left out stays.
#[utoipa::path(
    patch,
    path = "/seed-peer-clusters/{id}",
    params(Id),
    request_body = UpdateSeedPeerCluster,
    responses(
        (status = 200, description = "Done", body = rest::SeedPeerCluster),
        (status = 409, description = "The name is taken", body = Message),
    ),
)]
pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateSeedPeerCluster>,
) -> Result<Json<rest::SeedPeerCluster>, Problem> {
    let half = rest.clusters.update_seed_peer_half(id, update, Time::now()).await?;
    Ok(Json(half.into()))
}

/// Removes one seed peer cluster.
#[utoipa::path(
    delete,
    path = "/seed-peer-clusters/{id}",
    params(Id),
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "It belongs to a scheduler cluster, or has living seed peers", body = Message),
    ),
)]
pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(rest.clusters.delete_seed_peer_half(id, Time::now()).await?)
}

/// Moves a seed peer to this cluster.
#[utoipa::path(
    put,
    path = "/seed-peer-clusters/{id}/seed-peers/{seed_peer_id}",
    params(Id, ("seed_peer_id" = u64, Path, description = "Which seed peer", minimum = 1)),
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "A seed peer with this name and address is in the cluster", body = Message),
    ),
)]
pub(super) async fn add_seed_peer(
    State(rest): State<Rest>,
    Segments((Id(cluster), Id(seed_peer))): Segments<(Id, Id)>,
) -> Result<(), Problem> {
    let update = UpdateSeedPeer {
        seed_peer_cluster_id: Some(cluster),
        ..UpdateSeedPeer::default()
    };
    seed_peers::update(&rest.store, seed_peer, update, Time::now()).await?;
    Ok(())
}

/// Gives this seed peer cluster, which is free, to a scheduler cluster; the one that it had is free then.
#[utoipa::path(
    put,
    path = "/seed-peer-clusters/{id}/scheduler-clusters/{scheduler_cluster_id}",
    params(Id, ("scheduler_cluster_id" = u64, Path, description = "Which scheduler cluster", minimum = 1)),
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "It belongs to another scheduler cluster", body = Message),
    ),
)]
pub(super) async fn give(
    State(rest): State<Rest>,
    Segments((Id(half), Id(cluster))): Segments<(Id, Id)>,
) -> Result<(), Problem> {
    Ok(rest.clusters.give_seed_peer_half(half, cluster, Time::now()).await?)
}
