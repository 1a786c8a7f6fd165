//! One download from its first question to its last word.
//!
//! Three conversations go on at once and meet here: with the transfer, which moves pieces and says how that goes; with
//! the scheduler, which names parents or sends us to the origin; and with the parents, which say what they have. This
//! module listens to all and decides; what is decided is done by [`head`], [`scheduling`], [`parents`] and the transfer.

mod head;
mod parents;
mod scheduling;
mod tale;

pub(super) use head::is_same_version;
pub(super) use parents::Channels;
pub(crate) use parents::PIECE_REUSE;
pub(super) use scheduling::announce_holding;
pub(crate) use scheduling::own_origin_text;
pub(super) use tale::span;

use super::running::{Outcome, Shared};
use super::{Error, Inner, Request, is_here};
use crate::metrics::{Source, SourceReason};
use crate::room::Claim;
use crate::session::{self, Answer};
use dragonfly_api::PeerIds;
use dragonfly_model::{ByteRange, PeerId, PieceNumber, TrafficType};
use dragonfly_source as source;
use dragonfly_storage::{PieceRecord, Pin};
use dragonfly_transfer as transfer;
use dragonfly_transfer::{Control, Report, Reports, Wanted};
use parents::{Parents, Silence};
use scheduling::Scheduling;
use std::sync::Arc;
use std::time::Duration;
use tale::Tale;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long peers that lost their scheduler together are spread over before they ask the origin.
const FALLBACK_JITTER: Duration = Duration::from_millis(1500);

/// How long a download that has everything may take to check and keep it when nobody waits any more.
const FINISHING: Duration = Duration::from_secs(60);

/// Runs a download until it is complete, has failed, or nobody wants it any more.
pub(super) async fn run(engine: Arc<Inner>, shared: Arc<Shared>, request: Request, cancel: CancellationToken) {
    let begun = Instant::now();
    let shutdown = engine.parts.workers.cancel_token();
    engine.parts.metrics.download_started(request.priority);
    let mut download = Download::new(engine.clone(), shared.clone(), request);
    let outcome = tokio::select! {
        outcome = download.drive() => outcome,
        () = cancel.cancelled() => Err(Error::Abandoned),
        () = shutdown.cancelled() => Err(Error::ShuttingDown),
    };
    // Who waits for the content may see its end, and go, before it is finished here. Only work of this host is left
    // then, and who comes next shall find the content complete and ask nobody.
    let outcome = match outcome {
        Err(cancelled @ (Error::Abandoned | Error::ShuttingDown)) if download.has_everything() => {
            let finished = tokio::time::timeout(FINISHING, download.listen()).await;
            finished.unwrap_or(Err(cancelled))
        }
        outcome => outcome,
    };
    let length = download
        .transfer
        .as_ref()
        .and_then(|moving| moving.pin.content_length());
    let ended = (begun.elapsed(), outcome.is_ok());
    engine
        .parts
        .metrics
        .download_ended(download.request.priority, length, ended);
    download.tale.end(&outcome);
    match &outcome {
        Ok(()) => tracing::info!(task.id = %shared.task, peer.id = %shared.peer, "downloaded"),
        Err(Error::Abandoned) => tracing::debug!(task.id = %shared.task, "nobody wants the download any more"),
        Err(error) => {
            let error = error as &dyn std::error::Error;
            tracing::warn!(task.id = %shared.task, peer.id = %shared.peer, error, "the download failed");
        }
    }
    engine.running.remove(&shared);
    shared.set_outcome(match &outcome {
        Ok(()) => Outcome::Complete,
        Err(error) => Outcome::Failed(error.clone()),
    });
    let scheduling = download.end();
    shared.ended.cancel();
    scheduling.conclude(outcome).await;
}

struct Download {
    engine: Arc<Inner>,
    shared: Arc<Shared>,
    request: Request,
    transfer: Option<Moving>,
    /// What the transfer was told to bring and may not have brought yet.
    due: Vec<Option<ByteRange>>,
    scheduling: Scheduling,
    parents: Parents,
    origin: Origin,
    /// Why the origin gave no head, if it did not.
    unreachable: Option<Error>,
    /// The transfer wants pieces that no known parent has, as long as parents have told no more since
    /// ([`Parents::told`]).
    starving: Option<u64>,
    progress_at: Instant,
    tale: Tale,
}

/// The transfer of the task's pieces.
struct Moving {
    pin: Pin,
    control: Control,
    reports: Reports,
    /// The room for what is not here yet.
    _claim: Claim,
}

