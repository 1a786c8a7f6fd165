//! The manager's works: carried out, reported on, and kept until the manager has no more need of them.
//!
//! A work that comes again under a newer lease, because the manager did not hear of it for a while, goes on where it is.

use super::{Words, say};
use crate::kept::{Keeper, Keeping, Key};
use crate::preheat::{Asker, Board, Error, Order, Preheat, Query};
use dragonfly_api::ext::attend_request::Message as Word;
use dragonfly_api::ext::work::Task;
use dragonfly_api::ext::{Target, TargetState, Work, WorkOutcome, WorkReport, task_query};
use dragonfly_model::TaskId;
use dragonfly_service::Workers;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Works that are carried out at a time; others wait, and are reported on meanwhile.
const MAX_RUNNING: usize = 16;
/// Works that are known at a time, those included whose end the manager has not acknowledged. One more and the oldest that
/// has ended goes; if none has, the new one has failed.
const MAX_KNOWN: usize = 256;
/// How often each work is reported on. The end of one is reported at once.
const REPORT_EVERY: Duration = Duration::from_secs(2);
/// Targets in one message.
const PART: usize = 1000;

/// The works of this scheduler. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Works(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    preheat: Preheat,
    keeper: Keeper,
    workers: Workers,
    known: Mutex<BTreeMap<u64, Entry>>,
    places: Semaphore,
    /// Woken when a work has ended.
    ended: Notify,
}

#[derive(Debug)]
struct Entry {
    lease: u64,
    board: Arc<Board>,
    cancel: CancellationToken,
    outcome: Option<WorkOutcome>,
    /// Whether the outcome was said on the stream that is open.
    told: bool,
}

impl Works {
    pub(crate) fn new(preheat: Preheat, keeper: Keeper, workers: Workers) -> Self {
        Self(Arc::new(Inner {
            preheat,
            keeper,
            workers,
            known: Mutex::default(),
            places: Semaphore::new(MAX_RUNNING),
            ended: Notify::new(),
        }))
    }

    /// Takes a work on, or its new lease.
    pub(super) fn take(&self, work: Work) {
        let id = work.id;
        let mut known = self.known();
        if let Some(entry) = known.get_mut(&id) {
            if work.lease >= entry.lease {
                entry.lease = work.lease;
                entry.told = false;
                entry.board.tell_all_again();
                self.0.ended.notify_one();
            }
            return;
        }
        if known.len() >= MAX_KNOWN {
            let oldest = known
                .iter()
                .find(|(_, entry)| entry.outcome.is_some())
                .map(|(id, _)| *id);
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        let mut entry = Entry {
            lease: work.lease,
            board: Arc::default(),
            cancel: self.0.workers.cancel_token().child_token(),
            outcome: None,
            told: false,
        };
        if known.len() >= MAX_KNOWN {
            entry.outcome = Some(failed(format!("the scheduler has {MAX_KNOWN} works already")));
            known.insert(id, entry);
            self.0.ended.notify_one();
            return;
        }
        let (board, cancel) = (entry.board.clone(), entry.cancel.clone());
        known.insert(id, entry);
        drop(known);
        tracing::info!(work.id = id, work.lease = work.lease, "took a work of the manager");
        let works = self.clone();
        self.0.workers.spawn("work of the manager", async move {
            // Nobody needs the work any more, or this scheduler stops and another takes it over: that is no outcome.
            if let Some(outcome) = works.carry_out(work, &board, &cancel).await {
                works.has_ended(id, outcome);
            }
        });
    }

    /// The manager has no more need of a work.
    pub(super) fn leave(&self, id: u64, lease: u64) {
        let mut known = self.known();
        if known.get(&id).is_some_and(|entry| entry.lease <= lease)
            && let Some(entry) = known.remove(&id)
        {
            tracing::debug!(work.id = id, "the manager has no more need of a work");
            entry.cancel.cancel();
        }
    }

    /// A new stream: the manager may not have heard the end of the last one.
    pub(super) fn tell_all_again(&self) {
        for entry in self.known().values_mut() {
            entry.told = false;
            entry.board.tell_all_again();
        }
    }

    /// Reports until the stream breaks.
    pub(super) async fn report(&self, words: &Words) -> Result<Infallible, Status> {
        let mut ticks = tokio::time::interval(REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.0.ended.notified() => {}
            }
            let ids: Vec<u64> = self.known().keys().copied().collect();
            for id in ids {
                while let Some((report, more)) = self.next_report(id) {
                    say(words, Word::Work(report)).await?;
                    if !more {
                        break;
                    }
                }
            }
        }
    }

