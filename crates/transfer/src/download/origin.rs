//! Back to source: what is asked of the origin, in how many streams, and what became known of it.
//!
//! The first answer decides how it goes on. An origin that serves ranges is asked for runs of pieces, from the front, so
//! that the content grows in order and no byte is asked for twice; for several at the same time where that brings more
//! ([`Streams`]). One that does not sends
//! everything in one stream, and what is present already passes by.

use super::Transfer;
use super::stream::{Extent, News, Stream, StreamError};
use crate::plan::Plan;
use crate::streams::Streams;
use dragonfly_model::{ByteRange, PieceLayout, PieceNumber};
use dragonfly_source::{Request, Validator};
use dragonfly_storage::Pin;
use std::ops::Range;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Streams of one download at the same time, at most.
const MAX_STREAMS: usize = 4;
/// Bytes of a run, at most, unless a single piece is longer: a content is readable from its front while it comes.
const MAX_RUN: u64 = 64 * 1024 * 1024;
/// News that may wait for the driver before its streams do.
const BACKLOG: usize = 64;

/// How the origin is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Nothing is known of it yet: one stream finds out.
    First,
    /// In ranges, several at a time if that pays.
    Ranged,
    /// For everything at once.
    Whole,
}

/// What one stream was to bring.
pub(super) enum Claim {
    Run(Range<u32>),
    Rest,
}

/// A stream that has ended.
pub(super) struct Ended {
    pub(super) claim: Claim,
    pub(super) result: Result<(), StreamError>,
}

/// What an origin's failure means for the download.
pub(super) enum Consequence {
    /// The origin is asked again, in another way.
    AskAgain,
    /// The origin is left alone.
    Leave(dragonfly_source::Error),
    /// The pieces at hand are of another version.
    Changed,
    /// Nothing can be kept.
    Storage(dragonfly_storage::Error),
}

/// The origin of one download.
pub(super) struct Origin {
    transfer: Transfer,
    task: Pin,
    request: Option<Request>,
    mode: Mode,
    /// Whether any version is taken, because the one on record is not to be had.
    any_version: bool,
    /// Whether that was done before: once is enough.
    was_lenient: bool,
    pace: Streams,
    began: Instant,
    streams: JoinSet<Ended>,
    sender: mpsc::Sender<News>,
    news: mpsc::Receiver<News>,
}

/// What happens at an origin.
pub(super) enum Happening {
    News(News),
    Ended(Ended),
}

impl Origin {
    pub(super) fn new(transfer: Transfer, task: Pin) -> Self {
        let (sender, news) = mpsc::channel(BACKLOG);
        Self {
            request: None,
            mode: Mode::First,
            any_version: false,
            was_lenient: false,
            pace: Streams::new(MAX_STREAMS.min(transfer.concurrent_pieces.max(1))),
            began: Instant::now(),
            streams: JoinSet::new(),
            sender,
            news,
            transfer,
            task,
        }
    }

    /// Allows the origin to be asked.
    pub(super) fn allow(&mut self, mut request: Request) {
        request.range = None;
        let pinned = self.request.take().and_then(|request| request.if_match);
        let recorded = || Validator::of_pairs(&self.task.record().response_headers);
        request.if_match = request.if_match.or(pinned).or_else(recorded);
        self.request = Some(request);
    }

    /// Whether the origin may be asked.
    pub(super) fn is_allowed(&self) -> bool {
        self.request.is_some()
    }

    /// Drops every stream and asks no more. What was claimed is the caller's to release.
    pub(super) fn stop(&mut self) {
        self.request = None;
        self.mode = Mode::First;
        self.drop_streams();
    }

    /// Starts as many streams as are allowed and have something to bring.
    pub(super) fn start(&mut self, plan: &mut Plan) {
        let Some(request) = self.request.clone() else {
            return;
        };
        while self.streams.len() < self.max_streams() {
            let Some((claim, extent)) = self.claim(plan) else {
                return;
            };
            let mut request = request.clone();
            // A content that is known by its digest is proven at the end, whatever the origin calls its version.
            let one_version = self.task.record().digest.is_none();
            if self.any_version || !one_version {
                request.if_match = None;
            }
            let stream = Stream {
                task: self.task.clone(),
                sources: self.transfer.sources.clone(),
                limit: self.transfer.source_limit.clone(),
                request,
                first: self.mode == Mode::First,
                one_version,
                news: self.sender.clone(),
            };
            self.streams.spawn(async move {
                let result = stream.run(extent).await;
                Ended { claim, result }
            });
        }
    }

