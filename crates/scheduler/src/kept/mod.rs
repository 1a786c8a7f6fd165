//! Kept tasks: contents that the cluster itself holds with a number of replicas, put in by a peer and fetched by others. What
//! Dragonfly calls persistent and persistent cache tasks is one thing here, with another [`Keeping`].
//!
//! The [`Ledger`] says who has what; what must outlive the process is on disk before a call is answered. A replica counts
//! while its host is alive, so one that is lost is missed as soon as its host is; `keeper` has others keep the task then.

mod keeper;
mod ledger;
mod store;

pub(crate) use keeper::Keeper;
pub(crate) use ledger::{Facts, Keeping, Key, PeerState, Replica, Store as StoredAt, Task, TaskState};
pub(crate) use store::Error;

use crate::hosts::Hosts;
use dragonfly_api::common::{Host, ObjectStorage};
use dragonfly_model::{HostId, Location, PeerId};
use ledger::Ledger;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use store::Store;
use tokio::sync::watch;
use tonic::Status;

/// Parents that a child is given.
const PARENTS: usize = 4;

/// Why something is not done with a kept task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// There is no such task.
    #[error("no {} {}", what(.0.keeping), .0.id)]
    NoTask(Key),
    /// The task is not this peer's.
    #[error("the {} {} has no peer {}", what(.0.keeping), .0.id, .1)]
    NoPeer(Key, PeerId),
    /// It is there already.
    #[error("the {} {} is there already; delete it first to put it in anew", what(.0.keeping), .0.id)]
    Exists(Key),
    /// There are too many.
    #[error("there are {0} already")]
    Full(usize),
    /// Nobody who lives has it.
    #[error("no peer that is alive has the {} {}", what(.0.keeping), .0.id)]
    NoParents(Key),
    /// The host has not announced itself.
    #[error("host {0} is not known; it has to announce itself first")]
    NoHost(HostId),
    /// The disk failed.
    #[error("the scheduler could not write it down")]
    Disk,
}

fn what(keeping: Keeping) -> &'static str {
    match keeping {
        Keeping::Persistent => "persistent task",
        Keeping::PersistentCache => "persistent cache task",
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::NoTask(_) | Refused::NoPeer(..) => Self::not_found(message),
            Refused::Exists(_) => Self::already_exists(message),
            Refused::Full(_) => Self::resource_exhausted(message),
            Refused::NoParents(_) | Refused::NoHost(_) => Self::failed_precondition(message),
            Refused::Disk => Self::internal(message),
        }
    }
}

/// A peer of a task, and the host that it is on, if that is alive.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) replica: Replica,
    pub(crate) host: Option<Arc<Host>>,
}

/// A task as it is now, in words for callers.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) key: Key,
    pub(crate) task: Task,
    /// Of the living: how many keep it, and how many have it.
    pub(crate) counts: (u64, u64),
}

/// The kept tasks of this scheduler. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Kept(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Mutex<Ledger>,
    store: Store,
    hosts: Hosts,
    /// How object stores were opened, for those who are asked to keep what is in them. Never on disk.
    openings: Mutex<HashMap<Key, ObjectStorage>>,
    changes: watch::Sender<u64>,
}

impl Kept {
    /// Reads what was kept before from `dir`, which it makes if need be.
    pub(crate) fn open(dir: &Path, hosts: Hosts) -> Result<Self, Error> {
        let store = Store::open(dir)?;
        let ledger = Ledger::new(store.load()?);
        Ok(Self(Arc::new(Inner {
            ledger: Mutex::new(ledger),
            store,
            hosts,
            openings: Mutex::default(),
            changes: watch::Sender::default(),
        })))
    }

    /// A peer begins to put a task in.
    pub(crate) fn begin(
        &self,
        key: Key,
        (host, peer): (HostId, PeerId),
        facts: Facts,
        opening: Option<ObjectStorage>,
    ) -> Result<(), Refused> {
        if self.0.hosts.get(&host).is_none() {
            return Err(Refused::NoHost(host));
        }
        self.change(&key, |ledger, now| ledger.begin(key.clone(), (host, peer), facts, now))?;
        if let Some(opening) = opening {
            self.openings().insert(key, opening);
        }
        Ok(())
    }

