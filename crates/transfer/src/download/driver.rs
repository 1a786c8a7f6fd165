//! The loop of one download: hears what happens, keeps the plan, starts what the plan says.

use super::control::Message;
use super::error::{Error, PieceError, Unwritten};
use super::hunger::Hunger;
use super::origin::{Claim, Consequence, Ended, Happening, Origin};
use super::outbox::Outbox;
use super::parent::{Address, Fetch, Fetched, Step, Unfetched};
use super::stream::News;
use super::{Report, Transfer, Wanted};
use crate::plan::{Plan, Progress};
use crate::verify::{Verdict, Verifier};
use dragonfly_model::{PeerId, PieceNumber};
use dragonfly_source::Head;
use dragonfly_storage::{PieceRecord, Pin, TaskState};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, AbortHandle, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// How often parents are looked at that may be too slow.
const LOOK: Duration = Duration::from_millis(100);
/// Reports that may wait to be sent before no more work is started.
const MAX_UNSENT: usize = 1024;

/// One download under way.
pub(super) struct Driver {
    transfer: Transfer,
    task: Pin,
    controls: mpsc::Receiver<Message>,
    outbox: Outbox,
    plan: Plan,
    addresses: HashMap<PeerId, Address>,
    fetches: JoinSet<Step>,
    /// The fetches whose pieces are on their way.
    flights: HashMap<task::Id, Flight>,
    look: Interval,
    origin: Origin,
    verifier: Verifier,
    changes: watch::Receiver<u64>,
    hunger: Hunger,
    length_was_told: bool,
    said_complete: bool,
}

/// A piece on its way.
struct Flight {
    number: PieceNumber,
    peer: PeerId,
    asked: Instant,
    /// Ends the fetch.
    abort: AbortHandle,
}

/// What the driver waits for.
enum Event {
    Told(Option<Message>),
    Fetch(task::Id, Step),
    /// A parent was too slow and is left.
    Left(task::Id),
    /// Time to look whether one is.
    Look,
    Origin(Happening),
    Hashed(std::io::Result<()>),
    Sent,
    Changed,
    Starved,
}

