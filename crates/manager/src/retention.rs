//! Old records go: of the audit log, of jobs that have ended, of peers that nobody knows any more. How long the first two are
//! kept is the setting `gc`, as in Dragonfly 2.5. One manager at a time does it.

use crate::error::Error;
use crate::rows::Numbered;
use crate::store::entity::{audit, job, peer};
use crate::store::{Store, Time};
use crate::{duty, peers, settings};
use dragonfly_api::rest::GcKind;
use dragonfly_service::chain;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, Select};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Name of the duty.
const DUTY: &str = "retention";
/// How long peers are kept that no scheduler knows.
const PEER_TTL: Duration = Duration::from_secs(86_400);
/// Time between two rounds.
const PERIOD: Duration = Duration::from_secs(3600);
/// Records that are removed at once.
const BATCH: u64 = 2000;
/// Jobs that are removed at once: their targets go with them.
const JOBS: u64 = 20;

/// Removes what is old. Clones are the same.
#[derive(Debug, Clone)]
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
        match self.all(now).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed old records"),
            Err(error) => tracing::warn!(error = %chain(&error), "old records were not removed"),
        }
    }

    async fn all(&self, now: Time) -> Result<u64, Error> {
        if !duty::take(&self.store, DUTY, PERIOD, now).await? {
            return Ok(0);
        }
        let audits = self.remove(GcKind::Audit, now).await?;
        let jobs = self.remove(GcKind::Job, now).await?;
        let peers = self
            .prune(peers::forgotten(now.minus(PEER_TTL)), peer::Column::Id, BATCH)
            .await?;
        Ok(audits + jobs + peers)
    }

    /// Removes what is old of one kind, whosever turn it is, and returns how much that was.
    pub(crate) async fn remove(&self, kind: GcKind, now: Time) -> Result<u64, Error> {
        let since = now.minus(settings::ttl(&self.store, kind).await?);
        let removed = match kind {
            GcKind::Audit => {
                let old = audit::Entity::find().filter(audit::Column::OperatedAt.lt(since));
                self.prune(old, audit::Column::Id, BATCH).await?
            }
            GcKind::Job => {
                let old = job::Entity::find().filter(job::Column::EndedAt.lt(since));
                self.prune(old, job::Column::Id, JOBS).await?
            }
        };
        Ok(removed)
    }

    async fn prune<E: Numbered>(&self, old: Select<E>, id: E::Column, batch: u64) -> Result<u64, DbErr> {
        let mut removed = 0;
        loop {
            let ids: Vec<i64> = old
                .clone()
                .select_only()
                .column(id)
                .limit(batch)
                .into_tuple()
                .all(self.store.db())
                .await?;
            if ids.is_empty() {
                return Ok(removed);
            }
            let gone = E::delete_many().filter(id.is_in(ids)).exec(self.store.db()).await?;
            removed += gone.rows_affected;
        }
    }
}
