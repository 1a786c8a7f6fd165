//! Applications and the priorities of their downloads.

use super::super::{Json, Time};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

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

/// Priority of an application's downloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Priority {
    /// Of those that no pattern matches.
    pub(crate) value: i32,
    /// Of those whose URL a pattern matches; the first counts.
    #[serde(default)]
    pub(crate) urls: Vec<UrlPriority>,
}

/// Priority of the downloads whose URL a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UrlPriority {
    pub(crate) regex: String,
    pub(crate) value: i32,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
