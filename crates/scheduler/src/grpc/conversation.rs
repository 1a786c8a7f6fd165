//! One AnnouncePeer stream, from the side of the scheduler. Its inbound half is read all the time, whatever the answers
//! wait for; after the last word both halves end at once, since peers wait for that without a limit.

use super::Grpc;
use crate::brain::{Answers, Enrolment, Stopped, StreamId};
use crate::credentials::CallersRequest;
use crate::metrics::Who;
use crate::translate;
use dragonfly_api::common::{Download, Piece, TrafficType};
use dragonfly_api::scheduler::announce_peer_request::Request;
use dragonfly_api::scheduler::{AnnouncePeerRequest, AnnouncePeerResponse};
use dragonfly_api::{Invalid, PeerIds};
use dragonfly_model::{HostKind, PeerId};
use dragonfly_scheduling::{Event, PeerKey, Registration};
use dragonfly_service::telemetry;
use http::HeaderMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

/// Answers that may wait for the network. A peer asks anew only after it got one, and parents that it did not ask for
/// only fill up the few that it may have, so more than a few never wait.
const ANSWERS: usize = 16;
/// How long a stream may be open without a registration.
const FIRST_MESSAGE: Duration = Duration::from_secs(30);

/// The outbound half.
pub(super) type Responses = ReceiverStream<Result<AnnouncePeerResponse, Status>>;

/// A stream that was just opened.
pub(super) struct Conversation {
    grpc: Grpc,
    answers: Answers,
    listens: bool,
    /// In which trace it began, if in any.
    trace: HeaderMap,
}

/// A stream whose peer is registered.
struct Registered {
    grpc: Grpc,
    peer: PeerKey,
    stream: StreamId,
    done: CancellationToken,
    who: Who,
}

impl Conversation {
    /// `listens`: the peer takes parents that it did not ask for.
    pub(super) fn new(grpc: Grpc, listens: bool) -> (Self, Responses) {
        let (answers, responses) = mpsc::channel(ANSWERS);
        let mut trace = HeaderMap::new();
        telemetry::pass_on(&mut trace);
        let conversation = Self {
            grpc,
            answers,
            listens,
            trace,
        };
        (conversation, ReceiverStream::new(responses))
    }

    /// Holds the conversation until either side ends it. The error was told to the peer.
    pub(super) async fn hold(self, mut inbound: Streaming<AnnouncePeerRequest>) -> Result<(), Status> {
        let answers = self.answers.clone();
        let registered = match self.register(&mut inbound).await {
            Ok(registered) => registered,
            Err(status) => {
                // A peer that is gone needs no answer.
                answers.try_send(Err(status.clone())).ok();
                return Err(status);
            }
        };
        // From here on the owner of the graph alone holds the outbound half, and so decides when it ends.
        drop(answers);
        registered.listen(inbound).await
    }

