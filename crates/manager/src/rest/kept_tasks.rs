//! `/api/v1/persistent-cache-tasks` and `/api/v1/persistent-tasks`.

use super::Rest;
use super::error::Problem;
use super::input::{Params, Segments};
use super::page;
use crate::kept::Keeping;
use crate::store::Time;
use crate::users::Caller;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use axum::{Extension, Json};
use dragonfly_api::rest::{CreateJob, Job, JobType, KeptTask, KeptTaskFilter, Message, Page, TaskArgs};
use http::Uri;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list_cached))
        .routes(routes!(get_cached, delete_cached))
        .routes(routes!(list_stored))
        .routes(routes!(get_stored, delete_stored))
}

/// Lists the tasks that a cluster keeps with replicas.
#[utoipa::path(
    get,
    path = "/persistent-cache-tasks",
    params(Page, KeptTaskFilter),
    responses(
        (status = 200, description = "Done", body = Vec<KeptTask>),
        (status = 404, description = "The cluster does not exist", body = Message),
    ),
)]
pub(super) async fn list_cached(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<KeptTaskFilter>,
) -> Result<Response, Problem> {
    list(&rest, &uri, (page, filter), Keeping::PersistentCache).await
}

/// Shows a task that a cluster keeps with replicas, and who has it.
#[utoipa::path(
    get,
    path = "/persistent-cache-tasks/{id}",
    params(("id" = String, Path, description = "Which one"), KeptTaskFilter),
    responses((status = 200, description = "Done", body = KeptTask)),
)]
pub(super) async fn get_cached(
    State(rest): State<Rest>,
    Segments(id): Segments<String>,
    Params(filter): Params<KeptTaskFilter>,
) -> Result<Json<KeptTask>, Problem> {
    Ok(Json(rest.kept.get(Keeping::PersistentCache, filter, &id).await?))
}

/// Removes a task from all peers of its cluster, by a job.
#[utoipa::path(
    delete,
    path = "/persistent-cache-tasks/{id}",
    params(("id" = String, Path, description = "Which one"), KeptTaskFilter),
    responses(
        (status = 200, description = "The job that does it", body = Job),
        (status = 429, description = "The cluster takes no more jobs now; Retry-After says when", body = Message),
    ),
)]
pub(super) async fn delete_cached(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments(id): Segments<String>,
    Params(filter): Params<KeptTaskFilter>,
) -> Result<Json<Job>, Problem> {
    delete(&rest, &caller, (filter, id), Keeping::PersistentCache).await
}

/// Lists the tasks that a cluster keeps with replicas and in an object store.
#[utoipa::path(
    get,
    path = "/persistent-tasks",
    params(Page, KeptTaskFilter),
    responses(
        (status = 200, description = "Done", body = Vec<KeptTask>),
        (status = 404, description = "The cluster does not exist", body = Message),
    ),
)]
pub(super) async fn list_stored(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<KeptTaskFilter>,
) -> Result<Response, Problem> {
    list(&rest, &uri, (page, filter), Keeping::Persistent).await
}

/// Shows a task that a cluster keeps with replicas and in an object store, and who has it.
#[utoipa::path(
    get,
    path = "/persistent-tasks/{id}",
    params(("id" = String, Path, description = "Which one"), KeptTaskFilter),
    responses((status = 200, description = "Done", body = KeptTask)),
)]
pub(super) async fn get_stored(
    State(rest): State<Rest>,
    Segments(id): Segments<String>,
    Params(filter): Params<KeptTaskFilter>,
) -> Result<Json<KeptTask>, Problem> {
    Ok(Json(rest.kept.get(Keeping::Persistent, filter, &id).await?))
}

/// Removes a task from all peers of its cluster, by a job; what the object store has stays there.
#[utoipa::path(
    delete,
    path = "/persistent-tasks/{id}",
    params(("id" = String, Path, description = "Which one"), KeptTaskFilter),
    responses(
        (status = 200, description = "The job that does it", body = Job),
        (status = 429, description = "The cluster takes no more jobs now; Retry-After says when", body = Message),
    ),
)]
pub(super) async fn delete_stored(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Segments(id): Segments<String>,
    Params(filter): Params<KeptTaskFilter>,
) -> Result<Json<Job>, Problem> {
    delete(&rest, &caller, (filter, id), Keeping::Persistent).await
}

async fn list(
    rest: &Rest,
    uri: &Uri,
    (page, filter): (Page, KeptTaskFilter),
    keeping: Keeping,
) -> Result<Response, Problem> {
    let (tasks, total) = rest.kept.list(keeping, filter, page).await?;
    Ok(page::respond(uri, page, total, &tasks))
}

/// A scheduler does it where the task is kept; its report then takes the task from the list.
async fn delete(
    rest: &Rest,
    caller: &Caller,
    (filter, id): (KeptTaskFilter, String),
    keeping: Keeping,
) -> Result<Json<Job>, Problem> {
    let task = rest.kept.get(keeping, filter, &id).await?;
    let args = TaskArgs {
        task_id: task.id,
        ..TaskArgs::default()
    };
    let create = CreateJob {
        r#type: JobType::DeleteTask,
        args: serde_json::to_value(&args).map_err(|error| Problem::unprocessable(error.to_string()))?,
        bio: String::new(),
        user_id: 0,
        scheduler_cluster_ids: vec![filter.scheduler_cluster_id],
    };
    let job = rest.jobs.create(caller.id, create, Time::now()).await?;
    Ok(Json(rest.jobs.get(job).await?))
}
