//! Jobs.

use super::super::{Json, Time};
use sea_orm::entity::prelude::*;
use std::fmt;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    /// Under which name Dragonfly 2.5 would know its works together.
    #[sea_orm(unique)]
    pub(crate) group_uuid: String,
    pub(crate) r#type: String,
    /// `PENDING` until it has ended, then `SUCCESS` or `FAILURE`.
    pub(crate) state: String,
    pub(crate) bio: String,
    /// What was asked for, without secrets.
    pub(crate) args: Json<serde_json::Value>,
    /// The secrets, sealed; nothing if there are none, and once the job has ended.
    pub(crate) sealed: Option<Json<String>>,
    /// Which secrets it had, which a retry needs again.
    pub(crate) forgotten: Json<Vec<String>>,
    /// Why it failed as a whole; empty if it did not.
    pub(crate) error: String,
    pub(crate) user_id: i64,
    pub(crate) timeout_ms: i64,
    /// Fails then.
    pub(crate) deadline: Time,
    pub(crate) ended_at: Option<Time>,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("type", &self.r#type)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
