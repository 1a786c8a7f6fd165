//! Traces come by OTLP, stay within bounds, and are found as in Jaeger.

use crate::access::{give, token, user};
use crate::room::{Api, Engine, PATIENCE, Room};
use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_manager::config::OtlpConfig;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;
use tonic::Code;
use tonic::transport::Endpoint;

const EXPORT: &str = "/v1/traces";
const SERVICE: &str = "dragonfly-dfget";
/// Some time, in microseconds since 1970.
const BEGIN: u64 = 1_800_000_000_000_000;

fn said(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    said(key, Any::StringValue(value.into()))
}

/// A span that takes so many microseconds.
fn span(trace: u8, id: u8, name: &str, micros: u64) -> Span {
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![id; 8],
        name: name.into(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: (BEGIN + u64::from(trace)) * 1000,
        end_time_unix_nano: (BEGIN + u64::from(trace) + micros) * 1000,
        ..Span::default()
    }
}

/// A pull: its root, and below it a download that failed.
fn pull(trace: u8, url: &str, micros: u64) -> Vec<Span> {
    let root = Span {
        attributes: vec![
            text("http.url", url),
            said("http.response.status_code", Any::IntValue(200)),
        ],
        events: vec![Event {
            time_unix_nano: BEGIN * 1000,
            name: "piece".into(),
            attributes: vec![said("number", Any::IntValue(1))],
            ..Event::default()
        }],
        ..span(trace, 1, "proxy", micros)
    };
    let download = Span {
        parent_span_id: vec![1; 8],
        status: Some(Status {
            code: SpanStatus::Error.into(),
            message: "the origin is away".into(),
        }),
        ..span(trace, 2, "download", micros / 2)
    };
    vec![root, download]
}

