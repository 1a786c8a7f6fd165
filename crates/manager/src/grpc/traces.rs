//! OTLP by gRPC: `opentelemetry.proto.collector.trace.v1.TraceService`, beside the other services, and, where the
//! configuration says so, at a door of its own.

use super::{Error, MAX_MESSAGE_BYTES};
use crate::traces::{MAX_EXPORT_BYTES, Refused, Traces};
use dragonfly_service::grpc::{self, Limits};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use std::num::NonZeroU32;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

/// Connections of the door for traces: one for each program that sends any.
const MAX_CONNECTIONS: usize = 16 * 1024;
/// Exports at a time on one of them; a program sends one after the other.
const MAX_STREAMS: u32 = 8;

/// Takes exports.
pub(super) struct Receiver(Traces);

pub(super) fn service(traces: Traces) -> TraceServiceServer<Receiver> {
    TraceServiceServer::new(Receiver(traces))
        .max_decoding_message_size(MAX_EXPORT_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// Serves traces alone until `cancel`.
pub(crate) async fn serve(
    traces: Traces,
    listener: TcpListener,
    requests_per_second: NonZeroU32,
    cancel: CancellationToken,
) -> Result<(), Error> {
    let limits = Limits {
        streams_per_connection: MAX_STREAMS,
        ..Limits::per_second(requests_per_second)
    };
    let serving = grpc::server(limits)
        .add_service(service(traces))
        .serve_with_incoming_shutdown(grpc::incoming(listener, MAX_CONNECTIONS), cancel.cancelled());
    Ok(serving.await?)
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        match self.0.keep(request.into_inner()).await {
            Ok(partial_success) => Ok(Response::new(ExportTraceServiceResponse { partial_success })),
            // OTLP has a sender come again after this one.
            Err(refused @ (Refused::Busy | Refused::Failed)) => Err(Status::unavailable(refused.to_string())),
        }
    }
}
