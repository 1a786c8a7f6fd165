//! Handing works out: the oldest that is free goes to who asks, under the next lease. Whoever of several that ask at the same
//! time changes the row has it.

use super::ask::Args;
use super::{Jobs, Seat, open_words, order, state_of, type_of};
use crate::error::{Error, wire_id};
use crate::members;
use crate::store::entity::{job, job_target, job_work, scheduler};
use crate::store::{Json, Time};
use dragonfly_api::rest::{FEATURE_PREHEAT, JobState, TargetState};
use dragonfly_api::{duration, ext};
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use std::time::Duration;

/// Works that a scheduler has at a time.
const MAX_HELD: u64 = 8;
/// How often a work is handed out before it has failed.
pub(super) const MAX_ATTEMPTS: i32 = 5;
/// How often one that others were faster with is tried for.
const MAX_TRIES: usize = 8;

impl Jobs {
    /// The next work for a scheduler, if there is one and the scheduler may have more.
    pub(crate) async fn next(&self, seat: Seat, now: Time) -> Result<Option<ext::Work>, Error> {
        let scheduler = members::get::<scheduler::Entity>(self.store.db(), wire_id(seat.scheduler)).await?;
        let preheats = scheduler.features.0.iter().any(|feature| feature == FEATURE_PREHEAT);
        if !preheats || self.held(seat, now).await? >= MAX_HELD {
            return Ok(None);
        }
        for _ in 0..MAX_TRIES {
            let Some(work) = self.take(seat.cluster, Some(seat), now).await? else {
                return Ok(None);
            };
            if let Some(order) = self.order(&work, now).await? {
                tracing::info!(
                    job.id = work.job_id,
                    work.id = work.id,
                    lease = work.lease,
                    scheduler.id = seat.scheduler,
                    "handed out a work"
                );
                return Ok(Some(order));
            }
        }
        Ok(None)
    }

    /// Those of these works that a scheduler has to leave: the leases that are not its any more.
    pub(crate) async fn lost(&self, held: impl IntoIterator<Item = (u64, u64)>) -> Result<Vec<(u64, u64)>, Error> {
        let held: Vec<(u64, u64)> = held.into_iter().collect();
        let ids = held.iter().map(|(id, _)| crate::error::row_id(*id));
        let rows = job_work::Entity::find()
            .filter(job_work::Column::Id.is_in(ids))
            .all(self.store.db())
            .await?;
        let is_its = |(id, lease): &(u64, u64)| {
            rows.iter()
                .any(|row| wire_id(row.id) == *id && wire_id(row.lease) == *lease && !state_of(&row.state).has_ended())
        };
        Ok(held.into_iter().filter(|held| !is_its(held)).collect())
    }

    /// How many works a scheduler has, whichever manager gave them.
    async fn held(&self, seat: Seat, now: Time) -> Result<u64, DbErr> {
        job_work::Entity::find()
            .filter(job_work::Column::SchedulerClusterId.eq(seat.cluster))
            .filter(job_work::Column::State.eq(JobState::Started.as_str()))
            .filter(job_work::Column::FreeAt.gt(now))
            .filter(job_work::Column::HolderId.eq(seat.scheduler))
            .count(self.store.db())
            .await
    }

    /// Takes the oldest work of a cluster that nobody has, and that the holder may know.
    pub(super) async fn take(
        &self,
        cluster: i64,
        holder: Option<Seat>,
        now: Time,
    ) -> Result<Option<job_work::Model>, Error> {
        for _ in 0..MAX_TRIES {
            let mut free = job_work::Entity::find();
            if holder.is_some_and(|seat| !seat.may_know) {
                free = free.filter(job_work::Column::JobId.not_in_subquery(with_secrets()));
            }
            let free = free
                .filter(job_work::Column::SchedulerClusterId.eq(cluster))
                .filter(job_work::Column::State.is_in(open_words()))
                .filter(job_work::Column::FreeAt.lte(now))
                .filter(job_work::Column::Attempts.lt(MAX_ATTEMPTS))
                .order_by_asc(job_work::Column::Id)
                .limit(1)
                .one(self.store.db())
                .await?;
            let Some(mut work) = free else {
                return Ok(None);
            };
            if self.lease_out(&work, holder.map(|seat| seat.scheduler), now).await? {
                work.lease += 1;
                return Ok(Some(work));
            }
        }
        Ok(None)
    }

