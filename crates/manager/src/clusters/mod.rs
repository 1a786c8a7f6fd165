//! Clusters: what an operator decides about them. A cluster is a scheduler cluster and a seed peer cluster, linked, of the
//! same name unless their names were changed one by one ([`halves`]); its id is the scheduler cluster's.
//!
//! Invariant: exactly one cluster is the default. Both doors come here; [`Clusters::snapshot`] serves the placement of
//! peers and follows every change that this process makes at once, and another's when it is woken, or after a while.

mod halves;
mod snapshot;

pub(crate) use snapshot::{Cluster, Snapshot};

use crate::error::{Error, row_id};
use crate::members;
use crate::scopes::Matchers;
use crate::store::entity::{cluster_link, scheduler, scheduler_cluster, seed_peer, seed_peer_cluster};
use crate::store::{Json, Store, Time};
use crate::wake::{Topic, Wake};
use dragonfly_api::rest::{Check, CreateCluster, Page, Problems, Scopes, UpdateCluster};
use moka::future::Cache;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use std::sync::Arc;
use std::time::Duration;

/// What clusters are called in errors.
pub(crate) const WHAT: &str = "cluster";

/// How many are kept. Only the latest is used; with room for others a new one need not prove its worth to the cache.
const SNAPSHOTS: u64 = 64;

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Halves {
    /// A cluster, whose halves have one name and description.
    Both,
    /// The scheduler half, which may be given another seed peer half.
    Scheduler { give: Option<u64> },
}

/// All that can be asked about clusters. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Clusters {
    store: Store,
    /// The latest snapshot, by the generation in which it was begun: one that was begun before a change is not found
    /// after it.
    snapshot: Cache<u64, Arc<Snapshot>>,
    wake: Wake,
}

impl Clusters {
    /// `look_after` is how old a snapshot may be.
    pub(crate) fn new(store: Store, wake: Wake, look_after: Duration) -> Self {
        Self {
            store,
            snapshot: Cache::builder()
                .max_capacity(SNAPSHOTS)
                .time_to_live(look_after)
                .build(),
            wake,
        }
    }

    /// One page of the clusters, those of this name if one is given, and how many there are in total.
    pub(crate) async fn list(&self, name: Option<&str>, page: Page) -> Result<(Vec<Cluster>, u64), Error> {
        page.checked()?;
        let named = |select: sea_orm::Select<scheduler_cluster::Entity>| match name {
            Some(name) => select.filter(scheduler_cluster::Column::Name.eq(name)),
            None => select,
        };
        let total = named(scheduler_cluster::Entity::find()).count(self.store.db()).await?;
        let mut select = cluster_link::Entity::find()
            .find_also_related(scheduler_cluster::Entity)
            .find_also_related(seed_peer_cluster::Entity)
            .order_by_asc(cluster_link::Column::SchedulerClusterId)
            .offset(page.offset())
            .limit(page.per_page);
        if let Some(name) = name {
            select = select.filter(scheduler_cluster::Column::Name.eq(name));
        }
        let clusters = Cluster::of_rows(select.all(self.store.db()).await?);
        Ok((clusters, total))
    }

    /// All clusters, read now.
    pub(crate) async fn as_they_are(&self) -> Result<Vec<Cluster>, Error> {
        Ok(Snapshot::load(self.store.db()).await?.clusters)
    }

    /// The cluster with this id.
    pub(crate) async fn get(&self, id: u64) -> Result<Cluster, Error> {
        find(self.store.db(), id).await
    }

    /// The seed peer halves of clusters: one page, and how many there are in total.
    pub(crate) async fn seed_peer_clusters(
        &self,
        name: Option<&str>,
        page: Page,
    ) -> Result<(Vec<seed_peer_cluster::Model>, u64), Error> {
        page.checked()?;
        let mut select = seed_peer_cluster::Entity::find().order_by_asc(seed_peer_cluster::Column::Id);
        if let Some(name) = name {
            select = select.filter(seed_peer_cluster::Column::Name.eq(name));
        }
        let total = select.clone().count(self.store.db()).await?;
        let select = select.offset(page.offset()).limit(page.per_page);
        Ok((select.all(self.store.db()).await?, total))
    }

    /// The seed peer half with this id.
    pub(crate) async fn seed_peer_cluster(&self, id: u64) -> Result<seed_peer_cluster::Model, Error> {
        seed_peer_cluster::Entity::find_by_id(row_id(id))
            .one(self.store.db())
            .await?
            .ok_or_else(|| Error::no("seed peer cluster", id))
    }

