//! How many jobs a cluster takes: so many a second as its configuration says, and as many at once.
//!
//! The account is a row that all managers share, and it is changed in the transaction that makes the job: on every engine the
//! limit is exact over all managers, as far as their clocks agree.

use crate::error::{Error, wire_id};
use crate::store::Time;
use crate::store::entity::{job_rate, scheduler_cluster};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect};
use std::time::Duration;

const SECOND_US: i64 = 1_000_000;

/// Takes one job from each cluster's account, or from none. `clusters` are in the order of their ids, so that two callers
/// don't wait for each other.
pub(super) async fn take(
    transaction: &DatabaseTransaction,
    clusters: &[scheduler_cluster::Model],
    now: Time,
) -> Result<(), Error> {
    for cluster in clusters {
        let free_at_us = account(transaction, cluster.id).await?;
        let rate = cluster.config.0.job_rate_limit;
        let next = after_one(free_at_us, now.0.saturating_mul(1000), rate).map_err(|wait| Error::TooMany {
            what: format!(
                "cluster {} ({}) takes {rate} jobs a second; try again",
                wire_id(cluster.id),
                cluster.name
            ),
            wait,
        })?;
        job_rate::Entity::update_many()
            .col_expr(job_rate::Column::FreeAtUs, Expr::value(next))
            .filter(job_rate::Column::SchedulerClusterId.eq(cluster.id))
            .exec(transaction)
            .await?;
    }
    Ok(())
}

/// A cluster's account, which nobody else changes before the transaction ends.
async fn account(transaction: &DatabaseTransaction, cluster: i64) -> Result<i64, Error> {
    let row = job_rate::ActiveModel {
        scheduler_cluster_id: Set(cluster),
        free_at_us: Set(0),
    };
    let there = OnConflict::column(job_rate::Column::SchedulerClusterId)
        .value(
            job_rate::Column::FreeAtUs,
            Expr::col((job_rate::Entity, job_rate::Column::FreeAtUs)),
        )
        .to_owned();
    job_rate::Entity::insert(row)
        .on_conflict(there)
        .exec_without_returning(transaction)
        .await?;
    let row = job_rate::Entity::find_by_id(cluster)
        .lock_exclusive()
        .one(transaction)
        .await?;
    Ok(row.map_or(0, |row| row.free_at_us))
}

/// The account after one more job, or how long to wait for it.
fn after_one(free_at_us: i64, now_us: i64, rate: u32) -> Result<i64, Duration> {
    let each = SECOND_US / i64::from(rate.max(1));
    let next = free_at_us.max(now_us).saturating_add(each.max(1));
    match next - now_us - SECOND_US {
        ..=0 => Ok(next),
        over => Err(Duration::from_micros(over.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_as_many_as_the_rate_and_they_come_back_one_by_one() {
        let now = 1_700_000_000_000_000;
        let mut account = 0;
        for _ in 0..10 {
            account = after_one(account, now, 10).unwrap();
        }
        assert_eq!(after_one(account, now, 10), Err(Duration::from_millis(100)));
        account = after_one(account, now + 100_000, 10).unwrap();
        assert!(after_one(account, now + 100_000, 10).is_err());
        assert!(after_one(0, now, 1).is_ok());
        assert!(after_one(0, now, 1_000_000).is_ok());
    }
}
