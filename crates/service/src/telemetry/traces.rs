//! Traces: spans and events of the target [`SPANS`], sent to a collector by OTLP, in batches and in the background. Without a
//! collector they are off, and cost a comparison each.
//!
//! Context travels as W3C `traceparent`. What a span says may be read by others than the log: no header, no query but `ns`.

use super::tail::{Recording, Tail};
use crate::config::duration;
use crate::config_section;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::runtime::Tokio;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use opentelemetry_sdk::trace::{BatchConfigBuilder, Sampler, SdkTracerProvider};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tonic::metadata::MetadataMap;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// The target of what goes into traces; nothing else does, and it goes nowhere else.
pub const SPANS: &str = "spans";

/// How long something takes that is always kept.
const SLOW: Duration = Duration::from_secs(5);
/// How long spans are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// How long a batch may take, and the last one when the program ends.
const EXPORT: Duration = Duration::from_secs(5);
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// OTLP by gRPC, in the clear.
    Grpc,
    /// OTLP by HTTP, in the clear.
    Http,
    /// OTLP by HTTP over TLS.
    Https,
}

config_section! {
    /// Traces.
    Tracing {
        /// `grpc`, `http` or `https`.
        protocol: Option<Protocol> = None,
        /// The collector, as `host:port`. Without one there are no traces.
        endpoint: String = String::new(),
        /// Path at the collector, for `http` and `https`.
        path: String = "/v1/traces".to_owned(),
        /// Headers for the collector, such as a token.
        #[serde(serialize_with = "hidden")]
        headers: BTreeMap<String, SecretString> = BTreeMap::new(),
        /// Name under which the program's traces are found.
        #[serde(alias = "service-name")]
        service_name: Option<String> = None,
        /// Share of traces that are kept, 0 to 1. A trace that a caller has begun is kept if the caller keeps it.
        sample_ratio: f64 = 1.0,
        /// What takes at least so long, or fails, is kept whatever the share: as far as it was done by this program.
        #[serde(with = "duration")]
        keep_slower: Duration = SLOW,
    }
}

/// Names only: values may be tokens.
fn hidden<S: serde::Serializer>(headers: &BTreeMap<String, SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.keys().map(|name| (name, "redacted")))
}

/// Why there can be no traces. The operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key of the configuration makes no sense.
    #[error("tracing.{key} can't be {value:?}; {remedy}")]
    Key {
        /// The key.
        key: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        remedy: &'static str,
    },
    /// The exporter can't be made.
    #[error("traces can't be exported: {0}")]
    Exporter(String),
}

/// Where traces go, and under which name; checked.
#[derive(Debug, Clone)]
pub struct Traces {
    service: String,
    url: String,
    protocol: Protocol,
    headers: HeaderMap,
    sample_ratio: f64,
    slow: Duration,
}

impl Tracing {
    /// What this means for a program that is called so by default; nothing if no collector is named.
    ///
    /// # Errors
    /// Names the first key that makes no sense.
    pub fn traces(&self, program: &str) -> Result<Option<Traces>, Error> {
        if self.endpoint.is_empty() {
            return Ok(None);
        }
        let endpoint = self
            .endpoint
            .split_once("://")
            .map_or(&*self.endpoint, |(_, host)| host);
        let protocol = self.protocol.unwrap_or(Protocol::Grpc);
        let url = match protocol {
            Protocol::Grpc => format!("http://{endpoint}"),
            Protocol::Http => format!("http://{endpoint}{}", self.path),
            Protocol::Https => format!("https://{endpoint}{}", self.path),
        };
        let has_port = url.parse::<http::Uri>().is_ok_and(|uri| uri.port_u16().is_some());
        if !has_port {
            return Err(wrong("endpoint", &self.endpoint, "write host:port"));
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            let value = self.sample_ratio.to_string();
            return Err(wrong("sampleRatio", &value, "write a number from 0 to 1"));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let known: Result<HeaderName, _> = name.parse();
            let known = known.map_err(|_| wrong("headers", name, "it is no name of a header"))?;
            let value = HeaderValue::from_str(value.expose_secret());
            let value = value.map_err(|_| wrong("headers", name, "its value makes no sense in a header"))?;
            headers.insert(known, value);
        }
        Ok(Some(Traces {
            service: self.service_name.clone().unwrap_or_else(|| program.to_owned()),
            url,
            protocol,
            headers,
            sample_ratio: self.sample_ratio,
            slow: self.keep_slower,
        }))
    }
}

fn wrong(key: &'static str, value: &str, remedy: &'static str) -> Error {
    Error::Key {
        key,
        value: value.to_owned(),
        remedy,
    }
}

/// Exports until it is dropped, then what is left.
#[derive(Debug)]
pub(super) struct Exporting(SdkTracerProvider);

impl Drop for Exporting {
    fn drop(&mut self) {
        // The shutdown enters an executor, and this thread may be in one already.
        let provider = self.0.clone();
        let last = std::thread::spawn(move || provider.shutdown_with_timeout(LAST_EXPORT).ok());
        last.join().ok();
    }
}

