//! `/api/v1/jobs` and `/oapi/v1/jobs`.

use super::error::Problem;
use super::events::Events;
use super::input::{Id, Input, Params};
use super::{Rest, page};
use crate::store::Time;
use crate::users::Caller;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use dragonfly_api::rest::{
    CreateJob, Job, JobFilter, JobTarget, JobType, Message, Page, RetryJob, TargetFilter, UpdateJob,
};
use http::StatusCode;
use http::header::LOCATION;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How long a job is waited for whose caller expects what came of it. It is less than a request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked at meanwhile, if nothing else says that it changed.
const LOOK_AFTER: Duration = Duration::from_millis(500);

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(targets))
        .routes(routes!(events))
}

/// Lists jobs, newest first; a page has 500 at most.
#[utoipa::path(
    get,
    path = "/jobs",
    params(Page, JobFilter),
    responses((status = 200, description = "Done", body = Vec<Job>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<JobFilter>,
) -> Result<Response, Problem> {
    let (jobs, total, page) = rest.jobs.list(filter, page).await?;
    Ok(page::respond(&uri, page, total, &jobs))
}

/// Shows one job, and how far it is.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = Job)),
)]
pub(super) async fn get(State(rest): State<Rest>, Id(id): Id) -> Result<Json<Job>, Problem> {
    Ok(Json(rest.jobs.get(id).await?))
}

/// Makes a job. Of the types `sync_peers`, `gc` and `get_image_distribution` the answer is what came of it.
#[utoipa::path(
    post,
    path = "/jobs",
    request_body = CreateJob,
    responses(
        (
            status = 200,
            description = "Done. `get_image_distribution` answers an ImageDistribution, `sync_peers` the text `OK`",
            body = Job,
        ),
        (status = 202, description = "It takes longer; Location says where what comes of it will be", body = Job),
        (status = 404, description = "A cluster does not exist", body = Message),
        (status = 409, description = "There is no cluster", body = Message),
        (status = 429, description = "A cluster takes no more jobs now; Retry-After says when", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    OriginalUri(uri): OriginalUri,
    Input(create): Input<CreateJob>,
) -> Result<Response, Problem> {
    let kind = create.r#type;
    rest.counts.job_wanted(kind.as_str());
    if kind == JobType::SyncPeers {
        let unreported = rest
            .peers
            .unreported(&create.scheduler_cluster_ids, Time::now())
            .await?;
        if let Some(cluster) = unreported {
            let message = format!("cluster {cluster} has no active scheduler that could tell its peers");
            return Err(Problem::unavailable(&message));
        }
        rest.counts.job_made(kind.as_str());
        return Ok(Json("OK").into_response());
    }
    let id = rest.jobs.create(caller.id, create, Time::now()).await?;
    rest.counts.job_made(kind.as_str());
    let job = match kind {
        JobType::GetImageDistribution | JobType::Gc => ended(&rest, id).await?,
        _ => rest.jobs.get(id).await?,
    };
    if kind == JobType::GetImageDistribution && job.state.has_ended() {
        return distribution(&rest, job).await;
    }
    if kind == JobType::GetImageDistribution {
        // It goes on; the caller comes back for it.
        let location = [(LOCATION, format!("{}/{id}", uri.path()))];
        return Ok((StatusCode::ACCEPTED, location, Json(job)).into_response());
    }
    Ok(Json(job).into_response())
}

/// The answer that Dragonfly 2.5 gives, or why there is none.
async fn distribution(rest: &Rest, job: Job) -> Result<Response, Problem> {
    let found = rest.jobs.distribution(job.id).await?;
    let errors = job.result.job_states.iter().map(|work| work.error.as_str());
    let errors: Vec<&str> = errors.filter(|error| !error.is_empty()).collect();
    if found.image.layers.is_empty() && !errors.is_empty() {
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, errors.join("; ")));
    }
    Ok(Json(found).into_response())
}

