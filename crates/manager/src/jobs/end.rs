//! How jobs end: by themselves when all their works have, or because somebody or the time says so. With the end the job
//! forgets its secrets.

use super::report::{Ending, end};
use super::works::MAX_ATTEMPTS;
use super::{Jobs, WHAT, head, open_words, state_of, targets};
use crate::error::{Error, row_id, wire_id};
use crate::rows;
use crate::store::entity::{attendance, job, job_work, scheduler, scheduler_cluster};
use crate::store::{Json, Time};
use dragonfly_api::rest::{FEATURE_PREHEAT, JobState, TargetState};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use std::time::Duration;

/// Rows that one round looks at.
const BATCH: u64 = 200;
/// A scheduler that was seen within this time attends.
const ATTENDS: Duration = Duration::from_secs(60);

impl Jobs {
    /// Gives up a job that has not ended.
    pub(crate) async fn cancel(&self, id: u64, by: &str, now: Time) -> Result<(), Error> {
        let given_up = self
            .give_up(row_id(id), &format!("cancelled by {by}"), None, now)
            .await?;
        match given_up {
            true => Ok(()),
            false => {
                let job = rows::get::<job::Entity>(self.store.db(), WHAT, id).await?;
                Err(Error::Conflict(format!(
                    "job {id} has ended already, with {}",
                    job.state
                )))
            }
        }
    }

    /// Removes a job, which is given up before.
    pub(crate) async fn delete(&self, id: u64, by: &str, now: Time) -> Result<(), Error> {
        self.give_up(row_id(id), &format!("removed by {by}"), None, now).await?;
        rows::delete::<job::Entity>(self.store.db(), WHAT, id).await?;
        self.woken();
        Ok(())
    }