fn export(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", SERVICE), text("host.name", "gpu-7")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

async fn by_grpc(room: &Room, spans: Vec<Span>) -> ExportTraceServiceResponse {
    let mut client = TraceServiceClient::new(room.channel().await);
    client.export(export(spans)).await.unwrap().into_inner()
}

async fn by_http(api: &Api, body: Vec<u8>, headers: &[(&str, &str)]) -> (StatusCode, Vec<u8>) {
    let mut request = api.client.post(format!("{}{EXPORT}", api.base)).body(body);
    for (name, value) in [("content-type", "application/x-protobuf")].iter().chain(headers) {
        request = request.header(*name, *value);
    }
    if let Some(token) = &api.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.bytes().await.unwrap().to_vec())
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The ids of the traces that a query finds.
async fn found(api: &Api, query: &[(&str, &str)]) -> Vec<String> {
    let mut url = reqwest::Url::parse(&format!("{}/jaeger/api/traces", api.base)).unwrap();
    url.query_pairs_mut()
        .append_pair("service", SERVICE)
        .extend_pairs(query);
    let path = format!("{}?{}", url.path(), url.query().unwrap());
    let answer = api.get(&path).await.ok();
    let traces = answer["data"].as_array().unwrap();
    let id = |trace: &Value| trace["traceID"].as_str().unwrap().to_owned();
    traces.iter().map(id).collect()
}

fn id(trace: u8) -> String {
    format!("{trace:02x}").repeat(16)
}

#[tokio::test]
async fn spans_that_come_by_either_door_are_found_in_jaegers_form_and_after_a_restart() {
    let room = Room::start(Engine::Sqlite).await;
    let root = room.root().await;
    let answer = by_grpc(&room, pull(1, "/v2/a?ns=docker.io", 250_000)).await;
    assert_eq!(answer, ExportTraceServiceResponse::default());
    let plain = export(pull(2, "/v2/b", 5_000)).encode_to_vec();
    assert_eq!(by_http(&root, plain, &[]).await, (StatusCode::OK, Vec::new()));
    let small = packed(&export(pull(3, "/v2/c", 10)).encode_to_vec());
    let gzip = [("content-encoding", "gzip")];
    assert_eq!(by_http(&root, small, &gzip).await.0, StatusCode::OK);

    assert_eq!(found(&root, &[]).await, [id(3), id(2), id(1)]);
    let tags = r#"{"http.url":"/v2/a?ns=docker.io","http.response.status_code":"200"}"#;
    assert_eq!(found(&root, &[("tags", tags)]).await, [id(1)]);
    assert_eq!(
        found(&root, &[("tag", "http.url:/v2/b"), ("tag", "host.name:gpu-7")]).await,
        [id(2)]
    );
    assert_eq!(
        found(&root, &[("tag", "error:true"), ("minDuration", "2ms")]).await,
        [id(2), id(1)]
    );
    assert_eq!(
        found(&root, &[("operation", "proxy"), ("maxDuration", "5ms")]).await,
        [id(3), id(2)]
    );
    let at = (BEGIN + 2).to_string();
    assert_eq!(found(&root, &[("start", &at), ("end", &at)]).await, [id(2)]);
    assert_eq!(found(&root, &[("limit", "1")]).await, [id(3)]);
    let get = async |path: &str| root.get(&format!("/jaeger/api{path}")).await.ok();
    let names = |data: Value| json!({"data": data, "total": data.as_array().unwrap().len(), "limit": 0, "offset": 0, "errors": null});
    assert_eq!(get("/services").await, names(json!([SERVICE])));
    assert_eq!(
        get(&format!("/services/{SERVICE}/operations")).await,
        names(json!(["download", "proxy"]))
    );
    let operations = json!([{"name": "download", "spanKind": "server"}, {"name": "proxy", "spanKind": "server"}]);
    assert_eq!(get(&format!("/operations?service={SERVICE}")).await, names(operations));
    assert_eq!(
        get("/traces?traceID=77").await["errors"][0]["traceID"],
        "0000000000000077"
    );

    let data = room.stop().await;
    let room = Room::start_on(&data, |_| {}).await;
    let root = room.root().await;
    assert_eq!(found(&root, &[("tags", tags)]).await, [id(1)]);
    let trace = root.get(&format!("/jaeger/api/traces/{}", id(1))).await.ok();
    assert_eq!(trace, as_jaeger_shows_it());
    let absent = root.get("/jaeger/api/traces/abc").await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    assert_eq!(
        absent.body,
        json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": [{"code": 404, "msg": "trace not found"}]})
    );
    let metrics = room.metrics().await;
    assert!(metrics.contains("dragonfly_manager_trace_store_bytes"), "{metrics}");
}

/// `pull(1, …)`: the form of `model/json/model.go` of Jaeger.
fn as_jaeger_shows_it() -> Value {
    let tag = |key: &str, kind: &str, value: Value| json!({"key": key, "type": kind, "value": value});
    let of = |span: &str| json!({"traceID": id(1), "spanID": span.repeat(8), "flags": 0, "processID": "p1", "warnings": null, "startTime": BEGIN + 1});
    let mut root = of("01");
    root.as_object_mut().unwrap().extend(
        json!({
            "operationName": "proxy", "references": [], "duration": 250_000,
            "tags": [
                tag("http.url", "string", json!("/v2/a?ns=docker.io")),
                tag("http.response.status_code", "int64", json!(200)),
                tag("span.kind", "string", json!("server")),
            ],
            "logs": [{"timestamp": BEGIN, "fields": [tag("event", "string", json!("piece")), tag("number", "int64", json!(1))]}],
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let mut download = of("02");
    download.as_object_mut().unwrap().extend(
        json!({
            "operationName": "download", "duration": 125_000, "logs": [],
            "references": [{"refType": "CHILD_OF", "traceID": id(1), "spanID": "01".repeat(8)}],
            "tags": [
                tag("span.kind", "string", json!("server")),
                tag("otel.status_code", "string", json!("ERROR")),
                tag("error", "bool", json!(true)),
                tag("otel.status_description", "string", json!("the origin is away")),
            ],
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let process = json!({"serviceName": SERVICE, "tags": [tag("host.name", "string", json!("gpu-7"))]});
    let trace = json!({"traceID": id(1), "spans": [root, download], "processes": {"p1": process}, "warnings": null});
    json!({"data": [trace], "total": 0, "limit": 0, "offset": 0, "errors": null})
}

#[tokio::test]
async fn who_has_no_right_to_traces_neither_reads_nor_sends_any() {
    let room = Room::start(Engine::Sqlite).await;
    let root = room.root().await;
    let (guest_id, guest) = user(&room, &root, "guest").await;
    let body = || export(pull(1, "/x", 1)).encode_to_vec();
    let paths = [
        "/services",
        "/services/x/operations",
        "/operations?service=x",
        "/traces?service=x",
        "/traces/1",
        "/nothing",
        "",
    ];
    let statuses = async |api: &Api| {
        let mut statuses = Vec::new();
        for path in paths {
            statuses.push(api.get(&format!("/jaeger/api{path}")).await.status);
        }
        statuses.push(by_http(api, body(), &[]).await.0);
        statuses.dedup();
        statuses
    };
    assert_eq!(statuses(&room.anonymous()).await, [StatusCode::UNAUTHORIZED]);
    assert_eq!(statuses(&guest).await, [StatusCode::FORBIDDEN]);
    give(
        &root,
        guest_id,
        "looks",
        json!([{"object": "traces", "action": "read"}]),
    )
    .await;
    assert_eq!(guest.get("/jaeger/api/services").await.status, StatusCode::OK);
    assert_eq!(by_http(&guest, body(), &[]).await.0, StatusCode::FORBIDDEN);
    // The scopes of a token bound what its user may.
    let (_, clusters) = token(&root, "clusters", json!(["cluster"])).await;
    assert_eq!(statuses(&clusters).await, [StatusCode::FORBIDDEN]);
    let (_, reads) = token(&root, "reads", json!(["traces:read"])).await;
    assert_eq!(reads.get("/jaeger/api/services").await.status, StatusCode::OK);
    assert_eq!(by_http(&reads, body(), &[]).await.0, StatusCode::FORBIDDEN);
    let (_, sends) = token(&root, "sends", json!(["traces"])).await;
    assert_eq!(by_http(&sends, body(), &[]).await.0, StatusCode::OK);
    assert_eq!(found(&reads, &[]).await, [id(1)]);
    assert_eq!(
        room.data
            .number("SELECT COUNT(*) FROM audit WHERE path LIKE '/v1/traces%'")
            .await,
        0
    );
}

#[tokio::test]
async fn what_is_malformed_or_too_large_is_refused_and_spans_that_can_be_kept_are() {
    let room = Room::start(Engine::Sqlite).await;
    let root = room.root().await;
    let good = export(pull(1, "/x", 1)).encode_to_vec();
    let status = async |body: Vec<u8>, headers: &[(&str, &str)]| by_http(&root, body, headers).await.0;
    assert_eq!(status(b"no protobuf".to_vec(), &[]).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        status(good[..good.len() - 1].to_vec(), &[]).await,
        StatusCode::BAD_REQUEST
    );
    let gzip = [("content-encoding", "gzip")];
    assert_eq!(status(good.clone(), &gzip).await, StatusCode::BAD_REQUEST);
    let bomb = packed(&vec![0; 64 << 20]);
    assert_eq!(status(bomb, &gzip).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(status(vec![0; (4 << 20) + 1], &[]).await, StatusCode::PAYLOAD_TOO_LARGE);
    let zstd = [("content-encoding", "zstd")];
    assert_eq!(status(good.clone(), &zstd).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let json = root.post(EXPORT, json!({"resourceSpans": []})).await;
    json.refused(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let large = vec![Span {
        name: "x".repeat(5 << 20),
        ..span(1, 1, "", 1)
    }];
    let mut client = TraceServiceClient::new(room.channel().await);
    assert_eq!(client.export(export(large)).await.unwrap_err().code(), Code::OutOfRange);
    assert_eq!(found(&root, &[]).await, [""; 0]);

    let nameless = Span {
        trace_id: Vec::new(),
        ..span(1, 3, "nameless", 1)
    };
    let mixed = [vec![nameless], pull(2, "/y", 1)].concat();
    let partial = by_grpc(&room, mixed).await.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(!partial.error_message.is_empty());
    assert_eq!(found(&root, &[]).await, [id(2)]);
    for query in [
        "",
        "?service=x&tags=1",
        "?service=x&tag=y",
        "?service=x&minDuration=1",
        "?traceID=x",
    ] {
        let answer = root.get(&format!("/jaeger/api/traces{query}")).await;
        answer.refused(StatusCode::UNPROCESSABLE_ENTITY);
    }
}

#[tokio::test]
async fn traces_have_a_door_of_their_own_where_the_file_names_one_and_none_where_it_says_so() {
    let own = Room::start_with(Engine::Sqlite, |config| {
        let otlp = config.otlp.as_mut().unwrap();
        otlp.listen = Some("127.0.0.1:0".parse().unwrap());
    })
    .await;
    let door = format!("http://{}", own.addresses.otlp.unwrap());
    let channel = Endpoint::from_shared(door).unwrap().connect().await.unwrap();
    let mut client = TraceServiceClient::new(channel.clone());
    client.export(export(pull(1, "/x", 1))).await.unwrap();
    assert_eq!(found(&own.root().await, &[]).await, [id(1)]);
    let other = ManagerClient::new(channel)
        .list_schedulers(crate::room::peer("p", "10.0.0.1"))
        .await;
    assert_eq!(other.unwrap_err().code(), Code::Unimplemented);

    let none = Room::start_with(Engine::Sqlite, |config| config.otlp = None).await;
    let mut client = TraceServiceClient::new(none.channel().await);
    let refused = client.export(export(pull(1, "/x", 1))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let root = none.root().await;
    root.get("/jaeger/api/services").await.refused(StatusCode::NOT_FOUND);
    let body = export(pull(1, "/x", 1)).encode_to_vec();
    assert_eq!(by_http(&root, body, &[]).await.0, StatusCode::NOT_FOUND);
    assert!(!none.data.dir.path().join("traces").exists());
}

#[tokio::test]
async fn a_manager_on_a_database_server_keeps_traces_in_its_directory_if_it_is_told_to() {
    let room = Room::start_with(Engine::Postgres, |config| {
        assert_eq!(config.otlp, None);
        config.otlp = Some(OtlpConfig {
            listen: None,
            max_size: 128 << 20,
            max_age: Duration::from_secs(3600),
        });
    })
    .await;
    by_grpc(&room, pull(1, "/x", 1)).await;
    assert_eq!(found(&room.root().await, &[]).await, [id(1)]);
    assert!(room.data.dir.path().join("traces").exists());
}

#[tokio::test]
async fn many_senders_at_once_lose_nothing_that_was_acknowledged() {
    let room = Room::start(Engine::Sqlite).await;
    let channel = room.channel().await;
    let sends = (1..=60_u8).map(|trace| {
        let mut client = TraceServiceClient::new(channel.clone());
        async move {
            let sent = client.export(export(pull(trace, "/x", 1))).await;
            match sent {
                Ok(_) => true,
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable);
                    false
                }
            }
        }
    });
    let sent = tokio::time::timeout(PATIENCE, futures::future::join_all(sends))
        .await
        .unwrap();
    let acknowledged = sent.iter().filter(|sent| **sent).count();
    assert!(acknowledged > 0);
    assert_eq!(found(&room.root().await, &[("limit", "100")]).await.len(), acknowledged);
}