/// The job when it has ended, or after a while as it is then.
async fn ended(rest: &Rest, id: u64) -> Result<Job, Problem> {
    let mut changes = rest.jobs.changes();
    let wait = async {
        loop {
            changes.mark_unchanged();
            let job = rest.jobs.get(id).await?;
            if job.state.has_ended() {
                return Ok::<_, Problem>(job);
            }
            // A change or the time, whichever is first.
            tokio::time::timeout(LOOK_AFTER, changes.changed()).await.ok();
        }
    };
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(job) => job,
        Err(_) => Ok(rest.jobs.get(id).await?),
    }
}

/// Changes one job's description or user; what is left out stays.
#[utoipa::path(
    patch,
    path = "/jobs/{id}",
    params(Id),
    request_body = UpdateJob,
    responses((status = 200, description = "Done", body = Job)),
)]
pub(super) async fn update(
    State(rest): State<Rest>,
    Id(id): Id,
    Input(update): Input<UpdateJob>,
) -> Result<Json<Job>, Problem> {
    rest.jobs.update(id, update, Time::now()).await?;
    Ok(Json(rest.jobs.get(id).await?))
}

/// Removes one job; one that has not ended is cancelled.
#[utoipa::path(
    delete,
    path = "/jobs/{id}",
    params(Id),
    responses((status = 200, description = "Done")),
)]
pub(super) async fn delete(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<(), Problem> {
    Ok(rest.jobs.delete(id, &caller.name, Time::now()).await?)
}

/// Gives up one job; it has then failed.
#[utoipa::path(
    post,
    path = "/jobs/{id}/cancel",
    params(Id),
    responses(
        (status = 200, description = "Done", body = Job),
        (status = 409, description = "It has ended already", body = Message),
    ),
)]
pub(super) async fn cancel(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<Job>, Problem> {
    rest.jobs.cancel(id, &caller.name, Time::now()).await?;
    Ok(Json(rest.jobs.get(id).await?))
}

/// Has done again what has failed of one job. The body has the secrets that were forgotten when it ended, if there were any.
#[utoipa::path(
    post,
    path = "/jobs/{id}/retry",
    params(Id),
    request_body(content = Option<RetryJob>, content_type = "application/json"),
    responses(
        (status = 200, description = "Done", body = Job),
        (status = 409, description = "It has not failed, or its secrets are needed again", body = Message),
    ),
)]
pub(super) async fn retry(State(rest): State<Rest>, Id(id): Id, body: Bytes) -> Result<Json<Job>, Problem> {
    let retry: RetryJob = match body.is_empty() {
        true => RetryJob::default(),
        false => serde_json::from_slice(&body).map_err(|error| Problem::unprocessable(error.to_string()))?,
    };
    rest.jobs.retry(id, retry, Time::now()).await?;
    Ok(Json(rest.jobs.get(id).await?))
}

/// Lists each content on each host that one job is about.
#[utoipa::path(
    get,
    path = "/jobs/{id}/targets",
    params(Id, Page, TargetFilter),
    responses((status = 200, description = "Done", body = Vec<JobTarget>)),
)]
pub(super) async fn targets(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Id(id): Id,
    Params(page): Params<Page>,
    Params(filter): Params<TargetFilter>,
) -> Result<Response, Problem> {
    let (targets, total) = rest.jobs.targets(id, filter, page).await?;
    Ok(page::respond(&uri, page, total, &targets))
}

/// Tells how far one job is as it goes on: events `progress` with a JobProgress, at last `ended` with the Job.
#[utoipa::path(
    get,
    path = "/jobs/{id}/events",
    params(Id),
    responses((status = 200, description = "Server-sent events", content_type = "text/event-stream", body = String)),
)]
pub(super) async fn events(State(rest): State<Rest>, Id(id): Id) -> Result<Response, Problem> {
    let Some(events) = Events::of(&rest, id).await? else {
        return Err(Problem::unavailable(
            "too many listen to jobs at the moment; ask for the job instead",
        ));
    };
    Ok(events.into_response())
}
