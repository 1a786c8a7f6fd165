//! Schedulers.

use super::{Identity, Member, Wanted, ip_text, port, state};
use crate::error::{Error, row_id, wire_id};
use crate::rows::{self, set_given};
use crate::store::entity::scheduler::{ActiveModel, Column, Entity, Model};
use crate::store::entity::scheduler_cluster;
use crate::store::{Json, Store, Time};
use dragonfly_api::rest::{
    Check, CreateScheduler, FEATURE_PREHEAT, FEATURE_SCHEDULE, Page, Scheduler, SchedulerConfig, SchedulerFilter,
    UpdateScheduler,
};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::IntoActiveModel;

impl Member for Entity {
    type Cluster = scheduler_cluster::Entity;

    const WHAT: &'static str = "scheduler";
    const CLUSTER_WHAT: &'static str = "scheduler cluster";
    const CLUSTER_ID: scheduler_cluster::Column = scheduler_cluster::Column::Id;
    const CLUSTER: Column = Column::SchedulerClusterId;
    const ID: Column = Column::Id;
    const HOST_NAME: Column = Column::HostName;
    const IP: Column = Column::Ip;
    const IDC: Column = Column::Idc;
    const LOCATION: Column = Column::Location;
    const KEEP_ALIVE_INTERVAL: Column = Column::KeepAliveIntervalMs;
    const LEASE: Column = Column::Lease;
    const LEASE_UNTIL: Column = Column::LeaseUntil;
    const LAST_KEEP_ALIVE_AT: Column = Column::LastKeepAliveAt;
}

/// A scheduler says that it is there, at its start and whenever it changed. It is active with its next sign of life.
pub(crate) async fn register(store: &Store, create: CreateScheduler, now: Time) -> Result<Model, Error> {
    create.checked()?;
    let key = identity(&create);
    let changed = vec![
        Column::Port,
        Column::Idc,
        Column::Location,
        Column::Features,
        Column::KeepAliveIntervalMs,
        Column::UpdatedAt,
    ];
    super::upsert(store, &key, row(create, now), changed).await
}

/// Makes a scheduler by hand. It must not exist.
pub(crate) async fn create(store: &Store, create: CreateScheduler, now: Time) -> Result<Model, Error> {
    create.checked()?;
    let key = identity(&create);
    super::insert(store, &key, row(create, now)).await
}

/// Changes what `update` names and leaves the rest.
pub(crate) async fn update(store: &Store, id: u64, update: UpdateScheduler, now: Time) -> Result<Model, Error> {
    update.checked()?;
    let transaction = store.write().await?;
    let mut model = super::get::<Entity>(&transaction, id).await?.into_active_model();
    if let Some(cluster) = update.scheduler_cluster_id {
        super::require_cluster::<Entity>(&transaction, cluster).await?;
        model.scheduler_cluster_id = Set(row_id(cluster));
    }
    if let Some(ip) = update.ip {
        model.ip = Set(ip_text(ip));
    }
    if let Some(features) = update.features {
        model.features = Set(Json(all_if_empty(features)));
    }
    if let Some(config) = update.config {
        model.keep_alive_interval_ms = Set(interval_ms(config));
    }
    set_given!(model, update: port, idc, location);
    model.updated_at = Set(now);
    super::save(transaction, model).await
}

/// One page of the schedulers that match, and how many match in total.
pub(crate) async fn list(
    store: &Store,
    filter: SchedulerFilter,
    page: Page,
    now: Time,
) -> Result<(Vec<Model>, u64), Error> {
    let wanted = Wanted {
        host_name: filter.host_name,
        ip: filter.ip,
        idc: filter.idc,
        location: filter.location,
        cluster: filter.scheduler_cluster_id,
        state: filter.state,
    };
    rows::page(store, super::wanted::<Entity>(wanted, now), page).await
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
    Identity::new(&create.host_name, create.ip, create.scheduler_cluster_id)
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