    /// Gives a work the next lease, unless somebody was faster. What an earlier one left half done is forgotten.
    async fn lease_out(&self, work: &job_work::Model, holder: Option<i64>, now: Time) -> Result<bool, DbErr> {
        let transaction = self.store.write().await?;
        let taken = job_work::Entity::update_many()
            .col_expr(job_work::Column::State, Expr::value(JobState::Started.as_str()))
            .col_expr(job_work::Column::Lease, Expr::value(work.lease + 1))
            .col_expr(job_work::Column::HolderId, Expr::value(holder))
            .col_expr(job_work::Column::FreeAt, Expr::value(now.plus(self.lease)))
            .col_expr(job_work::Column::Attempts, Expr::col(job_work::Column::Attempts).add(1))
            .col_expr(job_work::Column::UpdatedAt, Expr::value(now))
            .filter(job_work::Column::Id.eq(work.id))
            .filter(job_work::Column::Lease.eq(work.lease))
            .filter(job_work::Column::State.is_in(open_words()))
            .filter(job_work::Column::FreeAt.lte(now))
            .exec(&transaction)
            .await?;
        if taken.rows_affected == 0 {
            return Ok(false);
        }
        if work.targets > 0 {
            let forgotten = job_target::Entity::delete_many()
                .filter(job_target::Column::WorkId.eq(work.id))
                .filter(job_target::Column::State.ne(TargetState::Done.as_str()))
                .exec(&transaction)
                .await?;
            let left = work.targets - i64::try_from(forgotten.rows_affected).unwrap_or(work.targets);
            job_work::Entity::update_many()
                .col_expr(job_work::Column::Targets, Expr::value(left))
                .filter(job_work::Column::Id.eq(work.id))
                .exec(&transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// What the scheduler is told; nothing if it is not wanted any more, or can't be said.
    async fn order(&self, work: &job_work::Model, now: Time) -> Result<Option<ext::Work>, Error> {
        let Some(job) = job::Entity::find_by_id(work.job_id).one(self.store.db()).await? else {
            return Ok(None);
        };
        let left = u64::try_from(job.deadline.0 - now.0).unwrap_or(0);
        let timeout = Duration::from_millis(Ord::max(left, 1));
        let only = work.only.as_ref().map(|only| &only.0);
        let task = self.args(&job).and_then(|args| order::task(args, only, timeout));
        if task.is_none() {
            let reason = "its arguments can't be read; were its secrets sealed with a key that the database has lost?";
            self.fail_work(work, reason, now).await?;
            return Ok(None);
        }
        Ok(Some(ext::Work {
            id: wire_id(work.id),
            lease: wire_id(work.lease),
            timeout: Some(duration(timeout)),
            task,
        }))
    }

    /// A job's arguments with their secrets.
    pub(super) fn args(&self, job: &job::Model) -> Option<Args> {
        let value = match &job.sealed {
            Some(Json(sealed)) => serde_json::from_str(&self.sealer.open(&job.group_uuid, sealed)?).ok()?,
            None => job.args.0.clone(),
        };
        Args::kept(type_of(&job.r#type), value).ok()
    }
}

/// The ids of jobs that hold secrets. They forget them when they end.
fn with_secrets() -> SelectStatement {
    Query::select()
        .column(job::Column::Id)
        .from(job::Entity)
        .and_where(job::Column::Sealed.is_not_null())
        .to_owned()
}
