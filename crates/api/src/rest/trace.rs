//! Traces, in the form that Jaeger's own UI and Grafana's data source for Jaeger read: Jaeger's query API over HTTP
//! (`/api/traces` and what is beside it), whose form stands in `model/json/model.go` and `cmd/query/app/http_handler.go` of
//! <https://github.com/jaegertracing/jaeger>. Names and units are Jaeger's: times are microseconds since 1970, durations
//! microseconds, ids hexadecimal.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// What Jaeger's query API wraps every answer in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JaegerAnswer<T> {
    /// What was asked for; null if it is refused.
    pub data: Option<T>,
    /// How many names there are; 0 for traces.
    pub total: u64,
    /// Always 0.
    pub limit: u64,
    /// Always 0.
    pub offset: u64,
    /// Why something is missing.
    pub errors: Option<Vec<JaegerError>>,
}

/// Why something is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JaegerError {
    /// The status of HTTP that says the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// In words.
    pub msg: String,
    /// Which trace is missing.
    #[serde(rename = "traceID", default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// What a service does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JaegerOperation {
    /// Name of its spans.
    pub name: String,
    /// `client`, `server`, `producer`, `consumer`, `internal`, or nothing.
    pub span_kind: String,
}

/// A trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JaegerTrace {
    /// Its id.
    #[serde(rename = "traceID")]
    pub trace_id: String,
    /// Its spans, by start.
    pub spans: Vec<JaegerSpan>,
    /// The processes that tell of them, by the ids by which spans name them.
    pub processes: std::collections::BTreeMap<String, JaegerProcess>,
    /// What is amiss with it.
    pub warnings: Option<Vec<String>>,
}

/// A span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JaegerSpan {
    /// Id of its trace.
    #[serde(rename = "traceID")]
    pub trace_id: String,
    /// Its id.
    #[serde(rename = "spanID")]
    pub span_id: String,
    /// Flags of W3C trace context; 1: sampled.
    #[serde(default)]
    pub flags: u32,
    /// Its name.
    pub operation_name: String,
    /// Its parent, and others that it follows from.
    pub references: Vec<JaegerReference>,
    /// Start, in microseconds since 1970.
    pub start_time: u64,
    /// Duration, in microseconds.
    pub duration: u64,
    /// What it says.
    pub tags: Vec<JaegerTag>,
    /// What happened meanwhile.
    pub logs: Vec<JaegerLog>,
    /// Which of the trace's processes tells of it.
    #[serde(rename = "processID")]
    pub process_id: String,
    /// What is amiss with it.
    pub warnings: Option<Vec<String>>,
}

/// Another span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JaegerReference {
    /// `CHILD_OF` or `FOLLOWS_FROM`.
    pub ref_type: String,
    /// Id of its trace.
    #[serde(rename = "traceID")]
    pub trace_id: String,
    /// Its id.
    #[serde(rename = "spanID")]
    pub span_id: String,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JaegerProcess {
    /// Name of its service.
    pub service_name: String,
    /// What it says about itself.
    pub tags: Vec<JaegerTag>,
}

/// What happened at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JaegerLog {
    /// When, in microseconds since 1970.
    pub timestamp: u64,
    /// What.
    pub fields: Vec<JaegerTag>,
}

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JaegerTag {
    /// The name.
    pub key: String,
    /// `string`, `bool`, `int64`, `float64` or `binary` (in Base64).
    pub r#type: String,
    /// The value; a text for whole numbers that JavaScript would round.
    pub value: Value,
}

impl JaegerTag {
    /// The value as it is searched for.
    pub fn text(&self) -> String {
        match &self.value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

/// Which traces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct JaegerQuery {
    /// With a span of this service; left out only where ids of traces are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Whose name this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// That says all of this: an object of JSON whose values are texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// That begins at this time or later, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// That begins at this time or earlier, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// That takes at least so long, such as `100ms` or `1.2s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_duration: Option<String>,
    /// That takes no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<String>,
    /// At most so many; 100 if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Which operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct JaegerOperationQuery {
    /// Of this service.
    pub service: String,
    /// Of this kind; all if left out.
    #[serde(default)]
    pub span_kind: Option<String>,
}
