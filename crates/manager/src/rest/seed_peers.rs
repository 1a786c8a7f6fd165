//! `/api/v1/seed-peers`.

use super::Rest;
use super::error::Problem;
use super::input::{Id, Input, Params};
use super::page;
use crate::members::{self, seed_peers};
use crate::store::Time;
use crate::store::entity::seed_peer::Entity;
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use dragonfly_api::rest::{CreateSeedPeer, Message, Page, SeedPeer, SeedPeerFilter, UpdateSeedPeer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
}

/// Lists seed peers.
#[utoipa::path(
    get,
    path = "/seed-peers",
    params(Page, SeedPeerFilter),
    responses((status = 200, description = "Done", body = Vec<SeedPeer>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<SeedPeerFilter>,
) -> Result<Response, Problem> {
    let now = Time::now();
    let (rows, total) = seed_peers::list(&rest.store, filter, page, now).await?;
    let entries: Vec<SeedPeer> = rows.into_iter().map(|row| seed_peers::wire(row, now)).collect();
    Ok(page::respond(&uri, page, total, &entries))
}

/// Shows one seed peer.
#[utoipa::path(
    get,
    path = "/seed-peers/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = SeedPeer)),
)]
pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<SeedPeer>, Problem> {
    let row = members::get::<Entity>(rest.store.db(), id).await?;
    Ok(Json(seed_peers::wire(row, Time::now())))
}

/// Makes a seed peer by hand; one that runs registers itself.
#[utoipa::path(
    post,
    path = "/seed-peers",
    request_body = CreateSeedPeer,
    responses(
        (status = 200, description = "Done", body = SeedPeer),
        (status = 404, description = "The cluster does not exist", body = Message),
        (status = 409, description = "A seed peer with this name and address is in the cluster", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Input(create): Input<CreateSeedPeer>,
) -> Result<Json<SeedPeer>, Problem> {
    let now = Time::now();
    let row = seed_peers::create(&rest.store, create, now).await?;
    Ok(Json(seed_peers::wire(row, now)))
}

/// Changes one seed peer; what is left out stays.
#[utoipa::path(
    patch,
    path = "/seed-peers/{id}",
    params(Id),
    request_body = UpdateSeedPeer,
    responses(
        (status = 200, description = "Done", body = SeedPeer),
        (status = 409, description = "A seed peer with this name and address is in the cluster", body = Message),
    ),
)]
pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateSeedPeer>,
) -> Result<Json<SeedPeer>, Problem> {
    let now = Time::now();
    let row = seed_peers::update(&rest.store, id, update, now).await?;
    Ok(Json(seed_peers::wire(row, now)))
}

/// Removes one seed peer.
#[utoipa::path(
    delete,
    path = "/seed-peers/{id}",
    params(Id),
    responses((status = 200, description = "Done")),
)]
pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(members::delete::<Entity>(rest.store.db(), id).await?)
}
