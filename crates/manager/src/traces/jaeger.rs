//! Spans of OTLP in Jaeger's form, by the rules of OpenTelemetry's specification (`trace/sdk_exporters/jaeger.md`).

use super::span::{SpanId, Told, TraceId};
use dragonfly_api::rest::{JaegerLog, JaegerProcess, JaegerReference, JaegerSpan, JaegerTag, JaegerTrace};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::collections::BTreeMap;

/// The largest whole number that JavaScript does not round.
const JAVASCRIPT_MAX: u64 = (1 << 53) - 1;
/// How deep lists and maps may be inside each other; what is deeper is left out.
const MAX_DEPTH: u32 = 8;

/// A trace of these spans. `left_out` says that there are more than are shown.
pub(super) fn trace(id: TraceId, mut told: Vec<Told>, left_out: bool) -> JaegerTrace {
    told.sort_by_key(|told| (told.start(), told.id));
    let mut known: Vec<JaegerProcess> = Vec::new();
    let mut spans = Vec::with_capacity(told.len());
    for told in &told {
        let process = JaegerProcess {
            service_name: told.service().to_owned(),
            tags: told.process().map(tag).collect(),
        };
        let number = known.iter().position(|known| *known == process).unwrap_or_else(|| {
            known.push(process);
            known.len() - 1
        });
        spans.push(span(told, process_id(number)));
    }
    let processes = known.into_iter().enumerate();
    let processes = processes.map(|(number, process)| (process_id(number), process));
    JaegerTrace {
        trace_id: id.to_string(),
        spans,
        processes: processes.collect::<BTreeMap<_, _>>(),
        warnings: left_out.then(|| vec!["the trace has more spans than are shown".to_owned()]),
    }
}

fn process_id(number: usize) -> String {
    format!("p{}", number + 1)
}

fn span(told: &Told, process_id: String) -> JaegerSpan {
    let span = told.span();
    let reference = |ref_type: &str, trace: TraceId, span: SpanId| JaegerReference {
        ref_type: ref_type.to_owned(),
        trace_id: trace.to_string(),
        span_id: span.to_string(),
    };
    let parent = SpanId::of(&span.parent_span_id).map(|parent| reference("CHILD_OF", told.trace, parent));
    let links = span.links.iter().filter_map(|link| {
        let (trace, span) = (TraceId::of(&link.trace_id)?, SpanId::of(&link.span_id)?);
        Some(reference("FOLLOWS_FROM", trace, span))
    });
    JaegerSpan {
        trace_id: told.trace.to_string(),
        span_id: told.id.to_string(),
        // The others are OTLP's own.
        flags: span.flags & 0xff,
        operation_name: span.name.clone(),
        references: parent.into_iter().chain(links).collect(),
        start_time: told.start(),
        duration: told.duration(),
        tags: tags(told),
        logs: span.events.iter().map(log).collect(),
        process_id,
        warnings: None,
    }
}

/// What a span says.
pub(super) fn tags(told: &Told) -> Vec<JaegerTag> {
    let span = told.span();
    let mut tags: Vec<JaegerTag> = span.attributes.iter().map(tag).collect();
    let mut say = |key: &str, value: serde_json::Value| tags.push(typed(key, value));
    if let Some(scope) = told.scope().filter(|scope| !scope.name.is_empty()) {
        say("otel.scope.name", scope.name.as_str().into());
        if !scope.version.is_empty() {
            say("otel.scope.version", scope.version.as_str().into());
        }
    }
    if !kind(told).is_empty() {
        say("span.kind", kind(told).into());
    }
    if let Some(status) = &span.status {
        match status.code() {
            StatusCode::Error => {
                say("otel.status_code", "ERROR".into());
                say("error", true.into());
            }
            StatusCode::Ok => say("otel.status_code", "OK".into()),
            StatusCode::Unset => {}
        }
        if !status.message.is_empty() {
            say("otel.status_description", status.message.as_str().into());
        }
    }
    if !span.trace_state.is_empty() {
        say("w3c.tracestate", span.trace_state.as_str().into());
    }
    tags
}

