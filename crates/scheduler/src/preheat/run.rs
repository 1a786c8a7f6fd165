//! Carrying a plan out: every content on every host it is wanted on, so many at a time.

use super::board::Board;
use super::content::Content;
use super::fetch::Paper;
use super::select::Scope;
use super::{Plan, Preheat};
use dragonfly_api::common::Host;
use dragonfly_api::ext::{Target, TargetState, WorkOutcome};
use dragonfly_model::HostId;
use dragonfly_scheduling::seed_weight;
use futures::StreamExt;
use futures::stream;
use std::cmp::Reverse;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether every target has what was asked for.
    pub(crate) succeeded: bool,
    /// Why not, in a sentence.
    pub(crate) description: String,
}

impl From<Outcome> for WorkOutcome {
    fn from(outcome: Outcome) -> Self {
        Self {
            succeeded: outcome.succeeded,
            description: outcome.description,
            image: None,
        }
    }
}

/// A content on its way to a host.
struct Errand<'a> {
    content: &'a Content,
    host: Arc<Host>,
    paper: Paper<'a>,
}

impl Preheat {
    /// Carries a plan out, until everything is tried, its time is over or `cancel`.
    pub(crate) async fn run(&self, plan: &Plan, board: &Board, cancel: &CancellationToken) -> Outcome {
        let everything = async {
            match plan.selected.scope {
                Scope::SingleSeedPeer => self.by_one_seed_each(plan, board).await,
                Scope::AllSeedPeers | Scope::AllPeers => self.by_all(plan, board).await,
            }
        };
        let in_time = tokio::time::timeout(plan.timeout, everything);
        let cancelled = match cancel.run_until_cancelled(in_time).await {
            Some(Ok(())) => false,
            Some(Err(_)) => {
                let reason = format!("it was not done within {:?}", plan.timeout);
                board.close(TargetState::Failed, &reason);
                false
            }
            None => {
                board.close(TargetState::Cancelled, "it was cancelled");
                true
            }
        };
        let tally = board.tally();
        self.counts.preheated(tally);
        Outcome {
            succeeded: !cancelled && tally.failed == 0,
            description: match cancelled {
                true => "it was cancelled".to_owned(),
                false => board.failures(),
            },
        }
    }

    async fn by_all(&self, plan: &Plan, board: &Board) {
        // All stand on the board before the first begins, so that how much there is to do is known.
        let errands: Vec<Vec<Errand<'_>>> = plan
            .contents
            .iter()
            .map(|content| {
                let errand = |(id, host): &(HostId, Arc<Host>)| Errand {
                    content,
                    host: host.clone(),
                    paper: Paper {
                        board,
                        row: board.add(target(content, id.as_str(), host)),
                    },
                };
                plan.selected.hosts.iter().map(errand).collect()
            })
            .collect();
        let one = async |errand: Errand<'_>| {
            let Errand { content, host, paper } = errand;
            let done = self.on_host(plan, content, &host, paper).await;
            ended(paper, done);
        };
        stream::iter(errands)
            .for_each_concurrent(plan.contents_at_once, |errands| {
                stream::iter(errands).for_each_concurrent(plan.hosts_at_once, one)
            })
            .await;
    }

    async fn by_one_seed_each(&self, plan: &Plan, board: &Board) {
        let errands: Vec<(&Content, Vec<Arc<Host>>, Paper<'_>)> = plan
            .contents
            .iter()
            .map(|content| {
                let seeds = in_their_order(content, &plan.selected.hosts);
                // Which seed peer has it in the end is no part of what is wanted, so the target names none by id.
                let row = board.add(target(content, "", &seeds[0]));
                (content, seeds, Paper { board, row })
            })
            .collect();
        let one = async |(content, seeds, paper): (&Content, Vec<Arc<Host>>, Paper<'_>)| {
            let done = self.by_first_able(plan, content, &seeds, paper).await;
            ended(paper, done);
        };
        stream::iter(errands)
            .for_each_concurrent(plan.contents_at_once, one)
            .await;
    }

    /// The next seed peer is asked when one fails. The error is why each did.
    async fn by_first_able(
        &self,
        plan: &Plan,
        content: &Content,
        seeds: &[Arc<Host>],
        paper: Paper<'_>,
    ) -> Result<(), String> {
        let mut reasons = Vec::new();
        for seed in seeds {
            paper.board.update(paper.row, |target| {
                target.hostname.clone_from(&seed.hostname);
                target.ip.clone_from(&seed.ip);
            });
            match self.on_host(plan, content, seed, paper).await {
                Ok(()) => return Ok(()),
                Err(reason) => {
                    tracing::info!(host.id = seed.id, task.id = %content.likely_id(), reason, "a seed peer failed a preheat");
                    reasons.push(format!("{}: {reason}", seed.hostname));
                }
            }
        }
        Err(reasons.join("; "))
    }
}

fn ended(paper: Paper<'_>, done: Result<(), String>) {
    match done {
        Ok(()) => {
            paper.board.update(paper.row, |target| {
                if let Some(length) = target.content_length {
                    target.finished_length = length;
                }
            });
            paper.board.ended(paper.row, TargetState::Done, "");
        }
        Err(reason) => paper.board.ended(paper.row, TargetState::Failed, &reason),
    }
}

/// Seed peers as the scheduling asks them for a task: the one that is meant for it most first.
fn in_their_order(content: &Content, seeds: &[(HostId, Arc<Host>)]) -> Vec<Arc<Host>> {
    let mut seeds: Vec<&(HostId, Arc<Host>)> = seeds.iter().collect();
    seeds.sort_by_key(|(id, _)| Reverse(seed_weight(content.likely_id(), id)));
    seeds.into_iter().map(|(_, host)| host.clone()).collect()
}

pub(super) fn target(content: &Content, host_id: &str, host: &Host) -> Target {
    Target {
        url: content.url.to_string(),
        task_id: content.likely_id().to_string(),
        host_id: host_id.to_owned(),
        hostname: host.hostname.clone(),
        ip: host.ip.clone(),
        content_length: content.length,
        ..Target::default()
    }
}
