//! The door for schedulers and peers: `manager.v2`, what we say beyond it, traces by OTLP, health and reflection.

mod attend;
mod extension;
mod keep_alive;
mod news;
mod proof;
mod service;
mod traces;
mod wire;

pub(crate) use traces::serve as serve_traces;

use crate::clusters::Clusters;
use crate::config::TellSecretsTo;
use crate::jobs::Jobs;
use crate::kept::Kept;
use crate::metrics::Counts;
use crate::peers::Peers;
use crate::placement::Told;
use crate::store::Store;
use crate::traces::Traces;
use crate::wake::Wake;
use dragonfly_api::ext::manager_server::ManagerServer as ExtensionServer;
use dragonfly_api::manager::manager_server::ManagerServer;
use dragonfly_service::grpc::{self, Limits, MAX_MESSAGE_BYTES};
use dragonfly_service::tls::ServerTls;
use news::{News, Reporter};
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Connections at a time: one for each scheduler and each peer.
const MAX_CONNECTIONS: usize = 64 * 1024;
/// Bytes of a request; all of them are small.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// Bytes of a scheduler's report.
const MAX_REPORT_BYTES: usize = 4 << 20;
/// The name by which health and reflection know the service.
const SERVICE: &str = "manager.v2.Manager";
/// The same of what goes beyond `manager.v2`.
const EXTENSION: &str = "dragonfly.ext.v1.Manager";

/// Why the gRPC server can't serve or ceased to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// TLS or the connections failed.
    #[error("the gRPC server failed")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors for reflection are malformed.
    #[error("the gRPC server can't describe itself")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// What the door needs.
#[derive(Debug, Clone)]
pub(crate) struct Grpc {
    pub(crate) store: Store,
    pub(crate) clusters: Clusters,
    pub(crate) jobs: Jobs,
    pub(crate) kept: Kept,
    pub(crate) peers: Peers,
    /// Absent if none are kept here.
    pub(crate) traces: Option<Traces>,
    pub(crate) wake: Wake,
    /// After how long it looks unasked for what those who watch should be told, and for what those who attend should do.
    pub(crate) look_after: Duration,
    pub(crate) counts: Counts,
    pub(crate) requests_per_second: NonZeroU32,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) tell_secrets_to: TellSecretsTo,
}

impl Grpc {
    /// Serves until `cancel`; streams that are open then are told to come back.
    pub(crate) async fn serve(self, listener: TcpListener, cancel: CancellationToken) -> Result<(), Error> {
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_service_status(SERVICE, tonic_health::ServingStatus::Serving)
            .await;
        let refused = self.counts.limits.of("grpc_requests");
        let mut server = grpc::server(Limits::per_second(self.requests_per_second).counted(refused));
        if let Some(tls) = &self.tls {
            server = server.tls_config(tls.tonic())?;
        }
        let news = News::new(self.counts.clone());
        let reporter = Reporter {
            news: news.clone(),
            store: self.store.clone(),
            clusters: self.clusters.clone(),
            wake: self.wake.clone(),
            look_after: self.look_after,
        };
        let desk = attend::Desk {
            store: self.store.clone(),
            jobs: self.jobs,
            kept: self.kept,
            peers: self.peers,
            counts: self.counts.clone(),
            look_after: self.look_after,
            tell_secrets_to: self.tell_secrets_to,
            cancel: cancel.clone(),
        };
        let extension = extension::Extension {
            desk,
            news,
            cancel: cancel.clone(),
        };
        let extension = ExtensionServer::new(extension)
            .max_decoding_message_size(MAX_REPORT_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let service = service::Service {
            store: self.store,
            clusters: self.clusters,
            wake: self.wake,
            counts: self.counts,
            told: Told::new(),
            cancel: cancel.clone(),
        };
        let service = ManagerServer::new(service)
            .max_decoding_message_size(MAX_REQUEST_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let serving = server
            .add_service(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .add_service(service)
            .add_service(extension)
            .add_optional_service(self.traces.map(traces::service))
            .serve_with_incoming_shutdown(grpc::incoming(listener, MAX_CONNECTIONS), cancel.cancelled());
        tokio::select! {
            served = serving => Ok(served?),
            never = reporter.report() => match never {},
        }
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(dragonfly_api::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(SERVICE)
        .with_service_name(EXTENSION)
        .with_service_name("grpc.health.v1.Health")
}
