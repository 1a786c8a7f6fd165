//! Traces: OTLP by HTTP at `/v1/traces` (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>; protobuf, plain or by gzip), and what
//! Jaeger's query API answers at `/jaeger/api`, which Jaeger's UI and Grafana's data source for Jaeger read. A refusal is worded
//! as everywhere here, but for a trace that is not found.

use super::Rest;
use super::error::Problem;
use super::input::{Params, Raw, Segments};
use crate::traces::{MAX_EXPORT_BYTES, MAX_TRACES, Query, Refused, TraceId, Traces};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use dragonfly_api::rest::{
    JaegerAnswer, JaegerError, JaegerOperation, JaegerOperationQuery, JaegerQuery, JaegerTrace, Message,
};
use flate2::read::GzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, StatusCode};
use jiff::SignedDuration;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message as _;
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The only form of OTLP that is read here.
const PROTOBUF: &str = "application/x-protobuf";
/// How many traces are answered if nothing is said.
const USUAL_LIMIT: usize = 100;
/// How many traces can be asked for by their ids at once.
const MAX_IDS: usize = 100;
/// When a sender that came too often should come again.
const COME_AGAIN: Duration = Duration::from_secs(1);

/// A message of OTLP.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "it is only described")]
pub(super) struct Otlp(Vec<u8>);

/// The route of this file that is under `/v1`.
pub(super) fn received() -> OpenApiRouter<Rest> {
    OpenApiRouter::default().routes(routes!(export))
}

/// The routes of this file that are under `/jaeger/api`.
pub(super) fn found() -> OpenApiRouter<Rest> {
    OpenApiRouter::default()
        .routes(routes!(services))
        .routes(routes!(operations_of_service))
        .routes(routes!(operations))
        .routes(routes!(find))
        .routes(routes!(get))
}

/// Takes spans: `ExportTraceServiceRequest` of OTLP, at most 4 MiB, plain or by gzip.
#[utoipa::path(
    post,
    path = "/traces",
    request_body(content = Otlp, content_type = "application/x-protobuf"),
    responses(
        (status = 200, description = "Kept; says how many spans could not be", body = Otlp, content_type = "application/x-protobuf"),
        (status = 400, description = "The body is no such message", body = Message),
        (status = 404, description = "This manager keeps no traces", body = Message),
        (status = 413, description = "The body is larger than 4 MiB", body = Message),
        (status = 415, description = "The body is in another form", body = Message),
        (status = 429, description = "Too many spans come at once; Retry-After says when to come again", body = Message),
    ),
)]
pub(super) async fn export(State(rest): State<Rest>, headers: HeaderMap, Raw(body): Raw) -> Result<Response, Problem> {
    let traces = rest.traces()?;
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = text(CONTENT_TYPE).and_then(|kind| kind.split(';').next());
    if kind.is_none_or(|kind| !kind.trim().eq_ignore_ascii_case(PROTOBUF)) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "traces are taken as application/x-protobuf",
        ));
    }
    let message = match text(CONTENT_ENCODING) {
        None | Some("identity") => body,
        Some("gzip") => unpacked(body).await?,
        Some(_) => {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "traces are taken plain or by gzip",
            ));
        }
    };
    // It quotes nothing of the message.
    let request = ExportTraceServiceRequest::decode(message).map_err(|_| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "the body is no ExportTraceServiceRequest of OTLP",
        )
    })?;
    let partial_success = traces.keep(request).await.map_err(|refused| match refused {
        Refused::Busy => Problem::too_many(refused.to_string(), COME_AGAIN),
        Refused::Failed => Problem::unavailable(&refused.to_string()),
    })?;
    let answer = ExportTraceServiceResponse { partial_success };
    Ok(([(CONTENT_TYPE, PROTOBUF)], answer.encode_to_vec()).into_response())
}

async fn unpacked(body: Bytes) -> Result<Bytes, Problem> {
    let unpack = move || {
        let mut message = Vec::new();
        let most = MAX_EXPORT_BYTES as u64 + 1;
        let read = GzDecoder::new(&*body).take(most).read_to_end(&mut message);
        read.map(|_| message)
    };
    match tokio::task::spawn_blocking(unpack).await {
        Ok(Ok(message)) if message.len() <= MAX_EXPORT_BYTES => Ok(message.into()),
        Ok(Ok(_)) => Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, "the body is no gzip")),
    }
}

/// Lists the services that have told of spans.
#[utoipa::path(
    get,
    path = "/services",
    responses(
        (status = 200, description = "Done", body = JaegerAnswer<Vec<String>>),
        (status = 404, description = "This manager keeps no traces", body = Message),
    ),
)]
pub(super) async fn services(State(rest): State<Rest>) -> Result<Json<JaegerAnswer<Vec<String>>>, Problem> {
    Ok(listed(rest.traces()?.services().await?))
}

