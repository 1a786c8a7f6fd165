//! One stream of bytes from the origin, from the request to the last piece, through breaks.

use super::cutter::Cutter;
use crate::RateLimit;
use dragonfly_model::ByteRange;
use dragonfly_source::{Body, Head, Request, Sources};
use dragonfly_storage::{Fault, PieceRecord, Pin};
use futures::TryStreamExt;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// How often in a row a stream may break without having come any further.
const MAX_BREAKS: u32 = 5;
/// The pause after the first break; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// What a stream reports while it runs.
pub(super) enum News {
    /// The origin has begun to answer. `ranged` if it sends the range that was asked for and no more.
    Begun { ranged: bool, head: Box<Head> },
    /// A piece is in storage.
    Arrived(PieceRecord, Duration),
}

/// Why a stream has ended without all of its bytes.
#[derive(Debug)]
pub(super) enum StreamError {
    /// The origin's fault, or the caller's.
    Source(dragonfly_source::Error),
    /// The origin has another content than the task.
    Changed,
    /// The origin sends everything though it was asked for a range. Only the first stream can make use of that.
    NoRanges,
    /// Ours.
    Storage(dragonfly_storage::Error),
}

impl StreamError {
    /// From what storage says of bytes that came from the origin: if they don't fit, the origin has other ones now.
    pub(super) fn of(error: dragonfly_storage::Error) -> Self {
        match error {
            dragonfly_storage::Error::LengthConflict { .. } => StreamError::Changed,
            error if error.fault() == Fault::Sender => StreamError::Changed,
            error => StreamError::Storage(error),
        }
    }
}

/// Which bytes a stream is to bring.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extent {
    /// All of these, asked for as a range.
    Run(ByteRange),
    /// The whole content from its first byte, asked for without a range.
    Whole,
}

/// One stream.
pub(super) struct Stream {
    pub(super) task: Pin,
    pub(super) sources: Sources,
    pub(super) limit: RateLimit,
    pub(super) request: Request,
    /// Whether this is the first that is heard of the origin: an answer with the whole content may be taken in place
    /// of a range.
    pub(super) first: bool,
    /// Whether all bytes must be of one version of the content.
    pub(super) one_version: bool,
    pub(super) news: mpsc::Sender<News>,
}

impl Stream {
    /// Brings all bytes of `extent` into storage, but for pieces that are there or that others write.
    pub(super) async fn run(mut self, mut extent: Extent) -> Result<(), StreamError> {
        let start = match extent {
            Extent::Run(run) => run.start,
            Extent::Whole => 0,
        };
        let mut cutter = Cutter::new(self.task.clone(), self.news.clone(), start);
        let mut breaks = 0;
        loop {
            let reached = cutter.reached();
            let broken = match self.attempt(&mut extent, &mut cutter).await {
                Err(StreamError::Source(error)) if error.is_transient() => error,
                result => return result,
            };
            if cutter.reached() > reached {
                breaks = 0;
            }
            // An origin that never gave anything was asked more than once already: there may be another source.
            if breaks == MAX_BREAKS || (self.first && cutter.landed() == 0) {
                return Err(StreamError::Source(broken));
            }
            sleep(FIRST_PAUSE * 2_u32.pow(breaks)).await;
            breaks += 1;
            if let Extent::Whole = extent {
                cutter.restart();
            }
        }
    }

    /// Asks once and takes what comes.
    async fn attempt(&mut self, extent: &mut Extent, cutter: &mut Cutter) -> Result<(), StreamError> {
        let mut request = self.request.clone();
        request.range = match *extent {
            Extent::Run(run) if cutter.at() >= run.end() => return Ok(()),
            Extent::Run(run) => Some(ByteRange {
                start: cutter.at(),
                length: run.end() - cutter.at(),
            }),
            Extent::Whole => None,
        };
        let Body {
            head,
            range,
            mut stream,
        } = self.sources.get(request).await.map_err(of_source)?;
        self.check_length(&head)?;
        if range.is_none() && matches!(extent, Extent::Run(_)) {
            if !self.first {
                return Err(StreamError::NoRanges);
            }
            *extent = Extent::Whole;
            cutter.restart();
        }
        if self.one_version && self.request.if_match.is_none() {
            self.request.if_match.clone_from(&head.validator);
        }
        let resumable = head.accepts_ranges.then_some(head.content_length).flatten();
        let begun = News::Begun {
            ranged: range.is_some(),
            head: Box::new(head),
        };
        // A driver that has gone is about to drop this stream too.
        drop(self.news.send(begun).await);
        let result = async {
            while let Some(chunk) = stream.try_next().await.map_err(of_source)? {
                self.limit.acquire(chunk.len() as u64).await;
                cutter.write(chunk).await?;
            }
            Ok(())
        }
        .await;
        match (result, *extent) {
            (Ok(()), Extent::Whole) => cutter.end().await,
            // Fewer bytes than asked for are allowed, and the rest is asked for again.
            (Ok(()), Extent::Run(run)) if cutter.at() < run.end() => Err(StreamError::Source(self.broken(cutter))),
            (Err(error), Extent::Whole) => {
                if let Some(length) = resumable {
                    *extent = Extent::Run(ByteRange::whole(length));
                }
                Err(error)
            }
            (result, Extent::Run(_)) => result,
        }
    }

    /// The length that the origin announces must be the task's, and becomes it.
    fn check_length(&self, head: &Head) -> Result<(), StreamError> {
        match head.content_length {
            Some(length) => self.task.set_content_length(length).map_err(StreamError::of),
            None => Ok(()),
        }
    }

    fn broken(&self, cutter: &Cutter) -> dragonfly_source::Error {
        dragonfly_source::Error::Truncated {
            origin: self.request.url.host_str().unwrap_or("the origin").to_owned(),
            received: cutter.landed(),
            source: None,
        }
    }
}

/// A range that can't be satisfied, though the content is long enough, is another content's.
fn of_source(error: dragonfly_source::Error) -> StreamError {
    match error {
        dragonfly_source::Error::Changed { .. } => StreamError::Changed,
        error if error.status() == Some(416) => StreamError::Changed,
        error => StreamError::Source(error),
    }
}
