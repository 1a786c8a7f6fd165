//! One download's conversation with its scheduler (`AnnouncePeer`), from the side of the downloading peer.
//!
//! Every wait in it is bounded: for the connection and the first answer, between answers, for room in the outgoing
//! queue, and for the server's end after the last word.

use crate::cluster::{Scheduler, SchedulerClient};
use dragonfly_api::scheduler::announce_peer_request::Request;
use dragonfly_api::scheduler::announce_peer_response::Response;
use dragonfly_api::{LISTENS, PATIENT, PeerIds, common, errordetails, kept, scheduler as wire};
use dragonfly_model::{PeerId, PieceNumber, TrafficType};
use dragonfly_service::{grpc, telemetry};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// Messages that may wait for the network.
const QUEUE: usize = 128;
/// How long a message may wait for a place in the queue: a scheduler that does not read is as good as gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the first answer may take. A scheduler answers as soon as a parent or a grant is there; one that takes
/// longer is stuck.
const FIRST_ANSWER: Duration = Duration::from_secs(120);
/// How long the server may take to end the call after the last word.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a conversation ended before its end.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    /// The scheduler does not know this host: announce it and register again.
    #[error("the scheduler does not know this host")]
    UnknownHost,
    /// The scheduler has too much to do.
    #[error("the scheduler is overloaded")]
    Overloaded {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The scheduler forbids this download.
    #[error("{0}")]
    Forbidden(String),
    /// The scheduler can't be reached, went away or answered an error.
    #[error("the scheduler failed: {0}")]
    Lost(String),
}

/// What the scheduler says.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The content is empty.
    Empty,
    /// Fetch from these.
    Parents(Vec<common::Peer>),
    /// Fetch from the origin.
    BackToSource,
    /// It took note of what this peer holds.
    Noted,
}

/// A conversation. Dropping it breaks it off.
pub(crate) struct Session {
    addr: SocketAddr,
    ids: PeerIds,
    kind: Kind,
    outgoing: Option<mpsc::Sender<wire::AnnouncePeerRequest>>,
    incoming: Incoming,
    schedule_timeout: Duration,
    /// Until when the next answer must be here, if one is due.
    answer_by: Option<Instant>,
    answers: u32,
    /// Answers since the last piece.
    fruitless: u32,
}

type Requests = mpsc::Receiver<wire::AnnouncePeerRequest>;
type Responses = tonic::Response<BoxStream<'static, Result<wire::AnnouncePeerResponse, Status>>>;

/// Opens the conversation.
async fn announce(
    mut client: SchedulerClient,
    queue: Requests,
    headers: http::HeaderMap,
    kind: Kind,
) -> Result<Responses, Status> {
    let mut metadata = MetadataMap::from_headers(headers);
    metadata.insert(LISTENS, MetadataValue::from_static("true"));
    let said = ReceiverStream::new(queue);
    match kind {
        Kind::Standard => {
            let mut call = tonic::Request::new(said);
            *call.metadata_mut() = metadata;
            Ok(client.announce_peer(call).await?.map(StreamExt::boxed))
        }
        Kind::Kept { obliged } => {
            let said = said.filter_map(move |word| std::future::ready(kept::announcement(word, obliged)));
            let mut call = tonic::Request::new(said);
            *call.metadata_mut() = metadata;
            let told = client.announce_persistent_cache_peer(call).await?;
            Ok(told.map(|told| told.map_ok(kept::answer).boxed()))
        }
    }
}

/// What is registered, and as whom.
pub(crate) struct Registration {
    pub(crate) ids: PeerIds,
    pub(crate) download: common::Download,
    pub(crate) kind: Kind,
}

/// Which of the scheduler's conversations this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// About a task that has an origin.
    Standard,
    /// About one that the cluster keeps.
    Kept {
        /// Whether this peer must keep what it downloads.
        obliged: bool,
    },
}

