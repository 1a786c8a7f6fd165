//! Who fetches from whom: the only place that adds and removes peers, edges and taken slots.

use super::Graph;
use crate::PeerKey;
use crate::host::Host;
use crate::peer::{Peer, State, Wait};
use crate::timers::Subject;
use dragonfly_model::{HostId, PeerId};

impl Graph {
    /// Puts a peer into its task, which must exist, and onto its host.
    pub(super) fn insert_peer(&mut self, key: &PeerKey, peer: Peer) {
        let now = self.now;
        let host = self
            .hosts
            .entry(peer.host.clone())
            .or_insert_with(|| Host::unannounced(now));
        host.add_peer(key);
        host.seen = now;
        let Some(task) = self.tasks.get_mut(&key.task) else {
            return;
        };
        if let Some(wait) = peer.wait() {
            task.waiting.insert(wait.ticket, key.peer.clone());
            self.hungry.insert(key.task.clone());
        }
        task.updated = now;
        task.peers.insert(key.peer.clone(), peer);
        self.index(key);
        self.arm_peer(key);
    }

    /// Forgets a peer, with its edges, slots and place in the queue.
    pub(super) fn remove_peer(&mut self, key: &PeerKey) -> Option<Peer> {
        self.leave_parents(key);
        self.leave_children(key);
        self.leave_queue(key);
        let now = self.now;
        let task = self.tasks.get_mut(&key.task)?;
        let peer = task.peers.remove(&key.peer)?;
        if let Some(spot) = &peer.spot {
            task.pool.remove(spot);
        }
        let was_root = task.roots.remove(&key.peer);
        if !task.waiting.is_empty() && (was_root || task.pool.is_empty()) {
            self.changed.unsettled.insert(key.task.clone());
        }
        if task.peers.is_empty() {
            task.updated = now;
        }
        self.timers.disarm(peer.armed, Subject::Peer(key.clone()));
        self.arm_task(&key.task);
        if let Some(host) = self.hosts.get_mut(&peer.host) {
            host.remove_peer(key);
            if host.facts().is_none() && !host.has_peers() {
                self.hosts.remove(&peer.host);
            }
        }
        Some(peer)
    }

    /// Makes `parent` a parent of `child`, which takes a slot of its host.
    pub(super) fn link(&mut self, parent: &PeerKey, child: &PeerId) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(&parent.task) else {
            return;
        };
        let Some(giver) = task.peers.get_mut(&parent.peer) else {
            return;
        };
        giver.children.insert(child.clone());
        giver.active = now;
        let host = giver.host.clone();
        if let Some(taker) = task.peers.get_mut(child) {
            taker.parents.push(parent.peer.clone());
        }
        if let Some(host) = self.hosts.get_mut(&host) {
            host.uploads += 1;
        }
    }

    /// Removes the edges to a peer's parents.
    pub(super) fn leave_parents(&mut self, key: &PeerKey) {
        let ancestors = self.tasks.get(&key.task).map(|task| task.waiting_ancestors(&key.peer));
        let released = ancestors.into_iter().flatten().map(|id| key.sibling(&id));
        self.changed.released.extend(released);
        let Some(peer) = self.peer_mut(key) else {
            return;
        };
        for parent in std::mem::take(&mut peer.parents) {
            let parent = key.sibling(&parent);
            let Some(giver) = self.peer_mut(&parent) else {
                continue;
            };
            giver.children.remove(&key.peer);
            let host = giver.host.clone();
            self.free_slots(&host, 1);
        }
    }

    /// Removes the edges to a peer's children. They notice by themselves and ask again.
    fn leave_children(&mut self, key: &PeerKey) {
        let Some(task) = self.tasks.get_mut(&key.task) else {
            return;
        };
        let Some(peer) = task.peers.get_mut(&key.peer) else {
            return;
        };
        let host = peer.host.clone();
        let children = std::mem::take(&mut peer.children);
        for child in children
            .iter()
            .filter_map(|id| task.peers.get_mut(id).map(|_| id.clone()))
            .collect::<Vec<_>>()
        {
            if let Some(child) = task.peers.get_mut(&child) {
                child.parents.retain(|parent| *parent != key.peer);
            }
        }
        self.free_slots(&host, children.len());
    }

    fn free_slots(&mut self, id: &HostId, count: usize) {
        let slots = self.config.limits.slots;
        if let Some(host) = self.hosts.get_mut(id).filter(|_| count > 0) {
            let was_full = !host.has_slot(slots);
            host.uploads -= count.min(host.uploads);
            if was_full && host.has_slot(slots) {
                self.changed.freed.insert(id.clone());
            }
        }
    }

    /// A new place at the end of a queue.
    pub(super) fn new_wait(&mut self) -> Wait {
        Wait {
            ticket: self.number(),
            since: self.now,
            deadline: self.now + self.config.wait,
            look_at: None,
        }
    }

    /// Takes a peer out of its task's queue, if it is there. The caller gives it another state.
    pub(super) fn leave_queue(&mut self, key: &PeerKey) {
        let Some(task) = self.tasks.get_mut(&key.task) else {
            return;
        };
        if let Some(wait) = task.peers.get(&key.peer).and_then(Peer::wait) {
            task.waiting.remove(&wait.ticket);
        }
        if task.waiting.is_empty() {
            self.hungry.remove(&key.task);
        }
    }

    /// Gives a peer another state, with all that hangs on it: queue, roots, pool, timer, and news for waiting children.
    pub(super) fn set_state(&mut self, key: &PeerKey, state: State) {
        self.leave_queue(key);
        let now = self.now;
        let Some(task) = self.tasks.get_mut(&key.task) else {
            return;
        };
        let Some(peer) = task.peers.get_mut(&key.peer) else {
            return;
        };
        peer.state = state;
        peer.active = now;
        if let State::Waiting(wait) = state {
            task.waiting.insert(wait.ticket, key.peer.clone());
            self.hungry.insert(key.task.clone());
        }
        let was_root = !peer.is_root() && task.roots.remove(&key.peer);
        if peer.is_root() {
            task.roots.insert(key.peer.clone());
        }
        if was_root && !task.waiting.is_empty() {
            self.changed.unsettled.insert(key.task.clone());
        }
        self.index(key);
        self.arm_peer(key);
        self.announce_fresh(key);
    }

    /// Brings a peer's place in the pool up to date.
    pub(super) fn index(&mut self, key: &PeerKey) {
        let Some(task) = self.tasks.get_mut(&key.task) else {
            return;
        };
        let Some(peer) = task.peers.get_mut(&key.peer) else {
            return;
        };
        let idc = self
            .hosts
            .get(&peer.host)
            .map(|host| host.idc().clone())
            .unwrap_or_default();
        let spot = peer.serves().then_some((idc, peer.salt));
        if spot == peer.spot {
            return;
        }
        if let Some(old) = std::mem::replace(&mut peer.spot, spot.clone()) {
            task.pool.remove(&old);
        }
        if let Some(spot) = &spot {
            task.pool.insert(spot, key.peer.clone());
        }
    }

    /// Has waiting children look at a peer that can be a parent.
    pub(super) fn announce_fresh(&mut self, key: &PeerKey) {
        let Some(task) = self.tasks.get(&key.task) else {
            return;
        };
        if !task.waiting.is_empty() && task.peers.get(&key.peer).is_some_and(Peer::serves) {
            self.changed.fresh.insert(key.clone());
        }
    }
}
