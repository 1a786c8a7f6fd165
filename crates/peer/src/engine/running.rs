//! The downloads that run: one per task, shared by all who want the task.
//!
//! A download runs while somebody holds its [`Lease`]. Who comes while one ends waits for that and starts another; so two
//! never run for one task.

use super::{Error, Request};
use dragonfly_model::{ByteRange, PeerId, TaskId};
use dragonfly_source as source;
use dragonfly_storage::Pin;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Callers whose credentials are remembered in case those in use are refused.
const MAX_ORIGINS: usize = 16;
/// Different ranges that may wait to be noticed by the download; more become "all".
const MAX_WANTS: usize = 64;

/// What a download and those who wait for it share.
pub(super) struct Shared {
    pub(super) task: TaskId,
    pub(super) peer: PeerId,
    /// Whether it is a task that the cluster keeps.
    pub(super) is_kept: bool,
    state: watch::Sender<State>,
    wants: Mutex<Wants>,
    /// Wakes the download: more is wanted.
    pub(super) wanted: Notify,
    /// Cancelled when the download no longer touches the task.
    pub(super) ended: CancellationToken,
}

/// How far a download is.
#[derive(Clone, Default)]
pub(super) struct State {
    /// The task's storage, as soon as its piece length is known.
    pub(super) pin: Option<Pin>,
    /// The digest of the whole content held.
    pub(super) verified: bool,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Default)]
pub(super) enum Outcome {
    #[default]
    Running,
    Complete,
    Failed(Error),
}

#[derive(Default)]
struct Wants {
    /// Ranges (`None` is everything) that the download has not noticed yet.
    ranges: Vec<Option<ByteRange>>,
    /// How others would ask the origin.
    origins: VecDeque<source::Request>,
}

impl Shared {
    fn new(request: &Request, peer: PeerId) -> Self {
        Self {
            task: request.task_id.clone(),
            peer,
            is_kept: request.kept.is_some(),
            state: watch::Sender::default(),
            wants: Mutex::default(),
            wanted: Notify::new(),
            ended: CancellationToken::new(),
        }
    }

    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// The pin, once there is one; the error if the download failed before.
    pub(super) async fn opened(&self) -> Result<Pin, Error> {
        let mut state = self.state();
        let settled = state
            .wait_for(|state| state.pin.is_some() || matches!(state.outcome, Outcome::Failed(_)))
            .await
            .expect("self holds the sender");
        match (&settled.outcome, &settled.pin) {
            (Outcome::Failed(error), _) => Err(error.clone()),
            (_, Some(pin)) => Ok(pin.clone()),
            (_, None) => Err(Error::Deleted),
        }
    }

    pub(super) fn set_pin(&self, pin: Pin) {
        self.state.send_modify(|state| state.pin = Some(pin));
    }

    pub(super) fn set_verified(&self) {
        self.state.send_modify(|state| state.verified = true);
    }

    pub(super) fn set_outcome(&self, outcome: Outcome) {
        self.state.send_modify(|state| state.outcome = outcome);
    }

    /// The ranges that were wanted since this was asked last.
    pub(super) fn take_wants(&self) -> Vec<Option<ByteRange>> {
        std::mem::take(&mut self.wants().ranges)
    }

    /// Another caller's way to ask the origin.
    pub(super) fn next_origin(&self) -> Option<source::Request> {
        self.wants().origins.pop_front()
    }

    fn want(&self, range: Option<ByteRange>, origin: source::Request) {
        let mut wants = self.wants();
        if wants.origins.len() < MAX_ORIGINS {
            wants.origins.push_back(origin);
        }
        if wants.ranges.len() >= MAX_WANTS {
            wants.ranges = vec![None];
        }
        if !wants.ranges.contains(&range) && !wants.ranges.contains(&None) {
            wants.ranges.push(range);
        }
        drop(wants);
        self.wanted.notify_one();
    }

    fn wants(&self) -> MutexGuard<'_, Wants> {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A download seen from outside: whether it still runs.
pub(crate) struct Running {
    shared: Arc<Shared>,
    state: watch::Receiver<State>,
}

impl Running {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            state: shared.state(),
            shared,
        }
    }

    /// The task's storage, as soon as the download has it.
    pub(crate) async fn opened(&self) -> Result<Pin, Error> {
        self.shared.opened().await
    }

    /// Returns when the download is over, however it ended.
    pub(crate) async fn over(&mut self) {
        let over = self.state.wait_for(|state| !matches!(state.outcome, Outcome::Running));
        // The sender is in `shared`.
        over.await.map(drop).unwrap_or_default();
    }
}

