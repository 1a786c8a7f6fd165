//! Attend: a scheduler takes works, reports on them, and tells which hosts its cluster has, and which tasks it keeps.
//!
//! The answer's stream does all of it while it is read: nothing runs for a scheduler that has gone. What can't be written because
//! the database is away ends the stream, so that no report is lost without the scheduler's knowing it: on the next stream it
//! says all again.

use super::proof::Proof;
use super::wire;
use crate::config::TellSecretsTo;
use crate::error::Error;
use crate::jobs::{Heard, Jobs, Seat};
use crate::kept::{self, Kept};
use crate::members;
use crate::metrics::{Attending, Counts};
use crate::peers::{self, Peers};
use crate::store::entity::scheduler;
use crate::store::{Store, Time};
use dragonfly_api::ext::{
    AttendRequest, AttendResponse, Hello, HostsReport, KeptTasksReport, WorkCancelled, WorkReport, attend_request,
    attend_response,
};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

/// How long a stream may be open before it says whose it is.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// The most targets, and the most hosts, of one message.
const MAX_ENTRIES: usize = 2000;
/// How often a write is tried while others are in its way, and the time between.
const TRIES: u32 = 3;
const TRY_AFTER: Duration = Duration::from_millis(200);

/// Does it, and does it again while other transactions are in the way. No function: its futures would borrow what they
/// change.
macro_rules! persistently {
    ($write:expr) => {{
        let mut tries = 1;
        loop {
            match $write.await {
                Err(Error::Unavailable(_)) if tries < TRIES => tokio::time::sleep(TRY_AFTER).await,
                result => break result.map_err(wire::status),
            }
            tries += 1;
        }
    }};
}

/// What the manager's side needs. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) store: Store,
    pub(super) jobs: Jobs,
    pub(super) kept: Kept,
    pub(super) peers: Peers,
    pub(super) counts: Counts,
    /// Between two looks at what there is to do.
    pub(super) look_after: Duration,
    pub(super) tell_secrets_to: TellSecretsTo,
    pub(super) cancel: CancellationToken,
}

/// One stream.
struct Session {
    desk: Desk,
    inbound: Streaming<AttendRequest>,
    seat: Seat,
    /// Works that the scheduler has, as this stream knows, with their leases.
    held: HashMap<u64, u64>,
    hosts: peers::Whole,
    kept: kept::Whole,
    outbound: VecDeque<attend_response::Message>,
    changes: watch::Receiver<u64>,
    rounds: Interval,
    _attending: Attending,
}

/// What a session waits for.
enum Event {
    Said(Option<AttendRequest>),
    Round,
    Stopping,
}

impl Desk {
    /// The manager's side of a stream.
    pub(super) fn attended(
        &self,
        proof: Proof,
        inbound: Streaming<AttendRequest>,
    ) -> BoxStream<'static, Result<AttendResponse, Status>> {
        let desk = self.clone();
        stream::once(desk.sit(proof, inbound)).try_flatten().boxed()
    }

    async fn sit(
        self,
        proof: Proof,
        mut inbound: Streaming<AttendRequest>,
    ) -> Result<impl Stream<Item = Result<AttendResponse, Status>>, Status> {
        let first = tokio::time::timeout(HELLO_WITHIN, inbound.message());
        let first = first
            .await
            .map_err(|_| Status::deadline_exceeded("say hello first"))??;
        let Some(attend_request::Message::Hello(hello)) = first.and_then(|first| first.message) else {
            return Err(Status::invalid_argument("the first message must be a hello"));
        };
        let scheduler = self.listed(hello).await?;
        let may_know = proof.opens_secrets(self.tell_secrets_to);
        let seat = self.jobs.sit(&scheduler, may_know, Time::now()).await;
        let seat = seat.map_err(wire::status)?;
        tracing::info!(
            scheduler.id = seat.scheduler,
            host.name = scheduler.host_name,
            "a scheduler attends"
        );
        if !may_know {
            tracing::warn!(
                scheduler.id = seat.scheduler,
                host.name = scheduler.host_name,
                "the scheduler has not proved who it is and gets no works that hold secrets; give it a certificate of the \
                 manager's CA, or set server.grpc.tellSecretsTo"
            );
        }
        let mut rounds = tokio::time::interval_at(Instant::now(), self.look_after);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let session = Session {
            changes: self.jobs.changes(),
            _attending: self.counts.attends(),
            desk: self,
            inbound,
            seat,
            held: HashMap::new(),
            hosts: peers::Whole::default(),
            kept: kept::Whole::default(),
            outbound: VecDeque::new(),
            rounds,
        };
        let told = stream::try_unfold(session, |mut session| async move {
            let message = session.next().await?;
            Ok::<_, Status>(message.map(|message| (AttendResponse { message: Some(message) }, session)))
        });
        Ok(told)
    }

    /// Only who is on the list may attend.
    async fn listed(&self, hello: Hello) -> Result<scheduler::Model, Status> {
        let identity = wire::identity(hello.hostname, &hello.ip, hello.scheduler_cluster_id)?;
        if identity.ip.is_none() {
            return Err(Status::invalid_argument("the hello lacks ip"));
        }
        members::find::<scheduler::Entity>(self.store.db(), &identity)
            .await
            .map_err(|error| match error {
                Error::NotFound { .. } => Status::permission_denied(format!(
                    "scheduler {identity} is not on the manager's list; it has to register first"
                )),
                error => wire::status(error),
            })
    }
}

