//! The streams over which peers fetch kept tasks. One conversation serves both families; a [`Family`] gives it its words.

use super::kept::{cached_peer, stored_peer};
use crate::kept::{Keeping, Kept, Key, Peer, PeerState, Refused, View};
use dragonfly_api::scheduler::announce_persistent_cache_peer_request::Request as CachedRequest;
use dragonfly_api::scheduler::announce_persistent_cache_peer_response::Response as CachedResponse;
use dragonfly_api::scheduler::announce_persistent_peer_request::Request as StoredRequest;
use dragonfly_api::scheduler::announce_persistent_peer_response::Response as StoredResponse;
use dragonfly_api::scheduler::*;
use dragonfly_api::{Invalid, PeerIds};
use dragonfly_model::{HostId, PeerId};
use futures::stream::{self, BoxStream, StreamExt};
use std::collections::HashSet;
use std::time::Duration;
use tonic::{Status, Streaming};

/// How long a stream may be silent: pieces come, or it ends.
const SILENCE: Duration = Duration::from_secs(3600);
/// Parents of a child that are left out at most; with more it should begin anew.
const MAX_BLOCKED: usize = 1000;

/// What a peer says.
pub(super) enum Said {
    Register {
        persistent: bool,
        back_to_source: bool,
    },
    Started,
    /// It asks for other parents than these.
    Reschedule(Vec<PeerId>),
    /// A parent did not give a piece.
    PieceFailed(String),
    Finished,
    Failed,
    /// What the ledger has no use for.
    Progress,
}

/// What a peer is told.
pub(super) enum Told {
    Empty,
    Parents(Box<View>, Vec<Peer>),
    /// From the object store.
    BackToSource,
}

/// The words of one of Dragonfly's families.
pub(super) trait Family: 'static {
    const KEEPING: Keeping;
    type Request: Send + 'static;
    type Response: Send + 'static;

    fn said(request: Self::Request) -> Result<(PeerIds, Said), Invalid>;
    fn told(told: Told) -> Self::Response;
}

/// Persistent cache tasks.
pub(super) struct Cached;

/// Persistent tasks.
pub(super) struct Stored;

/// A conversation with one peer.
struct Conversation<F: Family> {
    kept: Kept,
    inbound: Streaming<F::Request>,
    peer: Option<Registered>,
    ended: bool,
}

struct Registered {
    key: Key,
    host: HostId,
    peer: PeerId,
    blocked: HashSet<PeerId>,
    /// Whether it has said how its download ended.
    done: bool,
}

/// The scheduler's half of a stream.
pub(super) fn hold<F: Family>(
    kept: Kept,
    inbound: Streaming<F::Request>,
) -> BoxStream<'static, Result<F::Response, Status>> {
    let conversation = Conversation::<F> {
        kept,
        inbound,
        peer: None,
        ended: false,
    };
    let told = stream::unfold(conversation, |mut conversation| async move {
        if conversation.ended {
            return None;
        }
        let told = conversation.next().await.transpose()?;
        conversation.ended = told.is_err();
        Some((told.map(F::told), conversation))
    });
    told.boxed()
}

impl<F: Family> Conversation<F> {
    /// The next answer; nothing at the end.
    async fn next(&mut self) -> Result<Option<Told>, Status> {
        loop {
            let message = tokio::time::timeout(SILENCE, self.inbound.message()).await;
            let message = message.map_err(|_| Status::deadline_exceeded("no word for an hour"))??;
            let Some(message) = message else {
                return Ok(None);
            };
            let (ids, said) = F::said(message)?;
            if let Some(told) = self.hear(ids, said)? {
                return Ok(Some(told));
            }
            if self.peer.as_ref().is_some_and(|peer| peer.done) {
                return Ok(None);
            }
        }
    }

    fn hear(&mut self, ids: PeerIds, said: Said) -> Result<Option<Told>, Status> {
        if let Said::Register {
            persistent,
            back_to_source,
        } = said
        {
            return self.register(ids, persistent, back_to_source).map(Some);
        }
        let peer = self.peer.as_mut().filter(|peer| peer.peer == ids.peer);
        let peer = peer.ok_or_else(|| Status::invalid_argument("the first message must register the peer"))?;
        let (key, id) = (&peer.key, &peer.peer);
        match said {
            Said::Register { .. } | Said::Progress => {}
            Said::Started => self.kept.step(key, id, PeerState::Running)?,
            Said::Finished | Said::Failed => {
                let state = match said {
                    Said::Finished => PeerState::Succeeded,
                    _ => PeerState::Failed,
                };
                self.kept.step(key, id, state)?;
                peer.done = true;
            }
            Said::PieceFailed(parent) => peer.block([parent.parse().map_err(Invalid::from)?]),
            Said::Reschedule(parents) => {
                peer.block(parents);
                let parents = self.kept.parents(&peer.key, &peer.host, &peer.blocked)?;
                return Ok(Some(Told::Parents(Box::new(self.kept.view(&peer.key)?), parents)));
            }
        }
        Ok(None)
    }

    fn register(&mut self, ids: PeerIds, persistent: bool, back_to_source: bool) -> Result<Told, Status> {
        if self.peer.is_some() {
            return Err(Status::invalid_argument(
                "a stream is of one peer, which has registered",
            ));
        }
        let key = Key {
            keeping: F::KEEPING,
            id: ids.task,
        };
        let joined = self.kept.join(&key, (ids.host.clone(), ids.peer.clone()), persistent);
        let told = match joined {
            Ok(_) if back_to_source && F::KEEPING == Keeping::Persistent => Told::BackToSource,
            Err(Refused::NoParents(_)) if F::KEEPING == Keeping::Persistent => Told::BackToSource,
            Ok(parents) if parents.is_empty() => Told::Empty,
            Ok(parents) => Told::Parents(Box::new(self.kept.view(&key)?), parents),
            Err(refused) => {
                // It has joined if it only found nobody.
                self.kept.step(&key, &ids.peer, PeerState::Failed).ok();
                return Err(refused.into());
            }
        };
        self.peer = Some(Registered {
            key,
            host: ids.host,
            peer: ids.peer,
            blocked: HashSet::new(),
            done: false,
        });
        Ok(told)
    }
}

