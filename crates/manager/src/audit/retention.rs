//! Old records go. How long they are kept is the setting `gc`, as in Dragonfly 2.5. One manager at a time does it.

use crate::error::Error;
use crate::settings;
use crate::store::entity::{audit, duty};
use crate::store::{Store, Time};
use dragonfly_service::chain;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Name of the duty.
const DUTY: &str = "retention";
/// How long records are kept if the setting does not say it.
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// Time between two rounds.
const PERIOD: Duration = Duration::from_secs(3600);
/// Records that are removed at once.
const BATCH: u64 = 5000;

/// Removes what is old.
#[derive(Debug)]
pub(crate) struct Retention {
    store: Store,
}

impl Retention {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Goes on until `cancel`.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        while cancel.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
            self.round(Time::now()).await;
        }
    }

    /// Removes what is old, if no other manager has just done it.
    pub(crate) async fn round(&self, now: Time) {
        match self.prune(now).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed old records of the audit log"),
            Err(error) => tracing::warn!(error = %chain(&error), "old records of the audit log were not removed"),
        }
    }

    async fn prune(&self, now: Time) -> Result<u64, Error> {
        if !self.take(now).await? {
            return Ok(0);
        }
        let ttl = settings::audit_ttl(&self.store).await?.unwrap_or(WEEK);
        let kept_since = now.minus(ttl);
        let mut removed = 0;
        loop {
            let old: Vec<i64> = audit::Entity::find()
                .select_only()
                .column(audit::Column::Id)
                .filter(audit::Column::OperatedAt.lt(kept_since))
                .order_by_asc(audit::Column::OperatedAt)
                .limit(BATCH)
                .into_tuple()
                .all(self.store.db())
                .await?;
            let Some(last) = old.iter().max() else {
                return Ok(removed);
            };
            removed += audit::Entity::delete_many()
                .filter(audit::Column::Id.lte(*last))
                .filter(audit::Column::OperatedAt.lt(kept_since))
                .exec(self.store.db())
                .await?
                .rows_affected;
        }
    }

    /// Whether it is this manager's turn.
    async fn take(&self, now: Time) -> Result<bool, Error> {
        let row = duty::ActiveModel {
            name: Set(DUTY.to_owned()),
            taken_until: Set(Time::NEVER),
        };
        let there = OnConflict::column(duty::Column::Name)
            .value(duty::Column::Name, Expr::col((duty::Entity, duty::Column::Name)))
            .to_owned();
        duty::Entity::insert(row)
            .on_conflict(there)
            .exec_without_returning(self.store.db())
            .await?;
        // A little less than a period, so that the next round of the same manager finds it free.
        let until = now.plus(PERIOD / 2);
        let taken = duty::Entity::update_many()
            .col_expr(duty::Column::TakenUntil, Expr::value(until))
            .filter(duty::Column::Name.eq(DUTY))
            .filter(duty::Column::TakenUntil.lte(now))
            .exec(self.store.db())
            .await?;
        Ok(taken.rows_affected == 1)
    }
}
