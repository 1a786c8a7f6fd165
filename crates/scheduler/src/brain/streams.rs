//! The open streams of registered peers: where answers go, and with which request a seed peer is asked on their behalf.

use super::StreamId;
use crate::credentials::CallersRequest;
use dragonfly_api::scheduler::AnnouncePeerResponse;
use dragonfly_api::scheduler::announce_peer_response::Response;
use dragonfly_model::HostId;
use dragonfly_scheduling::{PeerKey, Registration};
use http::HeaderMap;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Takes the answers of one stream. When it is dropped, the stream ends well.
pub(crate) type Answers = mpsc::Sender<Result<AnnouncePeerResponse, Status>>;

/// A peer that registers over a stream.
#[derive(Debug)]
pub(crate) struct Enrolment {
    /// For the graph.
    pub(crate) registration: Registration,
    /// For a seed peer that is asked on its behalf, and for those who ask about the task.
    pub(crate) request: CallersRequest,
    /// In which trace the child asked, for the same seed peer.
    pub(crate) trace: HeaderMap,
    /// Which stream.
    pub(crate) stream: StreamId,
    /// Where answers go.
    pub(crate) answers: Answers,
    /// Cancelled when the stream has ended, so that its other half ends too.
    pub(crate) done: CancellationToken,
}

#[derive(Debug)]
struct Stream {
    id: StreamId,
    host: HostId,
    request: CallersRequest,
    trace: HeaderMap,
    answers: Answers,
    done: CancellationToken,
    asked: Instant,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.done.cancel();
    }
}

/// All open streams by peer.
#[derive(Debug, Default)]
pub(super) struct Streams(HashMap<PeerKey, Stream>);

impl Streams {
    /// Opens a stream. An older one of the same peer is ended.
    pub(super) fn open(&mut self, enrolment: Enrolment) -> Registration {
        let registration = enrolment.registration;
        let stream = Stream {
            id: enrolment.stream,
            host: registration.host.clone(),
            request: enrolment.request,
            trace: enrolment.trace,
            answers: enrolment.answers,
            done: enrolment.done,
            asked: Instant::now(),
        };
        if let Some(old) = self.0.insert(registration.peer.clone(), stream) {
            tell_end(&old, Status::aborted("the peer registered again over another stream"));
        }
        registration
    }

    /// Notes that a peer asks again.
    pub(super) fn asks(&mut self, peer: &PeerKey) {
        if let Some(stream) = self.0.get_mut(peer) {
            stream.asked = Instant::now();
        }
    }

    /// Whether this is the peer's present stream.
    pub(super) fn is_current(&self, peer: &PeerKey, id: StreamId) -> bool {
        self.0.get(peer).is_some_and(|stream| stream.id == id)
    }

    /// Sends an answer. Returns how long the peer waited for it; `None` if it takes no more, and its stream has ended.
    pub(super) fn answer(&mut self, peer: &PeerKey, response: Response) -> Option<Duration> {
        let stream = self.0.get(peer)?;
        let answer = AnnouncePeerResponse {
            response: Some(response),
        };
        if stream.answers.try_send(Ok(answer)).is_ok() {
            return Some(stream.asked.elapsed());
        }
        self.0.remove(peer);
        None
    }

    /// Ends a stream well.
    pub(super) fn end(&mut self, peer: &PeerKey) {
        self.0.remove(peer);
    }

    /// Ends a stream with an error.
    pub(super) fn fail(&mut self, peer: &PeerKey, status: Status) {
        if let Some(stream) = self.0.remove(peer) {
            tell_end(&stream, status);
        }
    }

    /// Ends all streams with an error.
    pub(super) fn fail_all(&mut self, status: &Status) {
        for (_, stream) in self.0.drain() {
            tell_end(&stream, status.clone());
        }
    }

    /// With what a peer registered, and where it runs.
    pub(super) fn request(&self, peer: &PeerKey) -> Option<(&CallersRequest, &HostId, &HeaderMap)> {
        let stream = self.0.get(peer)?;
        Some((&stream.request, &stream.host, &stream.trace))
    }
}

fn tell_end(stream: &Stream, status: Status) {
    if stream.answers.try_send(Err(status)).is_err() {
        tracing::debug!("a stream that is ended takes no last word");
    }
}