/// Lists the names of a service's spans.
#[utoipa::path(
    get,
    path = "/services/{service}/operations",
    params(("service" = String, Path, description = "Which service")),
    responses((status = 200, description = "Done", body = JaegerAnswer<Vec<String>>)),
)]
pub(super) async fn operations_of_service(
    State(rest): State<Rest>,
    Segments(service): Segments<String>,
) -> Result<Json<JaegerAnswer<Vec<String>>>, Problem> {
    let operations = rest.traces()?.operations(service).await?;
    let mut names: Vec<String> = operations.into_iter().map(|operation| operation.name).collect();
    names.dedup();
    Ok(listed(names))
}

/// Lists the names and kinds of a service's spans.
#[utoipa::path(
    get,
    path = "/operations",
    params(JaegerOperationQuery),
    responses(
        (status = 200, description = "Done", body = JaegerAnswer<Vec<JaegerOperation>>),
        (status = 404, description = "This manager keeps no traces", body = Message),
    ),
)]
pub(super) async fn operations(
    State(rest): State<Rest>,
    Params(query): Params<JaegerOperationQuery>,
) -> Result<Json<JaegerAnswer<Vec<JaegerOperation>>>, Problem> {
    let mut operations = rest.traces()?.operations(query.service).await?;
    if let Some(kind) = query.span_kind {
        operations.retain(|operation| operation.span_kind == kind);
    }
    Ok(listed(operations))
}

/// Finds traces, the newest first.
#[utoipa::path(
    get,
    path = "/traces",
    params(
        JaegerQuery,
        ("tag" = Option<Vec<String>>, Query, description = "One of the tags, as `key:value`"),
        ("traceID" = Option<Vec<String>>, Query, description = "Not what is said otherwise, but the traces with these ids"),
    ),
    responses(
        (status = 200, description = "Done", body = JaegerAnswer<Vec<JaegerTrace>>),
        (status = 404, description = "This manager keeps no traces", body = Message),
    ),
)]
pub(super) async fn find(
    State(rest): State<Rest>,
    Params(query): Params<JaegerQuery>,
    Params(pairs): Params<Vec<(String, String)>>,
) -> Result<Json<JaegerAnswer<Vec<JaegerTrace>>>, Problem> {
    let traces = rest.traces()?;
    let all = |wanted: &str| -> Vec<String> {
        let named = pairs.iter().filter(|(name, _)| name == wanted);
        named.map(|(_, value)| value.clone()).collect()
    };
    let ids = all("traceID");
    if !ids.is_empty() {
        return by_ids(traces, ids).await;
    }
    let found = traces.find(meant(query, all("tag"))?).await?;
    let mut answer = told(found.traces);
    if found.cut {
        let warning = "the search ended at its limit; ask for less time, or for more of what is sought";
        match answer.data.as_mut().and_then(|traces| traces.last_mut()) {
            Some(last) => last.warnings.get_or_insert_default().push(warning.to_owned()),
            None => answer.errors = Some(vec![error(None, warning.to_owned(), None)]),
        }
    }
    Ok(Json(answer))
}

/// Shows one trace.
#[utoipa::path(
    get,
    path = "/traces/{id}",
    params(("id" = String, Path, description = "Which one, in hexadecimal digits")),
    responses(
        (status = 200, description = "Done", body = JaegerAnswer<Vec<JaegerTrace>>),
        (status = 404, description = "There is no such trace", body = JaegerAnswer<Vec<JaegerTrace>>),
    ),
)]
pub(super) async fn get(State(rest): State<Rest>, Segments(id): Segments<String>) -> Result<Response, Problem> {
    let trace = match (&rest.traces, TraceId::parse(&id)) {
        (Some(traces), Some(id)) => traces.trace(id).await?,
        _ => None,
    };
    let Some(trace) = trace else {
        let code = StatusCode::NOT_FOUND;
        let answer = JaegerAnswer::<Vec<JaegerTrace>> {
            data: None,
            errors: Some(vec![error(Some(code.as_u16()), "trace not found".to_owned(), None)]),
            ..told(Vec::new())
        };
        return Ok((code, Json(answer)).into_response());
    };
    Ok(Json(told(vec![trace])).into_response())
}

impl Rest {
    fn traces(&self) -> Result<&Traces, Problem> {
        let off = || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "this manager keeps no traces; otlp.enable has it keep them",
            )
        };
        self.traces.as_ref().ok_or_else(off)
    }
}