    /// Makes a cluster. If it is to be the default, the present one ceases to be.
    pub(crate) async fn create(&self, create: CreateCluster, now: Time) -> Result<Cluster, Error> {
        let mut problems = Problems::default();
        create.check(&mut problems);
        check_patterns(Some(&create.scopes), &mut problems);
        refuse(problems)?;
        let transaction = self.write().await?;
        if create.is_default {
            no_default(&transaction, now).await?;
        }
        let name = create.name.clone();
        let id = insert(&transaction, create, now)
            .await
            .map_err(|error| Error::unless_exists(error, WHAT, &name))?;
        let cluster = find(&transaction, crate::error::wire_id(id)).await?;
        transaction.commit().await?;
        self.changed();
        Ok(cluster)
    }

    /// Changes what `update` names and leaves the rest.
    pub(crate) async fn update(&self, id: u64, update: UpdateCluster, now: Time) -> Result<Cluster, Error> {
        self.change(id, update, Halves::Both, now).await
    }

    async fn change(&self, id: u64, update: UpdateCluster, halves: Halves, now: Time) -> Result<Cluster, Error> {
        let mut problems = Problems::default();
        update.check(&mut problems);
        check_patterns(update.scopes.as_ref(), &mut problems);
        refuse(problems)?;
        let transaction = self.write().await?;
        let mut cluster = find(&transaction, id).await?;
        if let Halves::Scheduler { give: Some(half) } = halves {
            cluster.seed = halves::free(&transaction, half, Some(cluster.scheduler.id)).await?;
            unlink(&transaction, cluster.scheduler.id).await?;
            link(&transaction, cluster.scheduler.id, cluster.seed.id).await?;
        }
        match update.is_default {
            Some(true) if !cluster.scheduler.is_default => no_default(&transaction, now).await?,
            Some(false) if cluster.scheduler.is_default => return Err(must_have_default(&cluster)),
            _ => {}
        }
        let name = update.name.clone().unwrap_or_default();
        apply(&transaction, cluster, (update, halves), now)
            .await
            .map_err(|error| Error::unless_exists(error, WHAT, &name))?;
        let cluster = find(&transaction, id).await?;
        transaction.commit().await?;
        self.changed();
        Ok(cluster)
    }

    /// Removes a cluster and its members, none of which may be alive.
    pub(crate) async fn delete(&self, id: u64, now: Time) -> Result<(), Error> {
        let transaction = self.write().await?;
        let cluster = find(&transaction, id).await?;
        if cluster.scheduler.is_default {
            return Err(must_have_default(&cluster));
        }
        let schedulers = members::active::<scheduler::Entity>(&transaction, cluster.scheduler.id, now)
            .await?
            .len();
        let seed_peers = members::active::<seed_peer::Entity>(&transaction, cluster.seed.id, now)
            .await?
            .len();
        if schedulers + seed_peers > 0 {
            return Err(Error::Conflict(format!(
                "cluster {id} ({}) has {schedulers} active schedulers and {seed_peers} active seed peers; stop them or \
                 move them to another cluster first",
                cluster.scheduler.name
            )));
        }
        // References take the link and the members along.
        scheduler_cluster::Entity::delete_by_id(cluster.scheduler.id)
            .exec(&transaction)
            .await?;
        seed_peer_cluster::Entity::delete_by_id(cluster.seed.id)
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        self.changed();
        Ok(())
    }

    /// A transaction that may write clusters. There is one at a time, on servers too, since they are all read to keep one
    /// of them the default.
    async fn write(&self) -> Result<DatabaseTransaction, DbErr> {
        let transaction = self.store.write().await?;
        scheduler_cluster::Entity::find()
            .select_only()
            .column(scheduler_cluster::Column::Id)
            .order_by_asc(scheduler_cluster::Column::Id)
            .lock_exclusive()
            .into_tuple::<i64>()
            .all(&transaction)
            .await?;
        Ok(transaction)
    }

    fn changed(&self) {
        self.wake.changed(Topic::Clusters);
    }

    /// All clusters, with their scopes parsed.
    pub(crate) async fn snapshot(&self) -> Result<Arc<Snapshot>, Error> {
        let generation = self.wake.generation(Topic::Clusters);
        self.snapshot
            .try_get_with(generation, async {
                Snapshot::load(self.store.db()).await.map(Arc::new)
            })
            .await
            .map_err(|error: Arc<DbErr>| Error::from((*error).clone()))
    }
}

