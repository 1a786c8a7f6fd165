//! Ways to the upload services of hosts, and why a call over one fails.

use dragonfly_api::backend_error_of;
use dragonfly_api::common::Host;
use dragonfly_api::dfdaemon::dfdaemon_upload_client::DfdaemonUploadClient;
use dragonfly_service::grpc::{self, ConnectError, MAX_MESSAGE_BYTES, Timeouts};
use dragonfly_service::tls::ClientTls;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tonic::Status;
use tonic::transport::Channel;

/// Channels that are kept; when there are more, all are opened anew as they are needed.
const MAX_CHANNELS: usize = 256;

/// Why a peer did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Its address is no address. Its own fault.
    #[error(transparent)]
    Address(#[from] ConnectError),
    /// It can't be reached or failed, or the origin refused. What it said in words is not repeated: it may name a signed
    /// address.
    #[error("the call ended with {:?}", .0.code())]
    Call(#[from] Status),
    /// It took too long.
    #[error("it took longer than {0:?}")]
    Timeout(Duration),
}

impl Failure {
    /// The origin's status code, if the origin was the reason.
    pub(crate) fn origin(&self) -> Option<u16> {
        match self {
            Failure::Call(status) => backend_error_of(status)?.status,
            Failure::Address(_) | Failure::Timeout(_) => None,
        }
    }
}

/// Ways to hosts. Clones share channels.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    tls: Option<ClientTls>,
    channels: Arc<Mutex<HashMap<String, Channel>>>,
}

impl Reach {
    pub(crate) fn new(tls: Option<ClientTls>) -> Self {
        Self {
            tls,
            channels: Arc::default(),
        }
    }

    /// A client of a host's upload service, which connects at the first call. Calls are not timed: the first word of an
    /// answer may take as long as an origin takes.
    pub(crate) fn client(&self, host: &Host) -> Result<DfdaemonUploadClient<Channel>, ConnectError> {
        let client = DfdaemonUploadClient::new(self.channel(host)?);
        Ok(client.max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    fn channel(&self, host: &Host) -> Result<Channel, ConnectError> {
        let addr = if host.ip.contains(':') {
            format!("[{}]:{}", host.ip, host.port)
        } else {
            format!("{}:{}", host.ip, host.port)
        };
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(&addr) {
            return Ok(channel.clone());
        }
        let timeouts = Timeouts {
            request: None,
            ..Timeouts::default()
        };
        let channel = grpc::connect_lazy(&addr, self.tls.as_ref(), timeouts)?;
        if channels.len() >= MAX_CHANNELS {
            channels.clear();
        }
        channels.insert(addr, channel.clone());
        Ok(channel)
    }
}
