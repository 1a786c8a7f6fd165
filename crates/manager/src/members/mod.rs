//! Members of clusters: schedulers and seed peers register, show that they live, and are listed.
//!
//! A member is its host's name, its address and its cluster. Whether it is alive is a lease, see [`lease`].

pub(crate) mod lease;
pub(crate) mod schedulers;
pub(crate) mod seed_peers;

use crate::error::{Error, row_id};
use crate::rows::{self, Numbered};
use crate::store::{Store, Time};
use dragonfly_api::rest::MemberState;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait,
    IntoActiveModel, QueryFilter, QueryOrder, Select,
};
use std::net::IpAddr;

/// A table of members.
pub(crate) trait Member: Numbered {
    /// The table of their clusters.
    type Cluster: EntityTrait;

    /// What its rows are called in errors.
    const WHAT: &'static str;
    /// What their clusters are called in errors.
    const CLUSTER_WHAT: &'static str;
    /// Id of a cluster in its own table.
    const CLUSTER_ID: <Self::Cluster as EntityTrait>::Column;
    /// Id of the cluster.
    const CLUSTER: Self::Column;
    const ID: Self::Column;
    const HOST_NAME: Self::Column;
    const IP: Self::Column;
    const IDC: Self::Column;
    const LOCATION: Self::Column;
    const KEEP_ALIVE_INTERVAL: Self::Column;
    const LEASE: Self::Column;
    const LEASE_UNTIL: Self::Column;
    const LAST_KEEP_ALIVE_AT: Self::Column;
}

/// Who a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) host_name: String,
    /// Absent if the caller did not say it.
    pub(crate) ip: Option<String>,
    pub(crate) cluster: u64,
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.host_name)?;
        if let Some(ip) = &self.ip {
            write!(f, "({ip}) ")?;
        }
        write!(f, "in cluster {}", self.cluster)
    }
}

/// Which members are listed: those that match all that is given.
#[derive(Debug, Default)]
struct Wanted {
    host_name: Option<String>,
    ip: Option<IpAddr>,
    idc: Option<String>,
    location: Option<String>,
    cluster: Option<u64>,
    state: Option<MemberState>,
}

impl Identity {
    fn new(host_name: &str, ip: IpAddr, cluster: u64) -> Self {
        Self {
            host_name: host_name.to_owned(),
            ip: Some(ip_text(ip)),
            cluster,
        }
    }
}

/// The member with this id.
pub(crate) async fn get<M: Member>(db: &impl ConnectionTrait, id: u64) -> Result<M::Model, Error> {
    rows::get::<M>(db, M::WHAT, id).await
}

/// The member that this is; of several, if no address is given, the first.
pub(crate) async fn find<M: Member>(db: &impl ConnectionTrait, identity: &Identity) -> Result<M::Model, Error> {
    let row = identified::<M>(identity).one(db).await?;
    row.ok_or_else(|| Error::NotFound {
        what: M::WHAT,
        key: identity.to_string(),
    })
}

/// The members of a cluster that are alive.
pub(crate) async fn active<M: Member>(
    db: &impl ConnectionTrait,
    cluster: i64,
    now: Time,
) -> Result<Vec<M::Model>, DbErr> {
    M::find()
        .filter(M::CLUSTER.eq(cluster))
        .filter(M::LEASE_UNTIL.gt(now))
        .order_by_asc(M::ID)
        .all(db)
        .await
}

/// The members of all clusters that are alive.
pub(crate) async fn all_active<M: Member>(db: &impl ConnectionTrait, now: Time) -> Result<Vec<M::Model>, DbErr> {
    let alive = Wanted {
        state: Some(MemberState::Active),
        ..Wanted::default()
    };
    wanted::<M>(alive, now).all(db).await
}

/// Removes a member. One that lives registers again.
pub(crate) async fn delete<M: Member>(db: &impl ConnectionTrait, id: u64) -> Result<(), Error> {
    rows::delete::<M>(db, M::WHAT, id).await
}