    async fn register(self, inbound: &mut Streaming<AnnouncePeerRequest>) -> Result<Registered, Status> {
        let first = tokio::time::timeout(FIRST_MESSAGE, inbound.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("nobody registered over this stream"))??;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream ended before it began"))?;
        let ids = PeerIds::parse(&first.host_id, &first.task_id, &first.peer_id)?;
        let Some(Request::RegisterPeerRequest(register)) = first.request else {
            return Err(Status::invalid_argument(
                "the first message of a stream must register its peer",
            ));
        };
        let download = register.download.ok_or(Invalid::Missing("download"))?;
        let kind = self
            .grpc
            .hosts
            .get(&ids.host)
            .map(|host| HostKind::from_number(host.r#type));
        let who = Who::of(&download, kind);
        let counts = self.grpc.counts.clone();
        match self.enrol(ids, download, kind, who.clone()).await {
            Ok(registered) => {
                counts.register_peer.done(&who);
                Ok(registered)
            }
            Err(status) => {
                counts.register_peer.failed(&who);
                Err(status)
            }
        }
    }

    async fn enrol(
        self,
        ids: PeerIds,
        download: Download,
        kind: Option<HostKind>,
        who: Who,
    ) -> Result<Registered, Status> {
        let priority = self.grpc.applications.borrow().priority(&download)?;
        let allowed = self.grpc.rules.borrow().check(kind, &download, priority);
        allowed.map_err(|blocked| Status::permission_denied(blocked.to_string()))?;
        let registration = Registration {
            listens: self.listens,
            ..translate::registration(&ids, &download, priority, &self.grpc.numbering)?
        };
        let registered = Registered {
            peer: registration.peer.clone(),
            stream: self.grpc.brain.stream_id(),
            done: CancellationToken::new(),
            grpc: self.grpc,
            who,
        };
        let enrolment = Enrolment {
            registration,
            request: CallersRequest::new(download),
            trace: self.trace,
            stream: registered.stream,
            answers: self.answers,
            done: registered.done.clone(),
        };
        registered.grpc.brain.register(enrolment).await?;
        Ok(registered)
    }
}

impl Registered {
    async fn listen(self, mut inbound: Streaming<AnnouncePeerRequest>) -> Result<(), Status> {
        let done = self.done.clone();
        loop {
            let Some(message) = done.run_until_cancelled(inbound.message()).await else {
                return Ok(());
            };
            let outcome = match message {
                Ok(Some(message)) => self.hear(message).await,
                Ok(None) => Err(End::Broken(Status::cancelled(
                    "the peer closed the stream without a last word",
                ))),
                Err(status) => Err(End::Broken(status)),
            };
            // When the owner is gone, so is the stream.
            match outcome {
                Ok(()) => {}
                Err(End::Stopped(stopped)) => return Err(stopped.into()),
                Err(End::Broken(status)) => {
                    tracing::debug!(peer = %self.peer, %status, "the stream of a peer broke");
                    self.grpc.brain.broken(self.peer, self.stream).await?;
                    return Err(status);
                }
                Err(End::Invalid(invalid)) => {
                    let status = Status::from(invalid);
                    self.grpc.brain.reject(self.peer, self.stream, status.clone()).await?;
                    return Err(status);
                }
            }
        }
    }

    async fn hear(&self, message: AnnouncePeerRequest) -> Result<(), End> {
        if message.task_id != self.peer.task.as_str() || message.peer_id != self.peer.peer.as_str() {
            let ids = PeerIds::parse(&message.host_id, &message.task_id, &message.peer_id)?;
            return Err(End::Invalid(Invalid::Value {
                field: "peer_id",
                value: format!("{}, which did not register over this stream", ids.peer),
            }));
        }
        let request = message.request.ok_or(Invalid::Missing("request"))?;
        match self.event(request)? {
            Some(event) => Ok(self.grpc.brain.tell(event).await?),
            None => Ok(()),
        }
    }

    /// What a message says to the graph, if anything; counts it.
    fn event(&self, request: Request) -> Result<Option<Event>, Invalid> {
        let (counts, who) = (&self.grpc.counts, &self.who);
        let peer = self.peer.clone();
        Ok(Some(match request {
            Request::RegisterPeerRequest(_) => {
                return Err(Invalid::Value {
                    field: "request",
                    value: "a second registration".to_owned(),
                });
            }
            Request::DownloadPeerStartedRequest(_) => {
                counts.peer_started.done(who);
                Event::PeerStarted { peer }
            }
            Request::DownloadPeerBackToSourceStartedRequest(_) => {
                counts.peer_back_to_source_started.done(who);
                Event::BackToSourceStarted { peer }
            }
            Request::ReschedulePeerRequest(_) => Event::Rescheduled { peer },
            Request::DownloadPeerFinishedRequest(_) => {
                counts.peer_finished.done(who);
                Event::PeerFinished { peer }
            }
            Request::DownloadPeerBackToSourceFinishedRequest(_) => {
                counts.peer_back_to_source_finished.done(who);
                Event::PeerFinished { peer }
            }
            Request::DownloadPeerFailedRequest(_) => {
                counts.peer_finished.failed(who);
                Event::PeerFailed { peer }
            }
            Request::DownloadPeerBackToSourceFailedRequest(_) => {
                counts.peer_back_to_source_finished.failed(who);
                Event::PeerFailed { peer }
            }
            Request::DownloadPieceFinishedRequest(finished) => self.piece(finished.piece)?,
            Request::DownloadPieceBackToSourceFinishedRequest(finished) => {
                let from_origin = |piece: Piece| Piece {
                    traffic_type: Some(TrafficType::BackToSource.into()),
                    ..piece
                };
                self.piece(finished.piece.map(from_origin))?
            }
            Request::DownloadPieceFailedRequest(failed) => {
                counts.piece_failed(who);
                let parent = PeerId::parse(&failed.parent_id)?;
                Event::PieceFailed { peer, parent }
            }
            Request::DownloadPieceBackToSourceFailedRequest(_) => {
                counts.source_piece_failed(who);
                return Ok(None);
            }
        }))
    }

    fn piece(&self, piece: Option<Piece>) -> Result<Event, Invalid> {
        let (piece, traffic) = translate::finished_piece(&piece.ok_or(Invalid::Missing("piece"))?);
        self.grpc.counts.piece(&self.who, traffic, piece.length);
        Ok(Event::PieceFinished {
            peer: self.peer.clone(),
            piece,
        })
    }
}

/// Why a conversation ends.
enum End {
    Broken(Status),
    Invalid(Invalid),
    Stopped(Stopped),
}

impl From<Invalid> for End {
    fn from(invalid: Invalid) -> Self {
        End::Invalid(invalid)
    }
}

impl From<dragonfly_model::IdError> for End {
    fn from(error: dragonfly_model::IdError) -> Self {
        End::Invalid(error.into())
    }
}

impl From<Stopped> for End {
    fn from(stopped: Stopped) -> Self {
        End::Stopped(stopped)
    }
}