/// Whether pieces are fetched from the origin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Unasked,
    /// It will be asked then, for this reason.
    Due(Instant, SourceReason),
    Asked,
    /// It was asked and refused.
    Failed,
}

enum Event {
    Report(Option<Report>),
    Answer(Result<Answer, session::Error>),
    ParentSilent(Silence),
    Wanted,
    SourceDue(SourceReason),
    RegisterDue,
    Impatient,
}

impl Download {
    fn new(engine: Arc<Inner>, shared: Arc<Shared>, request: Request) -> Self {
        let ids = PeerIds {
            host: engine.parts.identity.host_id.clone(),
            task: shared.task.clone(),
            peer: shared.peer.clone(),
        };
        Self {
            scheduling: Scheduling::new(ids),
            parents: Parents::new(),
            engine,
            shared,
            request,
            transfer: None,
            due: Vec::new(),
            origin: Origin::Unasked,
            unreachable: None,
            starving: None,
            progress_at: Instant::now(),
            tale: Tale::default(),
        }
    }

    async fn drive(&mut self) -> Result<(), Error> {
        let head = self.ask_head().await?;
        if let Some(plan) = self.plan(head.as_ref()).await? {
            self.begin(plan).await?;
        }
        if !self.has_everything() {
            self.contact_scheduler();
            if !self.scheduling.is_alive() {
                self.fall_back(SourceReason::NoScheduler)?;
            }
        }
        self.listen().await
    }

