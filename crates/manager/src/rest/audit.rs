//! `/api/v1/audits`, and the recording of what passes the guard.

use super::error::Problem;
use super::input::Params;
use super::{MAX_BODY_BYTES, Rest, page};
use crate::audit::{self, Deed, redacted};
use crate::store::Time;
use crate::users::Caller;
use axum::body::Body;
use axum::extract::{ConnectInfo, OriginalUri, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use dragonfly_api::rest::{ActorType, Audit, AuditFilter, Page};
use dragonfly_service::chain;
use http::request::Parts;
use http::{Method, StatusCode};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(list))
}

/// Lists what was done, newest first.
#[utoipa::path(
    get,
    path = "/audits",
    params(Page, AuditFilter),
    responses((status = 200, description = "Done", body = Vec<Audit>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<AuditFilter>,
) -> Result<Response, Problem> {
    let (records, total) = audit::list(&rest.store, filter, page).await?;
    Ok(page::respond(&uri, page, total, &records))
}

/// Answers a request of a caller, or of nobody where anybody may ask; what may change something is recorded.
pub(super) async fn recorded(rest: &Rest, caller: Option<&Caller>, request: Request, next: Next) -> Response {
    if !changes(request.method()) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large").into_response();
    };
    let mut deed = deed(&parts, caller);
    deed.change = redacted(&body);
    let request = Request::from_parts(parts, Body::from(body));
    if caller.is_none() {
        return sign_in(rest, deed, request, next).await;
    }
    let id = match audit::begin(&rest.store, deed, Time::now()).await {
        Ok(id) => id,
        Err(error) => return Problem::from(error).into_response(),
    };
    let response = next.run(request).await;
    if let Err(error) = audit::end(&rest.store, id, response.status(), Time::now()).await {
        tracing::error!(error = %chain(&error), audit.id = id, status = response.status().as_u16(), "a record stays incomplete");
    }
    response
}

/// Who is refused for being throttled leaves no record, or the log would grow as fast as somebody can ask.
async fn sign_in(rest: &Rest, mut deed: Deed, request: Request, next: Next) -> Response {
    if let Some(name) = deed.change.as_ref().and_then(|change| change["name"].as_str()) {
        deed.name = name.to_owned();
    }
    let response = next.run(request).await;
    let status = response.status();
    if ![StatusCode::TOO_MANY_REQUESTS, StatusCode::UNPROCESSABLE_ENTITY].contains(&status) {
        note(rest, deed, status).await;
    }
    response
}

/// Records that a known caller was refused.
pub(super) async fn refused(rest: &Rest, caller: &Caller, parts: &Parts, status: StatusCode) {
    if changes(&parts.method) {
        note(rest, deed(parts, Some(caller)), status).await;
    }
}

async fn note(rest: &Rest, deed: Deed, status: StatusCode) {
    if let Err(error) = audit::add(&rest.store, deed, status, Time::now()).await {
        tracing::error!(error = %chain(&error), status = status.as_u16(), "a record was not written");
    }
}

fn deed(parts: &Parts, caller: Option<&Caller>) -> Deed {
    let uri = match parts.extensions.get::<OriginalUri>() {
        Some(OriginalUri(uri)) => uri,
        None => &parts.uri,
    };
    let from = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    let unknown = (ActorType::Unknown, String::new());
    let (actor, name) = caller.map_or(unknown, Caller::actor);
    Deed {
        actor,
        name,
        address: from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(from)| from.ip()),
        method: parts.method.clone(),
        path: uri.path().to_owned(),
        change: None,
    }
}

fn changes(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}
