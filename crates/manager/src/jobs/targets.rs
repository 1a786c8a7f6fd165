//! Targets: what is reported of each content on each host, counted and listed. A work has so many rows at most.

use super::ask::{shown_text, shown_url};
use super::{Jobs, WHAT, head};
use crate::error::{Error, row_id, wire_id};
use crate::rows;
use crate::store::entity::{job, job_target, job_work};
use crate::store::{Json, Time};
use dragonfly_api::ext;
use dragonfly_api::rest::{JobTarget, Page, TargetCounts, TargetFilter, TargetState, TaskPieces};
use dragonfly_model::Coverage;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, FromQueryResult, QueryFilter,
    QueryOrder, QuerySelect,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Rows of one work.
const MAX_TARGETS: i64 = 20_000;
/// Rows that are written at once.
const BATCH: usize = 500;
/// Works that are counted at once.
const COUNTED: usize = 1000;
/// Characters that are kept of each text.
const MAX_URL_CHARS: usize = 8192;
const MAX_TASK_CHARS: usize = 128;
const MAX_HOST_CHARS: usize = 253;
const MAX_IP_CHARS: usize = 45;

/// What the targets of a work come to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) counts: TargetCounts,
    pub(super) finished_length: u64,
    pub(super) content_length: u64,
}

/// A row of what the database adds up.
#[derive(Debug, FromQueryResult)]
struct Sum {
    work_id: i64,
    state: String,
    number: i64,
    finished: Option<i64>,
    content: Option<i64>,
}

/// How many rows a report has made, and how many would have been too many.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Written {
    pub(super) new: i64,
    pub(super) not_kept: i64,
}

