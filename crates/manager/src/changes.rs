//! Which kinds of objects have changed, for pages that show them: marks of their tables are compared with what they were. They
//! are looked at while somebody listens: when something is written here, when others wake, and every few seconds, so what time
//! alone changes and what another manager has written is seen, too.

use crate::store::{Store, Time};
use crate::wake::{Topic, Wake};
use dragonfly_service::chain;
use sea_orm::sea_query::{Alias, Asterisk, Expr, ExprTrait, Func, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, DbErr};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// Those who listen at a time.
const MAX_LISTENERS: usize = 256;
/// Between two looks that nothing else causes.
const LOOK_AFTER: Duration = Duration::from_secs(2);
/// Changes come in bursts; they are looked at together.
const SETTLE: Duration = Duration::from_millis(200);
/// Rows of a log that are compared, the last ones: counting all would read all.
const LAST: u64 = 100;

/// The kinds whose changes are told, as paths and rights name them, and the tables from which they are shown.
const KINDS: [(&str, &[Table]); 16] = [
    ("clusters", &[SCHEDULER_CLUSTER, SEED_PEER_CLUSTER, LINK]),
    ("scheduler-clusters", &[SCHEDULER_CLUSTER, LINK]),
    ("seed-peer-clusters", &[SEED_PEER_CLUSTER, LINK]),
    ("schedulers", &[rows("scheduler"), LIVING_SCHEDULERS]),
    (
        "seed-peers",
        &[rows("seed_peer"), table("seed_peer", "id", "id", Part::Living)],
    ),
    // A peer is alive as long as a scheduler is that knows it.
    (
        "peers",
        &[
            rows("peer"),
            pairs("peer_sighting", "peer_id", "scheduler_id"),
            LIVING_SCHEDULERS,
        ],
    ),
    ("persistent-tasks", &[rows("kept_task")]),
    ("persistent-cache-tasks", &[rows("kept_task")]),
    ("jobs", &[rows("job"), rows("job_work")]),
    (
        "users",
        &[
            rows("user"),
            pairs("user_role", "user_id", "role_id"),
            pairs("session", "created_at", "user_id"),
        ],
    ),
    (
        "roles",
        &[
            pairs("role", "id", "id"),
            pairs("role_permission", "role_id", "role_id"),
        ],
    ),
    ("personal-access-tokens", &[rows("personal_access_token")]),
    ("audits", &[table("audit", "id", "updated_at", Part::Last)]),
    ("applications", &[rows("application")]),
    ("configs", &[rows("config")]),
    ("oauth", &[rows("oauth")]),
];

const SCHEDULER_CLUSTER: Table = rows("scheduler_cluster");
const SEED_PEER_CLUSTER: Table = rows("seed_peer_cluster");
const LINK: Table = pairs(
    "seed_peer_cluster_scheduler_cluster",
    "scheduler_cluster_id",
    "seed_peer_cluster_id",
);
const LIVING_SCHEDULERS: Table = table("scheduler", "id", "id", Part::Living);

/// What is compared of a table: how many rows there are, and the greatest value of two columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Table {
    name: &'static str,
    columns: [&'static str; 2],
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    All,
    /// Members whose lease has not ended.
    Living,
    /// The last [`LAST`] rows.
    Last,
}

const fn table(name: &'static str, one: &'static str, other: &'static str, part: Part) -> Table {
    Table {
        name,
        columns: [one, other],
        part,
    }
}

/// A table whose rows say when they were changed.
const fn rows(name: &'static str) -> Table {
    table(name, "id", "updated_at", Part::All)
}

/// A table whose rows come and go, but do not change.
const fn pairs(name: &'static str, one: &'static str, other: &'static str) -> Table {
    table(name, one, other, Part::All)
}

impl Table {
    fn query(self, now: Time) -> SelectStatement {
        let column = |at: usize| Expr::col(Alias::new(self.columns[at]));
        let mut query = Query::select();
        query
            .expr(Func::count(Expr::col(Asterisk)))
            .expr(column(0).max())
            .expr(column(1).max());
        let name = Alias::new(self.name);
        match self.part {
            Part::All => query.from(name),
            Part::Living => query.from(name).and_where(Expr::col(Alias::new("lease_until")).gt(now)),
            Part::Last => {
                let mut last = Query::select();
                let columns = self.columns.map(Alias::new);
                last.columns(columns).from(name).limit(LAST);
                last.order_by(Alias::new(self.columns[0]), Order::Desc);
                query.from_subquery(last, Alias::new("last_rows"))
            }
        };
        query
    }
}

/// What a table comes to.
type Mark = (i64, Option<i64>, Option<i64>);

/// How often each kind has changed.
type Counts = [u64; KINDS.len()];

/// Tells listeners of changes. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    counts: watch::Sender<Counts>,
    look: Arc<Notify>,
    places: Arc<Semaphore>,
}

/// So many listen already.
#[derive(Debug, thiserror::Error)]
#[error("{MAX_LISTENERS} listen already; ask now and then instead")]
pub(crate) struct Crowded;

impl Changes {
    fn new() -> Self {
        Self {
            counts: watch::Sender::new([0; KINDS.len()]),
            look: Arc::default(),
            places: Arc::new(Semaphore::new(MAX_LISTENERS)),
        }
    }