/// Keeps a download running; the last one dropped cancels it.
pub(super) struct Lease {
    pub(super) shared: Arc<Shared>,
    cancel: CancellationToken,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// How a caller came to a download.
pub(super) enum Entry {
    /// There was none: the caller must run it, until the token is cancelled.
    Start(Arc<Lease>, CancellationToken),
    /// It runs, and knows now what this caller wants.
    Join(Arc<Lease>),
    /// One is just ending; wait for this and come again.
    Ending(Arc<Shared>),
}

type Downloads = HashMap<TaskId, (Arc<Shared>, Weak<Lease>)>;

/// All running downloads.
#[derive(Default)]
pub(super) struct Table {
    running: Mutex<Downloads>,
}

impl Table {
    /// Joins the task's download or makes a place for a new one.
    pub(super) fn enter(&self, request: &Request, new_peer: impl FnOnce() -> PeerId) -> Entry {
        let mut running = self.running();
        if let Some((shared, lease)) = running.get(&request.task_id) {
            return match lease.upgrade() {
                Some(lease) => {
                    shared.want(request.range, request.to_source());
                    Entry::Join(lease)
                }
                None => Entry::Ending(shared.clone()),
            };
        }
        let shared = Arc::new(Shared::new(request, new_peer()));
        let cancel = CancellationToken::new();
        let lease = Arc::new(Lease {
            shared: shared.clone(),
            cancel: cancel.clone(),
        });
        running.insert(request.task_id.clone(), (shared, Arc::downgrade(&lease)));
        Entry::Start(lease, cancel)
    }

    /// The task's download, if one runs.
    pub(super) fn get(&self, task: &TaskId) -> Option<Arc<Shared>> {
        self.running().get(task).map(|(shared, _)| shared.clone())
    }

    /// Ends a complete download, unless somebody wants more of it. Whether it ended.
    pub(super) fn retire(&self, shared: &Shared) -> bool {
        // Nobody enters while the table is locked, so no wish is overlooked.
        let mut running = self.running();
        if !shared.wants().ranges.is_empty() {
            return false;
        }
        running.remove(&shared.task);
        true
    }

    /// Takes a download out that failed or was given up.
    pub(super) fn remove(&self, shared: &Arc<Shared>) {
        let mut running = self.running();
        if running
            .get(&shared.task)
            .is_some_and(|(known, _)| Arc::ptr_eq(known, shared))
        {
            running.remove(&shared.task);
        }
    }

    fn running(&self) -> MutexGuard<'_, Downloads> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn enter(table: &Table, range: Option<ByteRange>) -> Entry {
        let task = TaskId::parse(&"a".repeat(64)).unwrap();
        let url = Url::parse("http://origin.example/x").unwrap();
        let request = Request {
            range,
            ..Request::new(task, url, source::Caller::Local)
        };
        table.enter(&request, || PeerId::parse("peer-1").unwrap())
    }

    #[test]
    fn the_second_caller_joins_the_first_and_its_wish_is_heard() {
        let table = Table::default();
        let Entry::Start(lease, cancel) = enter(&table, None) else {
            panic!("the first starts");
        };
        let wish = Some(ByteRange { start: 5, length: 7 });
        let Entry::Join(second) = enter(&table, wish) else {
            panic!("the second joins");
        };
        assert!(!table.retire(&lease.shared));
        assert_eq!(second.shared.take_wants(), [wish]);
        drop(lease);
        assert!(!cancel.is_cancelled());
        drop(second);
        assert!(cancel.is_cancelled());
    }

    #[test]
    fn who_comes_while_a_download_is_given_up_waits_for_its_end() {
        let table = Table::default();
        let Entry::Start(lease, _) = enter(&table, None) else {
            panic!("the first starts");
        };
        let shared = lease.shared.clone();
        drop(lease);
        assert!(matches!(enter(&table, None), Entry::Ending(_)));
        table.remove(&shared);
        assert!(matches!(enter(&table, None), Entry::Start(..)));
    }

    #[test]
    fn a_retired_download_leaves_its_place() {
        let table = Table::default();
        let Entry::Start(lease, _) = enter(&table, None) else {
            panic!("the first starts");
        };
        assert!(table.retire(&lease.shared));
        assert!(matches!(enter(&table, None), Entry::Start(..)));
    }
}
