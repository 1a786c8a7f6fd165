//! A peer that speaks as Dragonfly's does: an outgoing queue of four messages, headers awaited for ten seconds, and after
//! its last word a wait until the server has closed its queue.

use super::soon;
use dragonfly_api::common::{Download, Peer, Piece, TrafficType};
use dragonfly_api::scheduler::announce_peer_request::Request;
use dragonfly_api::scheduler::announce_peer_response::Response;
use dragonfly_api::scheduler::scheduler_client::SchedulerClient;
use dragonfly_api::scheduler::*;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::Channel;
use tonic::{Extensions, Status, Streaming};

/// Bytes and pieces of the content that all of them want.
pub(crate) const LENGTH: u64 = 16 << 20;
pub(crate) const PIECES: u32 = 4;

/// The task of which a test speaks.
pub(crate) fn task() -> String {
    "a".repeat(64)
}

/// What a peer asks for, with headers by which it is known at the origin.
pub(crate) fn download(authorization: &str) -> Download {
    Download {
        url: "http://origin.test/blob".to_owned(),
        actual_content_length: Some(LENGTH),
        actual_piece_length: Some(LENGTH / u64::from(PIECES)),
        actual_piece_count: Some(u64::from(PIECES)),
        request_header: HashMap::from([("authorization".to_owned(), authorization.to_owned())]),
        ..Default::default()
    }
}

/// One open conversation.
pub(crate) struct SimPeer {
    pub(crate) name: String,
    requests: mpsc::Sender<AnnouncePeerRequest>,
    responses: Streaming<AnnouncePeerResponse>,
}

impl SimPeer {
    /// Registers peer `name` of the host of that name.
    pub(crate) async fn register(client: &SchedulerClient<Channel>, name: &str, download: Download) -> Self {
        Self::open(client, name, download, MetadataMap::new()).await
    }

    /// The same, and says that it takes parents which it did not ask for.
    pub(crate) async fn listening(client: &SchedulerClient<Channel>, name: &str, download: Download) -> Self {
        let mut listens = MetadataMap::new();
        listens.insert(dragonfly_api::LISTENS, MetadataValue::from_static("true"));
        Self::open(client, name, download, listens).await
    }

    async fn open(client: &SchedulerClient<Channel>, name: &str, download: Download, said: MetadataMap) -> Self {
        let (requests, queue) = mpsc::channel(4);
        let register = RegisterPeerRequest {
            download: Some(download),
        };
        requests
            .send(message(name, Request::RegisterPeerRequest(register)))
            .await
            .unwrap();
        let call = tonic::Request::from_parts(said, Extensions::default(), ReceiverStream::new(queue));
        let headers = client.clone().announce_peer(call).await;
        Self {
            name: name.to_owned(),
            requests,
            responses: headers.unwrap().into_inner(),
        }
    }

    pub(crate) async fn send(&self, request: Request) {
        let sent = self
            .requests
            .send_timeout(message(&self.name, request), Duration::from_secs(10));
        sent.await.expect("the server must always read");
    }

    pub(crate) async fn started(&self) {
        self.send(Request::DownloadPeerStartedRequest(DownloadPeerStartedRequest {}))
            .await;
    }

    pub(crate) async fn at_origin(&self) {
        let started = DownloadPeerBackToSourceStartedRequest::default();
        self.send(Request::DownloadPeerBackToSourceStartedRequest(started))
            .await;
    }

    pub(crate) async fn piece(&self, number: u32, parent: Option<&str>) {
        let length = LENGTH / u64::from(PIECES);
        let traffic = if parent.is_some() {
            TrafficType::RemotePeer
        } else {
            TrafficType::BackToSource
        };
        let piece = Some(Piece {
            number,
            parent_id: parent.map(str::to_owned),
            offset: u64::from(number) * length,
            length,
            digest: "crc32:1".to_owned(),
            traffic_type: Some(traffic.into()),
            cost: Some(dragonfly_api::duration(Duration::from_millis(30))),
            created_at: Some(dragonfly_api::timestamp(std::time::SystemTime::now())),
            ..Default::default()
        });
        self.send(match parent {
            Some(_) => Request::DownloadPieceFinishedRequest(DownloadPieceFinishedRequest { piece }),
            None => {
                let finished = DownloadPieceBackToSourceFinishedRequest { piece };
                Request::DownloadPieceBackToSourceFinishedRequest(finished)
            }
        })
        .await;
    }

