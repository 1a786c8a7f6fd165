//! Seed peers.

use super::super::Time;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "seed_peer")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) host_name: String,
    pub(crate) ip: String,
    pub(crate) seed_peer_cluster_id: i64,
    /// `super`.
    pub(crate) r#type: String,
    pub(crate) port: i32,
    pub(crate) download_port: i32,
    pub(crate) object_storage_port: i32,
    pub(crate) idc: String,
    pub(crate) location: String,
    /// As in the table of schedulers.
    pub(crate) keep_alive_interval_ms: i64,
    /// As in the table of schedulers.
    pub(crate) lease: i64,
    /// As in the table of schedulers.
    pub(crate) lease_until: Time,
    pub(crate) last_keep_alive_at: Option<Time>,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
