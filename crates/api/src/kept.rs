//! Persistent cache tasks in the words of standard ones, and back. Upstream has a second family of messages for them that says
//! the same things by other names; further in there is one.

use crate::common::{self, PersistentCachePeer, TrafficType};
use crate::dfdaemon::download_persistent_cache_task_response::Response as CachedPart;
use crate::dfdaemon::download_task_response::Response as Part;
use crate::dfdaemon::{
    DownloadPersistentCacheTaskResponse, DownloadPersistentCacheTaskStartedResponse, DownloadTaskResponse,
    SyncPersistentCachePiecesResponse, SyncPiecesRequest, SyncPiecesResponse,
};
use crate::dfdaemon::{StatLocalPersistentCacheTaskResponse, StatLocalTaskResponse, SyncPersistentCachePiecesRequest};
use crate::scheduler::announce_peer_request::Request;
use crate::scheduler::announce_peer_response::Response;
use crate::scheduler::announce_persistent_cache_peer_request::Request as CachedRequest;
use crate::scheduler::announce_persistent_cache_peer_response::Response as CachedResponse;
use crate::scheduler::*;

/// Header under which a peer of ours tells others the digest of a task that it holds.
pub const CONTENT_DIGEST: &str = "dragonfly-content-digest";

/// What a peer says of its download to the scheduler; nothing for what this family has no word for. `persistent` is whether
/// the peer is obliged to keep what it downloads.
pub fn announcement(said: AnnouncePeerRequest, persistent: bool) -> Option<AnnouncePersistentCachePeerRequest> {
    let request = match said.request? {
        Request::RegisterPeerRequest(register) => CachedRequest::RegisterPersistentCachePeerRequest(registration(
            register.download.unwrap_or_default(),
            persistent,
        )),
        Request::DownloadPeerStartedRequest(_) => {
            CachedRequest::DownloadPersistentCachePeerStartedRequest(DownloadPersistentCachePeerStartedRequest {})
        }
        Request::ReschedulePeerRequest(again) => {
            CachedRequest::ReschedulePersistentCachePeerRequest(ReschedulePersistentCachePeerRequest {
                candidate_parents: again.candidate_parents.into_iter().map(useless).collect(),
                description: again.description,
            })
        }
        Request::DownloadPeerFinishedRequest(_) => {
            CachedRequest::DownloadPersistentCachePeerFinishedRequest(DownloadPersistentCachePeerFinishedRequest {})
        }
        Request::DownloadPeerFailedRequest(failed) => {
            CachedRequest::DownloadPersistentCachePeerFailedRequest(DownloadPersistentCachePeerFailedRequest {
                description: failed.description,
            })
        }
        Request::DownloadPieceFinishedRequest(piece) => CachedRequest::DownloadPieceFinishedRequest(piece),
        Request::DownloadPieceFailedRequest(failed) => CachedRequest::DownloadPieceFailedRequest(failed),
        Request::DownloadPeerBackToSourceStartedRequest(_)
        | Request::DownloadPeerBackToSourceFinishedRequest(_)
        | Request::DownloadPeerBackToSourceFailedRequest(_)
        | Request::DownloadPieceBackToSourceFinishedRequest(_)
        | Request::DownloadPieceBackToSourceFailedRequest(_) => return None,
    };
    Some(AnnouncePersistentCachePeerRequest {
        host_id: said.host_id,
        task_id: said.task_id,
        peer_id: said.peer_id,
        request: Some(request),
    })
}

fn registration(download: common::Download, persistent: bool) -> RegisterPersistentCachePeerRequest {
    RegisterPersistentCachePeerRequest {
        persistent,
        tag: download.tag,
        application: download.application,
        piece_length: download.piece_length.unwrap_or_default(),
        output_path: None,
        concurrent_piece_count: download.concurrent_piece_count,
        piece_count: download.actual_piece_count.unwrap_or_default(),
    }
}

fn useless(peer: common::Peer) -> PersistentCachePeer {
    PersistentCachePeer {
        id: peer.id,
        state: peer.state,
        host: peer.host,
        ..PersistentCachePeer::default()
    }
}

/// What the scheduler answers.
pub fn answer(told: AnnouncePersistentCachePeerResponse) -> AnnouncePeerResponse {
    let response = told.response.map(|response| match response {
        CachedResponse::EmptyPersistentCacheTaskResponse(_) => Response::EmptyTaskResponse(EmptyTaskResponse {}),
        CachedResponse::NormalPersistentCacheTaskResponse(normal) => Response::NormalTaskResponse(NormalTaskResponse {
            candidate_parents: normal.candidate_cache_parents.into_iter().map(parent).collect(),
        }),
    });
    AnnouncePeerResponse { response }
}

fn parent(peer: PersistentCachePeer) -> common::Peer {
    common::Peer {
        id: peer.id,
        state: peer.state,
        cost: peer.cost,
        host: peer.host,
        created_at: peer.created_at,
        updated_at: peer.updated_at,
        concurrent_piece_count: Some(peer.concurrent_piece_count),
        ..common::Peer::default()
    }
}

/// A question for the pieces of a parent.
pub fn pieces_asked(request: SyncPiecesRequest) -> SyncPersistentCachePiecesRequest {
    SyncPersistentCachePiecesRequest {
        host_id: request.host_id,
        task_id: request.task_id,
        interested_piece_numbers: request.interested_piece_numbers,
    }
}

