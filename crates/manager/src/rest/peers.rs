//! `/api/v1/peers`.

use super::Rest;
use super::error::Problem;
use super::input::{Id, Input, Params};
use super::page;
use crate::store::Time;
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use dragonfly_api::rest::{CreatePeer, Message, Page, Peer, PeerFilter};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
}

/// Lists peers.
#[utoipa::path(
    get,
    path = "/peers",
    params(Page, PeerFilter),
    responses((status = 200, description = "Done", body = Vec<Peer>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<PeerFilter>,
) -> Result<Response, Problem> {
    let (peers, total) = rest.peers.list(filter, page, Time::now()).await?;
    Ok(page::respond(&uri, page, total, &peers))
}

/// Shows one peer.
#[utoipa::path(
    get,
    path = "/peers/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = Peer)),
)]
pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<Peer>, Problem> {
    Ok(Json(rest.peers.get(id, Time::now()).await?))
}

/// Writes down a peer by hand; those that run are reported by schedulers.
#[utoipa::path(
    post,
    path = "/peers",
    request_body = CreatePeer,
    responses(
        (status = 200, description = "Done", body = Peer),
        (status = 404, description = "The cluster does not exist", body = Message),
        (status = 409, description = "A peer with this name and address is in the cluster", body = Message),
    ),
)]
pub(super) async fn create(State(rest): State<Rest>, Input(create): Input<CreatePeer>) -> Result<Json<Peer>, Problem> {
    Ok(Json(rest.peers.create(create, Time::now()).await?))
}

/// Removes one peer; one that runs is reported again.
#[utoipa::path(
    delete,
    path = "/peers/{id}",
    params(Id),
    responses((status = 200, description = "Done")),
)]
pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(rest.peers.delete(id).await?)
}
