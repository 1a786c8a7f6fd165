//! The loop that owns the graph.

use super::streams::Streams;
use super::{Brain, Command, Enrolment, KnownTask, MOST_TRACED, Stopped, Traced, TracedPeers, answer};
use crate::catalogue::Catalogue;
use crate::hosts::Hosts;
use crate::metrics::Counts;
use crate::reach::Failure;
use crate::seeds::Seeds;
use crate::translate;
use dragonfly_api::common::Task;
use dragonfly_api::scheduler::announce_peer_response::Response;
use dragonfly_api::scheduler::{EmptyTaskResponse, MetadataOnlyResponse, NeedBackToSourceResponse};
use dragonfly_model::{HostId, PeerId, TaskId};
use dragonfly_scheduling::{Candidate, Config, Decision, Event, GrantReason, Graph, PeerKey, TriggerId};
use dragonfly_service::Workers;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Commands that are taken at once: what costs something each time that the owner looks around is shared by them, and an
/// alarm waits for no more.
const BATCH: usize = 64;
/// How often the gauges are brought up to date.
const GAUGES: Duration = Duration::from_secs(5);

/// Owns the graph, and carries out what it decides.
#[derive(Debug)]
pub(crate) struct Owner {
    graph: Graph,
    started: Instant,
    wake_at: Option<Instant>,
    streams: Streams,
    catalogue: Catalogue,
    hosts: Hosts,
    seeds: Seeds,
    counts: Counts,
    brain: Brain,
    workers: Workers,
    /// Events that follow from carrying out decisions.
    pending: VecDeque<Event>,
}

/// What the owner works with.
pub(crate) struct Parts {
    pub(crate) scheduling: Config,
    pub(crate) hosts: Hosts,
    pub(crate) seeds: Seeds,
    pub(crate) counts: Counts,
    pub(crate) brain: Brain,
    pub(crate) workers: Workers,
}

impl Owner {
    /// An owner whose graph knows the hosts of the table.
    pub(crate) fn new(parts: Parts) -> Self {
        let mut owner = Self {
            graph: Graph::new(parts.scheduling, rand::random()),
            started: Instant::now(),
            wake_at: None,
            streams: Streams::default(),
            catalogue: Catalogue::default(),
            hosts: parts.hosts,
            seeds: parts.seeds,
            counts: parts.counts,
            brain: parts.brain,
            workers: parts.workers,
            pending: VecDeque::new(),
        };
        for (host, entry) in owner.hosts.all() {
            let interval = entry.interval.map(dragonfly_api::duration);
            match translate::host_facts(&entry.host, interval) {
                Ok(facts) => owner.apply(Event::HostAnnounced { host, facts }),
                Err(error) => tracing::warn!(host.id = %host, %error, "a host in the table has no usable address"),
            }
        }
        owner
    }

