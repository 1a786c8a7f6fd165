//! A peer that talks as a real one does and holds no bytes: one stream, from the registration to the scheduler's last word.

use super::room::{Room, host_id};
use anyhow::{Context, Result, bail};
use dragonfly_api::common::{Download, Piece, TrafficType};
use dragonfly_api::scheduler::announce_peer_request::Request;
use dragonfly_api::scheduler::announce_peer_response::Response;
use dragonfly_api::scheduler::scheduler_client::SchedulerClient;
use dragonfly_api::scheduler::*;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

/// Bytes of each content, which is one piece.
const LENGTH: u64 = 4 << 20;
/// Words that may wait for the network, as at a real peer.
const QUEUE: usize = 4;

/// How long a conversation took.
pub(super) struct Cycle {
    pub(super) answered: Duration,
    pub(super) ended: Duration,
}

/// One peer of one task.
pub(super) struct SimPeer {
    client: SchedulerClient<Channel>,
    host: String,
    task: String,
    peer: String,
    url: String,
}

/// A stream that is open.
struct Talk {
    peer: SimPeer,
    words: mpsc::Sender<AnnouncePeerRequest>,
    answers: Streaming<AnnouncePeerResponse>,
}

impl SimPeer {
    /// The peer that fetches the content with this number from the origin.
    pub(super) fn first(room: &Room, task: u64) -> Self {
        Self::new(room, task, task, "first")
    }

    /// One that comes later, for one of so many contents on one of so many hosts.
    pub(super) fn later(room: &Room, n: u64, (hosts, tasks): (u32, u32)) -> Self {
        // Neighbours in time want different contents, and no host wants one twice.
        let host = (n + u64::from(tasks)) % u64::from(hosts);
        Self::new(room, host, n % u64::from(tasks), &format!("later-{n}"))
    }

    fn new(room: &Room, host: u64, task: u64, name: &str) -> Self {
        Self {
            client: room.client(host),
            host: host_id(host),
            task: format!("{task:064x}"),
            peer: format!("{}-{task}-{name}", host_id(host)),
            url: format!("http://origin.test/content-{task}"),
        }
    }

    /// Is sent to the origin, says what it fetches, and stays as a holder.
    pub(super) async fn fetch(self) -> Result<()> {
        let (mut talk, answer) = self.register().await?;
        let Response::NeedBackToSourceResponse(_) = answer else {
            bail!("the first peer of a content was not sent to the origin: {answer:?}");
        };
        let started = DownloadPeerBackToSourceStartedRequest::default();
        talk.say(Request::DownloadPeerBackToSourceStartedRequest(started))
            .await?;
        let piece = Some(piece(None));
        talk.say(Request::DownloadPieceBackToSourceFinishedRequest(
            DownloadPieceBackToSourceFinishedRequest { piece },
        ))
        .await?;
        let finished = DownloadPeerBackToSourceFinishedRequest {};
        talk.say(Request::DownloadPeerBackToSourceFinishedRequest(finished))
            .await?;
        talk.end().await
    }

    /// Is given a parent, fetches its piece and ends.
    pub(super) async fn cycle(self) -> Result<Cycle> {
        let start = Instant::now();
        let (mut talk, answer) = self.register().await?;
        let answered = start.elapsed();
        let Response::NormalTaskResponse(normal) = answer else {
            bail!("a peer was not given a parent: {answer:?}");
        };
        let parent = normal.candidate_parents.into_iter().next().context("no parent")?.id;
        talk.say(Request::DownloadPeerStartedRequest(DownloadPeerStartedRequest {}))
            .await?;
        let piece = Some(piece(Some(parent)));
        talk.say(Request::DownloadPieceFinishedRequest(DownloadPieceFinishedRequest {
            piece,
        }))
        .await?;
        talk.say(Request::DownloadPeerFinishedRequest(DownloadPeerFinishedRequest {}))
            .await?;
        talk.end().await?;
        Ok(Cycle {
            answered,
            ended: start.elapsed(),
        })
    }

    async fn register(mut self) -> Result<(Talk, Response)> {
        let (words, queue) = mpsc::channel(QUEUE);
        let download = Some(Download {
            url: self.url.clone(),
            actual_content_length: Some(LENGTH),
            actual_piece_length: Some(LENGTH),
            actual_piece_count: Some(1),
            ..Download::default()
        });
        words
            .send(self.word(Request::RegisterPeerRequest(RegisterPeerRequest { download })))
            .await?;
        let answers = self
            .client
            .announce_peer(ReceiverStream::new(queue))
            .await?
            .into_inner();
        let mut talk = Talk {
            peer: self,
            words,
            answers,
        };
        let answer = talk.answers.message().await?.context("no answer")?;
        let answer = answer.response.context("an empty answer")?;
        Ok((talk, answer))
    }

    fn word(&self, request: Request) -> AnnouncePeerRequest {
        AnnouncePeerRequest {
            host_id: self.host.clone(),
            task_id: self.task.clone(),
            peer_id: self.peer.clone(),
            request: Some(request),
        }
    }
}

impl Talk {
    async fn say(&mut self, request: Request) -> Result<()> {
        Ok(self.words.send(self.peer.word(request)).await?)
    }

    /// Waits for the scheduler to end the stream.
    async fn end(mut self) -> Result<()> {
        drop(self.words);
        while self.answers.message().await?.is_some() {}
        Ok(())
    }
}

fn piece(parent: Option<String>) -> Piece {
    let traffic = match parent {
        Some(_) => TrafficType::RemotePeer,
        None => TrafficType::BackToSource,
    };
    Piece {
        number: 0,
        parent_id: parent,
        offset: 0,
        length: LENGTH,
        digest: "crc32:1".to_owned(),
        traffic_type: Some(traffic.into()),
        cost: Some(dragonfly_api::duration(Duration::from_millis(30))),
        created_at: Some(dragonfly_api::timestamp(SystemTime::now())),
        ..Piece::default()
    }
}