    /// Ends a job whose works all have.
    pub(super) async fn end_if_all_works_have(&self, id: i64, now: Time) -> Result<(), Error> {
        let transaction = self.store.write().await?;
        let job = job::Entity::find_by_id(id).lock_exclusive().one(&transaction).await?;
        let Some(job) = job.filter(|job| !state_of(&job.state).has_ended()) else {
            return Ok(());
        };
        let works = job_work::Entity::find().filter(job_work::Column::JobId.eq(id));
        let open = works.clone().filter(job_work::Column::State.is_in(open_words()));
        if open.count(&transaction).await? > 0 {
            return Ok(());
        }
        let failed = works.filter(job_work::Column::State.ne(JobState::Success.as_str()));
        let state = match failed.count(&transaction).await? {
            0 => JobState::Success,
            _ => JobState::Failure,
        };
        close(&transaction, id, (state, ""), now).await?;
        transaction.commit().await?;
        self.woken();
        tracing::info!(job.id = job.id, job.type = job.r#type, state = state.as_str(), "a job ended");
        Ok(())
    }

    /// Ends a job with all its works, if it has not ended; `reasons` has another reason for each work. Whether it did.
    async fn give_up(
        &self,
        id: i64,
        reason: &str,
        reasons: Option<&[(i64, String)]>,
        now: Time,
    ) -> Result<bool, Error> {
        let transaction = self.store.write().await?;
        let job = job::Entity::find_by_id(id).lock_exclusive().one(&transaction).await?;
        let job = job.ok_or_else(|| Error::no(WHAT, wire_id(id)))?;
        if state_of(&job.state).has_ended() {
            return Ok(false);
        }
        let works = job_work::Entity::find()
            .filter(job_work::Column::JobId.eq(id))
            .filter(job_work::Column::State.is_in(open_words()))
            .order_by_asc(job_work::Column::Id)
            .lock_exclusive()
            .all(&transaction)
            .await?;
        let (state, open) = match reasons {
            Some(_) => (TargetState::Failed, reason),
            None => (TargetState::Cancelled, reason),
        };
        targets::close(&transaction, works.iter().map(|work| work.id), state, open, now).await?;
        for work in &works {
            let own = reasons.and_then(|reasons| reasons.iter().find(|(id, _)| *id == work.id));
            let ending = Ending {
                error: own.map_or(reason, |(_, reason)| reason).to_owned(),
                ..Ending::default()
            };
            end(&transaction, work.id, ending, now).await?;
        }
        close(&transaction, id, (JobState::Failure, reason), now).await?;
        transaction.commit().await?;
        self.woken();
        tracing::info!(job.id = id, job.type = job.r#type, reason, "a job was given up");
        Ok(true)
    }

    /// Ends what has no time left, and works that nobody will do.
    pub(super) async fn end_overdue(&self, now: Time) -> Result<(), Error> {
        let late = job::Entity::find()
            .filter(job::Column::State.eq(JobState::Pending.as_str()))
            .filter(job::Column::Deadline.lte(now))
            .order_by_asc(job::Column::Deadline)
            .limit(BATCH)
            .all(self.store.db())
            .await?;
        for job in late {
            let reasons = self.why_late(&job, now).await?;
            let seconds = job.timeout_ms / 1000;
            let reason = format!("not done within {seconds} s");
            match self.give_up(job.id, &reason, Some(&reasons), now).await {
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.fail_abandoned(now).await?;
        self.mark_lost(now).await
    }

    async fn why_late(&self, job: &job::Model, now: Time) -> Result<Vec<(i64, String)>, DbErr> {
        let seconds = job.timeout_ms / 1000;
        let works = job_work::Entity::find()
            .filter(job_work::Column::JobId.eq(job.id))
            .filter(job_work::Column::State.is_in(open_words()))
            .all(self.store.db())
            .await?;
        let mut reasons = Vec::new();
        for work in works {
            let cluster = work.scheduler_cluster_id;
            let reason = if state_of(&work.state) == JobState::Started {
                format!("cluster {cluster} was not ready with it within {seconds} s")
            } else if attended(self.store.db(), cluster, now).await? {
                let unproved = match job.sealed {
                    Some(_) => {
                        ", or have not proved that they may be told its secrets; give them certificates of the manager's \
                         CA, or set server.grpc.tellSecretsTo in manager.yaml"
                    }
                    None => "",
                };
                format!("the schedulers of cluster {cluster} were busy with other works for {seconds} s{unproved}")
            } else {
                format!(
                    "cluster {cluster} had no active scheduler with the feature {FEATURE_PREHEAT} within {seconds} s; \
                     start one, and see with dfctl scheduler ls whether it is alive"
                )
            };
            reasons.push((work.id, reason));
        }
        Ok(reasons)
    }

    /// Works that were lost too often, and those of clusters that are gone.
    async fn fail_abandoned(&self, now: Time) -> Result<(), Error> {
        let open = || job_work::Entity::find().filter(job_work::Column::State.is_in(open_words()));
        let lost = open()
            .filter(job_work::Column::FreeAt.lte(now))
            .filter(job_work::Column::Attempts.gte(MAX_ATTEMPTS))
            .limit(BATCH)
            .all(self.store.db())
            .await?;
        for work in lost {
            let reason = format!("its schedulers were lost {} times while they had it", work.attempts);
            self.fail_work(&work, &reason, now).await?;
        }
        let clusters: Vec<i64> = scheduler_cluster::Entity::find()
            .select_only()
            .column(scheduler_cluster::Column::Id)
            .into_tuple()
            .all(self.store.db())
            .await?;
        let gone = open()
            .filter(job_work::Column::SchedulerClusterId.is_not_in(clusters))
            .filter(job_work::Column::SchedulerClusterId.ne(super::MANAGER))
            .limit(BATCH)
            .all(self.store.db())
            .await?;
        for work in gone {
            let reason = format!("cluster {} was removed", work.scheduler_cluster_id);
            self.fail_work(&work, &reason, now).await?;
        }
        Ok(())
    }

    /// Says of works whose lease has run out that they wait for another.
    async fn mark_lost(&self, now: Time) -> Result<(), Error> {
        let lost = job_work::Entity::update_many()
            .col_expr(job_work::Column::State, Expr::value(JobState::Retry.as_str()))
            .filter(job_work::Column::State.eq(JobState::Started.as_str()))
            .filter(job_work::Column::FreeAt.lte(now))
            .exec(self.store.db())
            .await?;
        if lost.rows_affected > 0 {
            tracing::warn!(
                works = lost.rows_affected,
                "schedulers were lost with works; others may have them"
            );
            self.woken();
        }
        Ok(())
    }
}

/// The end of a job whose row is locked.
async fn close(
    transaction: &DatabaseTransaction,
    id: i64,
    (state, error): (JobState, &str),
    now: Time,
) -> Result<(), DbErr> {
    job::Entity::update_many()
        .col_expr(job::Column::State, Expr::value(state.as_str()))
        .col_expr(job::Column::Error, Expr::value(head(error)))
        .col_expr(job::Column::Sealed, Expr::value(None::<Json<String>>))
        .col_expr(job::Column::EndedAt, Expr::value(Some(now)))
        .col_expr(job::Column::UpdatedAt, Expr::value(now))
        .filter(job::Column::Id.eq(id))
        .exec(transaction)
        .await?;
    Ok(())
}

/// Whether some scheduler of a cluster takes works.
async fn attended(db: &impl ConnectionTrait, cluster: i64, now: Time) -> Result<bool, DbErr> {
    let seen: Vec<i64> = attendance::Entity::find()
        .select_only()
        .column(attendance::Column::SchedulerId)
        .filter(attendance::Column::SeenAt.gt(now.minus(ATTENDS)))
        .into_tuple()
        .all(db)
        .await?;
    let schedulers = scheduler::Entity::find()
        .filter(scheduler::Column::SchedulerClusterId.eq(cluster))
        .filter(scheduler::Column::Id.is_in(seen))
        .all(db)
        .await?;
    let preheats = |scheduler: &scheduler::Model| scheduler.features.0.iter().any(|feature| feature == FEATURE_PREHEAT);
    Ok(schedulers.iter().any(preheats))
}
