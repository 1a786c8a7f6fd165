//! The ledger of kept tasks, as pure judgement: time, and who is alive, come from the caller.

use super::Refused;
use dragonfly_api::ext;
use dragonfly_model::{HostId, PeerId, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Tasks of one scheduler.
const MAX_TASKS: usize = 10_000;
/// Peers of one task. With more, the oldest goes that is not obliged to keep it.
const MAX_PEERS: usize = 1000;

/// By which policy a task is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Keeping {
    /// With replicas, and in an object store.
    Persistent,
    /// With replicas that live only in the cluster.
    PersistentCache,
}

impl From<Keeping> for ext::Keeping {
    fn from(keeping: Keeping) -> Self {
        match keeping {
            Keeping::Persistent => Self::Persistent,
            Keeping::PersistentCache => Self::PersistentCache,
        }
    }
}

/// A task among all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) keeping: Keeping,
    pub(crate) id: TaskId,
}

/// Where a task of [`Keeping::Persistent`] is stored, as far as it makes its id. Credentials are no part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Store {
    pub(crate) url: String,
    pub(crate) region: Option<String>,
    pub(crate) endpoint: Option<String>,
}

/// What is said of a task when it is put in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// How many peers shall keep it.
    pub(crate) replicas: u64,
    pub(crate) tag: Option<String>,
    pub(crate) application: Option<String>,
    pub(crate) piece_length: u64,
    pub(crate) content_length: u64,
    pub(crate) piece_count: u32,
    pub(crate) ttl: Duration,
    pub(crate) store: Option<Store>,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TaskState {
    Uploading,
    Succeeded,
    Failed,
}

impl TaskState {
    /// Dragonfly's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uploading => "Uploading",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// How far a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PeerState {
    Uploading,
    Received,
    Running,
    Succeeded,
    Failed,
}

impl PeerState {
    /// Dragonfly's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uploading => "Uploading",
            Self::Received => "ReceivedNormal",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// A peer that has a task, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replica {
    pub(crate) host: HostId,
    /// Whether it is obliged to keep it.
    pub(crate) persistent: bool,
    pub(crate) state: PeerState,
    pub(crate) created_at: SystemTime,
    pub(crate) updated_at: SystemTime,
}

/// A task that is kept, and who has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) facts: Facts,
    pub(crate) state: TaskState,
    pub(crate) created_at: SystemTime,
    pub(crate) updated_at: SystemTime,
    pub(crate) peers: BTreeMap<PeerId, Replica>,
    /// Grows with each change of any task.
    #[serde(skip)]
    pub(crate) version: u64,
}

impl Task {
    /// Those that have all of it, of the hosts that are alive.
    pub(crate) fn holders<'a>(
        &'a self,
        alive: &'a impl Fn(&HostId) -> bool,
    ) -> impl Iterator<Item = (&'a PeerId, &'a Replica)> {
        let holds = move |replica: &Replica| replica.state == PeerState::Succeeded && alive(&replica.host);
        self.peers.iter().filter(move |(_, replica)| holds(replica))
    }

    /// How many of the living keep it, and how many have it.
    pub(crate) fn counts(&self, alive: &impl Fn(&HostId) -> bool) -> (u64, u64) {
        let kept = self.holders(alive).filter(|(_, replica)| replica.persistent).count();
        (kept as u64, self.holders(alive).count() as u64)
    }

    /// Who can give some of it to a child on `host`.
    pub(crate) fn parents(&self, host: &HostId, alive: &impl Fn(&HostId) -> bool) -> Vec<(PeerId, HostId)> {
        let gives = |replica: &Replica| {
            matches!(replica.state, PeerState::Running | PeerState::Succeeded)
                && replica.host != *host
                && alive(&replica.host)
        };
        let able = self.peers.iter().filter(|(_, replica)| gives(replica));
        able.map(|(peer, replica)| (peer.clone(), replica.host.clone()))
            .collect()
    }

    fn has_expired(&self, now: SystemTime) -> bool {
        now.duration_since(self.created_at).unwrap_or_default() >= self.facts.ttl
    }

    /// What is worth the disk: who is obliged to keep it. The others are caches, and come and go.
    pub(crate) fn durable(&self) -> Self {
        let peers = self.peers.iter().filter(|(_, replica)| replica.persistent);
        Self {
            peers: peers.map(|(peer, replica)| (peer.clone(), replica.clone())).collect(),
            ..self.clone()
        }
    }
}

/// All kept tasks.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    tasks: BTreeMap<Key, Task>,
    version: u64,
}