    fn max_streams(&self) -> usize {
        match self.mode {
            Mode::First | Mode::Whole => 1,
            Mode::Ranged => self.pace.count(),
        }
    }

    /// What the next stream is to bring.
    fn claim(&self, plan: &mut Plan) -> Option<(Claim, Extent)> {
        let layout = match self.task.layout() {
            Some(_) if plan.open_count() == 0 => return None,
            Some(layout) if self.mode != Mode::Whole && !is_one_piece(layout) => layout,
            _ => {
                // An origin that sends everything or nothing may as well be kept whole.
                plan.want(crate::plan::Wanted::All);
                plan.claim_rest();
                return Some((Claim::Rest, Extent::Whole));
            }
        };
        let run = plan.claim_run(self.pace.run(run_pieces(layout, plan.open_count())))?;
        let first = layout.span(PieceNumber(run.start))?;
        let last = layout.span(PieceNumber(run.end.checked_sub(1)?))?;
        let bytes = ByteRange {
            start: first.offset,
            length: last.offset + last.length - first.offset,
        };
        Some((Claim::Run(run), Extent::Run(bytes)))
    }

    /// What happens next; never, if no stream runs. Dropped while it waits, it has taken nothing.
    pub(super) async fn next(&mut self) -> Happening {
        tokio::select! {
            // What a stream said comes before its end.
            biased;
            Some(news) = self.news.recv() => Happening::News(news),
            Some(ended) = self.streams.join_next(), if !self.streams.is_empty() => match ended {
                Ok(ended) => Happening::Ended(ended),
                Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
                // Only `stop` cancels, and it leaves no stream behind.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// A piece of so many bytes has come.
    pub(super) fn landed(&mut self, length: u64) {
        self.pace.landed(length, self.began.elapsed());
    }

    /// The origin has answered: how it goes on is known now.
    pub(super) fn begun(&mut self, ranged: bool, validator: Option<Validator>) {
        if self.mode == Mode::First {
            self.mode = if ranged { Mode::Ranged } else { Mode::Whole };
        }
        // The rest must be of the version that this one is of.
        if let Some(request) = &mut self.request
            && (request.if_match.is_none() || self.any_version)
        {
            request.if_match = validator;
            self.any_version = false;
        }
    }

    /// Whether the version that answers is taken in place of the one on record.
    pub(super) fn takes_any_version(&self) -> bool {
        self.any_version
    }

    /// A stream has failed: what follows. Every other stream is dropped.
    pub(super) fn failed(&mut self, error: StreamError) -> Consequence {
        let pinned = self.request.as_ref().is_some_and(|request| request.if_match.is_some());
        self.drop_streams();
        match error {
            StreamError::Storage(error) => Consequence::Storage(error),
            StreamError::NoRanges => {
                self.mode = Mode::Whole;
                Consequence::AskAgain
            }
            StreamError::Changed if pinned && !self.was_lenient && self.task.pieces().is_empty() => {
                self.mode = Mode::First;
                (self.any_version, self.was_lenient) = (true, true);
                Consequence::AskAgain
            }
            StreamError::Changed => Consequence::Changed,
            StreamError::Source(error) => {
                self.stop();
                Consequence::Leave(error)
            }
        }
    }

    fn drop_streams(&mut self) {
        self.streams = JoinSet::new();
        let (sender, news) = mpsc::channel(BACKLOG);
        (self.sender, self.news) = (sender, news);
    }
}

fn is_one_piece(layout: PieceLayout) -> bool {
    layout.count() <= 1
}

/// How many pieces one run should have, so that all streams have work and requests are few.
fn run_pieces(layout: PieceLayout, open: usize) -> u32 {
    let share = open.div_ceil(MAX_STREAMS);
    let most = (MAX_RUN / layout.piece_length()).max(1);
    u32::try_from(share)
        .unwrap_or(u32::MAX)
        .min(u32::try_from(most).unwrap_or(u32::MAX))
        .max(1)
}