enum Incoming {
    Connecting(BoxFuture<'static, Result<Responses, Status>>),
    Open(Box<Responses>),
}

impl Session {
    /// Registers the download; the first answer comes from [`Session::next`].
    pub(crate) fn register(scheduler: &Scheduler, registration: Registration, schedule_timeout: Duration) -> Self {
        let Registration { ids, download, kind } = registration;
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let client = scheduler.client.clone();
        let mut headers = http::HeaderMap::new();
        telemetry::pass_on(&mut headers);
        let mut session = Self {
            addr: scheduler.addr,
            ids,
            kind,
            outgoing: Some(outgoing),
            incoming: Incoming::Connecting(announce(client, queue, headers, kind).boxed()),
            schedule_timeout,
            answer_by: Some(Instant::now() + FIRST_ANSWER.min(schedule_timeout)),
            answers: 0,
            fruitless: 0,
        };
        let first = session.message(Request::RegisterPeerRequest(wire::RegisterPeerRequest {
            download: Some(download),
        }));
        if let Some(outgoing) = &session.outgoing
            && outgoing.try_send(first).is_err()
        {
            session.outgoing = None;
        }
        session
    }

    /// How many answers came that were due.
    pub(crate) fn answers(&self) -> u32 {
        self.answers
    }

    /// How many of them came since the last piece, and so have not helped yet.
    pub(crate) fn fruitless(&self) -> u32 {
        self.fruitless
    }

    /// Whether the scheduler may be asked for others while parents are at work.
    pub(crate) fn is_patient(&self) -> bool {
        matches!(&self.incoming, Incoming::Open(stream) if stream.metadata().contains_key(PATIENT))
    }

    /// Whether an answer is due.
    pub(crate) fn is_awaited(&self) -> bool {
        self.answer_by.is_some()
    }

    /// The next answer. Cancel safe. While none is due it returns when the scheduler names more parents, or when the
    /// conversation breaks.
    pub(crate) async fn next(&mut self) -> Result<Answer, Error> {
        let deadline = self.answer_by;
        let next = self.receive();
        let received = match deadline {
            None => next.await,
            Some(deadline) => match timeout_at(deadline, next).await {
                Ok(received) => received,
                Err(_) => return Err(Error::Lost("no answer in time".to_owned())),
            },
        };
        let answer = received?;
        // Parents that were not asked for don't count against what may be asked for.
        if self.answer_by.take().is_some() {
            self.answers += 1;
            self.fruitless += 1;
        }
        Ok(answer)
    }

    async fn receive(&mut self) -> Result<Answer, Error> {
        if let Incoming::Connecting(connecting) = &mut self.incoming {
            let stream = connecting.await.map_err(|status| Error::of(&status, self.kind))?;
            self.incoming = Incoming::Open(Box::new(stream));
        }
        let Incoming::Open(stream) = &mut self.incoming else {
            return Err(Error::Lost("the conversation was not opened".to_owned()));
        };
        let message = stream.get_mut().next().await;
        let message = message.ok_or_else(|| Error::Lost("it ended the conversation".to_owned()))?;
        let message = message.map_err(|status| Error::of(&status, self.kind))?;
        match message.response {
            Some(Response::EmptyTaskResponse(_)) => Ok(Answer::Empty),
            Some(Response::NormalTaskResponse(normal)) => Ok(Answer::Parents(normal.candidate_parents)),
            Some(Response::NeedBackToSourceResponse(_)) => Ok(Answer::BackToSource),
            Some(Response::MetadataOnlyResponse(_)) => Ok(Answer::Noted),
            None => Err(Error::Lost("it answered nothing that is known".to_owned())),
        }
    }

    /// The download from parents has begun.
    pub(crate) async fn started(&mut self) -> Result<(), Error> {
        let message = wire::DownloadPeerStartedRequest {};
        self.send(Request::DownloadPeerStartedRequest(message)).await
    }

    /// The download from the origin has begun.
    pub(crate) async fn source_started(&mut self, reason: &str) -> Result<(), Error> {
        let message = wire::DownloadPeerBackToSourceStartedRequest {
            description: Some(reason.to_owned()),
        };
        self.send(Request::DownloadPeerBackToSourceStartedRequest(message))
            .await
    }

    /// A piece is here.
    pub(crate) async fn piece(&mut self, piece: common::Piece, traffic: TrafficType) -> Result<(), Error> {
        let piece = Some(piece);
        self.fruitless = 0;
        self.send(match traffic {
            TrafficType::BackToSource => {
                Request::DownloadPieceBackToSourceFinishedRequest(wire::DownloadPieceBackToSourceFinishedRequest {
                    piece,
                })
            }
            TrafficType::RemotePeer | TrafficType::LocalPeer => {
                Request::DownloadPieceFinishedRequest(wire::DownloadPieceFinishedRequest { piece })
            }
        })
        .await
    }

