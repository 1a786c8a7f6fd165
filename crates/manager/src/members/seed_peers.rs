//! Seed peers.

use super::{Identity, Member, Wanted, ip_text, lease, port, state};
use crate::error::{Error, row_id, wire_id};
use crate::rows::{self, set_given};
use crate::store::entity::seed_peer::{ActiveModel, Column, Entity, Model};
use crate::store::entity::seed_peer_cluster;
use crate::store::{Store, Time};
use dragonfly_api::rest::{Check, CreateSeedPeer, Page, SeedPeer, SeedPeerFilter, SeedPeerType, UpdateSeedPeer};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use std::net::IpAddr;

impl Member for Entity {
    type Cluster = seed_peer_cluster::Entity;

    const WHAT: &'static str = "seed peer";
    const CLUSTER_WHAT: &'static str = "seed peer cluster";
    const CLUSTER_ID: seed_peer_cluster::Column = seed_peer_cluster::Column::Id;
    const CLUSTER: Column = Column::SeedPeerClusterId;
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

/// A seed peer says that it is there, at its start and whenever it changed.
///
/// Other than a scheduler it is active at once, for one lease: Dragonfly's seed peers expect that.
pub(crate) async fn register(store: &Store, create: CreateSeedPeer, now: Time) -> Result<Model, Error> {
    create.checked()?;
    let key = identity(&create);
    let mut row = row(create, now);
    row.lease_until = Set(now.plus(lease::DEFAULT_INTERVAL * lease::INTERVALS));
    row.last_keep_alive_at = Set(Some(now));
    let changed = vec![
        Column::Type,
        Column::Port,
        Column::DownloadPort,
        Column::Idc,
        Column::Location,
        Column::LeaseUntil,
        Column::LastKeepAliveAt,
        Column::UpdatedAt,
    ];
    super::upsert(store, &key, row, changed).await
}

/// Makes a seed peer by hand. It must not exist.
pub(crate) async fn create(store: &Store, create: CreateSeedPeer, now: Time) -> Result<Model, Error> {
    create.checked()?;
    let key = identity(&create);
    super::insert(store, &key, row(create, now)).await
}

/// Changes what `update` names and leaves the rest.
pub(crate) async fn update(store: &Store, id: u64, update: UpdateSeedPeer, now: Time) -> Result<Model, Error> {
    update.checked()?;
    let transaction = store.write().await?;
    let mut model = super::get::<Entity>(&transaction, id).await?.into_active_model();
    if let Some(cluster) = update.seed_peer_cluster_id {
        super::require_cluster::<Entity>(&transaction, cluster).await?;
        model.seed_peer_cluster_id = Set(row_id(cluster));
    }
    if let Some(ip) = update.ip {
        model.ip = Set(ip_text(ip));
    }
    set_given!(model, update: port, download_port, object_storage_port, idc, location);
    model.updated_at = Set(now);
    super::save(transaction, model).await
}

/// A seed peer says that it leaves, all of them with this name if it gives no address. Nothing to remove is no error.
pub(crate) async fn leave(store: &Store, identity: &Identity) -> Result<(), Error> {
    let mut rows = Entity::delete_many()
        .filter(Column::HostName.eq(identity.host_name.as_str()))
        .filter(Column::SeedPeerClusterId.eq(row_id(identity.cluster)));
    if let Some(ip) = &identity.ip {
        rows = rows.filter(Column::Ip.eq(ip.as_str()));
    }
    rows.exec(store.db()).await?;
    Ok(())
}

/// The seed peer clusters in which a host is registered.
pub(crate) async fn clusters_of(db: &impl ConnectionTrait, host_name: &str, ip: IpAddr) -> Result<Vec<i64>, DbErr> {
    Entity::find()
        .select_only()
        .column(Column::SeedPeerClusterId)
        .filter(Column::HostName.eq(host_name))
        .filter(Column::Ip.eq(ip_text(ip)))
        .order_by_asc(Column::SeedPeerClusterId)
        .into_tuple()
        .all(db)
        .await
}

/// One page of the seed peers that match, and how many match in total.
pub(crate) async fn list(
    store: &Store,
    filter: SeedPeerFilter,
    page: Page,
    now: Time,
) -> Result<(Vec<Model>, u64), Error> {
    let wanted = Wanted {
        host_name: filter.host_name,
        ip: filter.ip,
        idc: filter.idc,
        location: filter.location,
        cluster: filter.seed_peer_cluster_id,
        state: filter.state,
    };
    let mut rows = super::wanted::<Entity>(wanted, now);
    if let Some(kind) = filter.r#type {
        rows = rows.filter(Column::Type.eq(kind_word(kind)));
    }
    if let Some(port) = filter.port {
        rows = rows.filter(Column::Port.eq(i32::from(port)));
    }
    rows::page(store, rows, page).await
}

/// As REST shows it.
pub(crate) fn wire(model: Model, now: Time) -> SeedPeer {
    SeedPeer {
        id: wire_id(model.id),
        created_at: model.created_at.timestamp(),
        updated_at: model.updated_at.timestamp(),
        is_del: 0,
        host_name: model.host_name,
        r#type: SeedPeerType::Super,
        idc: model.idc,
        location: model.location,
        ip: model.ip,
        port: port(model.port),
        download_port: port(model.download_port),
        object_storage_port: port(model.object_storage_port),
        state: state(model.lease_until, now),
        seed_peer_cluster_id: wire_id(model.seed_peer_cluster_id),
        last_keep_alive_at: model.last_keep_alive_at.map(Time::timestamp),
    }
}

fn identity(create: &CreateSeedPeer) -> Identity {
    Identity::new(&create.host_name, create.ip, create.seed_peer_cluster_id)
}

fn row(create: CreateSeedPeer, now: Time) -> ActiveModel {
    ActiveModel {
        id: NotSet,
        host_name: Set(create.host_name),
        ip: Set(ip_text(create.ip)),
        seed_peer_cluster_id: Set(row_id(create.seed_peer_cluster_id)),
        r#type: Set(kind_word(create.r#type).into()),
        port: Set(i32::from(create.port)),
        download_port: Set(i32::from(create.download_port)),
        object_storage_port: Set(i32::from(create.object_storage_port)),
        idc: Set(create.idc),
        location: Set(create.location),
        keep_alive_interval_ms: Set(i64::try_from(lease::DEFAULT_INTERVAL.as_millis()).unwrap_or(i64::MAX)),
        lease: Set(0),
        lease_until: Set(Time::NEVER),
        last_keep_alive_at: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
    }
}

fn kind_word(kind: SeedPeerType) -> &'static str {
    match kind {
        SeedPeerType::Super => "super",
    }
}