/// The rows with this identity, first registered first.
fn identified<M: Member>(identity: &Identity) -> Select<M> {
    let rows = M::find()
        .filter(M::HOST_NAME.eq(identity.host_name.as_str()))
        .filter(M::CLUSTER.eq(row_id(identity.cluster)))
        .order_by_asc(M::ID);
    match &identity.ip {
        Some(ip) => rows.filter(M::IP.eq(ip.as_str())),
        None => rows,
    }
}

/// A member says that it is there: a row that is new, or of which `changed` is. It takes the next lease without running
/// it, so that the end of an earlier instance's stream is of the past.
async fn upsert<M: Member, A: ActiveModelTrait<Entity = M>>(
    store: &Store,
    key: &Identity,
    row: A,
    changed: Vec<M::Column>,
) -> Result<M::Model, Error> {
    let transaction = store.write().await?;
    require_cluster::<M>(&transaction, key.cluster).await?;
    let on_conflict = OnConflict::columns([M::HOST_NAME, M::IP, M::CLUSTER])
        .update_columns(changed)
        .value(M::LEASE, Expr::col((M::default(), M::LEASE)).add(1))
        .to_owned();
    M::insert(row)
        .on_conflict(on_conflict)
        .exec_without_returning(&transaction)
        .await?;
    let model = find::<M>(&transaction, key).await?;
    transaction.commit().await?;
    Ok(model)
}

/// Makes a member by hand. It must not exist.
async fn insert<M, A>(store: &Store, key: &Identity, row: A) -> Result<M::Model, Error>
where
    M: Member,
    M::Model: IntoActiveModel<A>,
    A: ActiveModelTrait<Entity = M> + ActiveModelBehavior + Send,
{
    let transaction = store.write().await?;
    require_cluster::<M>(&transaction, key.cluster).await?;
    let model = row
        .insert(&transaction)
        .await
        .map_err(|error| Error::unless_exists(error, M::WHAT, &key.to_string()))?;
    transaction.commit().await?;
    Ok(model)
}

/// Keeps a changed row.
async fn save<M, A>(transaction: DatabaseTransaction, row: A) -> Result<M::Model, Error>
where
    M: Member,
    M::Model: IntoActiveModel<A>,
    A: ActiveModelTrait<Entity = M> + ActiveModelBehavior + Send,
{
    let model = row
        .update(&transaction)
        .await
        .map_err(|error| Error::unless_exists(error, M::WHAT, "with this name and address in the cluster"))?;
    transaction.commit().await?;
    Ok(model)
}

async fn require_cluster<M: Member>(db: &impl ConnectionTrait, id: u64) -> Result<(), Error> {
    let cluster = M::Cluster::find().filter(M::CLUSTER_ID.eq(row_id(id))).one(db).await?;
    cluster.map(drop).ok_or_else(|| Error::no(M::CLUSTER_WHAT, id))
}

fn wanted<M: Member>(wanted: Wanted, now: Time) -> Select<M> {
    let mut rows = M::find().order_by_asc(M::ID);
    let texts = [
        (M::HOST_NAME, wanted.host_name),
        (M::IP, wanted.ip.map(ip_text)),
        (M::IDC, wanted.idc),
        (M::LOCATION, wanted.location),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            rows = rows.filter(column.eq(text));
        }
    }
    if let Some(cluster) = wanted.cluster {
        rows = rows.filter(M::CLUSTER.eq(row_id(cluster)));
    }
    match wanted.state {
        Some(MemberState::Active) => rows.filter(M::LEASE_UNTIL.gt(now)),
        Some(MemberState::Inactive) => rows.filter(M::LEASE_UNTIL.lte(now)),
        None => rows,
    }
}

fn state(lease_until: Time, now: Time) -> MemberState {
    if now < lease_until {
        MemberState::Active
    } else {
        MemberState::Inactive
    }
}

/// An address as the database keeps it: one text for one address.
pub(crate) fn ip_text(ip: IpAddr) -> String {
    ip.to_canonical().to_string()
}

/// A port from the database, whose writers had a `u16`.
fn port(port: i32) -> u16 {
    u16::try_from(port).unwrap_or(0)
}
