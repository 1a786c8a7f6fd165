//! The halves of clusters one by one. A scheduler half always has a seed peer half; a seed peer half may be without a
//! cluster, and its seed peers then serve none.

use super::{Cluster, Clusters, WHAT, check_patterns, find, must_have_default, refuse};
use crate::error::{Error, row_id, wire_id};
use crate::members;
use crate::rows::{self, set_given};
use crate::store::entity::{cluster_link, scheduler, seed_peer, seed_peer_cluster};
use crate::store::{Json, Time};
use dragonfly_api::rest::{
    Check, CreateCluster, CreateSchedulerCluster, CreateSeedPeerCluster, Problems, UpdateCluster,
    UpdateSchedulerCluster, UpdateSeedPeerCluster,
};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ActiveModelTrait, ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter};

/// What seed peer halves are called in errors.
const SEED_HALF: &str = "seed peer cluster";

impl Clusters {
    /// Makes a cluster out of a new scheduler half and a seed peer half that is free, or is made with it.
    pub(crate) async fn create_scheduler_half(
        &self,
        create: CreateSchedulerCluster,
        now: Time,
    ) -> Result<Cluster, Error> {
        let half = create.seed_peer_cluster_id;
        let create = CreateCluster::from(create);
        let Some(half) = half else {
            return self.create(create, now).await;
        };
        let mut problems = Problems::default();
        create.check(&mut problems);
        check_patterns(Some(&create.scopes), &mut problems);
        refuse(problems)?;
        let transaction = self.write().await?;
        if create.is_default {
            super::no_default(&transaction, now).await?;
        }
        let mut seed = free(&transaction, half, None).await?.into_active_model();
        seed.config = Set(Json(create.seed_peer_cluster_config.clone()));
        seed.updated_at = Set(now);
        let name = create.name.clone();
        let id = super::insert_scheduler_half(&transaction, create, now)
            .await
            .map_err(|error| Error::unless_exists(error, WHAT, &name))?;
        seed.update(&transaction).await?;
        super::link(&transaction, id, row_id(half)).await?;
        let cluster = find(&transaction, wire_id(id)).await?;
        transaction.commit().await?;
        self.changed();
        Ok(cluster)
    }

    /// Changes what `update` names of a scheduler half, and which seed peer half it has.
    pub(crate) async fn update_scheduler_half(
        &self,
        id: u64,
        update: UpdateSchedulerCluster,
        now: Time,
    ) -> Result<Cluster, Error> {
        let half = update.seed_peer_cluster_id;
        let update = UpdateCluster {
            name: update.name,
            bio: update.bio,
            scopes: update.scopes,
            scheduler_cluster_config: update.config,
            seed_peer_cluster_config: update.seed_client_config,
            peer_cluster_config: update.client_config,
            is_default: update.is_default,
        };
        self.change(id, update, super::Halves::Scheduler { give: half }, now)
            .await
    }

    /// Removes a scheduler half and its members, none of which may be alive. Its seed peer half is free then.
    pub(crate) async fn delete_scheduler_half(&self, id: u64, now: Time) -> Result<(), Error> {
        let transaction = self.write().await?;
        let cluster = find(&transaction, id).await?;
        if cluster.scheduler.is_default {
            return Err(must_have_default(&cluster));
        }
        let alive = members::active::<scheduler::Entity>(&transaction, cluster.scheduler.id, now).await?;
        if !alive.is_empty() {
            return Err(Error::Conflict(format!(
                "scheduler cluster {id} ({}) has {} active schedulers; stop them or move them to another cluster first",
                cluster.scheduler.name,
                alive.len()
            )));
        }
        rows::delete::<super::scheduler_cluster::Entity>(&transaction, WHAT, id).await?;
        transaction.commit().await?;
        self.changed();
        Ok(())
    }

    /// Makes a seed peer half that is free.
    pub(crate) async fn create_seed_peer_half(
        &self,
        create: CreateSeedPeerCluster,
        now: Time,
    ) -> Result<seed_peer_cluster::Model, Error> {
        let mut problems = Problems::default();
        create.check(&mut problems);
        refuse(problems)?;
        let name = create.name.clone();
        let row = seed_peer_cluster::ActiveModel {
            id: NotSet,
            name: Set(create.name),
            bio: Set(create.bio),
            config: Set(Json(create.config)),
            created_at: Set(now),
            updated_at: Set(now),
        };
        row.insert(self.store.db())
            .await
            .map_err(|error| Error::unless_exists(error, SEED_HALF, &name))
    }

    /// Changes what `update` names of a seed peer half.
    pub(crate) async fn update_seed_peer_half(
        &self,
        id: u64,
        update: UpdateSeedPeerCluster,
        now: Time,
    ) -> Result<seed_peer_cluster::Model, Error> {
        let mut problems = Problems::default();
        update.check(&mut problems);
        refuse(problems)?;
        let transaction = self.write().await?;
        let mut half = rows::get::<seed_peer_cluster::Entity>(&transaction, SEED_HALF, id)
            .await?
            .into_active_model();
        let name = update.name.clone().unwrap_or_default();
        if let Some(config) = update.config {
            half.config = Set(Json(config));
        }
        set_given!(half, update: name, bio);
        half.updated_at = Set(now);
        let half = half
            .update(&transaction)
            .await
            .map_err(|error| Error::unless_exists(error, SEED_HALF, &name))?;
        transaction.commit().await?;
        self.changed();
        Ok(half)
    }

    /// Removes a seed peer half that is free, and its members, none of which may be alive.
    pub(crate) async fn delete_seed_peer_half(&self, id: u64, now: Time) -> Result<(), Error> {
        let transaction = self.write().await?;
        let half = free(&transaction, id, None).await?;
        let alive = members::active::<seed_peer::Entity>(&transaction, half.id, now).await?;
        if !alive.is_empty() {
            return Err(Error::Conflict(format!(
                "seed peer cluster {id} ({}) has {} active seed peers; stop them or move them to another cluster first",
                half.name,
                alive.len()
            )));
        }
        rows::delete::<seed_peer_cluster::Entity>(&transaction, SEED_HALF, id).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Gives a seed peer half that is free to a cluster; the one that it had is free then.
    pub(crate) async fn give_seed_peer_half(&self, half: u64, cluster: u64, now: Time) -> Result<(), Error> {
        let give = super::Halves::Scheduler { give: Some(half) };
        self.change(cluster, UpdateCluster::default(), give, now).await?;
        Ok(())
    }
}

/// The seed peer half with this id, which no cluster has but this one.
pub(super) async fn free(
    transaction: &DatabaseTransaction,
    id: u64,
    but: Option<i64>,
) -> Result<seed_peer_cluster::Model, Error> {
    let half = rows::get::<seed_peer_cluster::Entity>(transaction, SEED_HALF, id).await?;
    let taken = cluster_link::Entity::find()
        .filter(cluster_link::Column::SeedPeerClusterId.eq(half.id))
        .one(transaction)
        .await?;
    match taken {
        Some(link) if Some(link.scheduler_cluster_id) != but => Err(Error::Conflict(format!(
            "seed peer cluster {id} ({}) belongs to cluster {}; give that one another, or remove it, first",
            half.name, link.scheduler_cluster_id
        ))),
        _ => Ok(half),
    }
}
