//! Calls to seed peers: `DownloadTask`, until the content is there or the call fails.

use dragonfly_api::backend_error_of;
use dragonfly_api::common::{Download, Host};
use dragonfly_api::dfdaemon::DownloadTaskRequest;
use dragonfly_api::dfdaemon::dfdaemon_upload_client::DfdaemonUploadClient;
use dragonfly_model::PeerId;
use dragonfly_service::grpc::{self, ConnectError, MAX_MESSAGE_BYTES, Timeouts};
use dragonfly_service::tls::ClientTls;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::transport::Channel;

/// Calls at a time; further ones wait for a place.
const MAX_CALLS: usize = 1024;
/// Channels that are kept; when there are more, all are opened anew as they are needed.
const MAX_CHANNELS: usize = 256;

/// Why a seed peer did not fetch a task.
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

/// Asks seed peers. Clones share channels and limits.
#[derive(Debug, Clone)]
pub(crate) struct Seeds {
    tls: Option<ClientTls>,
    timeout: Duration,
    calls: Arc<Semaphore>,
    channels: Arc<Mutex<HashMap<String, Channel>>>,
}

impl Seeds {
    /// `timeout` is for a whole call.
    pub(crate) fn new(tls: Option<ClientTls>, timeout: Duration) -> Self {
        Self {
            tls,
            timeout,
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
            channels: Arc::default(),
        }
    }

    /// Has a seed peer fetch a content. Returns when it is there, with the id of its download.
    pub(crate) async fn fetch(&self, seed: &Host, download: Download) -> Result<Option<PeerId>, Failure> {
        let _place = self.calls.acquire().await.expect("the semaphore is never closed");
        tokio::time::timeout(self.timeout, self.call(seed, download))
            .await
            .map_err(|_| Failure::Timeout(self.timeout))?
    }

    async fn call(&self, seed: &Host, download: Download) -> Result<Option<PeerId>, Failure> {
        let mut client = DfdaemonUploadClient::new(self.channel(seed)?).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let request = DownloadTaskRequest {
            download: Some(download),
        };
        let mut answers = client.download_task(request).await?.into_inner();
        let mut peer = None;
        while let Some(answer) = answers.message().await? {
            peer = peer.or_else(|| PeerId::parse(&answer.peer_id).ok());
        }
        Ok(peer)
    }

    fn channel(&self, seed: &Host) -> Result<Channel, ConnectError> {
        let addr = if seed.ip.contains(':') {
            format!("[{}]:{}", seed.ip, seed.port)
        } else {
            format!("{}:{}", seed.ip, seed.port)
        };
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(&addr) {
            return Ok(channel.clone());
        }
        // The first word of the answer may take as long as the origin takes.
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
