//! Who attends: one stream of each scheduler, the newest, at whichever manager. Each stream takes the next number of a row,
//! and one whose number is not the newest any more ends.

use super::Jobs;
use crate::error::Error;
use crate::store::Time;
use crate::store::entity::{attendance, scheduler};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

/// A scheduler's place at a manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) scheduler: i64,
    pub(crate) cluster: i64,
    number: i64,
    /// Whether it may be told secrets of jobs.
    pub(super) may_know: bool,
}

impl Jobs {
    /// The newest place of a scheduler, from which an older one is void.
    pub(crate) async fn sit(&self, scheduler: &scheduler::Model, may_know: bool, now: Time) -> Result<Seat, Error> {
        let row = attendance::ActiveModel {
            scheduler_id: Set(scheduler.id),
            number: Set(1),
            seen_at: Set(now),
        };
        let next = Expr::col((attendance::Entity, attendance::Column::Number)).add(1);
        let again = OnConflict::column(attendance::Column::SchedulerId)
            .value(attendance::Column::Number, next)
            .update_column(attendance::Column::SeenAt)
            .to_owned();
        let transaction = self.store.write().await?;
        attendance::Entity::insert(row)
            .on_conflict(again)
            .exec_without_returning(&transaction)
            .await?;
        let row = attendance::Entity::find_by_id(scheduler.id).one(&transaction).await?;
        transaction.commit().await?;
        Ok(Seat {
            scheduler: scheduler.id,
            cluster: scheduler.scheduler_cluster_id,
            number: row.map_or(1, |row| row.number),
            may_know,
        })
    }

    /// A sign of life; whether the place is still the scheduler's newest, and the scheduler on the list.
    pub(crate) async fn still_sits(&self, seat: Seat, now: Time) -> Result<bool, Error> {
        let seen = attendance::Entity::update_many()
            .col_expr(attendance::Column::SeenAt, Expr::value(now))
            .filter(attendance::Column::SchedulerId.eq(seat.scheduler))
            .filter(attendance::Column::Number.eq(seat.number))
            .exec(self.store.db())
            .await?;
        Ok(seen.rows_affected > 0)
    }
}
