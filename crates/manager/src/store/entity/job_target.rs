//! One content on one host, as a work wants it.

use super::super::{Json, Time};
use dragonfly_api::rest::TaskPieces;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job_target")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) work_id: i64,
    /// Which content on which host, as a hash; one row for each of a work.
    pub(crate) mark: String,
    /// Without signatures.
    pub(crate) url: String,
    pub(crate) task_id: String,
    pub(crate) host_id: String,
    pub(crate) hostname: String,
    pub(crate) ip: String,
    /// `waiting`, `running`, `done`, `failed` or `cancelled`.
    pub(crate) state: String,
    /// Bytes.
    pub(crate) finished_length: i64,
    /// Bytes.
    pub(crate) content_length: Option<i64>,
    pub(crate) description: String,
    /// Which pieces are there, where that was asked for.
    pub(crate) pieces: Option<Json<TaskPieces>>,
    pub(crate) updated_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