    /// Goes on until the download is complete.
    async fn listen(&mut self) -> Result<(), Error> {
        loop {
            let event = self.next_event().await;
            if self.handle(event).await? {
                return Ok(());
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let source_due = match self.origin {
            Origin::Due(at, reason) => Some((at, reason)),
            _ => None,
        };
        let impatient = self
            .parents
            .any_live()
            .then(|| self.progress_at + self.engine.parts.settings.parent_silence);
        let register_due = self.scheduling.register_due();
        tokio::select! {
            report = next_report(&mut self.transfer) => Event::Report(report),
            answer = self.scheduling.next() => Event::Answer(answer),
            silence = self.parents.next_silence() => Event::ParentSilent(silence),
            () = self.shared.wanted.notified() => Event::Wanted,
            () = until(source_due.map(|(at, _)| at)) => {
                Event::SourceDue(source_due.map_or(SourceReason::NoScheduler, |(_, reason)| reason))
            }
            () = until(register_due) => Event::RegisterDue,
            () = until(impatient) => Event::Impatient,
        }
    }

    /// Whether the download is complete.
    async fn handle(&mut self, event: Event) -> Result<bool, Error> {
        match event {
            Event::Report(Some(report)) => return self.reported(report).await,
            Event::Report(None) => return Err(self.broken()),
            Event::Answer(answer) => self.answered(answer).await?,
            Event::ParentSilent(silence) => {
                self.parent_silent(silence).await;
                self.starved().await?;
            }
            Event::Wanted => self.widen().await,
            Event::SourceDue(reason) => self.go_to_source(reason).await?,
            Event::RegisterDue => self.register(),
            Event::Impatient => {
                for peer in self.parents.drop_all() {
                    self.forget_parent(&peer).await;
                }
                self.starving = Some(self.parents.told());
                self.progress_at = Instant::now();
                self.starved().await?;
            }
        }
        Ok(false)
    }

    async fn reported(&mut self, report: Report) -> Result<bool, Error> {
        match report {
            Report::PieceFinished(piece, cost) => self.piece_landed(&piece, cost).await,
            Report::PieceFailed { number, parent, error } => {
                tracing::debug!(task.id = %self.shared.task, piece.number = number.0, parent = %parent, %error, "a parent failed");
                self.engine.parts.metrics.parent_failed(&parent);
                self.scheduling.parent_failed(&parent, Some(number)).await;
            }
            Report::Starving => {
                self.starving = Some(self.parents.told());
                match self.parents.any_live() {
                    true => self.look_around().await,
                    false => self.starved().await?,
                }
            }
            Report::ContentLength(_) => {}
            Report::Verified => self.shared.set_verified(),
            Report::SourceFailed(error) => self.source_failed(error).await?,
            Report::Complete => return Ok(self.completed().await),
            Report::Failed(error) => return Err(self.transfer_failed(error).await),
        }
        Ok(false)
    }

    /// Whether that is all: callers who joined may want more than what is complete. What they want may have been passed
    /// on after the transfer said that it is through with what was wanted before; it will say so again.
    async fn completed(&mut self) -> bool {
        if !self.is_done() {
            return false;
        }
        let has_all = self
            .transfer
            .as_ref()
            .is_some_and(|moving| moving.pin.record().is_finished());
        while !self.engine.running.retire(&self.shared) {
            if !has_all {
                self.widen().await;
                return false;
            }
            self.shared.take_wants();
        }
        true
    }

    /// Whether everything that was passed on is here.
    fn is_done(&mut self) -> bool {
        let Some(moving) = &self.transfer else {
            return false;
        };
        self.due.retain(|range| !is_here(&moving.pin, *range));
        self.due.is_empty()
    }

    async fn piece_landed(&mut self, piece: &PieceRecord, cost: Duration) {
        self.starving = None;
        self.progress_at = Instant::now();
        self.tale.piece(piece, cost);
        let metrics = &self.engine.parts.metrics;
        metrics.moved(Source::of(piece.traffic), piece.span.length);
        if let Some(parent) = piece
            .parent
            .as_ref()
            .filter(|_| piece.traffic == TrafficType::RemotePeer)
        {
            metrics.parent_gave(parent, piece.span.length, cost);
        }
        self.scheduling.piece(piece, cost).await;
    }

    /// No known parent has what is wanted: waits, asks the scheduler for others, or goes to the origin.
    async fn starved(&mut self) -> Result<(), Error> {
        let helped = matches!(self.origin, Origin::Asked | Origin::Due(..));
        let told = self.parents.told();
        // The transfer does not miss what it was never promised.
        let starving = self.starving == Some(told) || told == 0 && !self.has_everything();
        if !starving || helped || self.scheduling.is_waiting() || self.parents.any_live() {
            return Ok(());
        }
        let useless = self.parents.take_useless();
        let max = self.engine.parts.settings.max_schedule_count;
        if !self.scheduling.ask_for_others(useless, max).await {
            self.fall_back(match self.scheduling.is_alive() {
                true => SourceReason::NoParent,
                false => SourceReason::SchedulerLost,
            })?;
        }
        Ok(())
    }

    /// The parents may announce more, but have nothing now: asks for others meanwhile, where that is welcome.
    async fn look_around(&mut self) {
        let helped = matches!(self.origin, Origin::Asked | Origin::Due(..));
        if !helped && !self.scheduling.is_waiting() && self.scheduling.is_patient() {
            let useless = self.parents.take_useless();
            let max = self.engine.parts.settings.max_schedule_count;
            // If there is nobody to ask, the parents are waited for as before.
            self.scheduling.ask_for_others(useless, max).await;
        }
    }

    /// Asks the origin a little later, so that peers which lost their scheduler together don't ask it together.
    fn fall_back(&mut self, reason: SourceReason) -> Result<(), Error> {
        if self.origin == Origin::Failed || self.is_source_forbidden() {
            return Err(self.unreachable.take().unwrap_or(Error::NoSource));
        }
        let jitter = if self.engine.parts.cluster.is_configured() {
            FALLBACK_JITTER.mul_f64(rand::random())
        } else {
            Duration::ZERO
        };
        self.origin = Origin::Due(Instant::now() + jitter, reason);
        Ok(())
    }

    async fn go_to_source(&mut self, reason: SourceReason) -> Result<(), Error> {
        if self.is_source_forbidden() {
            return Err(Error::NoSource);
        }
        if self.transfer.is_none() {
            let plan = self.blind_plan();
            self.begin(plan).await?;
        }
        self.origin = Origin::Asked;
        self.engine.parts.metrics.goes_to_source(reason);
        self.tale.goes_to_source(reason.label());
        self.scheduling.source_started(reason.said()).await;
        self.report_present().await;
        let request = self.request.to_source();
        if let Some(moving) = &self.transfer {
            moving.control.back_to_source(request).await;
        }
        Ok(())
    }

    async fn source_failed(&mut self, error: source::Error) -> Result<(), Error> {
        let error = Error::from(error);
        if error.blames_credentials()
            && let Some(other) = self.shared.next_origin()
            && let Some(moving) = &self.transfer
        {
            tracing::debug!(task.id = %self.shared.task, "the origin refused one caller's credentials; trying the next one's");
            moving.control.back_to_source(other).await;
            return Ok(());
        }
        self.origin = Origin::Failed;
        self.scheduling.source_failed(&error).await;
        if self.parents.any_live() {
            self.unreachable = Some(error);
            return Ok(());
        }
        Err(error)
    }

    async fn transfer_failed(&mut self, error: transfer::Error) -> Error {
        match error {
            transfer::Error::DigestMismatch { parents, .. } => {
                // Any of them may have sent the wrong bytes.
                for peer in &parents {
                    self.scheduling.parent_failed(peer, None).await;
                }
                Error::DigestMismatch
            }
            transfer::Error::Storage(error) => error.into(),
            error => Error::Transfer(Arc::new(error)),
        }
    }

    /// The transfer ended without a word, which it does when the task is taken from it.
    fn broken(&self) -> Error {
        let shutting_down = self.engine.parts.workers.cancel_token().is_cancelled();
        if shutting_down {
            Error::ShuttingDown
        } else {
            Error::Deleted
        }
    }

    async fn parent_silent(&mut self, silence: Silence) {
        if let Some(reason) = silence.failed {
            tracing::debug!(task.id = %self.shared.task, parent = %silence.peer, reason, "a parent fell silent");
            self.forget_parent(&silence.peer).await;
            self.scheduling.parent_failed(&silence.peer, None).await;
        }
    }

    async fn forget_parent(&mut self, peer: &PeerId) {
        if let Some(moving) = &self.transfer {
            moving.control.parent_gone(peer).await;
        }
    }

    /// Passes on what callers who joined want besides.
    async fn widen(&mut self) {
        let wants = self.shared.take_wants();
        let Some(moving) = &self.transfer else {
            // Not begun yet: what is wanted then is looked up again.
            self.request.range = wants.into_iter().fold(self.request.range, hull);
            return;
        };
        self.due.retain(|range| !is_here(&moving.pin, *range));
        self.due.extend(&wants);
        for range in wants {
            moving.control.want(wanted(&moving.pin, range)).await;
        }
    }

    /// Tells the scheduler which pieces are here from an earlier download.
    async fn report_present(&mut self) {
        if let Some(moving) = &self.transfer {
            let present: Vec<PieceRecord> = moving.pin.pieces().iter().filter_map(|n| moving.pin.piece(n)).collect();
            self.scheduling.present(present).await;
        }
    }

    fn is_source_forbidden(&self) -> bool {
        is_source_forbidden(&self.request)
    }

    /// Whether nothing is left to fetch for the caller who began this.
    fn has_everything(&self) -> bool {
        let Some(moving) = &self.transfer else {
            return false;
        };
        is_here(&moving.pin, self.request.range)
            || moving.pin.layout().is_some() && missing(&moving.pin).is_empty() && !moving.pin.is_gone()
    }

    /// Lets go of transfer and parents; what is left is to be said to the scheduler.
    fn end(self) -> Scheduling {
        self.scheduling
    }
}

/// Whether the content may come from peers only.
pub(super) fn is_source_forbidden(request: &Request) -> bool {
    let peers_only = request.disable_back_to_source || request.priority == dragonfly_model::Priority::Level2;
    peers_only && !request.need_back_to_source
}

/// What the transfer must bring for a caller who wants `range`: all, if the range reaches the end of a content that is
/// named by its digest, since only the whole can be checked.
fn wanted(pin: &Pin, range: Option<ByteRange>) -> Wanted {
    let Some(range) = range else {
        return Wanted::All;
    };
    let ends_content = pin.content_length().is_none_or(|length| range.end() >= length);
    if ends_content && pin.record().digest.is_some() {
        Wanted::All
    } else {
        Wanted::Range(range)
    }
}

/// Bytes that a transfer has to bring for that, as far as is known.
fn lacking(pin: &Pin, wanted: &Wanted) -> u64 {
    let range = match wanted {
        Wanted::All => None,
        Wanted::Range(range) => Some(*range),
    };
    pin.layout().map_or(0, |layout| {
        pin.pieces().missing_in(layout, range).map(|span| span.length).sum()
    })
}

/// The smallest range that holds both.
fn hull(a: Option<ByteRange>, b: Option<ByteRange>) -> Option<ByteRange> {
    let (a, b) = (a?, b?);
    let start = a.start.min(b.start);
    Some(ByteRange {
        start,
        length: a.end().max(b.end()) - start,
    })
}

async fn next_report(transfer: &mut Option<Moving>) -> Option<Report> {
    match transfer {
        Some(moving) => moving.reports.recv().await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The numbers of the pieces that are not here.
fn missing(pin: &Pin) -> Vec<PieceNumber> {
    match pin.layout() {
        Some(layout) => pin.pieces().missing_in(layout, None).map(|span| span.number).collect(),
        None => Vec::new(),
    }
}
