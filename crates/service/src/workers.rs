//! Owners of spawned futures. Nothing runs that nobody waits for: every worker has a name, sees the cancellation of its
//! group, and is awaited, or aborted and named, when the group is drained.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// A group of workers. Clones are the same group.
#[derive(Debug, Clone)]
pub struct Workers {
    cancel: CancellationToken,
    group: Arc<Group>,
}

/// Workers that did not end within the grace period. They have been aborted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("still running after {grace:?}, aborted: {}", names.join(", "))]
pub struct StillRunning {
    /// How long they were waited for.
    pub grace: Duration,
    /// Their names, sorted; a name appears once for each worker that bears it.
    pub names: Vec<&'static str>,
}

impl Workers {
    /// A group whose workers are asked to end by `cancel`.
    pub fn new(cancel: CancellationToken) -> Self {
        Self {
            cancel,
            group: Arc::default(),
        }
    }

    /// Runs `future` until it ends by itself, which it should do soon after [`Workers::cancel_token`] is cancelled. A
    /// panic in it is logged and ends this worker only. Spawned after [`Workers::drain`] gave up, it is aborted.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let entries: Vec<Entry> = self.group.ancestry().map(|group| group.enter(name)).collect();
        let leave = Leave { name, entries };
        let entries: Vec<_> = leave.entries.iter().map(Entry::clone).collect();
        #[allow(
            clippy::disallowed_methods,
            reason = "this is the owner that other rooms shall use instead"
        )]
        let worker = tokio::spawn(async move {
            // Dropped when the worker ends or panics, and also when it is aborted before it ever ran.
            let _leave = leave;
            future.await;
        });
        for entry in entries {
            entry.group.attach(entry.key, worker.abort_handle());
        }
    }

    /// The token that asks the workers of this group to end.
    pub fn cancel_token(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// A group inside this one: it can be cancelled and drained alone, and is when this one is.
    pub fn child(&self) -> Workers {
        let group = Group {
            parent: Some(self.group.clone()),
            ..Group::default()
        };
        Workers {
            cancel: self.cancel.child_token(),
            group: Arc::new(group),
        }
    }

    /// How many workers of this group and of the groups inside it run.
    pub fn running(&self) -> usize {
        *self.group.count.borrow()
    }

    /// Asks all workers to end and waits at most `grace`; aborts and names those that still run.
    pub async fn drain(&self, grace: Duration) -> Result<(), StillRunning> {
        self.cancel.cancel();
        let mut count = self.group.count.subscribe();
        let idle = async {
            count
                .wait_for(|running| *running == 0)
                .await
                .expect("self holds the sender, so it is not dropped");
        };
        if tokio::time::timeout(grace, idle).await.is_ok() {
            return Ok(());
        }
        match self.group.abort_all() {
            names if names.is_empty() => Ok(()),
            names => Err(StillRunning { grace, names }),
        }
    }
}

#[derive(Debug, Default)]
struct Group {
    parent: Option<Arc<Group>>,
    members: Mutex<Members>,
    /// Number of running members, for those who wait for zero.
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Members {
    next_key: u64,
    /// The handle is absent between the entry of a worker and its spawn.
    running: HashMap<u64, (&'static str, Option<AbortHandle>)>,
    aborted: bool,
}

impl Group {
    /// This group and all around it.
    fn ancestry(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Group>> {
        std::iter::successors(Some(self), |group| group.parent.as_ref())
    }

    fn enter(self: &Arc<Self>, name: &'static str) -> Entry {
        let mut members = self.members();
        let key = members.next_key;
        members.next_key += 1;
        members.running.insert(key, (name, None));
        self.count.send_modify(|count| *count += 1);
        Entry {
            group: self.clone(),
            key,
        }
    }

    fn leave(&self, key: u64) {
        if self.members().running.remove(&key).is_some() {
            self.count.send_modify(|count| *count -= 1);
        }
    }

    /// Makes a worker abortable, unless it has ended already.
    fn attach(&self, key: u64, handle: AbortHandle) {
        let mut members = self.members();
        if members.aborted {
            handle.abort();
        } else if let Some((_, place)) = members.running.get_mut(&key) {
            *place = Some(handle);
        }
    }

    fn abort_all(&self) -> Vec<&'static str> {
        let mut members = self.members();
        members.aborted = true;
        let mut names = Vec::with_capacity(members.running.len());
        for (name, handle) in members.running.values() {
            names.push(*name);
            if let Some(handle) = handle {
                handle.abort();
            }
        }
        names.sort_unstable();
        names
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one worker in one group.
#[derive(Debug, Clone)]
struct Entry {
    group: Arc<Group>,
    key: u64,
}

/// Takes a worker out of its groups when it is dropped.
#[derive(Debug)]
struct Leave {
    name: &'static str,
    entries: Vec<Entry>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(worker.name = self.name, "a worker panicked");
        }
        for entry in &self.entries {
            entry.group.leave(entry.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    fn workers() -> Workers {
        Workers::new(CancellationToken::new())
    }

    #[tokio::test]
    async fn drain_waits_for_workers_that_see_the_cancellation() {
        let workers = workers();
        let cancel = workers.cancel_token();
        workers.spawn("polite", async move { cancel.cancelled().await });
        assert_eq!(workers.running(), 1);
        assert_eq!(workers.drain(Duration::from_secs(60)).await, Ok(()));
        assert_eq!(workers.running(), 0);
    }

    #[tokio::test]
    async fn drain_aborts_and_names_workers_that_do_not_end() {
        let workers = workers();
        let (sender, dropped) = tokio::sync::oneshot::channel::<()>();
        workers.spawn("deaf", async move {
            let _sender = sender;
            pending().await
        });
        let error = workers.drain(Duration::ZERO).await.unwrap_err();
        assert_eq!(error.names, ["deaf"]);
        assert!(error.to_string().contains("deaf"));
        // The sender goes only when the worker's future does.
        assert!(dropped.await.is_err());
    }

    #[tokio::test]
    async fn a_child_ends_alone_but_not_without_its_parent() {
        let parent = workers();
        let (first, second) = (parent.child(), parent.child());
        for child in [&first, &second] {
            let cancel = child.cancel_token();
            child.spawn("child", async move { cancel.cancelled().await });
        }
        assert_eq!(parent.running(), 2);
        first.drain(Duration::from_secs(60)).await.unwrap();
        assert!(!parent.cancel_token().is_cancelled());
        assert_eq!((first.running(), second.running(), parent.running()), (0, 1, 1));
        parent.drain(Duration::from_secs(60)).await.unwrap();
        assert_eq!(second.running(), 0);
    }

    #[tokio::test]
    async fn a_panic_ends_only_its_worker() {
        let workers = workers();
        let cancel = workers.cancel_token();
        workers.spawn("steady", async move { cancel.cancelled().await });
        workers.spawn("broken", async { panic!("on purpose") });
        let mut count = workers.group.count.subscribe();
        count.wait_for(|running| *running == 1).await.unwrap();
        assert!(!workers.cancel_token().is_cancelled());
        workers.drain(Duration::from_secs(60)).await.unwrap();
    }

    #[tokio::test]
    async fn a_worker_that_comes_too_late_is_aborted() {
        let workers = workers();
        workers.spawn("deaf", pending());
        workers.drain(Duration::ZERO).await.unwrap_err();
        workers.spawn("late", pending());
        let mut count = workers.group.count.subscribe();
        count.wait_for(|running| *running == 0).await.unwrap();
    }
}