fn interval(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// How a download ends, if not with an error.
enum End {
    Complete,
    Cancelled,
}

impl Driver {
    pub(super) fn new(
        transfer: Transfer,
        task: Pin,
        wanted: Wanted,
        controls: mpsc::Receiver<Message>,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let record = task.record();
        let mut plan = Plan::new(task.piece_length(), rand::random());
        plan.want(wanted);
        // Whoever reads changes from now on misses none.
        let changes = task.changes();
        for number in task.pieces().iter() {
            plan.present(number);
        }
        Self {
            origin: Origin::new(transfer.clone(), task.clone()),
            verifier: Verifier::new(record.digest),
            plan,
            changes,
            controls,
            outbox: Outbox::new(reports),
            addresses: HashMap::new(),
            fetches: JoinSet::new(),
            flights: HashMap::new(),
            look: interval(LOOK),
            hunger: Hunger::default(),
            length_was_told: record.content_length.is_some(),
            said_complete: false,
            transfer,
            task,
        }
    }

    /// Works until the end, and says the last word.
    pub(super) async fn run(mut self) {
        let last = match self.drive().await {
            Ok(End::Cancelled) => return,
            Ok(End::Complete) => Report::Complete,
            Err(error) => Report::Failed(error),
        };
        self.outbox.push(last);
        self.outbox.flush(&mut self.controls).await;
    }

    async fn drive(&mut self) -> Result<End, Error> {
        if let TaskState::Finished { .. } = self.task.record().state {
            return Ok(End::Complete);
        }
        loop {
            if self.task.is_gone() {
                return Err(dragonfly_storage::Error::Gone.into());
            }
            self.learn_layout();
            self.verifier.advance(&self.task);
            if self.plan.is_whole() && self.finish().await? {
                return Ok(End::Complete);
            }
            if self.plan.is_complete() && !self.plan.is_whole() && !self.said_complete {
                self.outbox.push(Report::Complete);
                self.said_complete = true;
            }
            self.start();
            let busy = !self.plan.is_idle() || self.origin.is_allowed() || self.plan.is_complete();
            self.hunger.feel(busy, self.plan.has_live_parent());
            match self.next_event().await {
                Event::Told(None) => return Ok(End::Cancelled),
                Event::Told(Some(message)) => self.told(message)?,
                Event::Fetch(id, step) => self.stepped(id, step)?,
                Event::Left(id) => self.left(id),
                Event::Look => self.leave_laggards(),
                Event::Origin(Happening::News(news)) => self.news(news)?,
                Event::Origin(Happening::Ended(ended)) => self.ended(ended).await?,
                Event::Hashed(result) => result.map_err(Error::Unreadable)?,
                Event::Sent => {}
                Event::Changed => self.look_elsewhere(),
                Event::Starved => {
                    self.outbox.push(Report::Starving);
                    self.hunger.said();
                }
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let elsewhere = !self.plan.being_done_elsewhere().is_empty();
        tokio::select! {
            message = self.controls.recv() => Event::Told(message),
            Some(step) = self.fetches.join_next_with_id(), if !self.fetches.is_empty() => match step {
                Ok((id, step)) => Event::Fetch(id, step),
                Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
                Err(cancelled) => Event::Left(cancelled.id()),
            },
            _ = self.look.tick(), if !self.flights.is_empty() => Event::Look,
            happening = self.origin.next(), if self.outbox.len() <= MAX_UNSENT => Event::Origin(happening),
            result = self.verifier.stepped() => Event::Hashed(result),
            () = self.outbox.sent_one() => Event::Sent,
            Ok(()) = self.changes.changed(), if elsewhere => Event::Changed,
            () = self.hunger.starved() => Event::Starved,
        }
    }

    /// Takes over the length of the content once it is known. Whoever told it need not be told.
    fn learn_layout(&mut self) {
        let Some(layout) = self.task.layout().filter(|_| !self.plan.knows_layout()) else {
            return;
        };
        self.plan.set_layout(layout);
        if !self.length_was_told {
            self.outbox.push(Report::ContentLength(layout.content_length()));
        }
    }

    /// Starts what can be started.
    fn start(&mut self) {
        if self.outbox.len() > MAX_UNSENT {
            return;
        }
        while self.fetches.len() < self.transfer.concurrent_pieces.max(1) {
            let Some(ask) = self.plan.next() else {
                break;
            };
            let Some(address) = self.addresses.get(&ask.peer).copied() else {
                self.plan.parent_gone(&ask.peer);
                self.plan.chose(&ask, ask.number);
                self.plan.release(ask.number);
                continue;
            };
            let fetch = Fetch {
                client: self.transfer.client.clone(),
                limit: self.transfer.download_limit.clone(),
                task: self.task.clone(),
                ask,
                address,
            };
            self.fetches.spawn(fetch.run());
        }
        self.origin.start(&mut self.plan);
    }

    fn told(&mut self, message: Message) -> Result<(), Error> {
        match message {
            Message::ParentHas(pieces) => {
                self.hunger.awaken();
                let address = Address {
                    addr: pieces.addr,
                    reuse: pieces.reuse,
                };
                self.addresses.insert(pieces.peer.clone(), address);
                self.plan.parent_has(&pieces.peer, &pieces.numbers);
                if pieces.reuse {
                    self.plan.parent_chooses(&pieces.peer);
                }
            }
            Message::ParentGone(peer) => {
                self.hunger.awaken();
                self.addresses.remove(&peer);
                self.plan.parent_gone(&peer);
            }
            Message::BackToSource(request) => {
                self.hunger.awaken();
                self.origin.allow(*request);
            }
            Message::StopSource => {
                self.origin.stop();
                self.settle(self.plan.claimed_by_origin());
            }
            Message::ContentLength(length) => self.told_length(length)?,
            Message::Want(wanted) => {
                self.plan.want(wanted);
                // Who wants more is told when that is here, too, even if it is already.
                self.said_complete = false;
            }
        }
        Ok(())
    }

    /// A length that contradicts what is known here is a mistake of whoever said so, not the end of the download.
    fn told_length(&mut self, length: u64) -> Result<(), Error> {
        match self.task.set_content_length(length) {
            Ok(()) => self.length_was_told = true,
            Err(dragonfly_storage::Error::LengthConflict { .. }) => {
                tracing::warn!(task.id = %self.task.id(), length, "a length was told that can't be the content's");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn stepped(&mut self, id: task::Id, step: Step) -> Result<(), Error> {
        self.flights.remove(&id);
        match step {
            Step::Chosen(chosen) => {
                self.plan.chose(&chosen.fetch.ask, chosen.number());
                let (number, peer, asked) = (chosen.number(), chosen.fetch.ask.peer.clone(), chosen.asked());
                let abort = self.fetches.spawn(chosen.run());
                let flight = Flight {
                    number,
                    peer,
                    asked,
                    abort,
                };
                self.flights.insert(flight.abort.id(), flight);
                Ok(())
            }
            Step::Refused(ask, error) => {
                self.plan.chose(&ask, ask.number);
                self.piece_failed(ask.number, ask.peer, PieceError::Fetch(error));
                Ok(())
            }
            Step::Ended(fetched) => self.fetched(fetched),
        }
    }

    /// Ends the fetches for which another parent would take a fraction of the time.
    fn leave_laggards(&mut self) {
        let flying = self.flights.values().filter(|flight| !flight.abort.is_finished());
        let progress: HashMap<PieceNumber, Progress> = flying
            .map(|flight| {
                let progress = Progress {
                    elapsed: flight.asked.elapsed(),
                    received: self.task.arriving(flight.number).map_or(0, |arriving| arriving.written),
                };
                (flight.number, progress)
            })
            .collect();
        if let Some((number, peer)) = self.plan.laggard(|number| progress.get(&number).copied()) {
            tracing::debug!(task.id = %self.task.id(), piece = number.0, parent = %peer, "parent is left as too slow");
            let flights = self.flights.values();
            let late = flights.filter(|flight| flight.number == number && flight.peer == peer);
            late.for_each(|flight| flight.abort.abort());
        }
    }

    fn left(&mut self, id: task::Id) {
        if let Some(flight) = self.flights.remove(&id) {
            self.plan.left(flight.number, &flight.peer);
        }
    }

    fn piece_failed(&mut self, number: PieceNumber, parent: PeerId, error: PieceError) {
        if self.plan.failed(number, &parent) {
            tracing::debug!(task.id = %self.task.id(), %parent, "parent is not asked any more");
        }
        self.outbox.push(Report::PieceFailed { number, parent, error });
    }

    fn fetched(&mut self, fetched: Fetched) -> Result<(), Error> {
        let Fetched {
            number,
            peer,
            cost,
            result,
        } = fetched;
        match result {
            Ok(record) => {
                let fresh = self.plan.delivered(number, &peer, record.span.length, cost);
                self.arrived(fresh, record, cost);
            }
            Err(Unfetched::Failed(error)) => self.piece_failed(number, peer, error),
            Err(Unfetched::Last) => self.plan.defer(number),
            Err(Unfetched::Unwritten(Unwritten::Storage(error))) => return Err(error.into()),
            Err(Unfetched::Unwritten(_)) => self.settle(vec![number]),
        }
        Ok(())
    }

    fn arrived(&mut self, fresh: bool, record: PieceRecord, cost: Duration) {
        if fresh {
            self.outbox.push(Report::PieceFinished(record, cost));
        }
    }

    fn news(&mut self, news: News) -> Result<(), Error> {
        match news {
            News::Begun { ranged, head } => self.begun(ranged, *head),
            News::Arrived(record, cost) => {
                self.origin.landed(record.span.length);
                let fresh = self.plan.present(record.span.number);
                self.arrived(fresh, record, cost);
                Ok(())
            }
        }
    }

    /// The origin has answered.
    fn begun(&mut self, ranged: bool, head: Head) -> Result<(), Error> {
        self.learn_layout();
        if !ranged {
            self.plan.want(Wanted::All);
            self.plan.claim_rest();
        }
        let known = self.task.record().response_headers;
        if self.origin.takes_any_version() || known.is_empty() {
            let headers = head.headers.iter();
            let texts = headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
            self.task.set_response_headers(texts.collect())?;
        }
        self.origin.begun(ranged, head.validator);
        Ok(())
    }

    /// A stream from the origin has ended, well or not.
    async fn ended(&mut self, ended: Ended) -> Result<(), Error> {
        match ended.claim {
            Claim::Run(run) => self.settle(run.map(PieceNumber).collect()),
            Claim::Rest => self.settle(self.plan.claimed_by_origin()),
        }
        let Err(error) = ended.result else {
            return Ok(());
        };
        // Every consequence drops the other streams too.
        let consequence = self.origin.failed(error);
        self.settle(self.plan.claimed_by_origin());
        match consequence {
            Consequence::AskAgain => {}
            Consequence::Leave(error) => {
                self.outbox.push(Report::SourceFailed(error));
                self.hunger.said();
            }
            Consequence::Storage(error) => return Err(error.into()),
            Consequence::Changed => {
                self.task.quarantine("the origin's content has changed").await?;
                return Err(Error::Changed);
            }
        }
        Ok(())
    }

    /// Looks what became of pieces that nobody here is at work on any more.
    fn settle(&mut self, numbers: Vec<PieceNumber>) {
        for number in numbers {
            if let Some(record) = self.task.piece(number) {
                let fresh = self.plan.present(number);
                self.arrived(fresh, record, Duration::ZERO);
            } else if self.task.arriving(number).is_some() {
                self.plan.elsewhere(number);
            } else {
                self.plan.release(number);
            }
        }
    }

    fn look_elsewhere(&mut self) {
        self.settle(self.plan.being_done_elsewhere());
    }

    /// Every piece is here: compares the content with its digest, and finishes the task. `false` if the digest is not
    /// computed to the end yet.
    async fn finish(&mut self) -> Result<bool, Error> {
        let record = self.task.record();
        let length = record.content_length.unwrap_or_default();
        match (self.verifier.verdict(length), record.digest) {
            (Verdict::Pending, _) => return Ok(false),
            (Verdict::Holds, _) | (Verdict::Differs(_), None) => {}
            (Verdict::Differs(found), Some(expected)) => {
                let parents = self.parents();
                self.task
                    .quarantine(&format!("its digest is {found}, not {expected}"))
                    .await?;
                return Err(Error::DigestMismatch {
                    expected,
                    found,
                    parents,
                });
            }
        }
        self.outbox.push(Report::Verified);
        self.outbox.flush(&mut self.controls).await;
        self.task.finish().await?;
        Ok(true)
    }

    /// Everybody who sent a piece of what is here.
    fn parents(&self) -> Vec<PeerId> {
        let pieces = self.task.pieces();
        let parents = pieces.iter().filter_map(|number| self.task.piece(number)?.parent);
        parents.collect::<BTreeSet<_>>().into_iter().collect()
    }
}
