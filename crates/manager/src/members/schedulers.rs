//! Schedulers.

use super::{Identity, Member, ip_text, port, state};
use crate::error::{Error, row_id, wire_id};
use crate::store::entity::scheduler::{ActiveModel, Column, Entity, Model};
use crate::store::entity::scheduler_cluster;
use crate::store::{Json, Store, Time};
use dragonfly_api::rest::{
    Check, CreateScheduler, FEATURE_PREHEAT, FEATURE_SCHEDULE, MemberState, Page, Scheduler, SchedulerConfig,
    SchedulerFilter, UpdateScheduler,
};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

impl Member for Entity {
    const WHAT: &'static str = "scheduler";
    const CLUSTER: Column = Column::SchedulerClusterId;
    const ID: Column = Column::Id;
    const HOST_NAME: Column = Column::HostName;
    const IP: Column = Column::Ip;
    const KEEP_ALIVE_INTERVAL: Column = Column::KeepAliveIntervalMs;
    const LEASE: Column = Column::Lease;
    const LEASE_UNTIL: Column = Column::LeaseUntil;
    const LAST_KEEP_ALIVE_AT: Column = Column::LastKeepAliveAt;
}

/// A scheduler says that it is there, at its start and whenever it changed. It is active with its next sign of life.
///
/// It takes the next lease without running it, so that the end of an earlier instance's stream is of the past.
pub(crate) async fn register(store: &Store, create: CreateScheduler, now: Time) -> Result<Model, Error> {
    create.checked()?;
    let key = identity(&create);
    let transaction = store.write().await?;
    require_cluster(&transaction, create.scheduler_cluster_id).await?;
    let changed = [
        Column::Port,
        Column::Idc,
        Column::Location,
        Column::Features,
        Column::KeepAliveIntervalMs,
        Column::UpdatedAt,
    ];
    let on_conflict = OnConflict::columns([Column::HostName, Column::Ip, Column::SchedulerClusterId])
        .update_columns(changed)
        .value(Column::Lease, Expr::col((Entity, Column::Lease)).add(1))
        .to_owned();
    Entity::insert(row(create, now))
        .on_conflict(on_conflict)
        .exec_without_returning(&transaction)
        .await?;
    let model = super::find::<Entity>(&transaction, &key).await?;
    transaction.commit().await?;
    Ok(model)
}

/// Makes a scheduler by hand. It must not exist.
pub(crate) async fn create(store: &Store, create: CreateScheduler, now: Time) -> Result<Model, Error> {
    create.checked()?;
    let key = identity(&create).to_string();
    let transaction = store.write().await?;
    require_cluster(&transaction, create.scheduler_cluster_id).await?;
    let model = row(create, now)
        .insert(&transaction)
        .await
        .map_err(|error| Error::unless_exists(error, Entity::WHAT, &key))?;
    transaction.commit().await?;
    Ok(model)
}

/// Changes what `update` names and leaves the rest.
pub(crate) async fn update(store: &Store, id: u64, update: UpdateScheduler, now: Time) -> Result<Model, Error> {
    update.checked()?;
    let transaction = store.write().await?;
    let mut model = super::get::<Entity>(&transaction, id).await?.into_active_model();
    if let Some(cluster) = update.scheduler_cluster_id {
        require_cluster(&transaction, cluster).await?;
        model.scheduler_cluster_id = Set(row_id(cluster));
    }
    if let Some(ip) = update.ip {
        model.ip = Set(ip_text(ip));
    }
    if let Some(port) = update.port {
        model.port = Set(i32::from(port));
    }
    if let Some(idc) = update.idc {
        model.idc = Set(idc);
    }
    if let Some(location) = update.location {
        model.location = Set(location);
    }
    if let Some(features) = update.features {
        model.features = Set(Json(all_if_empty(features)));
    }
    if let Some(config) = update.config {
        model.keep_alive_interval_ms = Set(interval_ms(config));
    }
    model.updated_at = Set(now);
    let model = model
        .update(&transaction)
        .await
        .map_err(|error| Error::unless_exists(error, Entity::WHAT, "with this name and address in the cluster"))?;
    transaction.commit().await?;
    Ok(model)
}