/// What kind of span it is, in Jaeger's words.
pub(super) fn kind(told: &Told) -> &'static str {
    match told.span().kind() {
        SpanKind::Unspecified => "",
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// What happened at a time.
pub(super) fn log(event: &Event) -> JaegerLog {
    let name = (!event.name.is_empty()).then(|| typed("event", event.name.as_str().into()));
    JaegerLog {
        timestamp: event.time_unix_nano / 1000,
        fields: name.into_iter().chain(event.attributes.iter().map(tag)).collect(),
    }
}

/// A name and a value.
pub(super) fn tag(said: &KeyValue) -> JaegerTag {
    let value = said.value.as_ref().and_then(|value| value.value.as_ref());
    match value {
        Some(Value::BytesValue(_)) => JaegerTag {
            r#type: "binary".to_owned(),
            ..typed(&said.key, plain(value, MAX_DEPTH))
        },
        // Whole numbers that would be rounded are texts, but stay numbers by their type.
        Some(Value::IntValue(number)) if number.unsigned_abs() > JAVASCRIPT_MAX => JaegerTag {
            r#type: "int64".to_owned(),
            ..typed(&said.key, number.to_string().into())
        },
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) => {
            typed(&said.key, plain(value, MAX_DEPTH).to_string().into())
        }
        _ => typed(&said.key, plain(value, MAX_DEPTH)),
    }
}

fn typed(key: &str, value: serde_json::Value) -> JaegerTag {
    let kind = match &value {
        serde_json::Value::Bool(_) => "bool",
        serde_json::Value::Number(number) if number.is_f64() => "float64",
        serde_json::Value::Number(_) => "int64",
        _ => "string",
    };
    JaegerTag {
        key: key.to_owned(),
        r#type: kind.to_owned(),
        value,
    }
}

/// A value as JSON has it. What JSON has not, such as an infinite number, is a text.
fn plain(value: Option<&Value>, depth: u32) -> serde_json::Value {
    let inner = |value: &AnyValue| plain(value.value.as_ref(), depth - 1);
    match value {
        None | Some(Value::StringValueStrindex(_)) => "".into(),
        Some(Value::StringValue(text)) => text.as_str().into(),
        Some(Value::BoolValue(truth)) => (*truth).into(),
        Some(Value::IntValue(number)) => (*number).into(),
        Some(Value::DoubleValue(number)) => {
            serde_json::Number::from_f64(*number).map_or_else(|| number.to_string().into(), serde_json::Value::Number)
        }
        Some(Value::BytesValue(bytes)) => base64(bytes).into(),
        Some(Value::ArrayValue(_) | Value::KvlistValue(_)) if depth == 0 => "…".into(),
        Some(Value::ArrayValue(list)) => list.values.iter().map(inner).collect(),
        Some(Value::KvlistValue(map)) => {
            let entry = |said: &KeyValue| (said.key.clone(), said.value.as_ref().map(inner).unwrap_or_default());
            map.values.iter().map(entry).collect::<serde_json::Map<_, _>>().into()
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types_and_no_number_is_rounded() {
        let shown = |value: Value| {
            let said = KeyValue {
                key: "k".to_owned(),
                value: Some(AnyValue { value: Some(value) }),
                ..KeyValue::default()
            };
            let tag = tag(&said);
            (tag.r#type, tag.value.to_string())
        };
        let pair = |kind: &str, text: &str| (kind.to_owned(), text.to_owned());
        assert_eq!(shown(Value::IntValue(200)), pair("int64", "200"));
        assert_eq!(
            shown(Value::IntValue(i64::MIN)),
            pair("int64", "\"-9223372036854775808\"")
        );
        assert_eq!(shown(Value::DoubleValue(0.5)), pair("float64", "0.5"));
        assert_eq!(shown(Value::DoubleValue(f64::NAN)), pair("string", "\"NaN\""));
        assert_eq!(shown(Value::BoolValue(true)), pair("bool", "true"));
        assert_eq!(shown(Value::BytesValue(vec![1, 2])), pair("binary", "\"AQI=\""));
        let mut deep = Value::IntValue(1);
        for _ in 0..1000 {
            let value = AnyValue { value: Some(deep) };
            deep = Value::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue { values: vec![value] });
        }
        assert_eq!(shown(deep), pair("string", "\"[[[[[[[[\\\"…\\\"]]]]]]]]\""));
    }
}
