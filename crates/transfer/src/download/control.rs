//! How the owner of a download tells it what it knows.

use super::Wanted;
use dragonfly_model::{PeerId, PieceNumber};
use dragonfly_source::Request;
use std::net::SocketAddr;
use tokio::sync::mpsc;

/// Messages that may wait for the driver before their sender does.
const BACKLOG: usize = 256;

/// Pieces that a parent has, and where it serves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentPieces {
    /// Which parent.
    pub peer: PeerId,
    /// Where its piece server listens.
    pub addr: SocketAddr,
    /// Whether it announced that it answers many requests per connection, and chooses among the pieces of each.
    pub reuse: bool,
    /// Pieces that it has, beside those it was known to have.
    pub numbers: Vec<PieceNumber>,
}

/// Steers one download. When the last clone is dropped, the download is cancelled. Everything here waits only while
/// the driver has too much to hear already, and does nothing once the download has ended.
#[derive(Debug, Clone)]
pub struct Control(mpsc::Sender<Message>);

#[derive(Debug)]
pub(super) enum Message {
    ParentHas(ParentPieces),
    ParentGone(PeerId),
    BackToSource(Box<Request>),
    StopSource,
    ContentLength(u64),
    Want(Wanted),
}

impl Control {
    pub(super) fn channel() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        (Self(sender), receiver)
    }

    /// A parent has pieces. One that failed three times in a row is not asked again before it was
    /// [gone](Self::parent_gone) and came back.
    pub async fn parent_has(&self, pieces: ParentPieces) {
        self.send(Message::ParentHas(pieces)).await;
    }

    /// A parent is not to be asked any more. What it is sending may still arrive.
    pub async fn parent_gone(&self, peer: &PeerId) {
        self.send(Message::ParentGone(peer.clone())).await;
    }

    /// Fetches from the origin what is missing and not on its way from a parent, now and later, until the origin fails
    /// or [`stop_source`](Self::stop_source). The request's range is ignored. A second call replaces the request.
    pub async fn back_to_source(&self, request: Request) {
        self.send(Message::BackToSource(Box::new(request))).await;
    }

    /// Leaves the origin alone; what it was sending is dropped, but for whole pieces.
    pub async fn stop_source(&self) {
        self.send(Message::StopSource).await;
    }

    /// The length of the content, in bytes, is known from elsewhere.
    pub async fn content_length(&self, length: u64) {
        self.send(Message::ContentLength(length)).await;
    }

    /// Wants more than before.
    pub async fn want(&self, wanted: Wanted) {
        self.send(Message::Want(wanted)).await;
    }

    async fn send(&self, message: Message) {
        // A driver that has ended has said why in its last report.
        drop(self.0.send(message).await);
    }
}
