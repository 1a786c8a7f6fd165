//! Schedulers.

use super::super::{Json, Time};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "scheduler")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) host_name: String,
    pub(crate) ip: String,
    pub(crate) scheduler_cluster_id: i64,
    pub(crate) port: i32,
    pub(crate) idc: String,
    pub(crate) location: String,
    pub(crate) features: Json<Vec<String>>,
    /// Time between two signs of life, in milliseconds.
    pub(crate) keep_alive_interval_ms: i64,
    /// Number of the newest lease; each registration and each stream of signs of life takes the next.
    pub(crate) lease: i64,
    /// Active until then.
    pub(crate) lease_until: Time,
    pub(crate) last_keep_alive_at: Option<Time>,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
