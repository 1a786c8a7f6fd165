//! One span as it was told by OTLP (`opentelemetry/proto/trace/v1/trace.proto`), with the ids that it must have.

use super::jaeger;
use dragonfly_api::rest::JaegerTag;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use sha2::{Digest, Sha256};
use std::fmt;

/// Spans of one export; a sender's batch has a few hundred.
const MAX_SPANS: usize = 8192;
/// Bytes of a span with what its process says about itself.
const MAX_SPAN_BYTES: usize = 256 << 10;
/// Bytes of the name of a service or span.
const MAX_NAME_BYTES: usize = 1024;
/// First byte of a record: the layout of what follows.
const VERSION: u8 = 1;
/// What Jaeger calls a service that does not say its name.
const NAMELESS: &str = "OTLPResourceNoServiceName";

/// What can be searched for at any size of the store; other tags are looked for in the newest spans of a service.
const SOUGHT: [&str; 16] = [
    "http.url",
    "url.full",
    "http.request.method",
    "http.response.status_code",
    "error",
    "otel.status_code",
    "rpc.method",
    "reason",
    "scheduler",
    "cluster",
    "host.name",
    "dragonfly.cluster.id",
    "dragonfly.host.id",
    "dragonfly.peer.id",
    "dragonfly.task.id",
    "dragonfly.local",
];

/// The id of a trace; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TraceId(pub(super) u128);

/// The id of a span; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SpanId(pub(super) u64);

impl TraceId {
    /// As it is written: up to 32 hexadecimal digits, zeros in front left out or not.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = digits.then(|| u128::from_str_radix(text, 16).ok())??;
        (id != 0).then_some(Self(id))
    }

    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let id = u128::from_be_bytes(bytes.try_into().ok()?);
        (id != 0).then_some(Self(id))
    }
}

impl SpanId {
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let id = u64::from_be_bytes(bytes.try_into().ok()?);
        (id != 0).then_some(Self(id))
    }
}

/// As Jaeger writes it: ids of 64 bits with 16 digits.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u64::try_from(self.0) {
            Ok(short) => write!(f, "{short:016x}"),
            Err(_) => write!(f, "{:032x}", self.0),
        }
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What stands on disk behind [`VERSION`].
#[derive(Clone, PartialEq, Message)]
struct Record {
    #[prost(message, required, tag = "1")]
    resource: Resource,
    #[prost(message, optional, tag = "2")]
    scope: Option<InstrumentationScope>,
    #[prost(message, required, tag = "3")]
    span: Span,
}

/// A span, and who told of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    record: Record,
}

/// What of an export can be kept, and how many spans can't.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(super) told: Vec<Told>,
    pub(super) refused: usize,
}

impl Received {
    pub(super) fn of(request: ExportTraceServiceRequest) -> Self {
        let mut received = Self::default();
        for ResourceSpans {
            resource, scope_spans, ..
        } in request.resource_spans
        {
            let resource = resource.unwrap_or_default();
            for ScopeSpans { scope, spans, .. } in scope_spans {
                for span in spans {
                    received.take(Record {
                        resource: resource.clone(),
                        scope: scope.clone(),
                        span,
                    });
                }
            }
        }
        received
    }

    fn take(&mut self, record: Record) {
        match Told::of(record) {
            Some(told) if self.told.len() < MAX_SPANS => self.told.push(told),
            _ => self.refused += 1,
        }
    }
}

impl Told {
    /// Nothing if it has no ids or is larger than what is kept.
    fn of(record: Record) -> Option<Self> {
        let told = Self {
            trace: TraceId::of(&record.span.trace_id)?,
            id: SpanId::of(&record.span.span_id)?,
            record,
        };
        let fits = [told.service(), told.name()]
            .iter()
            .all(|name| name.len() <= MAX_NAME_BYTES)
            && told.record.encoded_len() <= MAX_SPAN_BYTES;
        fits.then_some(told)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        // A Vec takes all.
        self.record.encode(&mut bytes).ok();
        bytes
    }

