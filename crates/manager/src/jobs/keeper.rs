//! The manager's own part: ends what is overdue, and does the works that are no scheduler's. Every manager of a database does
//! it; whoever is first changes the row.

use super::ask::Args;
use super::report::Ending;
use super::{Jobs, MANAGER};
use crate::error::Error;
use crate::retention::Retention;
use crate::rows;
use crate::store::Time;
use crate::store::entity::job;
use dragonfly_service::chain;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Looks after jobs.
#[derive(Debug)]
pub(crate) struct Keeper {
    jobs: Jobs,
    retention: Retention,
    /// Between two rounds that nothing else causes.
    period: Duration,
}

impl Keeper {
    pub(crate) fn new(jobs: Jobs, retention: Retention, period: Duration) -> Self {
        Self {
            jobs,
            retention,
            period,
        }
    }

    /// Goes on until `cancel`.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        let mut changes = self.jobs.changes();
        let rounds = async {
            loop {
                changes.mark_unchanged();
                if let Err(error) = self.round().await {
                    tracing::warn!(error = %chain(&error), "jobs were not looked after; the next round does it");
                }
                // A change or the time, whichever is first; the other end of the channel is in `self`.
                tokio::time::timeout(self.period, changes.changed()).await.ok();
            }
        };
        cancel.run_until_cancelled(rounds).await;
    }

    async fn round(&self) -> Result<(), Error> {
        self.jobs.end_overdue(Time::now()).await?;
        while let Some(work) = self.jobs.take(MANAGER, None, Time::now()).await? {
            let job = rows::get::<job::Entity>(self.jobs.store.db(), super::WHAT, crate::error::wire_id(work.job_id));
            let ending = match self.jobs.args(&job.await?) {
                Some(Args::Gc(args)) => match self.retention.remove(args.r#type, Time::now()).await {
                    Ok(_) => Ending {
                        succeeded: true,
                        ..Ending::default()
                    },
                    Err(Error::Unavailable(reason)) => return Err(Error::Unavailable(reason)),
                    Err(error) => Ending {
                        error: error.to_string(),
                        ..Ending::default()
                    },
                },
                _ => Ending {
                    error: "the manager does not know what it should do".into(),
                    ..Ending::default()
                },
            };
            self.jobs.end_own(&work, ending, Time::now()).await?;
        }
        Ok(())
    }
}
