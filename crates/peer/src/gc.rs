//! Eviction by the clock: tasks that nobody used for long, and the least recently used ones above a mark, so that there is room
//! before it is needed (what is needed at once, [`Room`] makes). What the cluster keeps goes when its time is over, obliged or
//! not.

use crate::cluster::Cluster;
use crate::config::Eviction;
use crate::engine::Engine;
use crate::metrics::{Evicted, Metrics};
use crate::room::{self, Room};
use dragonfly_storage::{Storage, TaskRecord};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How often it is looked for kept tasks whose time is over.
const LOOK: Duration = Duration::from_secs(30);

/// The evictor.
pub(crate) struct Evictor {
    pub(crate) policy: Eviction,
    pub(crate) storage: Storage,
    pub(crate) engine: Engine,
    pub(crate) cluster: Cluster,
    pub(crate) room: Arc<Room>,
    pub(crate) metrics: Metrics,
}

impl Evictor {
    /// Evicts now and at every interval, until dropped.
    pub(crate) async fn run(self) {
        let mut interval = tokio::time::interval(self.policy.interval);
        let mut looks = tokio::time::interval(LOOK.min(self.policy.interval));
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                _ = looks.tick() => {
                    self.end_kept().await;
                    continue;
                }
            }
            if let Err(error) = self.storage.flush().await {
                tracing::warn!(%error, "can't record when tasks were used");
            }
            self.evict().await;
        }
    }

    async fn evict(&self) {
        let idle = self.room.idle(|task| self.engine.running(task).is_some());
        let (old, rest) = by_age(idle, SystemTime::now(), &self.policy);
        let mut evicted = Vec::new();
        for task in old {
            if self.room.evict(&task, Evicted::Old).await {
                evicted.push(task);
            }
        }
        let mut excess = self
            .room
            .bounds()
            .map_or(0, |(used, quota)| excess(used, quota, &self.policy));
        for task in rest {
            if excess == 0 {
                break;
            }
            let held = self.storage.bytes_of(&task.id);
            if self.room.evict(&task, Evicted::Room).await {
                excess = excess.saturating_sub(held);
                evicted.push(task);
            }
        }
        room::tell(self.cluster.clone(), evicted).await;
    }

    /// Ends what the cluster keeps no longer.
    async fn end_kept(&self) {
        let now = SystemTime::now();
        let over = self
            .storage
            .list()
            .into_iter()
            .filter(|task| task.policy.has_ended(now));
        for task in over {
            match self.storage.remove(&task.id).await {
                Ok(_) => {
                    tracing::info!(task.id = %task.id, "the time of a kept task is over");
                    self.metrics.evicted(Evicted::Ended, task.content_length.unwrap_or(0));
                }
                Err(error) => tracing::warn!(task.id = %task.id, %error, "can't remove a kept task whose time is over"),
            }
        }
    }
}

/// The tasks that are too old, and the others, least recently used first.
fn by_age(mut tasks: Vec<TaskRecord>, now: SystemTime, policy: &Eviction) -> (Vec<TaskRecord>, Vec<TaskRecord>) {
    tasks.sort_by_key(|task| task.used_at);
    // A clock that was set back makes nothing old.
    let is_old = |task: &TaskRecord| now.duration_since(task.used_at).is_ok_and(|idle| idle >= policy.ttl);
    tasks.into_iter().partition(is_old)
}

/// Bytes that must go: down to the low mark, once the high mark is passed.
fn excess(used: u64, quota: u64, policy: &Eviction) -> u64 {
    let mark = |percent: u8| (u128::from(quota) * u128::from(percent) / 100) as u64;
    if used > mark(policy.high_percent) {
        used.saturating_sub(mark(policy.low_percent))
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_model::{Policy, TaskId};
    use dragonfly_storage::TaskState;

    fn policy() -> Eviction {
        Eviction {
            interval: Duration::from_secs(900),
            ttl: Duration::from_secs(100),
            quota: None,
            high_percent: 80,
            low_percent: 60,
        }
    }

    fn task(digit: &str, used_at: SystemTime) -> TaskRecord {
        TaskRecord {
            id: TaskId::parse(&digit.repeat(64)).unwrap(),
            url: "http://o.example/x".to_owned(),
            tag: None,
            application: None,
            piece_length: 4 << 20,
            content_length: Some(10),
            response_headers: Vec::new(),
            digest: None,
            policy: Policy::Standard,
            state: TaskState::Finished { at: used_at },
            created_at: used_at,
            updated_at: used_at,
            used_at,
        }
    }

    #[test]
    fn old_tasks_go_and_the_rest_is_sorted_by_last_use() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let ago = |secs| now - Duration::from_secs(secs);
        let tasks = vec![
            task("a", ago(10)),
            task("b", ago(100)),
            task("c", ago(50)),
            task("d", now + Duration::from_secs(5)),
        ];
        let (old, rest) = by_age(tasks, now, &policy());
        let ids = |tasks: &[TaskRecord]| -> Vec<String> {
            tasks.iter().map(|task| task.id.as_str()[..1].to_owned()).collect()
        };
        assert_eq!(ids(&old), ["b"]);
        assert_eq!(ids(&rest), ["c", "a", "d"]);
    }

    #[test]
    fn eviction_begins_above_the_high_mark_and_ends_at_the_low_one() {
        assert_eq!(excess(80, 100, &policy()), 0);
        assert_eq!(excess(81, 100, &policy()), 21);
        assert_eq!(
            excess(u64::MAX, u64::MAX, &policy()),
            u64::MAX - (u128::from(u64::MAX) * 60 / 100) as u64
        );
    }
}
