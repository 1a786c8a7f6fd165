//! `/api/v1/clusters`, and their two halves for reading.

use super::Rest;
use super::error::Problem;
use super::input::{Id, Input, Params};
use super::page;
use crate::error::Error;
use crate::placement::{self, Caller};
use crate::store::Time;
use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use dragonfly_api::rest::{self, Check, ClusterMatch, CreateCluster, MatchQuery, Page, UpdateCluster};
use serde::Deserialize;

/// Which entries of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: Option<String>,
}

pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<Named>,
) -> Result<Response, Problem> {
    let (clusters, total) = rest.clusters.list(filter.name.as_deref(), page).await?;
    let clusters: Vec<rest::Cluster> = clusters.into_iter().map(Into::into).collect();
    Ok(page::respond(&uri, page, total, &clusters))
}

pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<rest::Cluster>, Problem> {
    Ok(Json(rest.clusters.get(id).await?.into()))
}

/// Which cluster would serve a host, and why.
pub(super) async fn find(
    State(rest): State<Rest>,
    Params(query): Params<MatchQuery>,
) -> Result<Json<ClusterMatch>, Problem> {
    query.checked().map_err(Error::from)?;
    let caller = Caller {
        is_seed_peer: query.seed_peer,
        ip: query.address(),
        host_name: query.hostname,
        idc: query.idc,
        location: query.location,
        // 0 is how a configuration says that it names none.
        pinned: query.scheduler_cluster_id.filter(|id| *id != 0),
    };
    let judgement = placement::judge(&rest.store, &rest.clusters, &caller).await?;
    Ok(Json(judgement.wire(&rest.store, Time::now()).await?))
}

pub(super) async fn create(
    State(rest): State<Rest>,
    Input(create): Input<CreateCluster>,
) -> Result<Json<rest::Cluster>, Problem> {
    Ok(Json(rest.clusters.create(create, Time::now()).await?.into()))
}

pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateCluster>,
) -> Result<Json<rest::Cluster>, Problem> {
    Ok(Json(rest.clusters.update(id, update, Time::now()).await?.into()))
}

pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(rest.clusters.delete(id, Time::now()).await?)
}

pub(super) async fn list_scheduler_clusters(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<Named>,
) -> Result<Response, Problem> {
    let (clusters, total) = rest.clusters.list(filter.name.as_deref(), page).await?;
    let clusters: Vec<rest::SchedulerCluster> = clusters.into_iter().map(Into::into).collect();
    Ok(page::respond(&uri, page, total, &clusters))
}

pub(super) async fn get_scheduler_cluster(
    State(rest): State<Rest>,
    Id(id): Id,
) -> Result<Json<rest::SchedulerCluster>, Problem> {
    Ok(Json(rest.clusters.get(id).await?.into()))
}

pub(super) async fn list_seed_peer_clusters(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<Named>,
) -> Result<Response, Problem> {
    let (clusters, total) = rest.clusters.seed_peer_clusters(filter.name.as_deref(), page).await?;
    let clusters: Vec<rest::SeedPeerCluster> = clusters.into_iter().map(Into::into).collect();
    Ok(page::respond(&uri, page, total, &clusters))
}

pub(super) async fn get_seed_peer_cluster(
    State(rest): State<Rest>,
    Id(id): Id,
) -> Result<Json<rest::SeedPeerCluster>, Problem> {
    Ok(Json(rest.clusters.seed_peer_cluster(id).await?.into()))
}