    /// Works until the scheduler is cancelled; then ends all streams.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let cancel = self.workers.cancel_token();
        let mut gauges = tokio::time::interval(GAUGES);
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let alarm = self.wake_at;
            let alarm = async move {
                match alarm {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = cancel.cancelled() => break,
                () = alarm => {
                    self.wake_at = None;
                    self.apply(Event::Tick);
                }
                _ = gauges.tick() => self.counts.holds(self.graph.counts()),
                // The queue never ends, since the owner itself holds a way to it.
                _ = commands.recv_many(&mut batch, BATCH) => batch.drain(..).for_each(|command| self.obey(command)),
            }
        }
        self.streams.fail_all(&Stopped.into());
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Event(event) => {
                if let Event::Rescheduled { peer } = &event {
                    self.streams.asks(peer);
                }
                self.apply(event);
            }
            Command::Register(enrolment) => self.register(*enrolment),
            Command::Broken { peer, stream } => {
                if self.streams.is_current(&peer, stream) {
                    self.streams.end(&peer);
                    self.apply(Event::StreamBroken { peer });
                }
            }
            Command::Reject { peer, stream, status } => {
                if self.streams.is_current(&peer, stream) {
                    self.streams.fail(&peer, status);
                    self.apply(Event::StreamBroken { peer });
                }
            }
            // Who asked and went away needs no answer.
            Command::Task(id, asked) => {
                asked.send(self.known(&id)).ok();
            }
            Command::Peer(key, asked) => {
                asked.send(self.graph.peer_view(&key)).ok();
            }
            Command::Trace(task, peer, asked) => {
                asked.send(self.traced(task, peer)).ok();
            }
        }
    }

    fn register(&mut self, enrolment: Enrolment) {
        self.catalogue
            .learn(&enrolment.registration.peer.task, &enrolment.request);
        let registration = self.streams.open(enrolment);
        self.apply(Event::PeerRegistered(registration));
    }

    fn known(&self, id: &TaskId) -> Option<KnownTask> {
        let view = self.graph.task(id)?;
        let stub = answer::stub(id, view.content);
        let described = self.catalogue.get(id).map(|described| Task {
            content_length: stub.content_length,
            piece_count: stub.piece_count,
            size_scope: stub.size_scope,
            ..described.clone()
        });
        Some(KnownTask { view, described })
    }

    fn traced(&self, id: TaskId, peer: Option<PeerId>) -> Option<Traced> {
        let view = self.graph.task(&id)?;
        let peers = match peer {
            None => TracedPeers::All(self.graph.peers_of(&id, MOST_TRACED)),
            Some(peer) => {
                let key = PeerKey { task: id, peer };
                let explained = self.graph.explain(&key, MOST_TRACED)?;
                TracedPeers::One(key.peer, Box::new(explained))
            }
        };
        Some(Traced {
            view,
            peers,
            now: self.started.elapsed(),
        })
    }

    fn apply(&mut self, event: Event) {
        self.pending.push_back(event);
        while let Some(event) = self.pending.pop_front() {
            let now = self.started.elapsed();
            tracing::trace!(?now, ?event, "event");
            for decision in self.graph.apply(event, now) {
                self.counts.decision(&decision);
                if !matches!(decision, Decision::WakeAt(_)) {
                    tracing::debug!("{decision}");
                }
                self.carry_out(decision);
            }
        }
    }

    fn carry_out(&mut self, decision: Decision) {
        match decision {
            Decision::Parents { peer, parents } => {
                let response = self.parents(&peer, &parents);
                self.send(peer, response);
            }
            Decision::MoreParents { peer, parents } => {
                let response = self.parents(&peer, &parents);
                self.send_unasked(peer, response);
            }
            Decision::BackToSource { peer, reason } => {
                let description = match reason {
                    GrantReason::Seed => "a seed peer fetches first",
                    GrantReason::Asked => "it was asked for",
                    GrantReason::NoSeed => "no peer has the content",
                    GrantReason::WaitedTooLong => "no peer had the content in time",
                };
                let response = NeedBackToSourceResponse {
                    description: Some(description.to_owned()),
                };
                self.send(peer, Response::NeedBackToSourceResponse(response));
            }
            Decision::Empty { peer } => self.send(peer, Response::EmptyTaskResponse(EmptyTaskResponse {})),
            Decision::MetadataOnly { peer } => {
                self.send(peer, Response::MetadataOnlyResponse(MetadataOnlyResponse {}));
            }
            Decision::TriggerSeed {
                task,
                seed,
                trigger,
                on_behalf,
            } => self.trigger(SeedCall { task, seed, trigger }, on_behalf),
            Decision::Parked { .. } => {}
            Decision::Refuse { peer, reason } => self.streams.fail(&peer, answer::refusal(reason)),
            Decision::EndStream { peer } => self.streams.end(&peer),
            Decision::TaskForgotten { task } => self.catalogue.forget(&task),
            Decision::HostForgotten { host } => {
                self.hosts.remove(&host);
            }
            Decision::WakeAt(at) => self.wake_at = Some(self.started + at),
        }
    }

    fn parents(&self, peer: &PeerKey, parents: &[Candidate]) -> Response {
        let content = self.graph.content(&peer.task).unwrap_or_default();
        Response::NormalTaskResponse(answer::parents(&peer.task, content, parents, &self.hosts))
    }

    fn send(&mut self, peer: PeerKey, response: Response) {
        match self.streams.answer(&peer, response) {
            Some(waited) => self.counts.answered(waited),
            None => self.takes_no_more(peer),
        }
    }

    /// Sends what the peer did not wait for, so that it counts as no answer's time.
    fn send_unasked(&mut self, peer: PeerKey, response: Response) {
        if self.streams.answer(&peer, response).is_none() {
            self.takes_no_more(peer);
        }
    }

    fn takes_no_more(&mut self, peer: PeerKey) {
        tracing::debug!(%peer, "a peer takes no answers any more");
        self.pending.push_back(Event::StreamBroken { peer });
    }

    /// Calls a seed peer, with the request of a child whose stream is open, and reports the end of the call.
    fn trigger(&mut self, call: SeedCall, on_behalf: PeerId) {
        let child = PeerKey {
            task: call.task.clone(),
            peer: on_behalf,
        };
        let request = self.streams.request(&child);
        let asked = request.map(|(request, host, trace)| (request.for_seed(self.hosts.ip(host)), trace.clone()));
        let Some((asked, seed)) = asked.zip(self.hosts.get(&call.seed)) else {
            self.pending.push_back(call.failed(None));
            return;
        };
        let (seeds, counts, brain) = (self.seeds.clone(), self.counts.clone(), self.brain.clone());
        let cancel = self.workers.cancel_token();
        self.workers.spawn("call to a seed peer", async move {
            let fetched = cancel.run_until_cancelled(seeds.fetch(&seed, asked)).await;
            let Some(fetched) = fetched else {
                return;
            };
            counts.seed_call(if fetched.is_ok() { "done" } else { "failed" });
            if brain.tell(call.ended(fetched)).await.is_err() {
                tracing::debug!("a call to a seed peer ended after the scheduler");
            }
        });
    }
}

/// A call to a seed peer.
struct SeedCall {
    task: TaskId,
    seed: HostId,
    trigger: TriggerId,
}

impl SeedCall {
    fn failed(self, origin: Option<u16>) -> Event {
        Event::SeedTriggerFailed {
            task: self.task,
            trigger: self.trigger,
            origin,
        }
    }

    fn ended(self, fetched: Result<Option<PeerId>, Failure>) -> Event {
        match fetched {
            Ok(holder) => Event::SeedTriggerEnded {
                task: self.task,
                trigger: self.trigger,
                holder,
            },
            Err(error) => {
                let origin = error.origin();
                tracing::info!(task.id = %self.task, host.id = %self.seed, origin, %error, "a seed peer failed a task");
                self.failed(origin)
            }
        }
    }
}
