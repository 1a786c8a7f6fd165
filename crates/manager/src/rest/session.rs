//! `/api/v1/session`: who calls. A page can't read it from its cookie, which is hidden from scripts.

use super::Rest;
use super::error::Problem;
use crate::users::Caller;
use axum::extract::State;
use axum::{Extension, Json};
use dragonfly_api::rest::CurrentSession;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(current))
}

/// Shows whose session the request carries, and what it opens.
#[utoipa::path(
    get,
    path = "/session",
    responses((status = 200, description = "Done", body = CurrentSession)),
)]
pub(super) async fn current(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<CurrentSession>, Problem> {
    Ok(Json(rest.users.current(&caller).await?))
}
