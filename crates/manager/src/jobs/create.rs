//! Making jobs.

use super::ask::Ask;
use super::{Jobs, MANAGER, order, rate};
use crate::clusters;
use crate::error::{Error, row_id, wire_id};
use crate::store::entity::{job, job_work, scheduler_cluster};
use crate::store::{Json, Time};
use dragonfly_api::rest::{Check, CreateJob, JobState, JobType};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use std::time::Duration;
use uuid::Uuid;

/// Jobs that have not ended. With more, something else is wrong.
const MAX_OPEN: u64 = 10_000;
/// Rows that are inserted at once.
const BATCH: usize = 500;

impl Jobs {
    /// Makes a job of a user's, and returns its id. It is there for every manager when this returns.
    pub(crate) async fn create(&self, user: u64, create: CreateJob, now: Time) -> Result<u64, Error> {
        create.checked()?;
        if ![0, user].contains(&create.user_id) {
            return Err(Error::Invalid("user_id must be the caller's, or left out".into()));
        }
        let ask = Ask::read(create.r#type, create.args)?;
        if !order::fits(ask.args.clone()) {
            return Err(Error::Invalid(
                "args are too large for one job: fewer urls, or shorter headers; make several jobs".into(),
            ));
        }
        let transaction = self.store.write().await?;
        let ids = match create.r#type {
            JobType::Gc => vec![MANAGER],
            _ => {
                let clusters = named(&transaction, create.scheduler_cluster_ids).await?;
                rate::take(&transaction, &clusters, now).await?;
                clusters.iter().map(|cluster| cluster.id).collect()
            }
        };
        not_too_many(&transaction).await?;
        let group = format!("group_{}", Uuid::new_v4());
        let row = job::ActiveModel {
            id: NotSet,
            r#type: Set(create.r#type.as_str().to_owned()),
            state: Set(JobState::Pending.as_str().to_owned()),
            bio: Set(create.bio),
            args: Set(Json(ask.shown)),
            sealed: Set(ask.whole.map(|whole| Json(self.sealer.seal(&group, &whole)))),
            group_uuid: Set(group),
            forgotten: Set(Json(ask.secrets)),
            error: Set(String::new()),
            user_id: Set(row_id(user)),
            timeout_ms: Set(i64::try_from(ask.timeout.as_millis()).unwrap_or(i64::MAX)),
            deadline: Set(now.plus(ask.timeout)),
            ended_at: Set(None),
            created_at: Set(now),
            updated_at: Set(now),
        };
        let id = job::Entity::insert(row).exec(&transaction).await?.last_insert_id;
        for ids in ids.chunks(BATCH) {
            let works = ids.iter().map(|cluster| work(id, *cluster, now));
            job_work::Entity::insert_many(works)
                .exec_without_returning(&transaction)
                .await?;
        }
        transaction.commit().await?;
        self.woken();
        tracing::info!(job.id = id, job.type = create.r#type.as_str(), clusters = ids.len(), "a job was made");
        Ok(wire_id(id))
    }
}

/// The clusters with these ids, or all.
async fn named(transaction: &DatabaseTransaction, mut ids: Vec<u64>) -> Result<Vec<scheduler_cluster::Model>, Error> {
    ids.sort_unstable();
    ids.dedup();
    let mut rows = scheduler_cluster::Entity::find().order_by_asc(scheduler_cluster::Column::Id);
    if !ids.is_empty() {
        rows = rows.filter(scheduler_cluster::Column::Id.is_in(ids.iter().map(|id| row_id(*id))));
    }
    let clusters = rows.all(transaction).await?;
    let missing = ids
        .into_iter()
        .find(|id| !clusters.iter().any(|cluster| wire_id(cluster.id) == *id));
    match missing {
        Some(id) => Err(Error::no(clusters::WHAT, id)),
        None if clusters.is_empty() => Err(Error::Conflict("there is no cluster that could do it".into())),
        None => Ok(clusters),
    }
}

async fn not_too_many(transaction: &DatabaseTransaction) -> Result<(), Error> {
    let open = job::Entity::find()
        .filter(job::Column::State.eq(JobState::Pending.as_str()))
        .count(transaction)
        .await?;
    if open < MAX_OPEN {
        return Ok(());
    }
    Err(Error::TooMany {
        what: format!("{MAX_OPEN} jobs have not ended yet; wait for them, or cancel some"),
        wait: Duration::from_secs(60),
    })
}

fn work(job: i64, cluster: i64, now: Time) -> job_work::ActiveModel {
    job_work::ActiveModel {
        id: NotSet,
        job_id: Set(job),
        scheduler_cluster_id: Set(cluster),
        task_uuid: Set(format!("task_{}", Uuid::new_v4())),
        state: Set(JobState::Pending.as_str().to_owned()),
        lease: Set(0),
        holder_id: Set(None),
        free_at: Set(now),
        attempts: Set(0),
        only: Set(None),
        image: Set(None),
        error: Set(String::new()),
        targets: Set(0),
        not_kept: Set(0),
        updated_at: Set(now),
    }
}
