//! `/api/v1/clusters`.

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
use dragonfly_api::rest::{self, Check, ClusterMatch, CreateCluster, MatchQuery, Message, Page, UpdateCluster};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Which entries of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Named {
    /// Their name.
    pub(super) name: Option<String>,
}

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(find))
}

/// Lists clusters.
#[utoipa::path(
    get,
    path = "/clusters",
    params(Page, Named),
    responses((status = 200, description = "Done", body = Vec<rest::Cluster>)),
)]
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

/// Shows one cluster.
#[utoipa::path(
    get,
    path = "/clusters/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = rest::Cluster)),
)]
pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<rest::Cluster>, Problem> {
    Ok(Json(rest.clusters.get(id).await?.into()))
}

/// Says which cluster would serve a host, and why.
#[utoipa::path(
    get,
    path = "/clusters/match",
    params(MatchQuery),
    responses(
        (status = 200, description = "Done", body = ClusterMatch),
        (status = 404, description = "The cluster that the host names does not exist", body = Message),
    ),
)]
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

/// Makes a cluster, with both its halves.
#[utoipa::path(
    post,
    path = "/clusters",
    request_body = CreateCluster,
    responses(
        (status = 200, description = "Done", body = rest::Cluster),
        (status = 409, description = "The name is taken", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Input(create): Input<CreateCluster>,
) -> Result<Json<rest::Cluster>, Problem> {
    Ok(Json(rest.clusters.create(create, Time::now()).await?.into()))
}

/// Changes one cluster; what is left out stays.
#[utoipa::path(
    patch,
    path = "/clusters/{id}",
    params(Id),
    request_body = UpdateCluster,
    responses(
        (status = 200, description = "Done", body = rest::Cluster),
        (status = 409, description = "The name is taken, or no cluster would be the default", body = Message),
    ),
)]
pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateCluster>,
) -> Result<Json<rest::Cluster>, Problem> {
    Ok(Json(rest.clusters.update(id, update, Time::now()).await?.into()))
}

/// Removes one cluster.
#[utoipa::path(
    delete,
    path = "/clusters/{id}",
    params(Id),
    responses(
        (status = 200, description = "Done"),
        (status = 409, description = "The cluster is the default one, or has living members", body = Message),
    ),
)]
pub(super) async fn delete(State(rest): State<Rest>, Id(id): Id) -> Result<(), Problem> {
    Ok(rest.clusters.delete(id, Time::now()).await?)
}
