//! Calls to seed peers: `DownloadTask`, until the content is there or the call fails.

use crate::reach::{Failure, Reach};
use dragonfly_api::common::{Download, Host};
use dragonfly_api::dfdaemon::DownloadTaskRequest;
use dragonfly_model::PeerId;
use http::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::Request;
use tonic::metadata::MetadataMap;

/// Calls at a time; further ones wait for a place.
const MAX_CALLS: usize = 1024;

/// Asks seed peers. Clones share channels and limits.
#[derive(Debug, Clone)]
pub(crate) struct Seeds {
    reach: Reach,
    timeout: Duration,
    calls: Arc<Semaphore>,
}

impl Seeds {
    /// `timeout` is for a whole call.
    pub(crate) fn new(reach: Reach, timeout: Duration) -> Self {
        Self {
            reach,
            timeout,
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
        }
    }

    /// Has a seed peer fetch a content, in the trace of who waits for it. Returns when it is there, with the id of its download.
    pub(crate) async fn fetch(&self, seed: &Host, asked: (Download, HeaderMap)) -> Result<Option<PeerId>, Failure> {
        let _place = self.calls.acquire().await.expect("the semaphore is never closed");
        tokio::time::timeout(self.timeout, self.call(seed, asked))
            .await
            .map_err(|_| Failure::Timeout(self.timeout))?
    }

    async fn call(&self, seed: &Host, (download, trace): (Download, HeaderMap)) -> Result<Option<PeerId>, Failure> {
        let mut request = Request::new(DownloadTaskRequest {
            download: Some(download),
        });
        *request.metadata_mut() = MetadataMap::from_headers(trace);
        let mut answers = self.reach.client(seed)?.download_task(request).await?.into_inner();
        let mut peer = None;
        while let Some(answer) = answers.message().await? {
            peer = peer.or_else(|| PeerId::parse(&answer.peer_id).ok());
        }
        Ok(peer)
    }
}
