//! The description of the API, for programs.
//!
//! It is open to all: it says nothing that the sources of the manager don't say, and a program that has to know how to sign in
//! reads it before it does.

use super::Rest;
use super::openapi::document;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use std::sync::LazyLock;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// It is the same as long as the program runs.
static DOCUMENT: LazyLock<String> = LazyLock::new(document);

/// The routes of this file that are under `/api/v1`.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(read))
}

/// Describes the API: this document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    responses((status = 200, description = "A document of OpenAPI 3.1", body = Object)),
)]
pub(super) async fn read() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, DOCUMENT.as_str()).into_response()
}