impl Registered {
    fn block(&mut self, parents: impl IntoIterator<Item = PeerId>) {
        self.blocked.extend(parents);
        if self.blocked.len() > MAX_BLOCKED {
            self.blocked.clear();
        }
    }
}

impl<F: Family> Drop for Conversation<F> {
    /// Who leaves without a word has not got it.
    fn drop(&mut self) {
        if let Some(peer) = self.peer.take().filter(|peer| !peer.done) {
            self.kept.step(&peer.key, &peer.peer, PeerState::Failed).ok();
        }
    }
}

fn peers(ids: impl Iterator<Item = String>) -> Result<Vec<PeerId>, Invalid> {
    ids.map(|id| Ok(PeerId::parse(&id)?)).collect()
}

impl Family for Cached {
    const KEEPING: Keeping = Keeping::PersistentCache;
    type Request = AnnouncePersistentCachePeerRequest;
    type Response = AnnouncePersistentCachePeerResponse;

    fn said(request: Self::Request) -> Result<(PeerIds, Said), Invalid> {
        let ids = PeerIds::parse(&request.host_id, &request.task_id, &request.peer_id)?;
        let said = match request.request.ok_or(Invalid::Missing("request"))? {
            CachedRequest::RegisterPersistentCachePeerRequest(register) => Said::Register {
                persistent: register.persistent,
                back_to_source: false,
            },
            CachedRequest::DownloadPersistentCachePeerStartedRequest(_) => Said::Started,
            CachedRequest::ReschedulePersistentCachePeerRequest(again) => {
                Said::Reschedule(peers(again.candidate_parents.into_iter().map(|parent| parent.id))?)
            }
            CachedRequest::DownloadPersistentCachePeerFinishedRequest(_) => Said::Finished,
            CachedRequest::DownloadPersistentCachePeerFailedRequest(_) => Said::Failed,
            CachedRequest::DownloadPieceFinishedRequest(_) => Said::Progress,
            CachedRequest::DownloadPieceFailedRequest(failed) => Said::PieceFailed(failed.parent_id),
        };
        Ok((ids, said))
    }

    fn told(told: Told) -> Self::Response {
        let response = match told {
            Told::Empty | Told::BackToSource => {
                CachedResponse::EmptyPersistentCacheTaskResponse(EmptyPersistentCacheTaskResponse {})
            }
            Told::Parents(view, parents) => {
                CachedResponse::NormalPersistentCacheTaskResponse(NormalPersistentCacheTaskResponse {
                    candidate_cache_parents: parents.into_iter().map(|parent| cached_peer(&view, parent)).collect(),
                })
            }
        };
        AnnouncePersistentCachePeerResponse {
            response: Some(response),
        }
    }
}

impl Family for Stored {
    const KEEPING: Keeping = Keeping::Persistent;
    type Request = AnnouncePersistentPeerRequest;
    type Response = AnnouncePersistentPeerResponse;

    fn said(request: Self::Request) -> Result<(PeerIds, Said), Invalid> {
        let ids = PeerIds::parse(&request.host_id, &request.task_id, &request.peer_id)?;
        let said = match request.request.ok_or(Invalid::Missing("request"))? {
            StoredRequest::RegisterPersistentPeerRequest(register) => Said::Register {
                persistent: register.persistent,
                back_to_source: register.need_back_to_source,
            },
            StoredRequest::DownloadPersistentPeerStartedRequest(_)
            | StoredRequest::DownloadPersistentPeerBackToSourceStartedRequest(_) => Said::Started,
            StoredRequest::ReschedulePersistentPeerRequest(again) => {
                Said::Reschedule(peers(again.candidate_parents.into_iter().map(|parent| parent.id))?)
            }
            StoredRequest::DownloadPersistentPeerFinishedRequest(_)
            | StoredRequest::DownloadPersistentPeerBackToSourceFinishedRequest(_) => Said::Finished,
            StoredRequest::DownloadPersistentPeerFailedRequest(_)
            | StoredRequest::DownloadPersistentPeerBackToSourceFailedRequest(_) => Said::Failed,
            StoredRequest::DownloadPieceFinishedRequest(_)
            | StoredRequest::DownloadPieceBackToSourceFinishedRequest(_)
            | StoredRequest::DownloadPieceBackToSourceFailedRequest(_) => Said::Progress,
            StoredRequest::DownloadPieceFailedRequest(failed) => Said::PieceFailed(failed.parent_id),
        };
        Ok((ids, said))
    }

    fn told(told: Told) -> Self::Response {
        let response = match told {
            Told::Empty => StoredResponse::EmptyPersistentTaskResponse(EmptyPersistentTaskResponse {}),
            Told::BackToSource => StoredResponse::NeedBackToSourceResponse(NeedBackToSourceResponse {
                description: Some("no peer that is alive has it".to_owned()),
            }),
            Told::Parents(view, parents) => {
                StoredResponse::NormalPersistentTaskResponse(NormalPersistentTaskResponse {
                    candidate_parents: parents.into_iter().map(|parent| stored_peer(&view, parent)).collect(),
                })
            }
        };
        AnnouncePersistentPeerResponse {
            response: Some(response),
        }
    }
}
