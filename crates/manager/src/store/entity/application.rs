//! Applications and the priorities of their downloads.

use super::super::{Json, Time};
use dragonfly_api::rest::Priority;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "application")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    #[sea_orm(unique)]
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) bio: String,
    pub(crate) priority: Option<Json<Priority>>,
    pub(crate) user_id: i64,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