    /// A parent did not give what it should have given.
    pub(crate) async fn parent_failed(&mut self, parent: &PeerId, piece: Option<PieceNumber>) -> Result<(), Error> {
        let message = wire::DownloadPieceFailedRequest {
            piece_number: piece.map(|number| number.0),
            parent_id: parent.to_string(),
            temporary: true,
        };
        self.send(Request::DownloadPieceFailedRequest(message)).await
    }

    /// Asks for other parents than these.
    pub(crate) async fn reschedule(&mut self, useless: Vec<common::Peer>, reason: &str) -> Result<(), Error> {
        self.answer_by = Some(Instant::now() + self.schedule_timeout);
        let message = wire::ReschedulePeerRequest {
            candidate_parents: useless,
            description: Some(reason.to_owned()),
        };
        self.send(Request::ReschedulePeerRequest(message)).await
    }

    /// The origin did not give the content.
    pub(crate) async fn source_failed(&mut self, answer: errordetails::Backend) -> Result<(), Error> {
        let message = wire::DownloadPieceBackToSourceFailedRequest {
            piece_number: None,
            response: Some(wire::download_piece_back_to_source_failed_request::Response::Backend(
                answer,
            )),
        };
        self.send(Request::DownloadPieceBackToSourceFailedRequest(message))
            .await
    }

    /// The last word: the download is complete.
    pub(crate) async fn finish(self, from_source: bool) {
        self.close(if from_source {
            Request::DownloadPeerBackToSourceFinishedRequest(wire::DownloadPeerBackToSourceFinishedRequest {})
        } else {
            Request::DownloadPeerFinishedRequest(wire::DownloadPeerFinishedRequest {})
        })
        .await;
    }

    /// The last word: the download has failed.
    pub(crate) async fn fail(self, from_source: bool, reason: String) {
        let description = Some(reason);
        self.close(if from_source {
            Request::DownloadPeerBackToSourceFailedRequest(wire::DownloadPeerBackToSourceFailedRequest { description })
        } else {
            Request::DownloadPeerFailedRequest(wire::DownloadPeerFailedRequest { description })
        })
        .await;
    }

    /// Says the last word and waits, not for long, until the server has heard it.
    async fn close(mut self, last: Request) {
        if self.send(last).await.is_err() {
            return;
        }
        // Our half stays open until then: to a server, a half that ends first is a peer that broke off.
        let ended = async { while self.receive().await.is_ok() {} };
        if timeout(CLOSE_TIMEOUT, ended).await.is_err() {
            tracing::debug!(scheduler.addr = %self.addr, "the scheduler did not end the conversation");
        }
    }

    async fn send(&mut self, request: Request) -> Result<(), Error> {
        let message = self.message(request);
        let Some(outgoing) = &self.outgoing else {
            return Err(Error::Lost("the conversation is over".to_owned()));
        };
        // The call is not driven by itself before its stream is open, so both go on together.
        let sending = timeout(SEND_TIMEOUT, outgoing.send(message));
        let sent = match &mut self.incoming {
            Incoming::Open(_) => sending.await,
            Incoming::Connecting(connecting) => {
                tokio::pin!(sending);
                tokio::select! {
                    sent = &mut sending => sent,
                    opened = connecting => {
                        let stream = opened.map_err(|status| Error::of(&status, self.kind))?;
                        self.incoming = Incoming::Open(Box::new(stream));
                        sending.await
                    }
                }
            }
        };
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Error::Lost("it closed the conversation".to_owned())),
            Err(_) => Err(Error::Lost("it does not read".to_owned())),
        }
    }

    fn message(&self, request: Request) -> wire::AnnouncePeerRequest {
        wire::AnnouncePeerRequest {
            host_id: self.ids.host.to_string(),
            task_id: self.ids.task.to_string(),
            peer_id: self.ids.peer.to_string(),
            request: Some(request),
        }
    }
}

impl Error {
    fn of(status: &Status, kind: Kind) -> Self {
        match status.code() {
            Code::NotFound => Error::UnknownHost,
            // What our scheduler says of a host, and any of a task that nobody has; to announce this host helps in one case.
            Code::FailedPrecondition if kind != Kind::Standard => Error::UnknownHost,
            Code::ResourceExhausted => Error::Overloaded {
                retry_after: grpc::retry_after(status),
            },
            Code::PermissionDenied => Error::Forbidden(status.message().to_owned()),
            code => Error::Lost(format!("{code:?}: {}", status.message())),
        }
    }
}