    pub(crate) async fn piece_failed(&self, number: u32, parent: &str) {
        self.send(Request::DownloadPieceFailedRequest(DownloadPieceFailedRequest {
            piece_number: Some(number),
            parent_id: parent.to_owned(),
            temporary: true,
        }))
        .await;
    }

    pub(crate) async fn reschedule(&self, candidate_parents: Vec<Peer>) {
        self.send(Request::ReschedulePeerRequest(ReschedulePeerRequest {
            candidate_parents,
            description: None,
        }))
        .await;
    }

    /// The next answer or error.
    pub(crate) async fn next(&mut self) -> Result<Option<Response>, Status> {
        let next = soon("an answer", self.responses.message()).await?;
        Ok(next.map(|next| next.response.expect("an answer says something")))
    }

    /// The parents in the next answer.
    pub(crate) async fn parents(&mut self) -> Vec<Peer> {
        match self.next().await {
            Ok(Some(Response::NormalTaskResponse(normal))) => normal.candidate_parents,
            other => panic!("{} wanted parents and got {other:?}", self.name),
        }
    }

    /// The ids of the parents in the next answer.
    pub(crate) async fn parent_ids(&mut self) -> Vec<String> {
        self.parents().await.into_iter().map(|parent| parent.id).collect()
    }

    pub(crate) async fn back_to_source(&mut self) {
        match self.next().await {
            Ok(Some(Response::NeedBackToSourceResponse(_))) => {}
            other => panic!("{} wanted to go to the origin and got {other:?}", self.name),
        }
    }

    /// Whether no answer is there at the moment.
    pub(crate) fn is_waiting(&mut self) -> bool {
        use futures::{FutureExt, StreamExt};
        self.responses.next().now_or_never().is_none()
    }

    /// The last word, and the wait for the server to end both halves.
    pub(crate) async fn finish(mut self, from_origin: bool) {
        self.send(if from_origin {
            let finished = DownloadPeerBackToSourceFinishedRequest {};
            Request::DownloadPeerBackToSourceFinishedRequest(finished)
        } else {
            Request::DownloadPeerFinishedRequest(DownloadPeerFinishedRequest {})
        })
        .await;
        self.see_the_end().await;
    }

    /// As [`SimPeer::finish`], but the download failed.
    pub(crate) async fn fail(mut self, from_origin: bool) {
        self.send(if from_origin {
            let failed = DownloadPeerBackToSourceFailedRequest::default();
            Request::DownloadPeerBackToSourceFailedRequest(failed)
        } else {
            Request::DownloadPeerFailedRequest(DownloadPeerFailedRequest::default())
        })
        .await;
        self.see_the_end().await;
    }

    /// Both halves end well. Answers that were not read before may come first.
    async fn see_the_end(&mut self) {
        soon("the closing of the outgoing queue", self.requests.closed()).await;
        while let Some(answer) = self.next().await.expect("the stream must end well") {
            drop(answer);
        }
    }

    /// Fetches the whole content from the origin and stays as a holder.
    pub(crate) async fn fetch_from_origin(client: &SchedulerClient<Channel>, name: &str, download: Download) {
        let mut peer = Self::register(client, name, download).await;
        peer.back_to_source().await;
        peer.at_origin().await;
        for number in 0..PIECES {
            peer.piece(number, None).await;
        }
        peer.finish(true).await;
    }
}

fn message(name: &str, request: Request) -> AnnouncePeerRequest {
    AnnouncePeerRequest {
        host_id: name.to_owned(),
        task_id: task(),
        peer_id: name.to_owned(),
        request: Some(request),
    }
}
