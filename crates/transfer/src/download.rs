//! One download: fetches the missing pieces of a task from every peer that has them and, when told to, from the origin.
//!
//! [`Transfer::download`] gives three things. The *driver* is a future that does the work; its owner runs it as a
//! worker. [`Control`] tells it what is known: who has what, that the origin may be asked. [`Reports`] says what came of
//! it. Whom to ask is decided in [`crate::plan`], bytes are kept in storage, and nothing here knows schedulers.
//!
//! Bytes and pieces are in storage as they arrive, so readers and other peers need not wait for the end. Whatever was
//! there before is used. The whole content is compared with its digest before it counts as complete.

mod control;
mod cutter;
mod driver;
mod error;
mod hunger;
mod origin;
mod outbox;
mod parent;
mod stream;

pub use crate::plan::Wanted;
pub use control::{Control, ParentPieces};
pub use error::{Error, PieceError};

use crate::{PieceClient, RateLimit};
use dragonfly_model::{PeerId, PieceNumber};
use dragonfly_source::Sources;
use dragonfly_storage::{PieceRecord, Pin};
use driver::Driver;
use std::time::Duration;
use tokio::sync::mpsc;

/// Reports that may wait for their reader before the driver starts no more work.
const BACKLOG: usize = 256;

/// What all downloads of a peer share. Cheap to clone.
#[derive(Clone)]
pub struct Transfer {
    /// Asks other peers.
    pub client: PieceClient,
    /// Asks origins.
    pub sources: Sources,
    /// What may come from other peers.
    pub download_limit: RateLimit,
    /// What may come from origins.
    pub source_limit: RateLimit,
    /// How many pieces of one download are fetched at the same time; at least 1.
    pub concurrent_pieces: usize,
}

/// What a download has to say, in the order in which it happened. [`Report::Complete`] of the whole content and
/// [`Report::Failed`] are the last.
pub type Reports = mpsc::Receiver<Report>;

/// One piece of news from a download.
#[derive(Debug)]
pub enum Report {
    /// A piece is in storage now; how long it took.
    PieceFinished(PieceRecord, Duration),
    /// A parent failed a piece; another is tried if there is one.
    PieceFailed {
        /// Which piece.
        number: PieceNumber,
        /// Who failed.
        parent: PeerId,
        /// Why.
        error: PieceError,
    },
    /// Pieces are wanted that no known parent has, and nothing is under way. Said once per starvation: at once if no
    /// parent is left, else after a second, since parents announce more as they go.
    Starving,
    /// The origin said how long the content is.
    ContentLength(u64),
    /// The origin did not give what was asked for, and is left alone until the next
    /// [`back_to_source`](Control::back_to_source). If nothing else is under way the download starves, which is not
    /// said again.
    SourceFailed(dragonfly_source::Error),
    /// Every byte of the whole content is present and agrees with the digest, if one is known. What remains is to put
    /// it safely on the disk; [`Report::Complete`] follows.
    Verified,
    /// Every wanted piece is present. If that is the whole content, it is finished in storage.
    Complete,
    /// The download has ended without success.
    Failed(Error),
}

impl Transfer {
    /// Prepares the download of what is missing of `task`. The driver does nothing until it is polled; it ends with the
    /// last report, or when every [`Control`] is dropped. Pieces that were not finished then were never there.
    pub fn download(&self, task: Pin, wanted: Wanted) -> (Control, Reports, impl Future<Output = ()> + Send + use<>) {
        let (control, controls) = Control::channel();
        let (reports, receiver) = mpsc::channel(BACKLOG);
        let driver = Driver::new(self.clone(), task, wanted, controls, reports);
        (control, receiver, driver.run())
    }
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfer")
            .field("concurrent_pieces", &self.concurrent_pieces)
            .finish_non_exhaustive()
    }
}