/// Writes what is reported of a work whose row is locked.
pub(super) async fn write(
    transaction: &DatabaseTransaction,
    work: &job_work::Model,
    targets: Vec<ext::Target>,
    now: Time,
) -> Result<Written, DbErr> {
    // Of two reports of the same target the later holds.
    let rows: HashMap<String, ext::Target> = targets
        .into_iter()
        .map(|mut target| {
            target.url = shown_url(&target.url).chars().take(MAX_URL_CHARS).collect();
            (mark(&target), target)
        })
        .collect();
    let mut rows: Vec<(String, ext::Target)> = rows.into_iter().collect();
    // In one order, so that two transactions don't wait for each other.
    rows.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let mut written = Written::default();
    for rows in rows.chunks(BATCH) {
        let known = known(transaction, work.id, rows).await?;
        let mut kept = Vec::with_capacity(rows.len());
        for (mark, target) in rows {
            if known.contains(mark) {
                kept.push(row(work.id, mark, target, now));
            } else if work.targets + written.new < MAX_TARGETS {
                written.new += 1;
                kept.push(row(work.id, mark, target, now));
            } else {
                written.not_kept += 1;
            }
        }
        if kept.is_empty() {
            continue;
        }
        let again = OnConflict::columns([job_target::Column::WorkId, job_target::Column::Mark])
            .update_columns([
                job_target::Column::Hostname,
                job_target::Column::Ip,
                job_target::Column::State,
                job_target::Column::FinishedLength,
                job_target::Column::ContentLength,
                job_target::Column::Description,
                job_target::Column::Pieces,
                job_target::Column::UpdatedAt,
            ])
            .to_owned();
        job_target::Entity::insert_many(kept)
            .on_conflict(again)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(written)
}

/// Gives all targets of works that are not ready a last state.
pub(super) async fn close(
    transaction: &DatabaseTransaction,
    works: impl IntoIterator<Item = i64>,
    state: TargetState,
    description: &str,
    now: Time,
) -> Result<(), DbErr> {
    let open = [TargetState::Waiting, TargetState::Running].map(TargetState::as_str);
    job_target::Entity::update_many()
        .col_expr(job_target::Column::State, Expr::value(state.as_str()))
        .col_expr(job_target::Column::Description, Expr::value(head(description)))
        .col_expr(job_target::Column::UpdatedAt, Expr::value(now))
        .filter(job_target::Column::WorkId.is_in(works))
        .filter(job_target::Column::State.is_in(open))
        .exec(transaction)
        .await?;
    Ok(())
}

/// What the targets of each of these works come to.
pub(super) async fn tally(db: &impl ConnectionTrait, works: &[i64]) -> Result<HashMap<i64, Tally>, DbErr> {
    // Sums of whole numbers are decimals on servers.
    let whole = match db.get_database_backend() {
        DbBackend::MySql => "SIGNED",
        _ => "BIGINT",
    };
    let sum = |column: job_target::Column| Expr::col(column).sum().cast_as(Alias::new(whole));
    let mut tallies: HashMap<i64, Tally> = HashMap::new();
    for works in works.chunks(COUNTED) {
        let rows: Vec<Sum> = job_target::Entity::find()
            .select_only()
            .column(job_target::Column::WorkId)
            .column(job_target::Column::State)
            .column_as(job_target::Column::Id.count(), "number")
            .column_as(sum(job_target::Column::FinishedLength), "finished")
            .column_as(sum(job_target::Column::ContentLength), "content")
            .filter(job_target::Column::WorkId.is_in(works.iter().copied()))
            .group_by(job_target::Column::WorkId)
            .group_by(job_target::Column::State)
            .into_model()
            .all(db)
            .await?;
        for sum in rows {
            let tally = tallies.entry(sum.work_id).or_default();
            *tally.counts.of(state_of(&sum.state)) += wire_id(sum.number);
            tally.finished_length += wire_id(sum.finished.unwrap_or(0));
            tally.content_length += wire_id(sum.content.unwrap_or(0));
        }
    }
    Ok(tallies)
}

impl Jobs {
    /// One page of a job's targets that match, and how many match in total.
    pub(crate) async fn targets(
        &self,
        id: u64,
        filter: TargetFilter,
        page: Page,
    ) -> Result<(Vec<JobTarget>, u64), Error> {
        let job = rows::get::<job::Entity>(self.store.db(), WHAT, id).await?;
        let mut works = job_work::Entity::find().filter(job_work::Column::JobId.eq(job.id));
        if let Some(cluster) = filter.scheduler_cluster_id {
            works = works.filter(job_work::Column::SchedulerClusterId.eq(row_id(cluster)));
        }
        let works: BTreeMap<i64, u64> = works
            .all(self.store.db())
            .await?
            .into_iter()
            .map(|work| (work.id, wire_id(work.scheduler_cluster_id)))
            .collect();
        let mut rows = job_target::Entity::find()
            .filter(job_target::Column::WorkId.is_in(works.keys().copied()))
            .order_by_asc(job_target::Column::Id);
        if let Some(state) = filter.state {
            rows = rows.filter(job_target::Column::State.eq(state.as_str()));
        }
        let (rows, total) = rows::page(&self.store, rows, page).await?;
        let cluster = |work: i64| works.get(&work).copied().unwrap_or(0);
        let targets = rows.into_iter().map(|row| wire(cluster(row.work_id), row));
        Ok((targets.collect(), total))
    }
}

/// A state from the database, whose writers had a [`TargetState`].
pub(super) fn state_of(word: &str) -> TargetState {
    let found = TargetState::ALL.into_iter().find(|state| state.as_str() == word);
    found.unwrap_or(TargetState::Waiting)
}

async fn known(
    transaction: &DatabaseTransaction,
    work: i64,
    rows: &[(String, ext::Target)],
) -> Result<HashSet<String>, DbErr> {
    let known: Vec<String> = job_target::Entity::find()
        .select_only()
        .column(job_target::Column::Mark)
        .filter(job_target::Column::WorkId.eq(work))
        .filter(job_target::Column::Mark.is_in(rows.iter().map(|(mark, _)| mark.as_str())))
        .into_tuple()
        .all(transaction)
        .await?;
    Ok(known.into_iter().collect())
}

fn mark(target: &ext::Target) -> String {
    let mut hash = Sha256::new();
    for part in [&target.url, &target.task_id, &target.host_id] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

fn row(work: i64, mark: &str, target: &ext::Target, now: Time) -> job_target::ActiveModel {
    let cut = |text: &str, chars: usize| text.chars().take(chars).collect::<String>();
    let state = TargetState::from(target.state());
    job_target::ActiveModel {
        id: NotSet,
        work_id: Set(work),
        mark: Set(mark.to_owned()),
        url: Set(target.url.clone()),
        task_id: Set(cut(&target.task_id, MAX_TASK_CHARS)),
        host_id: Set(cut(&target.host_id, MAX_HOST_CHARS)),
        hostname: Set(cut(&target.hostname, MAX_HOST_CHARS)),
        ip: Set(cut(&target.ip, MAX_IP_CHARS)),
        state: Set(state.as_str().to_owned()),
        finished_length: Set(row_id(target.finished_length)),
        content_length: Set(target.content_length.map(row_id)),
        description: Set(head(&shown_text(&target.description))),
        pieces: Set(target.pieces.clone().and_then(pieces)),
        updated_at: Set(now),
    }
}

/// Pieces, if what is told of them can be.
fn pieces(told: ext::Pieces) -> Option<Json<TaskPieces>> {
    let coverage = Coverage::told(told.total, told.held);
    let refused = coverage.as_ref().err();
    refused.inspect(|reason| tracing::warn!(%reason, "what a scheduler says of pieces is not understood"));
    coverage.ok().map(|coverage| Json(coverage.into()))
}

fn wire(cluster: u64, row: job_target::Model) -> JobTarget {
    JobTarget {
        id: wire_id(row.id),
        url: row.url,
        task_id: row.task_id,
        scheduler_cluster_id: cluster,
        host_id: row.host_id,
        hostname: row.hostname,
        ip: row.ip,
        state: state_of(&row.state),
        finished_length: wire_id(row.finished_length),
        content_length: row.content_length.map(wire_id),
        description: row.description,
        updated_at: row.updated_at.timestamp(),
    }
}