async fn find(db: &impl ConnectionTrait, id: u64) -> Result<Cluster, Error> {
    let rows = cluster_link::Entity::find()
        .find_also_related(scheduler_cluster::Entity)
        .find_also_related(seed_peer_cluster::Entity)
        .filter(cluster_link::Column::SchedulerClusterId.eq(row_id(id)))
        .all(db)
        .await?;
    Cluster::of_rows(rows).pop().ok_or_else(|| Error::no(WHAT, id))
}

/// Patterns are parsed where they are used; what can't be parsed is refused when it is written.
fn check_patterns(scopes: Option<&Scopes>, problems: &mut Problems) {
    for malformed in scopes.map(|scopes| Matchers::parse(scopes).1).unwrap_or_default() {
        problems.push(malformed.field(), &malformed);
    }
}

fn refuse(problems: Problems) -> Result<(), Error> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.into())
    }
}

fn must_have_default(cluster: &Cluster) -> Error {
    Error::Conflict(format!(
        "cluster {} ({}) is the default one; make another cluster the default first",
        cluster.scheduler.id, cluster.scheduler.name
    ))
}

async fn no_default(transaction: &DatabaseTransaction, now: Time) -> Result<(), DbErr> {
    scheduler_cluster::Entity::update_many()
        .col_expr(scheduler_cluster::Column::IsDefault, Expr::value(false))
        .col_expr(scheduler_cluster::Column::UpdatedAt, Expr::value(now))
        .filter(scheduler_cluster::Column::IsDefault.eq(true))
        .exec(transaction)
        .await?;
    Ok(())
}

async fn insert(transaction: &DatabaseTransaction, create: CreateCluster, now: Time) -> Result<i64, DbErr> {
    let seed = seed_peer_cluster::ActiveModel {
        id: NotSet,
        name: Set(create.name.clone()),
        bio: Set(create.bio.clone()),
        config: Set(Json(create.seed_peer_cluster_config.clone())),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let id = insert_scheduler_half(transaction, create, now).await?;
    let seed = seed_peer_cluster::Entity::insert(seed).exec(transaction).await?;
    link(transaction, id, seed.last_insert_id).await?;
    Ok(id)
}

async fn insert_scheduler_half(
    transaction: &DatabaseTransaction,
    create: CreateCluster,
    now: Time,
) -> Result<i64, DbErr> {
    let row = scheduler_cluster::ActiveModel {
        id: NotSet,
        name: Set(create.name),
        bio: Set(create.bio),
        config: Set(Json(create.scheduler_cluster_config)),
        client_config: Set(Json(create.peer_cluster_config)),
        scopes: Set(Json(create.scopes)),
        is_default: Set(create.is_default),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let made = scheduler_cluster::Entity::insert(row).exec(transaction).await?;
    Ok(made.last_insert_id)
}

async fn link(transaction: &DatabaseTransaction, scheduler: i64, seed: i64) -> Result<(), DbErr> {
    let row = cluster_link::ActiveModel {
        scheduler_cluster_id: Set(scheduler),
        seed_peer_cluster_id: Set(seed),
    };
    cluster_link::Entity::insert(row)
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

async fn unlink(transaction: &DatabaseTransaction, scheduler: i64) -> Result<(), DbErr> {
    cluster_link::Entity::delete_by_id(scheduler).exec(transaction).await?;
    Ok(())
}

async fn apply(
    transaction: &DatabaseTransaction,
    cluster: Cluster,
    (update, halves): (UpdateCluster, Halves),
    now: Time,
) -> Result<(), DbErr> {
    let mut scheduler = cluster.scheduler.into_active_model();
    let mut seed = cluster.seed.into_active_model();
    scheduler.updated_at = Set(now);
    seed.updated_at = Set(now);
    if let Some(name) = update.name {
        if halves == Halves::Both {
            seed.name = Set(name.clone());
        }
        scheduler.name = Set(name);
    }
    if let Some(bio) = update.bio {
        if halves == Halves::Both {
            seed.bio = Set(bio.clone());
        }
        scheduler.bio = Set(bio);
    }
    if let Some(scopes) = update.scopes {
        scheduler.scopes = Set(Json(scopes));
    }
    if let Some(config) = update.scheduler_cluster_config {
        scheduler.config = Set(Json(config));
    }
    if let Some(config) = update.peer_cluster_config {
        scheduler.client_config = Set(Json(config));
    }
    if let Some(config) = update.seed_peer_cluster_config {
        seed.config = Set(Json(config));
    }
    if update.is_default == Some(true) {
        scheduler.is_default = Set(true);
    }
    scheduler.update(transaction).await?;
    seed.update(transaction).await?;
    Ok(())
}