impl Ledger {
    pub(crate) fn new(tasks: impl IntoIterator<Item = (Key, Task)>) -> Self {
        Self {
            tasks: tasks.into_iter().collect(),
            version: 0,
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&Key, &Task)> {
        self.tasks.iter()
    }

    pub(crate) fn get(&self, key: &Key) -> Result<&Task, Refused> {
        self.tasks.get(key).ok_or_else(|| Refused::NoTask(key.clone()))
    }

    pub(crate) fn peer(&self, key: &Key, peer: &PeerId) -> Result<(&Task, &Replica), Refused> {
        let task = self.get(key)?;
        let replica = task.peers.get(peer);
        replica
            .map(|replica| (task, replica))
            .ok_or_else(|| Refused::NoPeer(key.clone(), peer.clone()))
    }

    /// A peer begins to put a task in. What failed before may be tried again.
    pub(crate) fn begin(
        &mut self,
        key: Key,
        (host, peer): (HostId, PeerId),
        facts: Facts,
        now: SystemTime,
    ) -> Result<(), Refused> {
        match self.tasks.get(&key) {
            Some(task) if task.state != TaskState::Failed && !task.has_expired(now) => {
                return Err(Refused::Exists(key));
            }
            None if self.tasks.len() >= MAX_TASKS => return Err(Refused::Full(MAX_TASKS)),
            _ => {}
        }
        let replica = Replica {
            host,
            persistent: true,
            state: PeerState::Uploading,
            created_at: now,
            updated_at: now,
        };
        self.version += 1;
        let task = Task {
            facts,
            state: TaskState::Uploading,
            created_at: now,
            updated_at: now,
            peers: [(peer, replica)].into(),
            version: self.version,
        };
        self.tasks.insert(key, task);
        Ok(())
    }

    /// A peer has put a task in, or has not.
    pub(crate) fn end(&mut self, key: &Key, peer: &PeerId, state: TaskState, now: SystemTime) -> Result<(), Refused> {
        self.set(key, peer, now, |task, replica| {
            *task = state;
            replica.state = match state {
                TaskState::Succeeded => PeerState::Succeeded,
                TaskState::Uploading => PeerState::Uploading,
                TaskState::Failed => PeerState::Failed,
            };
        })
    }

    /// A peer wants a task.
    pub(crate) fn join(
        &mut self,
        key: &Key,
        (host, peer): (HostId, PeerId),
        persistent: bool,
        now: SystemTime,
    ) -> Result<(), Refused> {
        let version = self.next_version();
        let task = self.tasks.get_mut(key).ok_or_else(|| Refused::NoTask(key.clone()))?;
        // A host has a task once: what it had before is what it has now.
        task.peers
            .retain(|other, replica| *other == peer || replica.host != host || replica.state != PeerState::Failed);
        if task.peers.len() >= MAX_PEERS && !task.peers.contains_key(&peer) {
            let droppable = task.peers.iter().filter(|(_, replica)| !replica.persistent);
            let oldest = droppable.min_by_key(|(_, replica)| replica.updated_at);
            let Some(oldest) = oldest.map(|(peer, _)| peer.clone()) else {
                return Err(Refused::Full(MAX_PEERS));
            };
            task.peers.remove(&oldest);
        }
        let replica = Replica {
            host,
            persistent,
            state: PeerState::Received,
            created_at: now,
            updated_at: now,
        };
        task.peers.insert(peer, replica);
        task.version = version;
        Ok(())
    }

    /// How far a peer is.
    pub(crate) fn step(&mut self, key: &Key, peer: &PeerId, state: PeerState, now: SystemTime) -> Result<(), Refused> {
        self.set(key, peer, now, |_, replica| replica.state = state)
    }

    /// A peer is obliged to keep the task from now on.
    pub(crate) fn oblige(&mut self, key: &Key, peer: &PeerId, now: SystemTime) -> Result<(), Refused> {
        self.set(key, peer, now, |_, replica| replica.persistent = true)
    }

    /// A peer has the task no more.
    pub(crate) fn leave(&mut self, key: &Key, peer: &PeerId, now: SystemTime) -> Result<(), Refused> {
        let version = self.next_version();
        let task = self.tasks.get_mut(key).ok_or_else(|| Refused::NoTask(key.clone()))?;
        task.peers
            .remove(peer)
            .ok_or_else(|| Refused::NoPeer(key.clone(), peer.clone()))?;
        task.updated_at = now;
        task.version = version;
        Ok(())
    }

    /// Nobody keeps the task any more.
    pub(crate) fn drop(&mut self, key: &Key) -> Result<Task, Refused> {
        let dropped = self.tasks.remove(key);
        dropped.ok_or_else(|| Refused::NoTask(key.clone()))
    }

    /// Takes out what is over. Peers drop it by the same clock.
    pub(crate) fn expire(&mut self, now: SystemTime) -> Vec<Key> {
        let over = self.tasks.iter().filter(|(_, task)| task.has_expired(now));
        let over: Vec<Key> = over.map(|(key, _)| key.clone()).collect();
        for key in &over {
            self.tasks.remove(key);
        }
        over
    }

    fn set(
        &mut self,
        key: &Key,
        peer: &PeerId,
        now: SystemTime,
        change: impl FnOnce(&mut TaskState, &mut Replica),
    ) -> Result<(), Refused> {
        let version = self.next_version();
        let task = self.tasks.get_mut(key).ok_or_else(|| Refused::NoTask(key.clone()))?;
        let replica = task.peers.get_mut(peer);
        let replica = replica.ok_or_else(|| Refused::NoPeer(key.clone(), peer.clone()))?;
        change(&mut task.state, replica);
        replica.updated_at = now;
        task.updated_at = now;
        task.version = version;
        Ok(())
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }
}
