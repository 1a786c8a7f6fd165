//! Trying again what has failed, and no more.

use super::ask::Ask;
use super::{Jobs, WHAT, state_of, type_of};
use crate::error::Error;
use crate::rows;
use crate::store::entity::{job, job_work};
use crate::store::{Json, Time};
use dragonfly_api::rest::{JobState, RetryJob};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

impl Jobs {
    /// Has the failed works of a job that has failed done again, for the targets that failed. It has its whole time anew.
    pub(crate) async fn retry(&self, id: u64, retry: RetryJob, now: Time) -> Result<(), Error> {
        let transaction = self.store.write().await?;
        let job = rows::locked::<job::Entity>(&transaction, WHAT, id).await?;
        if state_of(&job.state) != JobState::Failure {
            return Err(Error::Conflict(format!(
                "job {id} is {}; only what has failed is tried again",
                job.state
            )));
        }
        let kind = type_of(&job.r#type);
        let ask = Ask::again(kind, job.args.0.clone(), &job.forgotten.0, retry)?;
        let sealed = ask.whole.map(|whole| Json(self.sealer.seal(&job.group_uuid, &whole)));
        let deadline = now.plus(ask.timeout);
        let mut row = job.into_active_model();
        row.state = Set(JobState::Pending.as_str().to_owned());
        row.args = Set(Json(ask.shown));
        row.sealed = Set(sealed);
        row.forgotten = Set(Json(ask.secrets));
        row.error = Set(String::new());
        row.deadline = Set(deadline);
        row.ended_at = Set(None);
        row.updated_at = Set(now);
        let job = row.update(&transaction).await?;
        job_work::Entity::update_many()
            .col_expr(job_work::Column::State, Expr::value(JobState::Pending.as_str()))
            .col_expr(job_work::Column::Attempts, Expr::value(0))
            .col_expr(job_work::Column::FreeAt, Expr::value(now))
            .col_expr(job_work::Column::Error, Expr::value(""))
            .col_expr(job_work::Column::NotKept, Expr::value(0i64))
            .col_expr(job_work::Column::UpdatedAt, Expr::value(now))
            .filter(job_work::Column::JobId.eq(job.id))
            .filter(job_work::Column::State.eq(JobState::Failure.as_str()))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        self.woken();
        tracing::info!(job.id = job.id, "a job is tried again");
        Ok(())
    }
}
