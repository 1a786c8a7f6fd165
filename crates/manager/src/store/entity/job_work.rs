//! A cluster's part of a job. Cluster 0 is the manager itself.

use super::super::{Json, Time};
use dragonfly_api::rest::{CachedLayer, Layer};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "job_work")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) job_id: i64,
    pub(crate) scheduler_cluster_id: i64,
    pub(crate) task_uuid: String,
    /// `PENDING`, `STARTED`, `RETRY`, `SUCCESS` or `FAILURE`.
    pub(crate) state: String,
    /// Number of the newest lease; each handing out takes the next.
    pub(crate) lease: i64,
    /// The scheduler that has it.
    pub(crate) holder_id: Option<i64>,
    /// Not handed out before then: the end of the lease.
    pub(crate) free_at: Time,
    /// How often it was handed out.
    pub(crate) attempts: i32,
    /// Of one that a scheduler has ended: what a retry needs not ask for again.
    pub(crate) only: Option<Json<Only>>,
    /// What came of a question for an image.
    pub(crate) image: Option<Json<Distribution>>,
    /// Why it failed; empty if it did not.
    pub(crate) error: String,
    /// How many targets have rows.
    pub(crate) targets: i64,
    /// How many were reported without a row, since there are too many.
    pub(crate) not_kept: i64,
    pub(crate) updated_at: Time,
}

/// What a scheduler left undone of what it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Only {
    /// URLs that every target has.
    pub(crate) done: Vec<String>,
    /// URLs that some target lacks.
    pub(crate) lacking: Vec<String>,
    /// Addresses of the hosts that lack something; empty: it is not known of all.
    pub(crate) ips: Vec<String>,
}

/// Who has what of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Distribution {
    pub(crate) layers: Vec<Layer>,
    /// Address, host name, layers.
    pub(crate) peers: Vec<(String, String, Vec<CachedLayer>)>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
