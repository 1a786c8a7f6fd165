//! Who did what.

use super::super::{Json, Time};
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    /// `USER`, `PAT` or `UNKNOWN`.
    pub(crate) actor_type: String,
    pub(crate) actor_name: String,
    /// From where.
    pub(crate) address: String,
    /// The method of HTTP.
    pub(crate) operation: String,
    pub(crate) path: String,
    /// The kind of object.
    pub(crate) object: String,
    /// What the path names of that kind; empty if it names none.
    pub(crate) object_id: String,
    /// `SUCCESS` or `FAILURE`.
    pub(crate) state: String,
    /// The answer's, or 0 as long as there is none.
    pub(crate) status_code: i32,
    /// The change that was asked for, without its secrets.
    pub(crate) detail: Option<Json<serde_json::Value>>,
    pub(crate) operated_at: Time,
    pub(crate) updated_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
