//! `/api/v1/personal-access-tokens`: the caller's own; whoever has a right to them sees, or removes, everybody's.

use super::Rest;
use super::error::Problem;
use super::input::{Id, Input, Params};
use super::page;
use crate::store::Time;
use crate::users::{self, Action, Caller};
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use axum::{Extension, Json};
use dragonfly_api::rest::{CreateToken, Message, Page, PersonalAccessToken, TokenFilter, UpdateToken};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this file.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
}

/// Lists personal access tokens.
#[utoipa::path(
    get,
    path = "/personal-access-tokens",
    params(Page, TokenFilter),
    responses((status = 200, description = "Done", body = Vec<PersonalAccessToken>)),
)]
pub(super) async fn list(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    OriginalUri(uri): OriginalUri,
    Params(page): Params<Page>,
    Params(filter): Params<TokenFilter>,
) -> Result<Response, Problem> {
    let all = everybodys(&rest, &caller, Action::Read).await?;
    let (tokens, total) = rest.users.tokens(&caller, all, filter, page).await?;
    Ok(page::respond(&uri, page, total, &tokens))
}

/// Shows one personal access token.
#[utoipa::path(
    get,
    path = "/personal-access-tokens/{id}",
    params(Id),
    responses((status = 200, description = "Done", body = PersonalAccessToken)),
)]
pub(super) async fn get(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<PersonalAccessToken>, Problem> {
    let all = everybodys(&rest, &caller, Action::Read).await?;
    Ok(Json(rest.users.token(&caller, all, id).await?))
}

/// Makes a personal access token, which is shown in this answer only.
#[utoipa::path(
    post,
    path = "/personal-access-tokens",
    request_body = CreateToken,
    responses(
        (status = 200, description = "Done", body = PersonalAccessToken),
        (status = 403, description = "A scope is beyond the rights of the caller", body = Message),
        (status = 409, description = "The name is taken", body = Message),
    ),
)]
pub(super) async fn create(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Input(create): Input<CreateToken>,
) -> Result<Json<PersonalAccessToken>, Problem> {
    Ok(Json(rest.users.create_token(&caller, create, Time::now()).await?))
}

/// Changes one personal access token; what is left out stays.
#[utoipa::path(
    patch,
    path = "/personal-access-tokens/{id}",
    params(Id),
    request_body = UpdateToken,
    responses((status = 200, description = "Done", body = PersonalAccessToken)),
)]
pub(super) async fn update(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Input(update): Input<UpdateToken>,
) -> Result<Json<PersonalAccessToken>, Problem> {
    Ok(Json(rest.users.update_token(&caller, id, update, Time::now()).await?))
}

/// Removes one personal access token.
#[utoipa::path(
    delete,
    path = "/personal-access-tokens/{id}",
    params(Id),
    responses((status = 200, description = "Done")),
)]
pub(super) async fn delete(
    State(rest): State<Rest>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<(), Problem> {
    let all = everybodys(&rest, &caller, Action::Write).await?;
    Ok(rest.users.delete_token(&caller, all, id).await?)
}

async fn everybodys(rest: &Rest, caller: &Caller, action: Action) -> Result<bool, users::Error> {
    match rest.users.authorize(caller, action, "personal-access-tokens").await {
        Ok(()) => Ok(true),
        Err(users::Error::Forbidden { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
