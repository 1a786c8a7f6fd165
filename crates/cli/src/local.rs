//! The dfdaemon of this host, as its tools talk to it over its socket.

use crate::failure::Failure;
use dragonfly_api::dfdaemon::dfdaemon_download_client::DfdaemonDownloadClient;
use dragonfly_api::ext::dfdaemon_client::DfdaemonClient;
use dragonfly_service::exit;
use dragonfly_service::grpc::{self, ConnectError, MAX_MESSAGE_BYTES};
use std::path::{Path, PathBuf};
use tonic::Status;
use tonic::transport::Channel;

/// Where it listens.
#[derive(Debug, clap::Args)]
pub(crate) struct Endpoint {
    /// The socket of dfdaemon
    #[arg(
        short,
        long = "endpoint",
        value_name = "SOCKET",
        default_value = "/var/run/dragonfly/dfdaemon.sock"
    )]
    pub(crate) socket: PathBuf,
}

/// No daemon.
#[derive(Debug, thiserror::Error)]
#[error(
    "no dfdaemon answers on {}; start one with `dragonfly dfdaemon`, or a whole cluster with `dragonfly up`, and name \
     its socket with --endpoint",
    socket.display()
)]
struct NoDaemon {
    socket: PathBuf,
    source: ConnectError,
}

/// A connection to it.
pub(crate) struct Local {
    /// The services of every dfdaemon.
    pub(crate) dfdaemon: DfdaemonDownloadClient<Channel>,
    /// Those of ours.
    pub(crate) ours: DfdaemonClient<Channel>,
}

impl Local {
    pub(crate) async fn connect(socket: &Path) -> Result<Self, Failure> {
        // The first word of a transfer may take its time.
        let timeouts = grpc::Timeouts {
            request: None,
            ..grpc::Timeouts::default()
        };
        let channel = grpc::connect_unix(socket, timeouts).await.map_err(|source| {
            let socket = socket.to_owned();
            Failure::of(&NoDaemon { socket, source }, exit::FAILURE)
        })?;
        Ok(Self {
            dfdaemon: DfdaemonDownloadClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES),
            ours: DfdaemonClient::new(channel),
        })
    }
}

/// What a status of the daemon means for what was asked about.
pub(crate) fn refused(about: &str, status: &Status) -> Failure {
    if std::error::Error::source(status).is_some() {
        return Failure::new("the connection to dfdaemon was lost; run the same command again");
    }
    Failure::new(format!("{about}: {}", status.message()))
}