/// One page of the schedulers that match, and how many match in total.
pub(crate) async fn list(
    store: &Store,
    filter: SchedulerFilter,
    page: Page,
    now: Time,
) -> Result<(Vec<Model>, u64), Error> {
    page.checked()?;
    let mut rows = Entity::find().order_by_asc(Column::Id);
    if let Some(host_name) = filter.host_name {
        rows = rows.filter(Column::HostName.eq(host_name));
    }
    if let Some(ip) = filter.ip {
        rows = rows.filter(Column::Ip.eq(ip_text(ip)));
    }
    if let Some(idc) = filter.idc {
        rows = rows.filter(Column::Idc.eq(idc));
    }
    if let Some(location) = filter.location {
        rows = rows.filter(Column::Location.eq(location));
    }
    if let Some(cluster) = filter.scheduler_cluster_id {
        rows = rows.filter(Column::SchedulerClusterId.eq(row_id(cluster)));
    }
    rows = match filter.state {
        Some(MemberState::Active) => rows.filter(Column::LeaseUntil.gt(now)),
        Some(MemberState::Inactive) => rows.filter(Column::LeaseUntil.lte(now)),
        None => rows,
    };
    let total = rows.clone().count(store.db()).await?;
    let rows = rows.offset(page.offset()).limit(page.per_page);
    Ok((rows.all(store.db()).await?, total))
}

/// As REST shows it.
pub(crate) fn wire(model: Model, now: Time) -> Scheduler {
    Scheduler {
        id: wire_id(model.id),
        created_at: model.created_at.timestamp(),
        updated_at: model.updated_at.timestamp(),
        is_del: 0,
        host_name: model.host_name,
        idc: model.idc,
        location: model.location,
        ip: model.ip,
        port: port(model.port),
        state: state(model.lease_until, now),
        features: model.features.0,
        config: SchedulerConfig {
            manager_keep_alive_interval: u64::try_from(model.keep_alive_interval_ms)
                .unwrap_or(0)
                .saturating_mul(1_000_000),
        },
        scheduler_cluster_id: wire_id(model.scheduler_cluster_id),
        last_keep_alive_at: model.last_keep_alive_at.map(Time::timestamp),
    }
}

fn identity(create: &CreateScheduler) -> Identity {
    Identity {
        host_name: create.host_name.clone(),
        ip: Some(ip_text(create.ip)),
        cluster: create.scheduler_cluster_id,
    }
}

fn row(create: CreateScheduler, now: Time) -> ActiveModel {
    ActiveModel {
        id: NotSet,
        host_name: Set(create.host_name),
        ip: Set(ip_text(create.ip)),
        scheduler_cluster_id: Set(row_id(create.scheduler_cluster_id)),
        port: Set(i32::from(create.port)),
        idc: Set(create.idc),
        location: Set(create.location),
        features: Set(Json(all_if_empty(create.features))),
        keep_alive_interval_ms: Set(interval_ms(create.config)),
        lease: Set(0),
        lease_until: Set(Time::NEVER),
        last_keep_alive_at: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
    }
}

fn all_if_empty(features: Vec<String>) -> Vec<String> {
    if features.is_empty() {
        vec![FEATURE_SCHEDULE.into(), FEATURE_PREHEAT.into()]
    } else {
        features
    }
}

fn interval_ms(config: SchedulerConfig) -> i64 {
    i64::try_from(config.manager_keep_alive_interval / 1_000_000).unwrap_or(i64::MAX)
}

async fn require_cluster(db: &impl ConnectionTrait, id: u64) -> Result<(), Error> {
    match scheduler_cluster::Entity::find_by_id(row_id(id)).one(db).await? {
        Some(_) => Ok(()),
        None => Err(Error::no("scheduler cluster", id)),
    }
}