    /// A peer has put a task in, or has not.
    pub(crate) fn end(&self, key: &Key, peer: &PeerId, state: TaskState) -> Result<View, Refused> {
        self.change(key, |ledger, now| ledger.end(key, peer, state, now))?;
        self.view(key)
    }

    /// A peer wants a task; parents for it, none if it is empty.
    pub(crate) fn join(&self, key: &Key, who: (HostId, PeerId), persistent: bool) -> Result<Vec<Peer>, Refused> {
        let host = who.0.clone();
        if self.0.hosts.get(&host).is_none() {
            return Err(Refused::NoHost(host));
        }
        self.change(key, |ledger, now| ledger.join(key, who, persistent, now))?;
        if self.view(key)?.task.facts.content_length == 0 {
            return Ok(Vec::new());
        }
        self.parents(key, &host, &HashSet::new())
    }

    /// Parents for a child on this host, the nearest first, and none of those.
    pub(crate) fn parents(&self, key: &Key, host: &HostId, but: &HashSet<PeerId>) -> Result<Vec<Peer>, Refused> {
        let child = self.0.hosts.get(host);
        let mut parents: Vec<Peer> = {
            let ledger = self.ledger();
            let task = ledger.get(key)?;
            let able = task.parents(host, &self.alive()).into_iter();
            let able = able.filter(|(peer, _)| !but.contains(peer));
            let peer = |(id, host): (PeerId, HostId)| {
                let host = self.0.hosts.get(&host).filter(|host| !host.disable_shared)?;
                let replica = task.peers.get(&id)?.clone();
                let host = Some(host);
                Some(Peer { id, replica, host })
            };
            able.filter_map(peer).collect()
        };
        if parents.is_empty() {
            return Err(Refused::NoParents(key.clone()));
        }
        parents.sort_by_cached_key(|parent| {
            let whole = parent.replica.state == PeerState::Succeeded;
            let ends = child.as_deref().zip(parent.host.as_deref());
            let near = ends.map_or((false, 0), |(child, parent)| nearness(child, parent));
            (Reverse((whole, near)), rand::random::<u32>())
        });
        parents.truncate(PARENTS);
        Ok(parents)
    }

    /// How far a peer is.
    pub(crate) fn step(&self, key: &Key, peer: &PeerId, state: PeerState) -> Result<(), Refused> {
        self.change(key, |ledger, now| ledger.step(key, peer, state, now))
    }

    /// A peer has the task no more.
    pub(crate) fn leave(&self, key: &Key, peer: &PeerId) -> Result<(), Refused> {
        self.change(key, |ledger, now| ledger.leave(key, peer, now))
    }

    /// A peer is obliged to keep the task from now on.
    fn oblige(&self, key: &Key, peer: &PeerId) -> Result<(), Refused> {
        self.change(key, |ledger, now| ledger.oblige(key, peer, now))
    }

    /// Takes out what is over.
    fn expire(&self, now: SystemTime) {
        let over = self.ledger().expire(now);
        for key in &over {
            tracing::info!(task.id = %key.id, "the time of a kept task is over");
            self.openings().remove(key);
            if let Err(error) = self.0.store.remove(key) {
                tracing::warn!(error = %dragonfly_service::chain(&error), "a kept task stays on record until the next start");
            }
        }
        if !over.is_empty() {
            self.0.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// How the object store of a task is opened; without what a restart forgot.
    fn opening(&self, key: &Key, at: StoredAt) -> ObjectStorage {
        let known = self.openings().get(key).cloned();
        known.unwrap_or(ObjectStorage {
            region: at.region,
            endpoint: at.endpoint,
            ..ObjectStorage::default()
        })
    }

    /// Nobody keeps the task any more; who had it.
    pub(crate) fn drop(&self, key: &Key) -> Result<Task, Refused> {
        self.openings().remove(key);
        let mut dropped = None;
        self.change(key, |ledger, _| {
            dropped = Some(ledger.drop(key)?);
            Ok(())
        })?;
        dropped.ok_or_else(|| Refused::NoTask(key.clone()))
    }

    pub(crate) fn view(&self, key: &Key) -> Result<View, Refused> {
        let task = self.ledger().get(key)?.clone();
        Ok(self.seen(key.clone(), task))
    }

    /// A peer and its task.
    pub(crate) fn peer(&self, key: &Key, id: PeerId) -> Result<(View, Peer), Refused> {
        let (task, replica) = {
            let ledger = self.ledger();
            let (task, replica) = ledger.peer(key, &id)?;
            (task.clone(), replica.clone())
        };
        let host = self.0.hosts.get(&replica.host);
        Ok((self.seen(key.clone(), task), Peer { id, replica, host }))
    }

    /// The peers of a task as it was seen, those first that are obliged to keep it.
    pub(crate) fn peers<'a>(&self, view: &'a View) -> impl Iterator<Item = Peer> + use<'a> {
        let mut peers: Vec<(&PeerId, &Replica)> = view.task.peers.iter().collect();
        peers.sort_by_key(|(_, replica)| !replica.persistent);
        let hosts = self.0.hosts.clone();
        peers.into_iter().map(move |(id, replica)| Peer {
            id: id.clone(),
            host: hosts.get(&replica.host),
            replica: replica.clone(),
        })
    }

