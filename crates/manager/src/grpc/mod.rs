//! The door for schedulers and peers: `manager.v2`, health and reflection.

mod keep_alive;
mod service;
mod wire;

use crate::clusters::Clusters;
use crate::metrics::Counts;
use crate::placement::Told;
use crate::store::Store;
use dragonfly_api::manager::manager_server::ManagerServer;
use dragonfly_service::grpc::{self, Limits, MAX_MESSAGE_BYTES};
use dragonfly_service::tls::ServerTls;
use std::num::NonZeroU32;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Connections at a time: one for each scheduler and, for moments, one for each peer.
const MAX_CONNECTIONS: usize = 16 * 1024;
/// Bytes of a request; all of them are small.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// The name by which health and reflection know the service.
const SERVICE: &str = "manager.v2.Manager";

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
    pub(crate) counts: Counts,
    pub(crate) requests_per_second: NonZeroU32,
    pub(crate) tls: Option<ServerTls>,
}

impl Grpc {
    /// Serves until `cancel`; streams that are open then are told to come back.
    pub(crate) async fn serve(self, listener: TcpListener, cancel: CancellationToken) -> Result<(), Error> {
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_service_status(SERVICE, tonic_health::ServingStatus::Serving)
            .await;
        let mut server = grpc::server(Limits::per_second(self.requests_per_second));
        if let Some(tls) = &self.tls {
            server = server.tls_config(tls.tonic())?;
        }
        let service = service::Service {
            store: self.store,
            clusters: self.clusters,
            counts: self.counts,
            told: Told::new(),
            cancel: cancel.clone(),
        };
        let service = ManagerServer::new(service)
            .max_decoding_message_size(MAX_REQUEST_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        server
            .add_service(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .add_service(service)
            .serve_with_incoming_shutdown(grpc::incoming(listener, MAX_CONNECTIONS), cancel.cancelled())
            .await?;
        Ok(())
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(dragonfly_api::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name(SERVICE)
        .with_service_name("grpc.health.v1.Health")
}
