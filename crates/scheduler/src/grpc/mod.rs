//! The door for peers and operators: `scheduler.v2`, our own extension, health and reflection.

mod conversation;
mod extension;
mod holdings;
mod kept;
mod kept_stream;
mod preheat;
mod service;
mod trace;
mod unserved;

pub(crate) use kept::told_task;

use crate::applications::Applications;
use crate::brain::Brain;
use crate::credentials::Numbering;
use crate::hosts::Hosts;
use crate::kept::{Keeper, Kept};
use crate::metrics::Counts;
use crate::preheat::Preheat;
use crate::rules::Rules;
use dragonfly_api::ext::scheduler_server::SchedulerServer as ExtensionServer;
use dragonfly_api::scheduler::scheduler_server::SchedulerServer;
use dragonfly_service::Workers;
use dragonfly_service::grpc::{self, Limits};
use dragonfly_service::tls::ServerTls;
use std::num::NonZeroU32;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic_health::ServingStatus;

/// Connections at a time: Dragonfly's own peers hold up to ten each.
const MAX_CONNECTIONS: usize = 64 * 1024;
/// Bytes of a message. The longest repeat a few parents or carry a chain of certificates.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// The name by which health and reflection know the service.
const SERVICE: &str = "scheduler.v2.Scheduler";

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
    pub(crate) brain: Brain,
    pub(crate) hosts: Hosts,
    pub(crate) preheat: Preheat,
    pub(crate) kept: Kept,
    pub(crate) keeper: Keeper,
    pub(crate) counts: Counts,
    pub(crate) applications: watch::Receiver<Arc<Applications>>,
    pub(crate) rules: watch::Receiver<Arc<Rules>>,
    pub(crate) numbering: Numbering,
    pub(crate) requests_per_second: NonZeroU32,
    pub(crate) tls: Option<ServerTls>,
}

impl Grpc {
    /// Serves until the workers are cancelled; from then on health says NOT_SERVING and the open streams are ended by
    /// the owner of the graph.
    pub(crate) async fn serve(self, listener: TcpListener, workers: Workers) -> Result<(), Error> {
        let cancel = workers.cancel_token();
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_service_status(SERVICE, ServingStatus::Serving).await;
        let refused = self.counts.limits.of("grpc_requests");
        let mut server = grpc::server(Limits::per_second(self.requests_per_second).counted(refused));
        if let Some(tls) = &self.tls {
            server = server.tls_config(tls.tonic())?;
        }
        let extension = extension::Extension {
            preheat: self.preheat.clone(),
            holdings: holdings::Holdings {
                brain: self.brain.clone(),
                hosts: self.hosts.clone(),
                calls: self.counts.report_holdings.clone(),
            },
            tracing: trace::Tracing {
                brain: self.brain.clone(),
                calls: self.counts.trace.clone(),
            },
            workers: workers.clone(),
        };
        let extension = ExtensionServer::new(extension)
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let service = SchedulerServer::new(service::Service::new(self, workers))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let stopping = async move {
            cancel.cancelled().await;
            for name in ["", SERVICE] {
                health.set_service_status(name, ServingStatus::NotServing).await;
            }
        };
        server
            .add_service(health_service)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .add_service(service)
            .add_service(extension)
            .serve_with_incoming_shutdown(grpc::incoming(listener, MAX_CONNECTIONS), stopping)
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