    /// What is to be said of a work, and whether there is more. Nothing, if its outcome was said.
    fn next_report(&self, id: u64) -> Option<(WorkReport, bool)> {
        let mut known = self.known();
        let entry = known.get_mut(&id).filter(|entry| !entry.told)?;
        let targets = entry.board.take_changes(PART);
        let more = targets.len() == PART;
        let outcome = entry.outcome.clone().filter(|_| !more);
        entry.told = outcome.is_some();
        let report = WorkReport {
            id,
            lease: entry.lease,
            targets,
            outcome,
        };
        Some((report, more))
    }

    fn has_ended(&self, id: u64, outcome: WorkOutcome) {
        let (succeeded, reason) = (outcome.succeeded, &outcome.description);
        tracing::info!(work.id = id, succeeded, reason, "a work of the manager has ended");
        if let Some(entry) = self.known().get_mut(&id) {
            entry.outcome = Some(outcome);
        }
        self.0.ended.notify_one();
    }

    /// Nothing, if it was cancelled.
    async fn carry_out(&self, work: Work, board: &Board, cancel: &CancellationToken) -> Option<WorkOutcome> {
        let doing = async {
            let _place = self.0.places.acquire().await.expect("the semaphore is never closed");
            self.do_it(work, board, cancel).await
        };
        let done = cancel.run_until_cancelled(doing).await?;
        let outcome = done.unwrap_or_else(|error| failed(error.told()));
        (!cancel.is_cancelled()).then_some(outcome)
    }

    async fn do_it(&self, work: Work, board: &Board, cancel: &CancellationToken) -> Result<WorkOutcome, Error> {
        let preheat = &self.0.preheat;
        let timeout = work.timeout;
        let order = match work.task.ok_or(dragonfly_api::Invalid::Missing("task"))? {
            Task::PreheatImage(request) => Order::image(request, Asker::Manager)?,
            Task::PreheatFiles(files) => Order::files(files.files, Asker::Manager)?,
            Task::StatImage(mut request) => {
                request.timeout = timeout.or(request.timeout);
                return Ok(WorkOutcome {
                    succeeded: true,
                    image: Some(preheat.stat_image(request, Asker::Manager).await?),
                    ..WorkOutcome::default()
                });
            }
            Task::GetTask(query) => {
                let query = Query::get(query)?.within(timeout)?;
                return Ok(preheat.query(&query, board, cancel).await.into());
            }
            Task::DeleteTask(query) => {
                if let Some(task_query::Task::TaskId(id)) = &query.task {
                    self.drop_kept(id, board).await;
                }
                let query = Query::delete(query)?.within(timeout)?;
                return Ok(preheat.query(&query, board, cancel).await.into());
            }
        };
        let plan = preheat.plan(order.within(timeout)?).await?;
        Ok(preheat.run(&plan, board, cancel).await.into())
    }

    /// The task may be one that is kept, under either policy.
    async fn drop_kept(&self, id: &str, board: &Board) {
        let Ok(id) = TaskId::parse(id) else {
            return;
        };
        for keeping in [Keeping::Persistent, Keeping::PersistentCache] {
            let key = Key {
                keeping,
                id: id.clone(),
            };
            for (host, told) in self.0.keeper.drop(&key).await.unwrap_or_default() {
                let (state, description) = match told {
                    Ok(()) => (TargetState::Done, String::new()),
                    Err(failure) => (TargetState::Failed, failure.to_string()),
                };
                board.add(Target {
                    task_id: id.to_string(),
                    host_id: host.id.clone(),
                    hostname: host.hostname.clone(),
                    ip: host.ip.clone(),
                    state: state.into(),
                    description,
                    ..Target::default()
                });
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(description: String) -> WorkOutcome {
    WorkOutcome {
        succeeded: false,
        description,
        image: None,
    }
}