impl Traces {
    /// Begins to export. Needs a runtime.
    pub(super) fn begin<S>(self) -> Result<(impl Layer<S> + Send + Sync, Exporting), Error>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync + 'static,
    {
        let exporter = self.exporter()?;
        let resource = Resource::builder_empty()
            .with_service_name(self.service)
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("host.name", crate::net::hostname()))
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(self.sample_ratio)));
        let batches = BatchConfigBuilder::default().with_scheduled_delay(GATHER).build();
        let processor = BatchSpanProcessor::builder(exporter, Tokio).with_batch_config(batches);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Tail::new(processor.build(), self.slow))
            .with_sampler(Recording(sampler))
            .with_resource(resource)
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("dragonfly"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_filter(filter_fn(|metadata| metadata.target() == SPANS));
        Ok((layer, Exporting(provider)))
    }

    fn exporter(&self) -> Result<SpanExporter, Error> {
        let built = match self.protocol {
            Protocol::Grpc => SpanExporter::builder()
                .with_tonic()
                .with_endpoint(&self.url)
                .with_timeout(EXPORT)
                .with_metadata(MetadataMap::from_headers(self.headers.clone()))
                .build(),
            Protocol::Http | Protocol::Https => {
                crate::tls::install_provider();
                let client = reqwest::Client::builder().timeout(EXPORT).build();
                let client = client.map_err(|error| Error::Exporter(error.to_string()))?;
                let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
                let headers = self.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
                SpanExporter::builder()
                    .with_http()
                    .with_http_client(client)
                    .with_endpoint(&self.url)
                    .with_headers(headers.collect::<HashMap<_, _>>())
                    .build()
            }
        };
        built.map_err(|error| Error::Exporter(error.to_string()))
    }
}

/// A number as collectors know numbers; tracing's own larger ones would become texts.
pub fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A span that lasts until this is dropped. In a trace a span ends where it was left last, and nobody is in one that is
/// only waited for.
#[derive(Debug)]
pub struct Lasting(tracing::Span);

impl From<tracing::Span> for Lasting {
    fn from(span: tracing::Span) -> Self {
        Self(span)
    }
}

impl std::ops::Deref for Lasting {
    type Target = tracing::Span;

    fn deref(&self) -> &tracing::Span {
        &self.0
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.0.in_scope(|| ());
    }
}

struct Incoming<'a>(&'a HeaderMap);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Outgoing<'a>(&'a mut HeaderMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

/// Makes a span part of the trace that its caller's headers name, if they do.
pub fn follow(span: &tracing::Span, headers: &HeaderMap) {
    if !span.is_disabled() {
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &Incoming(headers));
        // It fails only where nobody exports.
        span.set_parent(context).ok();
    }
}

/// Has whoever is called with these headers go on with the trace of the current span, if there is one.
pub fn pass_on(headers: &mut HeaderMap) {
    let span = tracing::Span::current();
    if !span.is_disabled() {
        TraceContextPropagator::new().inject_context(&span.context(), &mut Outgoing(headers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(yaml: &str) -> Tracing {
        crate::config::parse(yaml, "tracing").unwrap()
    }

    #[test]
    fn a_collector_is_where_the_keys_of_dragonfly_say() {
        let url = |yaml: &str| section(yaml).traces("p").unwrap().map(|traces| traces.url);
        assert_eq!(url(""), None);
        assert_eq!(
            url("protocol: grpc\nendpoint: jaeger:4317\n").unwrap(),
            "http://jaeger:4317"
        );
        assert_eq!(
            url("protocol: http\nendpoint: jaeger:4318\n").unwrap(),
            "http://jaeger:4318/v1/traces"
        );
        let secure = url("protocol: https\nendpoint: c.example:443\npath: /otlp\n");
        assert_eq!(secure.unwrap(), "https://c.example:443/otlp");
    }

    /// Writes down when spans are left and closed.
    #[derive(Clone, Default)]
    struct Ends(std::sync::Arc<std::sync::Mutex<Vec<&'static str>>>);

    impl<S: Subscriber> Layer<S> for Ends {
        fn on_exit(&self, _: &tracing::span::Id, _: tracing_subscriber::layer::Context<'_, S>) {
            self.0.lock().unwrap().push("left");
        }

        fn on_close(&self, _: tracing::span::Id, _: tracing_subscriber::layer::Context<'_, S>) {
            self.0.lock().unwrap().push("closed");
        }
    }

    #[test]
    fn a_span_that_is_waited_for_is_left_when_the_wait_is_over() {
        use tracing_subscriber::layer::SubscriberExt;
        let ends = Ends::default();
        let seen = |ends: &Ends| ends.0.lock().unwrap().clone();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(ends.clone()), || {
            let span = Lasting::from(tracing::info_span!("wait"));
            span.in_scope(|| ());
            assert_eq!(seen(&ends), ["left"]);
            drop(span);
        });
        assert_eq!(seen(&ends), ["left", "left", "closed"]);
    }

    #[test]
    fn what_makes_no_sense_is_named_and_a_header_is_not_repeated() {
        let error = |yaml: &str| section(yaml).traces("p").unwrap_err().to_string();
        assert!(error("endpoint: jaeger\n").contains("host:port"));
        assert!(error("endpoint: j:1\nsampleRatio: 2\n").contains("sampleRatio"));
        let header = error("endpoint: j:1\nheaders: {authorization: \"hunter2\\n\"}\n");
        assert!(
            header.contains("authorization") && !header.contains("hunter2"),
            "{header}"
        );
        let shown = crate::config::to_yaml(&section("endpoint: j:1\nheaders: {authorization: hunter2}\n"));
        assert!(shown.contains("redacted") && !shown.contains("hunter2"), "{shown}");
    }
}