    /// Tasks that have changed since they were told, and those that are gone; `told` then holds what this says.
    pub(crate) fn news(&self, told: &mut HashMap<Key, u64>) -> (Vec<View>, Vec<Key>) {
        let ledger = self.ledger();
        let mut gone = Vec::new();
        told.retain(|key, _| {
            let stays = ledger.get(key).is_ok();
            if !stays {
                gone.push(key.clone());
            }
            stays
        });
        let changed = ledger.all().filter(|(key, task)| told.get(key) != Some(&task.version));
        let changed: Vec<(Key, Task)> = changed.map(|(key, task)| (key.clone(), task.clone())).collect();
        told.extend(changed.iter().map(|(key, task)| (key.clone(), task.version)));
        drop(ledger);
        (
            changed.into_iter().map(|(key, task)| self.seen(key, task)).collect(),
            gone,
        )
    }

    /// Wakes whoever follows the ledger.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    fn seen(&self, key: Key, task: Task) -> View {
        let counts = task.counts(&self.alive());
        View { key, task, counts }
    }

    fn alive(&self) -> impl Fn(&HostId) -> bool {
        let hosts = self.0.hosts.clone();
        move |host| hosts.get(host).is_some()
    }

    /// Changes the ledger and what is on disk, in that order and under one lock, so that both say the same.
    fn change(
        &self,
        key: &Key,
        change: impl FnOnce(&mut Ledger, SystemTime) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut ledger = self.ledger();
        let before = ledger.get(key).ok().map(Task::durable);
        change(&mut ledger, SystemTime::now())?;
        let after = ledger.get(key).ok().map(Task::durable);
        let written = match (&before, &after) {
            (before, Some(after)) if before.as_ref().is_none_or(|before| worth_writing(before, after)) => {
                self.0.store.put(key, after)
            }
            (Some(_), None) => self.0.store.remove(key),
            _ => Ok(()),
        };
        drop(ledger);
        self.0.changes.send_modify(|changes| *changes += 1);
        written.map_err(|error| {
            tracing::error!(error = %dragonfly_service::chain(&error), task.id = %key.id, "a kept task was not written down");
            Refused::Disk
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn openings(&self) -> MutexGuard<'_, HashMap<Key, ObjectStorage>> {
        self.0.openings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the disk would say something else. Versions and times of caches are not worth a write.
fn worth_writing(before: &Task, after: &Task) -> bool {
    (&before.facts, before.state, &before.peers, before.created_at)
        != (&after.facts, after.state, &after.peers, after.created_at)
}

/// Same data centre before same place, as far as it is the same.
fn nearness(a: &Host, b: &Host) -> (bool, usize) {
    let of = |host: &Host| host.network.clone().unwrap_or_default();
    let (a, b) = (of(a), of(b));
    let idc = |network: &dragonfly_api::common::Network| network.idc.clone().filter(|idc| !idc.is_empty());
    let same = idc(&a).is_some_and(|one| idc(&b).is_some_and(|other| one.eq_ignore_ascii_case(&other)));
    let place = |text: Option<String>| Location::new(text.unwrap_or_default());
    (same, place(a.location).shared_prefix(&place(b.location)))
}

#[cfg(test)]
mod tests;