async fn by_ids(traces: &Traces, ids: Vec<String>) -> Result<Json<JaegerAnswer<Vec<JaegerTrace>>>, Problem> {
    if ids.len() > MAX_IDS {
        return Err(Problem::unprocessable(format!("traceID may be given {MAX_IDS} times")));
    }
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for id in ids {
        let parsed = TraceId::parse(&id);
        let parsed = parsed.ok_or_else(|| Problem::unprocessable("traceID must be 1 to 32 hexadecimal digits"))?;
        match traces.trace(parsed).await? {
            Some(trace) => found.push(trace),
            None => errors.push(error(None, "trace not found".to_owned(), Some(parsed.to_string()))),
        }
    }
    Ok(Json(JaegerAnswer {
        errors: (!errors.is_empty()).then_some(errors),
        ..told(found)
    }))
}

/// What a query of Jaeger's means here.
fn meant(query: JaegerQuery, pairs: Vec<String>) -> Result<Query, Problem> {
    let required = || Problem::unprocessable("service is required");
    let durations = (
        micros("minDuration", query.min_duration)?.unwrap_or(0),
        micros("maxDuration", query.max_duration)?.unwrap_or(u64::MAX),
    );
    if durations.1 < durations.0 {
        return Err(Problem::unprocessable("maxDuration must not be less than minDuration"));
    }
    let mut tags = BTreeMap::new();
    if let Some(json) = query.tags {
        let read = serde_json::from_str::<BTreeMap<String, String>>(&json);
        tags = read.map_err(|_| Problem::unprocessable("tags must be an object of JSON whose values are texts"))?;
    }
    for pair in pairs {
        let pair = pair.split_once(':');
        let (key, value) = pair.ok_or_else(|| Problem::unprocessable("tag must be key:value"))?;
        tags.insert(key.to_owned(), value.to_owned());
    }
    let limit = query.limit.and_then(|limit| usize::try_from(limit).ok());
    Ok(Query {
        service: query.service.ok_or_else(required)?,
        operation: query.operation,
        tags: tags.into_iter().collect(),
        durations,
        times: (query.start.unwrap_or(0), query.end.unwrap_or(u64::MAX)),
        limit: limit.filter(|limit| *limit > 0).unwrap_or(USUAL_LIMIT).min(MAX_TRACES),
    })
}

/// A duration as Jaeger's users write it: `1.2s`, `100ms`, `500us`.
fn micros(name: &str, text: Option<String>) -> Result<Option<u64>, Problem> {
    let parse = |text: String| {
        let duration = text.parse::<SignedDuration>().ok()?;
        u64::try_from(duration.as_micros()).ok()
    };
    let wrong = || Problem::unprocessable(format!("{name} must be a duration such as 1.2s, 100ms or 500us"));
    text.map(|text| parse(text).ok_or_else(wrong)).transpose()
}

fn listed<T>(data: Vec<T>) -> Json<JaegerAnswer<Vec<T>>> {
    Json(JaegerAnswer {
        total: data.len() as u64,
        ..told(data)
    })
}

fn told<T>(data: Vec<T>) -> JaegerAnswer<Vec<T>> {
    JaegerAnswer {
        data: Some(data),
        total: 0,
        limit: 0,
        offset: 0,
        errors: None,
    }
}

fn error(code: Option<u16>, msg: String, trace_id: Option<String>) -> JaegerError {
    JaegerError { code, msg, trace_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_jaegers_users_write_it() {
        let query = JaegerQuery {
            service: Some("s".to_owned()),
            tags: Some(r#"{"http.url": "/a:b?c"}"#.to_owned()),
            min_duration: Some("1.2s".to_owned()),
            max_duration: Some("2s500us".to_owned()),
            limit: Some(0),
            ..JaegerQuery::default()
        };
        let meant = meant(query, vec!["error:true".to_owned(), "x:y:z".to_owned()]).unwrap();
        assert_eq!(meant.durations, (1_200_000, 2_000_500));
        assert_eq!(meant.limit, USUAL_LIMIT);
        let tags: Vec<String> = meant.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(tags, ["error=true", "http.url=/a:b?c", "x=y:z"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = |change: fn(&mut JaegerQuery)| {
            let mut query = JaegerQuery {
                service: Some("s".to_owned()),
                ..JaegerQuery::default()
            };
            change(&mut query);
            meant(query, Vec::new()).is_err()
        };
        assert!(!refused(|_| {}));
        assert!(refused(|query| query.service = None));
        assert!(refused(|query| query.tags = Some("{\"a\": 1}".to_owned())));
        assert!(refused(|query| query.min_duration = Some("-1s".to_owned())));
        assert!(refused(|query| query.min_duration = Some("soon".to_owned())));
        assert!(refused(|query| {
            query.min_duration = Some("2s".to_owned());
            query.max_duration = Some("1s".to_owned());
        }));
    }
}
