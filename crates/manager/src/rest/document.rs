//! The description of the API, for programs and, by Swagger UI, for people.
//!
//! It is open to all: it says nothing that the sources of the manager don't say, and a program that has to know how to sign in
//! reads it before it does. The reader is built in; it loads nothing from elsewhere.

use super::Rest;
use super::openapi::document;
use axum::Router;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use std::sync::LazyLock;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// It is the same as long as the program runs.
static DOCUMENT: LazyLock<String> = LazyLock::new(document);
/// Swagger UI writes styles into its elements.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The routes of this file that are under `/api/v1`.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(read))
}

/// The route of this file that is where Dragonfly 2.5 has its description.
pub(super) fn as_before() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(read_as_before))
}

/// The pages that show the description to people, at `/swagger/`.
pub(super) fn reader() -> Router<Rest> {
    let config = Config::new(["/api/v1/openapi.json"])
        .use_base_layout()
        // Else it would show the document to a service on the Internet.
        .validator_url("none");
    let pages: Router<Rest> = SwaggerUi::new("/swagger").config(config).into();
    pages.layer(axum::middleware::map_response(protected))
}

async fn protected(mut response: Response) -> Response {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    response
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

/// Describes the API: this document, where Dragonfly 2.5 has its own.
#[utoipa::path(
    get,
    path = "/swagger/doc.json",
    operation_id = "swagger_read",
    responses((status = 200, description = "A document of OpenAPI 3.1", body = Object)),
)]
pub(super) async fn read_as_before() -> Response {
    read().await
}
