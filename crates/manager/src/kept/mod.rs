//! Tasks that clusters keep with replicas. Their schedulers answer for them and report them; here they are only looked up, on
//! whichever manager, and also while their schedulers are away.

mod reports;

pub(crate) use reports::Whole;

use crate::clusters;
use crate::error::{Error, row_id};
use crate::rows;
use crate::store::Store;
use crate::store::entity::{kept_task, scheduler_cluster};
use dragonfly_api::ext;
use dragonfly_api::rest::{KeptTask, KeptTaskFilter, Page};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Select};

/// By which policy tasks are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Keeping {
    /// With replicas, and in an object store.
    Persistent,
    /// With replicas that live only in the cluster.
    PersistentCache,
}

impl Keeping {
    fn as_str(self) -> &'static str {
        match self {
            Self::Persistent => "persistent",
            Self::PersistentCache => "persistent_cache",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Persistent => "persistent task",
            Self::PersistentCache => "persistent cache task",
        }
    }
}

impl From<ext::Keeping> for Keeping {
    fn from(keeping: ext::Keeping) -> Self {
        match keeping {
            ext::Keeping::Persistent => Self::Persistent,
            ext::Keeping::PersistentCache => Self::PersistentCache,
        }
    }
}

/// All that can be asked about kept tasks. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    store: Store,
}

impl Kept {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// One page of the tasks that a cluster keeps, and how many there are in total.
    pub(crate) async fn list(
        &self,
        keeping: Keeping,
        filter: KeptTaskFilter,
        page: Page,
    ) -> Result<(Vec<KeptTask>, u64), Error> {
        let cluster = filter.scheduler_cluster_id;
        rows::get::<scheduler_cluster::Entity>(self.store.db(), clusters::WHAT, cluster).await?;
        let (rows, total) = rows::page(&self.store, of(keeping, cluster), page).await?;
        Ok((rows.into_iter().map(|row| row.told.0).collect(), total))
    }

    /// The task with this id.
    pub(crate) async fn get(&self, keeping: Keeping, filter: KeptTaskFilter, id: &str) -> Result<KeptTask, Error> {
        let row = of(keeping, filter.scheduler_cluster_id)
            .filter(kept_task::Column::TaskId.eq(id))
            .one(self.store.db())
            .await?;
        row.map(|row| row.told.0).ok_or_else(|| Error::NotFound {
            what: keeping.what(),
            key: format!("{id} in cluster {}", filter.scheduler_cluster_id),
        })
    }
}

fn of(keeping: Keeping, cluster: u64) -> Select<kept_task::Entity> {
    kept_task::Entity::find()
        .filter(kept_task::Column::SchedulerClusterId.eq(row_id(cluster)))
        .filter(kept_task::Column::Keeping.eq(keeping.as_str()))
        .order_by_asc(kept_task::Column::Id)
}
