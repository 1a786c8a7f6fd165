//! Fetches one piece from one parent.

use super::error::{PieceError, Unwritten};
use crate::{Piece, PieceClient, RateLimit};
use dragonfly_model::{PeerId, PieceNumber, PieceSpan, TrafficType};
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
    pub(super) number: PieceNumber,
    pub(super) peer: PeerId,
    pub(super) address: Address,
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

impl Fetch {
    pub(super) async fn run(self) -> Fetched {
        let started = Instant::now();
        let result = self.piece().await;
        Fetched {
            number: self.number,
            peer: self.peer,
            cost: started.elapsed(),
            result,
        }
    }

    async fn piece(&self) -> Result<PieceRecord, Unfetched> {
        let address = self.address;
        let piece = self
            .client
            .fetch(address.addr, self.task.id(), self.number, address.reuse)
            .await;
        let Piece { span, crc32, mut body } = piece.map_err(|error| Unfetched::Failed(PieceError::Fetch(error)))?;
        self.check_place(span)?;
        let writer = self
            .task
            .begin_piece(span, TrafficType::RemotePeer, Some(self.peer.clone()));
        let mut writer = writer.map_err(|error| Unfetched::of(error.into()))?;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Unfetched::Failed(PieceError::Fetch(error)))?;
            self.limit.acquire(chunk.len() as u64).await;
            writer.write(chunk).await.map_err(|error| Unfetched::of(error.into()))?;
        }
        writer.commit(crc32).await.map_err(|error| Unfetched::of(error.into()))
    }

    /// Whether the parent's piece is the one that we miss.
    fn check_place(&self, span: PieceSpan) -> Result<(), Unfetched> {
        let piece_length = self.task.piece_length();
        let sound = match self.task.layout() {
            Some(layout) => layout.span(self.number) == Some(span),
            None => {
                Some(span.offset) == u64::from(self.number.0).checked_mul(piece_length) && span.length <= piece_length
            }
        };
        match sound {
            false => Err(Unfetched::Failed(PieceError::Misplaced)),
            true if self.task.content_length().is_none() && span.length < piece_length => Err(Unfetched::Last),
            true => Ok(()),
        }
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
