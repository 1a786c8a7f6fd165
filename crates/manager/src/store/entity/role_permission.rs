//! What a role permits.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "role_permission")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) role_id: i64,
    /// First segment of the path after `/api/v1/`, or `*`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) object: String,
    /// `read` or `*`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) action: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
