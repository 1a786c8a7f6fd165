//! Which scheduler cluster and which seed peer cluster are one cluster. Each appears at most once.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "seed_peer_cluster_scheduler_cluster")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) scheduler_cluster_id: i64,
    #[sea_orm(unique)]
    pub(crate) seed_peer_cluster_id: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    #[sea_orm(
        belongs_to = "super::scheduler_cluster::Entity",
        from = "Column::SchedulerClusterId",
        to = "super::scheduler_cluster::Column::Id"
    )]
    SchedulerCluster,
    #[sea_orm(
        belongs_to = "super::seed_peer_cluster::Entity",
        from = "Column::SeedPeerClusterId",
        to = "super::seed_peer_cluster::Column::Id"
    )]
    SeedPeerCluster,
}

impl Related<super::scheduler_cluster::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::SchedulerCluster.def()
    }
}

impl Related<super::seed_peer_cluster::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::SeedPeerCluster.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