    /// Nothing if it is damaged or of another version.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first() {
            Some((&VERSION, record)) => Self::of(Record::decode(record).ok()?),
            _ => None,
        }
    }

    /// How many bytes it is on disk.
    pub(super) fn bytes(&self) -> usize {
        self.record.encoded_len()
    }

    pub(super) fn service(&self) -> &str {
        let mut named = self.record.resource.attributes.iter().filter(|said| is_name(said));
        named.find_map(text).unwrap_or(NAMELESS)
    }

    /// What its process says about itself, but its name.
    pub(super) fn process(&self) -> impl Iterator<Item = &KeyValue> {
        self.record.resource.attributes.iter().filter(|said| !is_name(said))
    }

    pub(super) fn scope(&self) -> Option<&InstrumentationScope> {
        self.record.scope.as_ref()
    }

    pub(super) fn span(&self) -> &Span {
        &self.record.span
    }

    pub(super) fn name(&self) -> &str {
        &self.record.span.name
    }

    /// Microseconds since 1970.
    pub(super) fn start(&self) -> u64 {
        self.record.span.start_time_unix_nano / 1000
    }

    /// In microseconds; 0 for one that ends before it begins.
    pub(super) fn duration(&self) -> u64 {
        let span = &self.record.span;
        span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1000
    }

    /// By what it is found without reading others.
    pub(super) fn terms(&self) -> Vec<Term> {
        let service = self.service();
        let mut terms = vec![Term::service(service), Term::operation(service, self.name())];
        let said = self.said();
        let sought = said.iter().filter(|tag| SOUGHT.contains(&&*tag.key));
        terms.extend(sought.map(|tag| Term::tag(service, &tag.key, &tag.text())));
        terms
    }

    fn said(&self) -> Vec<JaegerTag> {
        let mut said = jaeger::tags(self);
        said.extend(self.process().map(jaeger::tag));
        said
    }

    /// Whether it, its process or something that happened meanwhile says all of this.
    pub(super) fn says(&self, tags: &[(String, String)]) -> bool {
        if tags.is_empty() {
            return true;
        }
        let mut said = self.said();
        let events = self.span().events.iter();
        said.extend(events.flat_map(|event| jaeger::log(event).fields));
        let is_said = |key: &str, value: &str| said.iter().any(|tag| tag.key == key && tag.text() == value);
        tags.iter().all(|(key, value)| is_said(key, value))
    }
}

fn is_name(said: &KeyValue) -> bool {
    said.key == "service.name"
}

fn text(said: &KeyValue) -> Option<&str> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    match said.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// By what spans are found: a hash, since what it stands for may be long. Whether a span is one that was meant is asked again
/// when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term(pub(super) [u8; Term::BYTES]);

impl Term {
    pub(super) const BYTES: usize = 16;

    pub(super) fn service(service: &str) -> Self {
        Self::hashed(&["service", service])
    }

    pub(super) fn operation(service: &str, name: &str) -> Self {
        Self::hashed(&["operation", service, name])
    }

    pub(super) fn tag(service: &str, key: &str, value: &str) -> Self {
        Self::hashed(&["tag", service, key, value])
    }

    /// That of the first tag by which one can search.
    pub(super) fn of_tags(service: &str, tags: &[(String, String)]) -> Option<Self> {
        let rank = |key: &str| SOUGHT.iter().position(|sought| *sought == key);
        // What stands for one content is rarer than a method or a status.
        let rarest = |key: &str| match key {
            "dragonfly.task.id" | "dragonfly.peer.id" => Some(0),
            _ => rank(key).map(|rank| rank + 1),
        };
        let found = tags
            .iter()
            .filter_map(|(key, value)| rarest(key).map(|rank| (rank, key, value)));
        let (_, key, value) = found.min_by_key(|(rank, ..)| *rank)?;
        Some(Self::tag(service, key, value))
    }

    fn hashed(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut term = [0; Self::BYTES];
        term.copy_from_slice(&hash.finalize()[..Self::BYTES]);
        Self(term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_jaeger_writes_them() {
        for (text, shown) in [
            ("1f", Some("000000000000001f")),
            ("000000000000001f", Some("000000000000001f")),
            (
                "4BF92F3577B34DA6A3CE929D0E0E4736",
                Some("4bf92f3577b34da6a3ce929d0e0e4736"),
            ),
            ("0", None),
            ("", None),
            ("+1", None),
            ("x", None),
            ("4bf92f3577b34da6a3ce929d0e0e47361", None),
        ] {
            let id = TraceId::parse(text).map(|id| id.to_string());
            assert_eq!(id.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn what_has_no_ids_or_is_too_large_is_refused_and_the_rest_is_kept() {
        let span = |id: u8, name: &str| Span {
            trace_id: vec![7; 16],
            span_id: vec![id; 8],
            name: name.to_owned(),
            ..Span::default()
        };
        let short = Span {
            span_id: vec![1; 7],
            ..span(1, "short")
        };
        let spans = vec![span(1, "good"), span(0, "zero"), short, span(2, &"x".repeat(2000))];
        let request = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans,
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        };
        let received = Received::of(request);
        assert_eq!((received.told.len(), received.refused), (1, 3));
        let told = &received.told[0];
        assert_eq!((told.name(), told.service()), ("good", NAMELESS));
        assert_eq!(Told::from_bytes(&told.to_bytes()).as_ref(), Some(told));
        assert_eq!(Told::from_bytes(&[VERSION + 1]), None);
    }
}
