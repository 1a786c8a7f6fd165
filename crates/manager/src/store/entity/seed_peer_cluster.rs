//! The seed peer halves of clusters.

use super::super::{Json, Time};
use dragonfly_api::rest::SeedPeerClusterConfig;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "seed_peer_cluster")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    #[sea_orm(unique)]
    pub(crate) name: String,
    pub(crate) bio: String,
    pub(crate) config: Json<SeedPeerClusterConfig>,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
