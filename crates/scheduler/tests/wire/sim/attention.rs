//! The manager's side of a stream over which a scheduler attends.

use super::soon;
use dragonfly_api::ext::attend_request::Message as Word;
use dragonfly_api::ext::attend_response::Message as Call;
use dragonfly_api::ext::work::Task;
use dragonfly_api::ext::*;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

/// One stream.
pub(crate) struct Attention {
    words: Streaming<AttendRequest>,
    calls: mpsc::Sender<Result<AttendResponse, Status>>,
    /// What was reported of targets, by work, lease and host name.
    targets: BTreeMap<(u64, u64, String), Target>,
}

/// What was reported of a work until its outcome: its targets by host name, and the outcome.
pub(crate) struct Reported {
    pub(crate) targets: BTreeMap<String, Target>,
    pub(crate) outcome: WorkOutcome,
}

impl Attention {
    /// A stream, and what the scheduler is to be told over it.
    pub(crate) fn new(words: Streaming<AttendRequest>) -> (Self, mpsc::Receiver<Result<AttendResponse, Status>>) {
        let (calls, queue) = mpsc::channel(16);
        let attention = Self {
            words,
            calls,
            targets: BTreeMap::new(),
        };
        (attention, queue)
    }

    /// The next word.
    pub(crate) async fn word(&mut self) -> Word {
        let word = soon("a word of the scheduler", self.words.message()).await;
        word.unwrap().unwrap().message.unwrap()
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        match self.word().await {
            Word::Hello(hello) => hello,
            other => panic!("{other:?}"),
        }
    }

    /// The next word on hosts.
    pub(crate) async fn hosts(&mut self) -> HostsReport {
        loop {
            if let Word::Hosts(hosts) = self.word().await {
                return hosts;
            }
        }
    }

    /// The next word on kept tasks.
    pub(crate) async fn kept(&mut self) -> KeptTasksReport {
        loop {
            if let Word::KeptTasks(kept) = self.word().await {
                return kept;
            }
        }
    }

    /// The next word on works.
    pub(crate) async fn report(&mut self) -> WorkReport {
        loop {
            if let Word::Work(report) = self.word().await {
                for target in &report.targets {
                    let key = (report.id, report.lease, target.hostname.clone());
                    self.targets.insert(key, target.clone());
                }
                return report;
            }
        }
    }

    pub(crate) async fn hand_out(&self, id: u64, lease: u64, task: Task) {
        self.say(Call::Work(Work {
            id,
            lease,
            timeout: Some(dragonfly_api::duration(Duration::from_secs(600))),
            task: Some(task),
        }))
        .await;
    }

    pub(crate) async fn need_no_more(&self, id: u64, lease: u64) {
        self.say(Call::Cancelled(WorkCancelled { id, lease })).await;
    }

    async fn say(&self, call: Call) {
        let message = Some(call);
        self.calls.send(Ok(AttendResponse { message })).await.unwrap();
    }

    /// Listens until a work has ended.
    pub(crate) async fn outcome(&mut self, id: u64, lease: u64) -> Reported {
        loop {
            let report = self.report().await;
            if let Some(outcome) = report.outcome.filter(|_| (report.id, report.lease) == (id, lease)) {
                let its = self
                    .targets
                    .iter()
                    .filter(|((of, under, _), _)| (*of, *under) == (id, lease));
                let targets = its
                    .map(|((_, _, host), target)| (host.clone(), target.clone()))
                    .collect();
                return Reported { targets, outcome };
            }
        }
    }
}
