//! Identity providers.

use super::super::{Json, Time};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    #[sea_orm(unique)]
    pub(crate) name: String,
    pub(crate) bio: String,
    pub(crate) client_id: String,
    pub(crate) sealed_secret: String,
    pub(crate) redirect_url: String,
    pub(crate) issuer: String,
    /// Whose mail addresses make users.
    pub(crate) domains: Json<Vec<String>>,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
