//! What schedulers report of their works.

use super::ask::{shown_text, shown_url};
use super::{Jobs, Seat, head, state_of, targets};
use crate::error::{Error, row_id};
use crate::store::entity::job_work::{Distribution, Only};
use crate::store::entity::{job_target, job_work};
use crate::store::{Json, Time};
use dragonfly_api::rest::{CachedLayer, JobState, Layer, TargetState};
use dragonfly_api::{ext, scheduler};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};
use std::collections::BTreeSet;

/// What a report came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The lease goes on.
    Kept,
    /// The outcome is recorded.
    Ended,
    /// The lease is not the reporter's any more; nothing has changed.
    Stale,
}

/// How a work ended.
#[derive(Debug, Default)]
pub(super) struct Ending {
    pub(super) succeeded: bool,
    /// Why not.
    pub(super) error: String,
    pub(super) image: Option<Distribution>,
    /// What a scheduler left undone.
    pub(super) only: Option<Only>,
}

impl Jobs {
    /// Records a scheduler's report and extends its lease.
    pub(crate) async fn hear(&self, seat: Seat, report: ext::WorkReport, now: Time) -> Result<Heard, Error> {
        let transaction = self.store.write().await?;
        let work = job_work::Entity::find_by_id(row_id(report.id))
            .lock_exclusive()
            .one(&transaction)
            .await?;
        let its = |work: &job_work::Model| {
            work.lease == row_id(report.lease)
                && work.holder_id == Some(seat.scheduler)
                && matches!(state_of(&work.state), JobState::Started | JobState::Retry)
        };
        let Some(work) = work.filter(its) else {
            return Ok(Heard::Stale);
        };
        let written = targets::write(&transaction, &work, report.targets, now).await?;
        let mut update = job_work::Entity::update_many()
            .col_expr(job_work::Column::State, Expr::value(JobState::Started.as_str()))
            .col_expr(job_work::Column::FreeAt, Expr::value(now.plus(self.lease)))
            .col_expr(job_work::Column::UpdatedAt, Expr::value(now))
            .filter(job_work::Column::Id.eq(work.id));
        if written.new > 0 || written.not_kept > 0 {
            update = update
                .col_expr(job_work::Column::Targets, Expr::value(work.targets + written.new))
                .col_expr(job_work::Column::NotKept, Expr::value(work.not_kept + written.not_kept));
        }
        update.exec(&transaction).await?;
        let ended = report.outcome.is_some();
        if let Some(outcome) = report.outcome {
            let ending = ending(&transaction, &work, outcome).await?;
            end(&transaction, work.id, ending, now).await?;
        }
        transaction.commit().await?;
        if !ended {
            return Ok(Heard::Kept);
        }
        self.end_if_all_works_have(work.job_id, now).await?;
        Ok(Heard::Ended)
    }

    /// Ends a work that could not be begun, or that the manager itself did.
    pub(super) async fn end_own(&self, work: &job_work::Model, ending: Ending, now: Time) -> Result<(), Error> {
        let transaction = self.store.write().await?;
        let current = job_work::Entity::find_by_id(work.id)
            .lock_exclusive()
            .one(&transaction)
            .await?;
        let is_ours = |current: &job_work::Model| current.lease == work.lease && !state_of(&current.state).has_ended();
        if current.is_some_and(|current| is_ours(&current)) {
            end(&transaction, work.id, ending, now).await?;
        }
        transaction.commit().await?;
        self.end_if_all_works_have(work.job_id, now).await
    }

    pub(super) async fn fail_work(&self, work: &job_work::Model, reason: &str, now: Time) -> Result<(), Error> {
        let ending = Ending {
            error: reason.to_owned(),
            ..Ending::default()
        };
        self.end_own(work, ending, now).await
    }
}

/// Writes how a work ended whose row is locked. What was not finished by then has failed.
pub(super) async fn end(transaction: &DatabaseTransaction, work: i64, ending: Ending, now: Time) -> Result<(), DbErr> {
    let state = if ending.succeeded {
        JobState::Success
    } else {
        JobState::Failure
    };
    let reason = "its work ended before it was reported to be there";
    targets::close(transaction, [work], TargetState::Failed, reason, now).await?;
    job_work::Entity::update_many()
        .col_expr(job_work::Column::State, Expr::value(state.as_str()))
        .col_expr(job_work::Column::Error, Expr::value(head(&ending.error)))
        .col_expr(job_work::Column::Image, Expr::value(ending.image.map(Json)))
        .col_expr(job_work::Column::Only, Expr::value(ending.only.map(Json)))
        .col_expr(job_work::Column::UpdatedAt, Expr::value(now))
        .filter(job_work::Column::Id.eq(work))
        .exec(transaction)
        .await?;
    Ok(())
}

/// A scheduler's word is taken for a failure, and for a success if every target bears it out.
async fn ending(
    transaction: &DatabaseTransaction,
    work: &job_work::Model,
    outcome: ext::WorkOutcome,
) -> Result<Ending, DbErr> {
    let lacking = job_target::Entity::find()
        .filter(job_target::Column::WorkId.eq(work.id))
        .filter(job_target::Column::State.ne(TargetState::Done.as_str()))
        .count(transaction)
        .await?;
    let succeeded = outcome.succeeded && lacking == 0;
    let error = match (succeeded, outcome.description.is_empty()) {
        (true, _) => String::new(),
        (false, false) => shown_text(&outcome.description),
        (false, true) => format!("{lacking} targets do not have it"),
    };
    Ok(Ending {
        succeeded,
        error,
        image: outcome.image.map(distribution),
        only: if succeeded {
            None
        } else {
            Some(left(transaction, work.id).await?)
        },
    })
}

/// What of a work is done, and what is not.
async fn left(transaction: &DatabaseTransaction, work: i64) -> Result<Only, DbErr> {
    let rows: Vec<(String, String, String)> = job_target::Entity::find()
        .select_only()
        .column(job_target::Column::Url)
        .column(job_target::Column::Ip)
        .column(job_target::Column::State)
        .filter(job_target::Column::WorkId.eq(work))
        .into_tuple()
        .all(transaction)
        .await?;
    let (mut done, mut lacking, mut ips) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (url, ip, state) in rows {
        if state == TargetState::Done.as_str() {
            done.insert(url);
        } else {
            lacking.insert(url);
            ips.insert(ip);
        }
    }
    // A target without a host says that none could be chosen: then the choice is open again.
    if ips.contains("") {
        ips.clear();
    }
    Ok(Only {
        done: done.difference(&lacking).cloned().collect(),
        lacking: lacking.into_iter().collect(),
        ips: ips.into_iter().collect(),
    })
}

fn distribution(image: scheduler::StatImageResponse) -> Distribution {
    let layers = image.image.unwrap_or_default().layers.into_iter();
    let cached = |layer: scheduler::Layer| CachedLayer {
        url: shown_url(&layer.url),
        is_finished: layer.is_finished.unwrap_or(false),
    };
    let peers = image.peers.into_iter().map(|peer| {
        let layers = peer.cached_layers.into_iter().map(cached).collect();
        (peer.ip, peer.hostname, layers)
    });
    Distribution {
        layers: layers
            .map(|layer| Layer {
                url: shown_url(&layer.url),
            })
            .collect(),
        peers: peers.collect(),
    }
}
