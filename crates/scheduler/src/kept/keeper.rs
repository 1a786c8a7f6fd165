//! Keeps the number of replicas: where too few of the living keep a task, a peer that has it is obliged to keep it, else
//! another host fetches it. And takes out tasks whose time is over.

use super::ledger::{Keeping, Key, PeerState, Task, TaskState};
use super::{Kept, Refused};
use crate::hosts::Hosts;
use crate::reach::{Failure, Reach};
use dragonfly_api::common::Host;
use dragonfly_api::dfdaemon::{
    DeletePersistentCacheTaskRequest, DeletePersistentTaskRequest, DownloadPersistentCacheTaskRequest,
    DownloadPersistentTaskRequest, UpdatePersistentCacheTaskRequest, UpdatePersistentTaskRequest,
};
use dragonfly_model::{HostId, PeerId};
use dragonfly_service::Workers;
use futures::stream::{self, StreamExt};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Streaming};

/// How often it is looked for tasks that are kept by too few, if nothing changes.
const LOOK_AFTER: Duration = Duration::from_secs(10);
/// Changes come in bursts; they are looked at together.
const GATHER: Duration = Duration::from_millis(200);
/// Replicas that are made at a time.
const AT_ONCE: usize = 16;
/// How long a host may take to hear what it is told, and to fetch.
const CALL: Duration = Duration::from_secs(10);
const FETCH: Duration = Duration::from_secs(3600);
/// First and longest pause of a task whose replica could not be made.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// Keeps replicas. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    kept: Kept,
    hosts: Hosts,
    reach: Reach,
    workers: Workers,
    places: Arc<Semaphore>,
    /// Tasks that are being seen to, or wait after a failure.
    busy: Arc<Mutex<HashMap<Key, Busy>>>,
}

#[derive(Debug, Clone, Copy)]
struct Busy {
    /// None while somebody sees to it.
    until: Option<Instant>,
    pause: Duration,
}

/// What is to be done for a task that too few keep.
enum Remedy {
    Oblige(PeerId, Arc<Host>),
    Fetch(Arc<Host>),
}

impl Keeper {
    pub(crate) fn new(kept: Kept, hosts: Hosts, reach: Reach, workers: Workers) -> Self {
        Self {
            kept,
            hosts,
            reach,
            workers,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            busy: Arc::default(),
        }
    }

