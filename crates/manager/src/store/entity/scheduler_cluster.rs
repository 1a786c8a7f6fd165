//! The scheduler halves of clusters.

use super::super::{Json, Time};
use dragonfly_api::rest::{PeerClusterConfig, SchedulerClusterConfig, Scopes};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "scheduler_cluster")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    #[sea_orm(unique)]
    pub(crate) name: String,
    pub(crate) bio: String,
    pub(crate) config: Json<SchedulerClusterConfig>,
    pub(crate) client_config: Json<PeerClusterConfig>,
    pub(crate) scopes: Json<Scopes>,
    pub(crate) is_default: bool,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
