//! Hosts that run a peer.

use super::super::Time;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "peer")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) scheduler_cluster_id: i64,
    pub(crate) host_id: String,
    pub(crate) host_name: String,
    pub(crate) ip: String,
    /// `super` or `normal`.
    pub(crate) r#type: String,
    pub(crate) port: i32,
    pub(crate) download_port: i32,
    pub(crate) proxy_port: i32,
    pub(crate) idc: String,
    pub(crate) location: String,
    pub(crate) os: String,
    pub(crate) platform: String,
    pub(crate) platform_family: String,
    pub(crate) platform_version: String,
    pub(crate) kernel_version: String,
    pub(crate) git_version: String,
    pub(crate) git_commit: String,
    pub(crate) build_platform: String,
    /// Not reported by a scheduler, but written down by somebody, who also removes it.
    pub(crate) by_hand: bool,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
