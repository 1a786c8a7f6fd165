//! Jobs: what schedulers are to do, each for its cluster, and what came of it.
//!
//! A job has a *work* for each of its clusters, and a work has a *target* for each content on each host. All of it is rows.
//! A work is handed to one scheduler at a time, under a numbered lease that each report extends; a lease that has run out is
//! anybody's. So a scheduler or a manager that dies loses nothing, and nothing is done by a manager alone: whichever the
//! scheduler attends hands out what any of them was asked for.
//!
//! Invariants: a job succeeds only if every target of every cluster has what was asked for; a job that has ended holds no
//! secrets; a report under an older lease changes nothing; nothing is handed out without end.

mod again;
mod ask;
mod create;
mod end;
mod keeper;
mod order;
mod rate;
mod report;
mod seat;
mod targets;
mod view;
mod works;

pub(crate) use keeper::Keeper;
pub(crate) use report::Heard;
pub(crate) use seat::Seat;

use crate::clusters::Clusters;
use crate::error::Error;
use crate::rows;
use crate::seal::{Purpose, Sealer};
use crate::store::entity::{job, user};
use crate::store::{Store, Time};
use crate::wake::{Topic, Wake};
use dragonfly_api::rest::{Check, JobState, JobType, UpdateJob};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, DbErr, IntoActiveModel};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What jobs are called in errors.
const WHAT: &str = "job";
/// The cluster whose works the manager does itself.
const MANAGER: i64 = 0;
/// Characters of a reason that are kept.
const MAX_REASON_CHARS: usize = 1000;

/// All that can be asked about jobs. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Jobs {
    store: Store,
    clusters: Clusters,
    wake: Wake,
    sealer: Arc<Sealer>,
    /// How long a scheduler may be silent about a work.
    lease: Duration,
}

impl Jobs {
    /// With the key in the database.
    pub(crate) async fn new(store: &Store, clusters: Clusters, wake: Wake, lease: Duration) -> Result<Self, DbErr> {
        let sealer = Arc::new(Sealer::of(store, Purpose::Jobs, Time::now()).await?);
        Ok(Self {
            store: store.clone(),
            clusters,
            wake,
            sealer,
            lease,
        })
    }

    /// Changes whenever something is there to be done, or to be left.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.wake.listen(Topic::Jobs)
    }

    /// Changes what `update` names and leaves the rest.
    pub(crate) async fn update(&self, id: u64, update: UpdateJob, now: Time) -> Result<(), Error> {
        update.checked()?;
        let transaction = self.store.write().await?;
        let mut row = rows::locked::<job::Entity>(&transaction, WHAT, id)
            .await?
            .into_active_model();
        if let Some(bio) = update.bio {
            row.bio = Set(bio);
        }
        if let Some(user) = update.user_id.filter(|user| *user != 0) {
            row.user_id = Set(rows::get::<user::Entity>(&transaction, "user", user).await?.id);
        }
        row.updated_at = Set(now);
        row.update(&transaction).await?;
        transaction.commit().await?;
        Ok(())
    }

    fn woken(&self) {
        self.wake.changed(Topic::Jobs);
    }
}

/// States of works that have not ended.
const OPEN: [JobState; 3] = [JobState::Pending, JobState::Started, JobState::Retry];

fn open_words() -> [&'static str; 3] {
    OPEN.map(JobState::as_str)
}

/// A state from the database, whose writers had a [`JobState`].
fn state_of(word: &str) -> JobState {
    let all = [
        JobState::Started,
        JobState::Retry,
        JobState::Success,
        JobState::Failure,
        JobState::Received,
    ];
    let found = all.into_iter().find(|state| state.as_str() == word);
    found.unwrap_or(JobState::Pending)
}

/// A type from the database, whose writers had a [`JobType`].
fn type_of(word: &str) -> JobType {
    let found = JobType::ALL.into_iter().find(|kind| kind.as_str() == word);
    found.unwrap_or(JobType::Preheat)
}

fn head(text: &str) -> String {
    text.chars().take(MAX_REASON_CHARS).collect()
}
