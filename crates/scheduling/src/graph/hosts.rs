//! Hosts come, change and go.

use super::Graph;
use crate::host::Host;
use crate::peer::{Peer, Stage, State};
use crate::task::Task;
use crate::timers::Subject;
use crate::{Decision, Holding, HostFacts, PeerKey, Refusal, Wanted};
use dragonfly_model::{HostId, PeerId, TaskId};

impl Graph {
    pub(super) fn host_announced(&mut self, id: HostId, facts: HostFacts) {
        let now = self.now;
        let host = self.hosts.entry(id.clone()).or_insert_with(|| Host::unannounced(now));
        let before = (host.shares(), host.idc().clone(), host.is_seed());
        self.host_count += usize::from(host.facts().is_none());
        host.announce(facts, now);
        let after = (host.shares(), host.idc().clone(), host.is_seed());
        if before.1 != after.1 || (!before.0 && after.0) {
            let peers: Vec<PeerKey> = host.peers().collect();
            for peer in &peers {
                self.index(peer);
                self.announce_fresh(peer);
            }
        }
        if !after.2 {
            self.seeds.remove(&id);
        } else if self.seeds.insert(id.clone()) {
            // Children that had nobody to hope for have a seed peer now.
            self.changed.unsettled.extend(self.hungry.iter().cloned());
        }
        self.look_at_host(&id);
        self.arm_host(&id);
    }

    /// An announced host has one record for a content that it holds, under its own name; one of a download does as well.
    pub(super) fn holdings_reported(&mut self, id: &HostId, held: Vec<Holding>) {
        let Ok(peer) = PeerId::parse(id.as_str()) else {
            return;
        };
        let now = self.now;
        let Some(host) = self.hosts.get_mut(id).filter(|host| host.facts().is_some()) else {
            return;
        };
        host.seen = now;
        for holding in held {
            let task = self.tasks.entry(holding.task.clone()).or_insert_with(|| Task::new(now));
            task.learn(holding.content);
            let is_known = self.hosts.get(id).is_some_and(|host| {
                host.peers_of(&holding.task).any(|key| {
                    let peer = self.peer(&key);
                    peer.is_some_and(|peer| peer.state == State::Holding && peer.ask.wanted == Wanted::All)
                })
            });
            if is_known {
                continue;
            }
            let key = PeerKey {
                task: holding.task,
                peer: peer.clone(),
            };
            self.remove_peer(&key);
            let salt = self.random.next();
            self.insert_peer(&key, Peer::holder(id.clone(), salt, now));
            self.announce_fresh(&key);
        }
    }

    pub(super) fn host_left(&mut self, id: &HostId) {
        self.seeds.remove(id);
        let Some(host) = self.hosts.get_mut(id) else {
            return;
        };
        let asked_for = std::mem::take(&mut host.asked_for);
        let peers: Vec<PeerKey> = host.peers().collect();
        for peer in &peers {
            self.delete_peer(peer);
        }
        for task in asked_for {
            self.seed_lost(&task, id);
        }
        if let Some(host) = self.hosts.remove(id) {
            self.host_count -= usize::from(host.facts().is_some());
            self.timers.disarm(host.armed, Subject::Host(id.clone()));
        }
    }

    /// A host dropped its copy of a task. Downloads that are under way there go on.
    pub(super) fn task_deleted(&mut self, host: &HostId, task: &TaskId) {
        let Some(known) = self.hosts.get(host) else {
            return;
        };
        let is_copy = |key: &PeerKey| {
            let stage = self.peer(key).map(Peer::stage);
            matches!(stage, Some(Stage::Holding | Stage::Announced))
        };
        let copies: Vec<PeerKey> = known.peers_of(task).filter(is_copy).collect();
        for copy in &copies {
            self.delete_peer(copy);
        }
    }

    pub(super) fn peer_deleted(&mut self, key: &PeerKey) {
        self.delete_peer(key);
    }

    /// Forgets a peer and ends its stream, if it has one.
    fn delete_peer(&mut self, key: &PeerKey) {
        if let Some(peer) = self.remove_peer(key)
            && peer.stage() != Stage::Holding
        {
            self.decisions.push(Decision::Refuse {
                peer: key.clone(),
                reason: Refusal::Deleted,
            });
        }
    }
}
