//! What one manager of a database at a time has to do: they take turns by a row.

use crate::store::entity::duty;
use crate::store::{Store, Time};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter};
use std::time::Duration;

/// Whether it is this manager's turn at a duty that is done once in every `period`.
pub(crate) async fn take(store: &Store, name: &str, period: Duration, now: Time) -> Result<bool, DbErr> {
    let row = duty::ActiveModel {
        name: Set(name.to_owned()),
        taken_until: Set(Time::NEVER),
    };
    let there = OnConflict::column(duty::Column::Name)
        .value(duty::Column::Name, Expr::col((duty::Entity, duty::Column::Name)))
        .to_owned();
    duty::Entity::insert(row)
        .on_conflict(there)
        .exec_without_returning(store.db())
        .await?;
    // A little less than a period, so that the next round of the same manager finds it free.
    let until = now.plus(period / 2);
    let taken = duty::Entity::update_many()
        .col_expr(duty::Column::TakenUntil, Expr::value(until))
        .filter(duty::Column::Name.eq(name))
        .filter(duty::Column::TakenUntil.lte(now))
        .exec(store.db())
        .await?;
    Ok(taken.rows_affected == 1)
}
