//! Members of clusters: schedulers and seed peers register, show that they live, and are listed.
//!
//! A member is its host's name, its address and its cluster. Whether it is alive is a lease, see [`lease`].

pub(crate) mod lease;
pub(crate) mod schedulers;
pub(crate) mod seed_peers;

use crate::error::{Error, row_id};
use crate::store::Time;
use dragonfly_api::rest::MemberState;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, Select};
use std::net::IpAddr;

/// A table of members.
pub(crate) trait Member: EntityTrait {
    /// What its rows are called in errors.
    const WHAT: &'static str;
    /// Id of the cluster.
    const CLUSTER: Self::Column;
    const ID: Self::Column;
    const HOST_NAME: Self::Column;
    const IP: Self::Column;
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

/// The member with this id.
pub(crate) async fn get<M: Member>(db: &impl ConnectionTrait, id: u64) -> Result<M::Model, Error> {
    let row = M::find().filter(M::ID.eq(row_id(id))).one(db).await?;
    row.ok_or_else(|| Error::no(M::WHAT, id))
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

/// Removes a member. One that lives registers again.
pub(crate) async fn delete<M: Member>(db: &impl ConnectionTrait, id: u64) -> Result<(), Error> {
    match M::delete_many()
        .filter(M::ID.eq(row_id(id)))
        .exec(db)
        .await?
        .rows_affected
    {
        0 => Err(Error::no(M::WHAT, id)),
        _ => Ok(()),
    }
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
