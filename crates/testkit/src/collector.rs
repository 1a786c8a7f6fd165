//! A collector of traces: OTLP by gRPC, kept in memory.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// A running collector; it ends when it is dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    exports: Exports,
    serving: JoinHandle<()>,
}

/// A span, and the name of the service that told of it.
#[derive(Clone, Debug)]
pub struct Told {
    /// `service.name` of its resource.
    pub service: String,
    /// The span.
    pub span: Span,
}

type Exports = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

impl Collector {
    /// Starts one on 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> Result<Self> {
        Self::on(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)
    }

    /// Starts one that takes what comes to `listener`.
    ///
    /// # Errors
    /// When the listener is of no use.
    pub fn on(listener: std::net::TcpListener) -> Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let exports = Exports::default();
        let service = TraceServiceServer::new(Receiver(exports.clone()));
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        #[allow(clippy::disallowed_methods, reason = "it is aborted when the collector is dropped")]
        let serving = tokio::spawn(async move {
            serving.await.ok();
        });
        Ok(Self {
            address,
            exports,
            serving,
        })
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Told> {
        let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        let resources = exports.iter().flat_map(|export| &export.resource_spans);
        let told = resources.flat_map(|resource| {
            let attributes = resource.resource.iter().flat_map(|resource| &resource.attributes);
            let service = attributes
                .filter(|attribute| attribute.key == "service.name")
                .find_map(text);
            let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
            spans.map(move |span| Told {
                service: service.clone().unwrap_or_default(),
                span: span.clone(),
            })
        });
        told.collect()
    }

    /// Everything that was sent, to look for what should not be there.
    #[must_use]
    pub fn everything(&self) -> String {
        let exports = self.exports.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{exports:?}")
    }

    /// Waits for a span that is wanted.
    ///
    /// # Errors
    /// When none comes `within` this time; names those that came.
    pub async fn find(&self, within: Duration, wanted: impl Fn(&Told) -> bool) -> Result<Told> {
        let end = tokio::time::Instant::now() + within;
        loop {
            if let Some(told) = self.spans().into_iter().find(&wanted) {
                return Ok(told);
            }
            if tokio::time::Instant::now() > end {
                let came: Vec<String> = self
                    .spans()
                    .iter()
                    .map(|told| format!("{} {}", told.service, told.span.name))
                    .collect();
                bail!("the span never came; those that came: {came:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Told {
    /// A text among its attributes.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        self.span
            .attributes
            .iter()
            .filter(|attribute| attribute.key == key)
            .find_map(text)
    }

    /// A number among its attributes.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<i64> {
        let mut attributes = self.span.attributes.iter().filter(|attribute| attribute.key == key);
        attributes.find_map(|attribute| match attribute.value.as_ref()?.value.as_ref()? {
            Value::IntValue(number) => Some(*number),
            _ => None,
        })
    }
}

fn text(attribute: &KeyValue) -> Option<String> {
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

struct Receiver(Exports);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut exports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exports.push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