/// The same question as it arrives there.
pub fn pieces_wanted(request: SyncPersistentCachePiecesRequest) -> SyncPiecesRequest {
    SyncPiecesRequest {
        host_id: request.host_id,
        task_id: request.task_id,
        interested_piece_numbers: request.interested_piece_numbers,
    }
}

/// A piece that a parent has.
pub fn piece_told(piece: SyncPiecesResponse) -> SyncPersistentCachePiecesResponse {
    SyncPersistentCachePiecesResponse {
        number: piece.number,
        offset: piece.offset,
        length: piece.length,
        ip: piece.ip,
        tcp_port: piece.tcp_port,
        quic_port: piece.quic_port,
    }
}

/// The same as it arrives at the child.
pub fn piece_heard(piece: SyncPersistentCachePiecesResponse) -> SyncPiecesResponse {
    SyncPiecesResponse {
        number: piece.number,
        offset: piece.offset,
        length: piece.length,
        ip: piece.ip,
        tcp_port: piece.tcp_port,
        quic_port: piece.quic_port,
    }
}

/// A part of a delivery. The first message of this family can't say that everything was here before, so that each piece says
/// it then; `was_here` remembers it between the parts of one delivery.
pub fn delivery(part: DownloadTaskResponse, was_here: &mut bool) -> DownloadPersistentCacheTaskResponse {
    let response = part.response.map(|response| match response {
        Part::DownloadTaskStartedResponse(started) => {
            *was_here = started.is_finished;
            CachedPart::DownloadPersistentCacheTaskStartedResponse(DownloadPersistentCacheTaskStartedResponse {
                content_length: started.content_length,
            })
        }
        Part::DownloadPieceFinishedResponse(mut finished) => {
            if let Some(piece) = finished.piece.as_mut().filter(|_| *was_here) {
                piece.traffic_type = Some(TrafficType::LocalPeer.into());
            }
            CachedPart::DownloadPieceFinishedResponse(finished)
        }
    });
    DownloadPersistentCacheTaskResponse {
        host_id: part.host_id,
        task_id: part.task_id,
        peer_id: part.peer_id,
        response,
    }
}

/// What a host has of a task. `persistent` is whether it is obliged to keep it, `ttl` for how long.
pub fn held(
    task: StatLocalTaskResponse,
    persistent: bool,
    ttl: prost_types::Duration,
) -> StatLocalPersistentCacheTaskResponse {
    StatLocalPersistentCacheTaskResponse {
        task_id: task.task_id,
        persistent,
        ttl: Some(ttl),
        piece_length: task.piece_length,
        content_length: task.content_length,
        uploading_count: task.uploading_count,
        uploaded_count: task.uploaded_count,
        created_at: task.created_at,
        updated_at: task.updated_at,
        failed_at: task.failed_at,
        finished_at: task.finished_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(request: Request) -> AnnouncePeerRequest {
        AnnouncePeerRequest {
            host_id: "h".to_owned(),
            task_id: "t".to_owned(),
            peer_id: "p".to_owned(),
            request: Some(request),
        }
    }

    #[test]
    fn a_registration_says_what_the_family_knows() {
        let register = RegisterPeerRequest {
            download: Some(common::Download {
                tag: Some("v1".to_owned()),
                piece_length: Some(4 << 20),
                actual_piece_count: Some(3),
                ..Default::default()
            }),
        };
        let cached = announcement(said(Request::RegisterPeerRequest(register)), true).unwrap();
        assert_eq!((&*cached.host_id, &*cached.task_id, &*cached.peer_id), ("h", "t", "p"));
        let Some(CachedRequest::RegisterPersistentCachePeerRequest(register)) = cached.request else {
            panic!("no registration");
        };
        assert_eq!(
            (register.persistent, register.piece_length, register.piece_count),
            (true, 4 << 20, 3)
        );
        assert_eq!(register.tag.as_deref(), Some("v1"));
    }

    #[test]
    fn there_is_no_word_for_an_origin() {
        let word = Request::DownloadPeerBackToSourceFinishedRequest(DownloadPeerBackToSourceFinishedRequest {});
        assert!(announcement(said(word), false).is_none());
    }

    #[test]
    fn pieces_of_what_was_here_before_are_local_wherever_they_once_came_from() {
        let mut was_here = false;
        let part = |response| DownloadTaskResponse {
            response: Some(response),
            ..Default::default()
        };
        let started = crate::dfdaemon::DownloadTaskStartedResponse {
            content_length: 5,
            is_finished: true,
            ..Default::default()
        };
        delivery(part(Part::DownloadTaskStartedResponse(started)), &mut was_here);
        let piece = crate::dfdaemon::DownloadPieceFinishedResponse {
            piece: Some(common::Piece {
                traffic_type: Some(TrafficType::RemotePeer.into()),
                ..Default::default()
            }),
        };
        let told = delivery(part(Part::DownloadPieceFinishedResponse(piece)), &mut was_here);
        let Some(CachedPart::DownloadPieceFinishedResponse(finished)) = told.response else {
            panic!("no piece");
        };
        assert_eq!(finished.piece.unwrap().traffic_type(), TrafficType::LocalPeer);
    }
}
