//! What schedulers report of kept tasks. The last word on a task counts, whoever said it: after a change of the schedulers of a
//! cluster another one answers for it.

use super::{Keeping, Kept};
use crate::error::{Error, wire_id};
use crate::jobs::Seat;
use crate::store::entity::kept_task;
use crate::store::{Json, Time};
use dragonfly_api::ext;
use dragonfly_api::rest::KeptTask;
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use std::collections::{BTreeMap, HashSet};

/// Kept tasks of one scheduler.
const MAX_TASKS: usize = 100_000;
/// Ids that a statement names.
const BATCH: usize = 500;
/// Characters of a task's id.
const MAX_ID_CHARS: usize = 128;

/// A task among all.
type Key = (&'static str, String);

/// A whole report of which some parts may be missing yet.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    /// The tasks of the parts that came; nothing if no report has begun.
    seen: Option<HashSet<Key>>,
}

impl Kept {
    /// Records a scheduler's report.
    pub(crate) async fn hear(
        &self,
        seat: Seat,
        whole: &mut Whole,
        report: ext::KeptTasksReport,
        now: Time,
    ) -> Result<(), Error> {
        if report.whole_begins {
            whole.seen = Some(HashSet::new());
        }
        // In one order, so that two schedulers that report the same don't wait for each other.
        let told: BTreeMap<Key, KeptTask> = report
            .tasks
            .into_iter()
            .filter_map(|kept| {
                let keeping = Keeping::from(kept.keeping()).as_str();
                let task = KeptTask::told(wire_id(seat.cluster), kept)?;
                is_id(&task.id).then(|| ((keeping, task.id.clone()), task))
            })
            .collect();
        if let Some(seen) = &mut whole.seen {
            seen.extend(told.keys().cloned());
            if seen.len() > MAX_TASKS {
                return Err(Error::Invalid(format!(
                    "a scheduler answers for at most {MAX_TASKS} kept tasks"
                )));
            }
        }
        self.write(seat, told, now).await?;
        let gone = report.gone.into_iter();
        let gone = gone.map(|key| (Keeping::from(key.keeping()).as_str(), key.id));
        self.forget(seat, gone.collect()).await?;
        if report.whole_ends
            && let Some(seen) = whole.seen.take()
        {
            self.forget(seat, self.unsaid(seat, &seen).await?).await?;
        }
        Ok(())
    }

    async fn write(&self, seat: Seat, told: BTreeMap<Key, KeptTask>, now: Time) -> Result<(), Error> {
        if told.is_empty() {
            return Ok(());
        }
        let rows = told.into_iter().map(|((keeping, id), task)| kept_task::ActiveModel {
            id: NotSet,
            scheduler_cluster_id: Set(seat.cluster),
            scheduler_id: Set(seat.scheduler),
            keeping: Set(keeping.to_owned()),
            task_id: Set(id),
            told: Set(Json(task)),
            updated_at: Set(now),
        });
        let key = [
            kept_task::Column::SchedulerClusterId,
            kept_task::Column::Keeping,
            kept_task::Column::TaskId,
        ];
        let word = [
            kept_task::Column::SchedulerId,
            kept_task::Column::Told,
            kept_task::Column::UpdatedAt,
        ];
        kept_task::Entity::insert_many(rows)
            .on_conflict(OnConflict::columns(key).update_columns(word).to_owned())
            .exec_without_returning(self.store.db())
            .await?;
        Ok(())
    }

    /// What this scheduler once told of and has not told of again.
    async fn unsaid(&self, seat: Seat, seen: &HashSet<Key>) -> Result<Vec<Key>, Error> {
        let mut unsaid = Vec::new();
        for keeping in [Keeping::Persistent, Keeping::PersistentCache].map(Keeping::as_str) {
            let ids: Vec<String> = kept_task::Entity::find()
                .select_only()
                .column(kept_task::Column::TaskId)
                .filter(kept_task::Column::SchedulerId.eq(seat.scheduler))
                .filter(kept_task::Column::Keeping.eq(keeping))
                .into_tuple()
                .all(self.store.db())
                .await?;
            let keys = ids.into_iter().map(|id| (keeping, id));
            unsaid.extend(keys.filter(|key| !seen.contains(key)));
        }
        Ok(unsaid)
    }

    /// Forgets what this scheduler has told, and nobody else since.
    async fn forget(&self, seat: Seat, keys: Vec<Key>) -> Result<(), Error> {
        let mut ids: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for (keeping, id) in keys {
            ids.entry(keeping).or_default().push(id);
        }
        for (keeping, ids) in ids {
            for ids in ids.chunks(BATCH) {
                kept_task::Entity::delete_many()
                    .filter(kept_task::Column::SchedulerId.eq(seat.scheduler))
                    .filter(kept_task::Column::Keeping.eq(keeping))
                    .filter(kept_task::Column::TaskId.is_in(ids))
                    .exec(self.store.db())
                    .await?;
            }
        }
        Ok(())
    }
}

fn is_id(id: &str) -> bool {
    (1..=MAX_ID_CHARS).contains(&id.chars().count())
}