    /// Something may have been written.
    pub(crate) fn look(&self) {
        self.look.notify_one();
    }

    /// Hears of what changes from now on, and perhaps of what has changed shortly before.
    pub(crate) fn listen(&self) -> Result<Listener, Crowded> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Crowded)?;
        let mut counts = self.counts.subscribe();
        let known = *counts.borrow_and_update();
        self.look();
        Ok(Listener {
            counts,
            known,
            _place: place,
        })
    }
}

/// One who listens.
#[derive(Debug)]
pub(crate) struct Listener {
    counts: watch::Receiver<Counts>,
    known: Counts,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// The kinds that have changed since this was asked last, as soon as there are some. Nothing is lost if it is not waited for
    /// to the end.
    pub(crate) async fn heard(&mut self) -> Vec<&'static str> {
        // The other end lives as long as the manager; then nothing changes any more.
        if self.counts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        let counts = *self.counts.borrow_and_update();
        let known = std::mem::replace(&mut self.known, counts);
        let each = KINDS.iter().zip(known.iter().zip(&counts));
        each.filter(|(_, (known, count))| known != count)
            .map(|((kind, _), _)| *kind)
            .collect()
    }
}

/// Looks for changes.
#[derive(Debug)]
pub(crate) struct Looker {
    changes: Changes,
    store: Store,
    wake: Wake,
}

impl Looker {
    pub(crate) fn new(store: Store, wake: Wake) -> Self {
        Self {
            changes: Changes::new(),
            store,
            wake,
        }
    }

    /// Where one hears of what it sees.
    pub(crate) fn changes(&self) -> Changes {
        self.changes.clone()
    }

    /// Goes on until `cancel`.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.looks()).await;
    }

    async fn looks(&self) {
        let mut ear = self.wake.ear(&Topic::ALL);
        // What was there when nobody listened is not known: whoever comes first then hears that all may have changed.
        let mut known: Option<HashMap<Table, Mark>> = None;
        loop {
            if self.changes.counts.receiver_count() == 0 {
                known = None;
                self.changes.look.notified().await;
                continue;
            }
            ear.deafen();
            match self.marks().await {
                Ok(marks) => {
                    self.tell(known.as_ref(), &marks);
                    known = Some(marks);
                }
                Err(error) => tracing::debug!(error = %chain(&error), "can't look for changes"),
            }
            tokio::select! {
                () = ear.heard() => tokio::time::sleep(SETTLE).await,
                () = self.changes.look.notified() => tokio::time::sleep(SETTLE).await,
                () = tokio::time::sleep(LOOK_AFTER) => {}
            }
        }
    }

    fn tell(&self, known: Option<&HashMap<Table, Mark>>, marks: &HashMap<Table, Mark>) {
        let has_changed = |table: &Table| known.is_none_or(|known| known.get(table) != marks.get(table));
        self.changes.counts.send_if_modified(|counts| {
            let mut some = false;
            for (count, (_, tables)) in counts.iter_mut().zip(KINDS) {
                if tables.iter().any(has_changed) {
                    *count += 1;
                    some = true;
                }
            }
            some
        });
    }

    async fn marks(&self) -> Result<HashMap<Table, Mark>, DbErr> {
        let now = Time::now();
        let mut marks = HashMap::new();
        for table in KINDS.iter().flat_map(|(_, tables)| *tables) {
            if marks.contains_key(table) {
                continue;
            }
            let row = self.store.db().query_one(&table.query(now)).await?;
            let row = row.ok_or_else(|| DbErr::RecordNotFound(format!("{} came to nothing", table.name)))?;
            let mark = (
                row.try_get_by_index(0)?,
                row.try_get_by_index(1)?,
                row.try_get_by_index(2)?,
            );
            marks.insert(*table, mark);
        }
        Ok(marks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    async fn looker(dir: &tempfile::TempDir) -> Looker {
        let store = Store::open_sqlite(&dir.path().join("x.db")).await.unwrap();
        Looker::new(store, Wake::new())
    }

    #[tokio::test]
    async fn the_first_who_listens_hears_of_all_and_others_of_what_changes() {
        let dir = tempfile::tempdir().unwrap();
        let looker = looker(&dir).await;
        let mut listener = looker.changes.listen().unwrap();
        let before = looker.marks().await.unwrap();
        looker.tell(None, &before);
        assert_eq!(listener.heard().await.len(), KINDS.len());

        let mut second = looker.changes.listen().unwrap();
        looker.tell(Some(&before), &looker.marks().await.unwrap());
        assert!(second.heard().now_or_never().is_none());
        let mut after = before.clone();
        *after.get_mut(&rows("job_work")).unwrap() = (1, Some(1), Some(7));
        looker.tell(Some(&before), &after);
        assert_eq!(second.heard().await, ["jobs"]);
        assert_eq!(listener.heard().await, ["jobs"]);
    }

    #[test]
    fn one_too_many_is_refused_until_another_goes() {
        let changes = Changes::new();
        let mut all: Vec<_> = (0..MAX_LISTENERS).map(|_| changes.listen().unwrap()).collect();
        assert!(changes.listen().is_err());
        all.pop();
        assert!(changes.listen().is_ok());
    }
}
