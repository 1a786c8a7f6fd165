//! A content in delivery.

use super::reader::Reader;
use super::running::{Lease, Outcome, State};
use super::{Error, ReadError};
use bytes::Bytes;
use dragonfly_model::{ByteRange, PeerId, PieceNumber, TaskId};
use dragonfly_storage::{PieceRecord, Pin};
use futures::{Stream, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue};
use prometheus_client::metrics::counter::Counter;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// A content that is on this host or on its way here. Holding it, or one of its streams, keeps the download alive.
#[derive(Clone)]
pub struct Content {
    held: Arc<Held>,
}

/// What a content and its streams hold.
pub(super) struct Held {
    pub(super) pin: Pin,
    peer: PeerId,
    /// What the caller asked for.
    range: Option<ByteRange>,
    /// The download; absent if everything was here.
    lease: Option<Arc<Lease>>,
    pub(super) reads: Reads,
}

/// How contents are read.
#[derive(Debug, Clone)]
pub(super) struct Reads {
    /// Bytes read at once.
    pub(super) chunk: usize,
    /// Bytes that callers were given.
    pub(super) delivered: Counter,
}

impl Content {
    pub(super) fn present(pin: Pin, peer: PeerId, range: Option<ByteRange>, reads: Reads) -> Self {
        pin.touch();
        Self {
            held: Arc::new(Held {
                pin,
                peer,
                range,
                lease: None,
                reads,
            }),
        }
    }

    pub(super) fn arriving(pin: Pin, lease: Arc<Lease>, range: Option<ByteRange>, reads: Reads) -> Self {
        pin.touch();
        Self {
            held: Arc::new(Held {
                pin,
                peer: lease.shared.peer.clone(),
                range,
                lease: Some(lease),
                reads,
            }),
        }
    }

    /// Which task this is.
    pub fn task_id(&self) -> &TaskId {
        self.held.pin.id()
    }

    /// The download that brings it; for a content that was here before, an id made for this request.
    pub fn peer_id(&self) -> &PeerId {
        &self.held.peer
    }

    /// Bytes of the whole content, once known.
    pub fn content_length(&self) -> Option<u64> {
        self.held.pin.content_length()
    }

    /// The origin's response headers for this content.
    pub fn headers(&self) -> HeaderMap {
        let pairs = self.held.pin.record().response_headers;
        let parsed = pairs.iter().filter_map(|(name, value)| {
            let name: HeaderName = name.parse().ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        });
        let mut headers = HeaderMap::new();
        for (name, value) in parsed {
            headers.append(name, value);
        }
        headers
    }

    /// Whether what was asked for was complete on this host before it was asked for.
    pub fn was_finished(&self) -> bool {
        self.held.lease.is_none()
    }

    /// The bytes in order, as they arrive. `None` reads all. The stream ends cleanly only after every check held; on
    /// a failed check it ends with an error, upon which the client's connection must be reset.
    ///
    /// A range should lie in the one that was asked for when this content was opened: others are not fetched for it.
    pub fn read(
        &self,
        range: Option<ByteRange>,
    ) -> impl Stream<Item = Result<Bytes, ReadError>> + Send + 'static + use<> {
        let reader = Reader::new(self.held.clone(), range);
        let delivered = self.held.reads.delivered.clone();
        futures::stream::try_unfold(reader, |mut reader| async move {
            Ok(reader.next().await?.map(|bytes| (bytes, reader)))
        })
        .inspect_ok(move |bytes: &Bytes| {
            delivered.inc_by(bytes.len() as u64);
        })
    }

    /// A caller was given so many bytes in another way than by [`Content::read`].
    pub(crate) fn delivered(&self, bytes: u64) {
        self.held.reads.delivered.inc_by(bytes);
    }

    /// The task's storage.
    pub(crate) fn pin(&self) -> &Pin {
        &self.held.pin
    }

    /// Waits until everything that was asked for is here and checked.
    pub async fn finished(&self) -> Result<(), Error> {
        let mut progress = Progress::new(&self.held);
        loop {
            progress.note();
            if self.held.is_here() {
                return Ok(());
            }
            progress.more().await?;
        }
    }

    /// The pieces that were asked for, those present first, then each as it lands. Ends when all of them are here.
    pub fn pieces(&self) -> impl Stream<Item = Result<PieceRecord, Error>> + Send + 'static + use<> {
        let pieces = Pieces {
            held: self.held.clone(),
            progress: Progress::new(&self.held),
            told: std::collections::HashSet::new(),
            ready: VecDeque::new(),
        };
        futures::stream::try_unfold(pieces, |mut pieces| async move {
            Ok(pieces.next().await?.map(|piece| (piece, pieces)))
        })
    }
}

impl Held {
    pub(super) fn state(&self) -> Option<watch::Receiver<State>> {
        self.lease.as_ref().map(|lease| lease.shared.state())
    }

    /// Whether everything that was asked for is here and checked.
    fn is_here(&self) -> bool {
        super::is_here(&self.pin, self.range)
    }
}

/// Waits for changes of a task and of its download.
pub(super) struct Progress {
    changes: watch::Receiver<u64>,
    state: Option<watch::Receiver<State>>,
}

impl Progress {
    pub(super) fn new(held: &Held) -> Self {
        Self {
            changes: held.pin.changes(),
            state: held.state(),
        }
    }

    /// Call before looking; [`Progress::more`] then returns for every later change.
    pub(super) fn note(&mut self) {
        self.changes.borrow_and_update();
        if let Some(state) = &mut self.state {
            state.mark_unchanged();
        }
    }

    /// Whether the download has found that the content has the digest which names it.
    pub(super) fn is_verified(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.borrow().verified)
    }

    /// Waits for the next change. The download's error if it has failed, and [`Error::Deleted`] if nothing can come any
    /// more.
    pub(super) async fn more(&mut self) -> Result<(), Error> {
        let Some(state) = &mut self.state else {
            return Err(Error::Deleted);
        };
        let outcome = state.borrow().outcome.clone();
        match outcome {
            Outcome::Failed(error) => return Err(error),
            // Look a last time: what completed it may have come since `note`.
            Outcome::Complete => self.state = None,
            Outcome::Running => tokio::select! {
                changed = self.changes.changed() => changed.map_err(|_| Error::Deleted)?,
                changed = state.changed() => changed.map_err(|_| Error::ShuttingDown)?,
            },
        }
        Ok(())
    }
}

struct Pieces {
    held: Arc<Held>,
    progress: Progress,
    told: std::collections::HashSet<PieceNumber>,
    ready: VecDeque<PieceRecord>,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<PieceRecord>, Error> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            self.progress.note();
            let here = self.held.is_here();
            self.gather();
            if !self.ready.is_empty() {
                continue;
            }
            if here {
                return Ok(None);
            }
            self.progress.more().await?;
        }
    }

    fn gather(&mut self) {
        let (pin, range) = (&self.held.pin, self.held.range);
        let wanted = |piece: &PieceRecord| range.is_none_or(|range| overlaps(piece, range));
        for number in pin.pieces().iter() {
            if self.told.insert(number)
                && let Some(piece) = pin.piece(number).filter(wanted)
            {
                self.ready.push_back(piece);
            }
        }
    }
}

fn overlaps(piece: &PieceRecord, range: ByteRange) -> bool {
    piece.span.offset < range.end() && range.start < piece.span.offset + piece.span.length
}
