//! Tasks that clusters keep with replicas.

use super::super::{Json, Time};
use dragonfly_api::rest::KeptTask;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "kept_task")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) scheduler_cluster_id: i64,
    /// Whose word it is.
    pub(crate) scheduler_id: i64,
    /// By which policy.
    pub(crate) keeping: String,
    pub(crate) task_id: String,
    pub(crate) told: Json<KeptTask>,
    pub(crate) updated_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
