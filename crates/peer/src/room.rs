//! Room on the disk: who may bring how much, and what goes to make room for it.
//!
//! A download claims the room for what it lacks before its first byte. If there is too little, the tasks that were used least
//! recently go: whole ones only, none that is being downloaded or that this host is obliged to keep. Nothing goes in vain: what
//! could not be made to fit is refused at once.

use crate::cluster::Cluster;
use crate::metrics::{Evicted, Metrics};
use dragonfly_model::TaskId;
use dragonfly_service::Workers;
use dragonfly_storage::{Storage, TaskRecord};
use prometheus_client::metrics::counter::Counter;
use std::sync::{Arc, MutexGuard, PoisonError};
use tokio::sync::Mutex;

/// There is no room for a content, and none can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no room on this host's disk: {needed} bytes are needed, {free} are free or could be freed; \
     give the storage directory a larger disk, or raise gc.policy.diskThreshold if that is set"
)]
pub struct NoRoom {
    /// Bytes that were to be brought.
    pub needed: u64,
    /// Bytes that can be had.
    pub free: u64,
}

/// The room of one peer.
pub(crate) struct Room {
    pub(crate) quota: Option<u64>,
    pub(crate) storage: Storage,
    pub(crate) cluster: Cluster,
    pub(crate) metrics: Metrics,
    /// How often there was none.
    pub(crate) lacked: Counter,
    pub(crate) workers: Workers,
    pub(crate) promised: Promises,
}

/// What downloads will still bring.
#[derive(Default)]
pub(crate) struct Promises {
    claimed: Arc<Claimed>,
    /// Held while room is looked for, so that nobody is promised another's.
    looking: Mutex<()>,
}

/// Tasks, and how many bytes of each there will be. A task may be in it more than once, for as long as one claim gives way to
/// the next.
type Claimed = std::sync::Mutex<Vec<(TaskId, u64)>>;

impl Promises {
    /// Bytes that are not here yet, of which `here` says how many are.
    fn open(&self, here: impl Fn(&TaskId) -> u64) -> u64 {
        let claimed = lock(&self.claimed);
        claimed
            .iter()
            .map(|(task, bytes)| bytes.saturating_sub(here(task)))
            .sum()
    }

    fn claim(&self, task: &TaskId, bytes: u64) -> Claim {
        let entry = (task.clone(), bytes);
        lock(&self.claimed).push(entry.clone());
        Claim {
            claimed: self.claimed.clone(),
            entry,
        }
    }
}

/// Room that a download may use. What it has not used is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    claimed: Arc<Claimed>,
    entry: (TaskId, u64),
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claimed = lock(&self.claimed);
        if let Some(at) = claimed.iter().position(|entry| *entry == self.entry) {
            claimed.swap_remove(at);
        }
    }
}

