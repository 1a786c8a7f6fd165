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
use dragonfly_api::rest::{CreateSeedPeer, Page, SeedPeer, SeedPeerFilter, UpdateSeedPeer};

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

pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<SeedPeer>, Problem> {
    let row = members::get::<Entity>(rest.store.db(), id).await?;
    Ok(Json(seed_peers::wire(row, Time::now())))
}

pub(super) async fn create(
    State(rest): State<Rest>,
    Input(create): Input<CreateSeedPeer>,
) -> Result<Json<SeedPeer>, Problem> {
    let now = Time::now();
    let row = seed_peers::create(&rest.store, create, now).await?;
    Ok(Json(seed_peers::wire(row, now)))
}

pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateSeedPeer>,
) -> Result<Json<SeedPeer>, Problem> {
    let now = Time::now();
    let row = seed_peers::update(&rest.store, id, update, now).await?;
    Ok(Json(seed_peers::wire(row, now)))
}

pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(members::delete::<Entity>(rest.store.db(), id).await?)
}
