//! What requests carry: JSON bodies, queries, ids in paths.

use super::error::Problem;
use super::json;
use super::openapi::values::MAX_QUERY_CHARS;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, RawPathParams, Request};
use dragonfly_api::rest::{MAX_ID, Problems};
use http::StatusCode;
use http::Uri;
use http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};

/// A JSON body, whatever its content type: scripts often do not say it, and the cookie does not come along from other
/// sites.
#[derive(Debug)]
pub(super) struct Input<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Raw(body) = Raw::from_request(request, state).await?;
        json::read(&body)
            .map(Self)
            .map_err(|error| Problem::unprocessable(error.to_string()))
    }
}

/// A body of another form.
#[derive(Debug)]
pub(super) struct Raw(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            status => Problem::new(status, "the body can't be read"),
        })
    }
}

/// A query. Parameters without a value count as left out.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let given: Vec<&str> = query.split('&').filter(|pair| !pair.ends_with('=')).collect();
        let uri: Uri = format!("/?{}", given.join("&"))
            .parse()
            .map_err(|_| Problem::unprocessable("the query can't be read"))?;
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri)
            .map_err(|error| Problem::unprocessable(error.body_text()))?;
        let mut problems = Problems::default();
        for (name, value) in &pairs {
            problems.chars(name, value, 0..=MAX_QUERY_CHARS);
        }
        if !problems.is_empty() {
            return Err(Problem::unprocessable(problems.to_string()));
        }
        Query::try_from_uri(&uri)
            .map(|Query(params)| Self(params))
            .map_err(|error| Problem::unprocessable(error.body_text()))
    }
}

/// An id in the path. What is no id names nothing.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "u64")]
pub(super) struct Id(pub(super) u64);

/// It can't be the id of a row.
#[derive(Debug, thiserror::Error)]
#[error("no row has this id")]
pub(super) struct NoId;

impl TryFrom<u64> for Id {
    type Error = NoId;

    fn try_from(id: u64) -> Result<Self, NoId> {
        match id {
            1..=MAX_ID => Ok(Self(id)),
            _ => Err(NoId),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Segments(id) = Segments::from_request_parts(parts, state).await?;
        Ok(id)
    }
}

impl IntoParams for Id {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let id = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(1));
        let id = ParameterBuilder::new()
            .name("id")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some("Which one"))
            .schema(Some(id));
        vec![id.build()]
    }
}

/// Several values in the path. What does not fit names nothing.
#[derive(Debug)]
pub(super) struct Segments<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let raw = RawPathParams::from_request_parts(parts, state).await;
        let raw = raw.map_err(|_| Problem::no_such_page())?;
        // No name has them, and not every database takes them.
        if raw.iter().any(|(_, segment)| segment.contains(char::is_control)) {
            return Err(Problem::no_such_page());
        }
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(segments)| Self(segments))
            .map_err(|_| Problem::no_such_page())
    }
}