impl Session {
    /// The next message for the scheduler; nothing when it has ended the stream.
    async fn next(&mut self) -> Result<Option<attend_response::Message>, Status> {
        loop {
            if let Some(message) = self.outbound.pop_front() {
                return Ok(Some(message));
            }
            match self.event().await? {
                Event::Said(None) => {
                    tracing::info!(scheduler.id = self.seat.scheduler, "a scheduler left");
                    return Ok(None);
                }
                Event::Said(Some(said)) => self.hear(said).await?,
                Event::Round => self.round().await?,
                Event::Stopping => return Err(Status::unavailable("the manager is stopping; come back")),
            }
        }
    }

    async fn event(&mut self) -> Result<Event, Status> {
        tokio::select! {
            biased;
            () = self.desk.cancel.cancelled() => Ok(Event::Stopping),
            said = self.inbound.message() => Ok(Event::Said(said?)),
            // The desk holds the other end.
            _ = self.changes.changed() => Ok(Event::Round),
            _ = self.rounds.tick() => Ok(Event::Round),
        }
    }

    async fn hear(&mut self, said: AttendRequest) -> Result<(), Status> {
        match said.message {
            Some(attend_request::Message::Work(report)) => self.hear_work(report).await,
            Some(attend_request::Message::Hosts(report)) => self.hear_hosts(report).await,
            Some(attend_request::Message::KeptTasks(report)) => self.hear_kept_tasks(report).await,
            Some(attend_request::Message::Hello(_)) => Err(Status::invalid_argument("a stream has one hello")),
            // Of a newer scheduler.
            None => Ok(()),
        }
    }

    async fn hear_work(&mut self, report: WorkReport) -> Result<(), Status> {
        few("targets", report.targets.len())?;
        let (id, lease) = (report.id, report.lease);
        let (jobs, seat) = (self.desk.jobs.clone(), self.seat);
        let heard = persistently!(jobs.hear(seat, report.clone(), Time::now()))?;
        match heard {
            Heard::Kept => {
                self.held.insert(id, lease);
            }
            Heard::Ended | Heard::Stale => {
                self.leave(id, lease);
                // There is room for another.
                self.rounds.reset_immediately();
            }
        }
        Ok(())
    }

    async fn hear_hosts(&mut self, report: HostsReport) -> Result<(), Status> {
        few("hosts", report.hosts.len())?;
        let (peers, seat, whole) = (&self.desk.peers, self.seat, &mut self.hosts);
        persistently!(peers.hear(seat, whole, report.clone(), Time::now()))
    }

    async fn hear_kept_tasks(&mut self, report: KeptTasksReport) -> Result<(), Status> {
        few("tasks", report.tasks.len())?;
        let (kept, seat, whole) = (&self.desk.kept, self.seat, &mut self.kept);
        persistently!(kept.hear(seat, whole, report.clone(), Time::now()))
    }

    /// Gives what there is to do, and takes back what is not to be done any more.
    async fn round(&mut self) -> Result<(), Status> {
        let result = self.look().await;
        match result {
            // Another round comes soon.
            Err(Error::Unavailable(_)) => Ok(()),
            Err(error) => Err(wire::status(error)),
            Ok(true) => Ok(()),
            Ok(false) => Err(Status::aborted(
                "the scheduler was removed from the list, or has a newer stream; register, and open another",
            )),
        }
    }

    /// Whether the scheduler still has its place.
    async fn look(&mut self) -> Result<bool, Error> {
        let jobs = self.desk.jobs.clone();
        if !jobs.still_sits(self.seat, Time::now()).await? {
            return Ok(false);
        }
        if !self.held.is_empty() {
            let held: Vec<(u64, u64)> = self.held.iter().map(|(id, lease)| (*id, *lease)).collect();
            for (id, lease) in jobs.lost(held).await? {
                self.leave(id, lease);
            }
        }
        while let Some(work) = jobs.next(self.seat, Time::now()).await? {
            self.held.insert(work.id, work.lease);
            self.outbound.push_back(attend_response::Message::Work(work));
        }
        Ok(true)
    }

    fn leave(&mut self, id: u64, lease: u64) {
        if self.held.get(&id) == Some(&lease) {
            self.held.remove(&id);
        }
        let cancelled = WorkCancelled { id, lease };
        self.outbound.push_back(attend_response::Message::Cancelled(cancelled));
    }
}

fn few(what: &str, number: usize) -> Result<(), Status> {
    match number > MAX_ENTRIES {
        true => Err(Status::invalid_argument(format!(
            "a message has at most {MAX_ENTRIES} {what}, not {number}"
        ))),
        false => Ok(()),
    }
}
