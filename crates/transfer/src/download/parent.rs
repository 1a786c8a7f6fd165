//! Fetches one piece from one parent: first the parent says which of those that would do it gives, then it comes.

use super::error::{PieceError, Unwritten};
use crate::plan::Ask;
use crate::vortex::{Family, Request};
use crate::{FetchError, Piece, PieceClient, RateLimit};
use dragonfly_model::{PeerId, PieceNumber, PieceSpan, Policy, TrafficType};
use dragonfly_storage::{PieceRecord, Pin};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Where a parent serves pieces.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address {
    pub(super) addr: SocketAddr,
    pub(super) reuse: bool,
}

/// What is to be fetched.
pub(super) struct Fetch {
    pub(super) client: PieceClient,
    pub(super) limit: RateLimit,
    pub(super) task: Pin,
    pub(super) ask: Ask,
    pub(super) address: Address,
}

/// How far a fetch is.
pub(super) enum Step {
    /// A piece is on its way.
    Chosen(Box<Chosen>),
    /// The parent gives none.
    Refused(Ask, FetchError),
    /// It is over.
    Ended(Fetched),
}

/// A piece on its way.
pub(super) struct Chosen {
    pub(super) fetch: Fetch,
    piece: Piece,
    started: Instant,
}

/// What came of it.
pub(super) struct Fetched {
    pub(super) number: PieceNumber,
    pub(super) peer: PeerId,
    pub(super) cost: Duration,
    pub(super) result: Result<PieceRecord, Unfetched>,
}

/// Why there is no piece.
pub(super) enum Unfetched {
    /// The parent's fault.
    Failed(PieceError),
    /// The piece can't be begun or kept.
    Unwritten(Unwritten),
    /// It is shorter than others: the last, which can't be placed before the content's length is known.
    Last,
}

/// Upstream's peers find a piece only under the kind of its task.
fn family(policy: &Policy) -> Family {
    match policy {
        Policy::Standard => Family::Standard,
        Policy::Persistent(_) => Family::Persistent,
        Policy::PersistentCache(_) => Family::PersistentCache,
    }
}

impl Fetch {
    /// Asks the parent.
    pub(super) async fn run(self) -> Step {
        let started = Instant::now();
        let request = Request {
            task_id: self.task.id().clone(),
            number: self.ask.number,
            others: self.ask.others.clone(),
        };
        let client = self.client.asking_of(family(&self.task.record().policy));
        match client.fetch(self.address.addr, request, self.address.reuse).await {
            Ok(piece) => Step::Chosen(Box::new(Chosen {
                fetch: self,
                piece,
                started,
            })),
            Err(error) => Step::Refused(self.ask, error),
        }
    }

    /// Whether the parent's piece is the one that we miss.
    fn check_place(&self, span: PieceSpan) -> Result<(), Unfetched> {
        let piece_length = self.task.piece_length();
        let sound = match self.task.layout() {
            Some(layout) => layout.span(span.number) == Some(span),
            None => {
                Some(span.offset) == u64::from(span.number.0).checked_mul(piece_length) && span.length <= piece_length
            }
        };
        match sound {
            false => Err(Unfetched::Failed(PieceError::Misplaced)),
            true if self.task.content_length().is_none() && span.length < piece_length => Err(Unfetched::Last),
            true => Ok(()),
        }
    }
}

impl Chosen {
    /// The piece that comes: one of those that were asked for.
    pub(super) fn number(&self) -> PieceNumber {
        self.piece.span.number
    }

    /// When it was asked for.
    pub(super) fn asked(&self) -> Instant {
        self.started
    }

    /// Takes it in.
    pub(super) async fn run(self) -> Step {
        let (number, peer, started) = (self.number(), self.fetch.ask.peer.clone(), self.started);
        let result = self.received().await;
        Step::Ended(Fetched {
            number,
            peer,
            cost: started.elapsed(),
            result,
        })
    }

    async fn received(self) -> Result<PieceRecord, Unfetched> {
        let Piece { span, crc32, mut body } = self.piece;
        self.fetch.check_place(span)?;
        let Fetch { task, limit, ask, .. } = self.fetch;
        let writer = task.begin_piece(span, TrafficType::RemotePeer, Some(ask.peer));
        let mut writer = writer.map_err(|error| Unfetched::of(error.into()))?;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Unfetched::Failed(PieceError::Fetch(error)))?;
            limit.acquire(chunk.len() as u64).await;
            writer.write(chunk).await.map_err(|error| Unfetched::of(error.into()))?;
        }
        writer.commit(crc32).await.map_err(|error| Unfetched::of(error.into()))
    }
}

impl Unfetched {
    fn of(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Damaged(error) => Unfetched::Failed(PieceError::Damaged(error)),
            Unwritten::OutOfLayout => Unfetched::Failed(PieceError::Misplaced),
            other => Unfetched::Unwritten(other),
        }
    }
}