fn lock(claimed: &Claimed) -> MutexGuard<'_, Vec<(TaskId, u64)>> {
    claimed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    /// Bytes in use and bytes that may be. Without a quota that is what the file system would leave us if it were free of
    /// ours: what others fill it with is no reason to throw everything away. `None` if the file system does not say.
    pub(crate) fn bounds(&self) -> Option<(u64, u64)> {
        let used = self.storage.usage().content_bytes;
        let quota = match self.quota {
            Some(quota) => quota,
            None => used.saturating_add(self.storage.available().ok()?),
        };
        Some((used, quota))
    }

    /// Makes room for so many bytes of a task beside those that are here, and keeps it for who asks.
    pub(crate) async fn claim(
        &self,
        task: &TaskId,
        needed: u64,
        is_running: impl Fn(&TaskId) -> bool,
    ) -> Result<Claim, NoRoom> {
        let _looking = self.promised.looking.lock().await;
        if !self.has(needed)
            && let Err(lacking) = self.make(needed, is_running).await
        {
            self.lacked.inc();
            return Err(lacking);
        }
        let bytes = self.storage.bytes_of(task).saturating_add(needed);
        Ok(self.promised.claim(task, bytes))
    }

    fn has(&self, needed: u64) -> bool {
        self.free().is_none_or(|free| free >= needed)
    }

    fn free(&self) -> Option<u64> {
        // What lands between the two questions is counted once or not at all, never twice: nothing goes for it.
        let free = match self.quota {
            Some(quota) => quota.saturating_sub(self.storage.usage().content_bytes),
            None => self.storage.available().ok()?,
        };
        let promised = self.promised.open(|task| self.storage.bytes_of(task));
        Some(free.saturating_sub(promised))
    }

    async fn make(&self, needed: u64, is_running: impl Fn(&TaskId) -> bool) -> Result<(), NoRoom> {
        let mut idle = self.idle(is_running);
        let freeable: u64 = idle.iter().map(|task| self.storage.bytes_of(&task.id)).sum();
        let free = self.free().unwrap_or(0).saturating_add(freeable);
        if free < needed {
            return Err(NoRoom { needed, free });
        }
        idle.sort_by_key(|task| task.used_at);
        let mut evicted = Vec::new();
        for task in idle {
            if self.has(needed) {
                break;
            }
            if self.evict(&task, Evicted::Room).await {
                evicted.push(task);
            }
        }
        // Nobody waits for room until a scheduler has answered.
        self.workers.spawn("eviction", tell(self.cluster.clone(), evicted));
        // Who reads what was evicted still holds its bytes.
        match self.has(needed) {
            true => Ok(()),
            false => Err(NoRoom {
                needed,
                free: self.free().unwrap_or(0),
            }),
        }
    }

    /// The tasks that may go. A download whose content is complete has only its last words to say.
    pub(crate) fn idle(&self, is_running: impl Fn(&TaskId) -> bool) -> Vec<TaskRecord> {
        let mut tasks = self.storage.list();
        tasks.retain(|task| !must_stay(task) && (task.is_finished() || !is_running(&task.id)));
        tasks
    }

    /// Removes a task. Whether it was there; [`tell`] the schedulers then.
    pub(crate) async fn evict(&self, task: &TaskRecord, reason: Evicted) -> bool {
        let held = self.storage.bytes_of(&task.id);
        match self.storage.remove(&task.id).await {
            Ok(removed) => {
                tracing::info!(task.id = %task.id, reason = reason.label(), "evicted");
                self.metrics.evicted(reason, held);
                removed
            }
            Err(error) => {
                tracing::warn!(task.id = %task.id, %error, "can't evict");
                false
            }
        }
    }
}

/// Takes what was evicted off the schedulers' books.
pub(crate) async fn tell(cluster: Cluster, evicted: Vec<TaskRecord>) {
    for task in evicted {
        if let Err(status) = cluster.deleted(&task.id, &task.policy).await {
            tracing::debug!(task.id = %task.id, %status, "the scheduler was not told of the eviction");
        }
    }
}

/// Whether this host is obliged to keep the task. What it has a part of only, nobody counts on.
fn must_stay(task: &TaskRecord) -> bool {
    task.is_finished() && task.policy.replica().is_some_and(|replica| replica.obliged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_model::{Policy, Replica};
    use dragonfly_storage::TaskState;
    use std::time::{Duration, SystemTime};

    #[test]
    fn what_this_host_is_obliged_to_keep_stays_until_its_time_is_over() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let task = |policy| TaskRecord {
            id: TaskId::parse(&"a".repeat(64)).unwrap(),
            url: String::new(),
            tag: None,
            application: None,
            piece_length: 4 << 20,
            content_length: Some(10),
            response_headers: Vec::new(),
            digest: None,
            policy,
            state: TaskState::Finished { at: now },
            created_at: now,
            updated_at: now,
            used_at: now,
        };
        let kept = |obliged| {
            task(Policy::PersistentCache(Replica {
                peer: "peer-1".parse().unwrap(),
                obliged,
                ends_at: now,
            }))
        };
        assert!(must_stay(&kept(true)) && !must_stay(&kept(false)) && !must_stay(&task(Policy::Standard)));
        let half = TaskRecord {
            state: TaskState::Partial,
            ..kept(true)
        };
        assert!(!must_stay(&half));
        assert!(kept(true).policy.has_ended(now) && !kept(true).policy.has_ended(now - Duration::from_millis(1)));
    }

    #[test]
    fn a_claim_is_what_is_not_here_yet_until_it_is_dropped() {
        let promises = Promises::default();
        let [one, two] = ["a", "b"].map(|digit| TaskId::parse(&digit.repeat(64)).unwrap());
        let open = |here: u64| promises.open(|task| if *task == one { here } else { 0 });
        let (first, second) = (promises.claim(&one, 10), promises.claim(&two, 5));
        assert_eq!([open(0), open(4)], [15, 11]);
        // A content may turn out larger than it was said to be.
        assert_eq!(open(100), 5);
        drop(first);
        assert_eq!(open(0), 5);
        drop(second);
        assert_eq!(open(0), 0);
    }
}