    /// Goes on until `cancel`.
    pub(crate) async fn keep(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.rounds()).await;
    }

    async fn rounds(&self) {
        let mut changes = self.kept.changes();
        let mut hosts = self.hosts.changes();
        loop {
            self.round();
            tokio::select! {
                _ = changes.changed() => tokio::time::sleep(GATHER).await,
                _ = hosts.changed() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(LOOK_AFTER) => {}
            }
            changes.mark_unchanged();
            hosts.mark_unchanged();
        }
    }

    fn round(&self) {
        self.kept.expire(SystemTime::now());
        let alive = self.kept.alive();
        let lacking: Vec<(Key, Task)> = {
            let ledger = self.kept.ledger();
            let lacks = |task: &Task| task.state == TaskState::Succeeded && task.counts(&alive).0 < task.facts.replicas;
            let lacking = ledger.all().filter(|(_, task)| lacks(task));
            lacking.map(|(key, task)| (key.clone(), task.clone())).collect()
        };
        for (key, task) in lacking {
            let Some(remedy) = self.remedy(&task) else {
                continue;
            };
            let Some(pause) = self.begins(&key) else {
                continue;
            };
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                self.ends(&key, None);
                return;
            };
            let keeper = self.clone();
            self.workers.spawn("replica of a kept task", async move {
                let done = keeper.see_to(&key, &task, remedy).await;
                drop(place);
                let again = done.is_err().then_some(pause);
                if let Err(failure) = done {
                    tracing::warn!(task.id = %key.id, error = %failure, ?pause, "no replica could be made; it is tried again");
                }
                keeper.ends(&key, again);
            });
        }
    }

    /// Who already has it is obliged; else a living host that has nothing of it, shares and has the room, by chance.
    fn remedy(&self, task: &Task) -> Option<Remedy> {
        let alive = self.kept.alive();
        let free = task.holders(&alive).filter(|(_, replica)| !replica.persistent);
        let mut free = free.filter_map(|(peer, replica)| Some((peer.clone(), self.hosts.get(&replica.host)?)));
        if let Some((peer, host)) = free.find(|(_, host)| !host.disable_shared) {
            return Some(Remedy::Oblige(peer, host));
        }
        let under_way = |replica: &super::Replica| !matches!(replica.state, PeerState::Failed);
        let taken: Vec<&HostId> = task
            .peers
            .values()
            .filter(|replica| under_way(replica))
            .map(|replica| &replica.host)
            .collect();
        // A replica that is being made counts as made until it has failed.
        let making = task.peers.values().filter(|replica| {
            replica.persistent
                && matches!(replica.state, PeerState::Received | PeerState::Running)
                && alive(&replica.host)
        });
        if task.counts(&alive).0 + making.count() as u64 >= task.facts.replicas {
            return None;
        }
        let fits = |host: &Host| {
            let free = host.disk.as_ref().map(|disk| disk.free);
            !host.disable_shared && free.is_none_or(|free| free == 0 || free > task.facts.content_length)
        };
        let able = self.hosts.all().into_iter();
        let able = able.filter(|(id, entry)| !taken.contains(&id) && fits(&entry.host));
        let chosen = able.min_by_key(|_| rand::random::<u32>());
        chosen.map(|(_, entry)| Remedy::Fetch(entry.host))
    }

    async fn see_to(&self, key: &Key, task: &Task, remedy: Remedy) -> Result<(), Failure> {
        match remedy {
            Remedy::Oblige(peer, host) => {
                within(CALL, self.oblige(key, &host)).await?;
                // It may have gone meanwhile; the next round sees.
                self.kept.oblige(key, &peer).ok();
                tracing::info!(task.id = %key.id, host.id = host.id, "a peer keeps a task from now on");
                Ok(())
            }
            Remedy::Fetch(host) => {
                within(FETCH, self.fetch(key, task, &host)).await?;
                tracing::info!(task.id = %key.id, host.id = host.id, "a replica was made");
                Ok(())
            }
        }
    }

    async fn oblige(&self, key: &Key, host: &Host) -> Result<(), Failure> {
        let mut client = self.reach.client(host)?;
        let task_id = key.id.to_string();
        match key.keeping {
            Keeping::Persistent => {
                let request = UpdatePersistentTaskRequest {
                    task_id,
                    persistent: true,
                    remote_ip: None,
                };
                client.update_persistent_task(request).await?;
            }
            Keeping::PersistentCache => {
                let request = UpdatePersistentCacheTaskRequest {
                    task_id,
                    persistent: true,
                    remote_ip: None,
                };
                client.update_persistent_cache_task(request).await?;
            }
        }
        Ok(())
    }

    /// The host registers itself as a peer, so the ledger hears from it.
    async fn fetch(&self, key: &Key, task: &Task, host: &Host) -> Result<(), Failure> {
        let mut client = self.reach.client(host)?;
        match key.keeping {
            Keeping::Persistent => {
                let store = task.facts.store.clone().unwrap_or_default();
                let request = DownloadPersistentTaskRequest {
                    url: store.url.clone(),
                    object_storage: Some(self.kept.opening(key, store)),
                    persistent: true,
                    ..DownloadPersistentTaskRequest::default()
                };
                to_end(client.download_persistent_task(request).await?.into_inner()).await
            }
            Keeping::PersistentCache => {
                let request = DownloadPersistentCacheTaskRequest {
                    task_id: key.id.to_string(),
                    persistent: true,
                    tag: task.facts.tag.clone(),
                    application: task.facts.application.clone(),
                    ..DownloadPersistentCacheTaskRequest::default()
                };
                to_end(client.download_persistent_cache_task(request).await?.into_inner()).await
            }
        }
    }

    /// Nobody keeps the task any more: those who have it are told. Which hosts did not hear it, and why.
    pub(crate) async fn drop(&self, key: &Key) -> Result<Vec<(Arc<Host>, Result<(), Failure>)>, Refused> {
        let task = self.kept.drop(key)?;
        let ids: BTreeSet<HostId> = task.peers.into_values().map(|replica| replica.host).collect();
        let hosts: Vec<Arc<Host>> = ids.iter().filter_map(|id| self.hosts.get(id)).collect();
        let telling = hosts.into_iter().map(async |host| {
            let told = within(CALL, self.tell_to_drop(key, &host)).await;
            (host, told)
        });
        Ok(stream::iter(telling).buffer_unordered(AT_ONCE).collect().await)
    }

    async fn tell_to_drop(&self, key: &Key, host: &Host) -> Result<(), Failure> {
        let mut client = self.reach.client(host)?;
        let task_id = key.id.to_string();
        let told = match key.keeping {
            Keeping::Persistent => {
                let request = DeletePersistentTaskRequest {
                    task_id,
                    remote_ip: None,
                };
                client.delete_persistent_task(request).await
            }
            Keeping::PersistentCache => {
                let request = DeletePersistentCacheTaskRequest {
                    task_id,
                    remote_ip: None,
                };
                client.delete_persistent_cache_task(request).await
            }
        };
        match told {
            Err(status) if status.code() != Code::NotFound => Err(status.into()),
            _ => Ok(()),
        }
    }

    /// The pause after a failure, if it is this task's turn.
    fn begins(&self, key: &Key) -> Option<Duration> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = match busy.get(key) {
            None => RETRY.0,
            Some(Busy {
                until: Some(until),
                pause,
            }) if *until <= Instant::now() => (*pause * 2).min(RETRY.1),
            Some(_) => return None,
        };
        busy.insert(key.clone(), Busy { until: None, pause });
        Some(pause)
    }

    fn ends(&self, key: &Key, again: Option<Duration>) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        match again {
            Some(pause) => {
                let until = Some(Instant::now() + pause);
                busy.insert(key.clone(), Busy { until, pause });
            }
            None => {
                busy.remove(key);
            }
        }
    }
}

async fn within(time: Duration, doing: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let done = tokio::time::timeout(time, doing).await;
    done.unwrap_or(Err(Failure::Timeout(time)))
}

async fn to_end<T>(mut answers: Streaming<T>) -> Result<(), Failure> {
    while answers.message().await?.is_some() {}
    Ok(())
}
