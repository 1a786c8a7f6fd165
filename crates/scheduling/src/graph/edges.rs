//! Who fetches from whom: the only place that adds and removes peers, edges and taken slots, and that moves peers about
//! in the pools of their tasks.

use super::Graph;
use crate::PeerKey;
use crate::host::Host;
use crate::peer::{Bond, Peer, State, Wait};
use crate::pool::{Place, Room};
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
        task.peers.insert(key.peer.clone(), Box::new(peer));
        self.peer_count += 1;
        self.index(key);
        self.arm_peer(key);
    }

    /// Forgets a peer, with its edges, slots and place in the queue.
    pub(super) fn remove_peer(&mut self, key: &PeerKey) -> Option<Box<Peer>> {
        self.leave_parents(key);
        self.leave_children(key);
        self.leave_queue(key);
        let now = self.now;
        let task = self.tasks.get_mut(&key.task)?;
        let peer = task.peers.remove(&key.peer)?;
        self.peer_count -= 1;
        task.landed -= u64::from(peer.have.len());
        if let Some(place) = &peer.place {
            task.pool.remove(place);
        }
        task.needy.remove(&key.peer);
        let was_root = task.roots.remove(&key.peer);
        if !task.waiting.is_empty() && (was_root || task.pool.is_empty()) {
            self.changed.unsettled.insert(key.task.clone());
        }
        if task.peers.is_empty() {
            task.updated = now;
        }
        if was_root {
            self.leave_origin(peer.ask.origin);
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
    pub(super) fn link(&mut self, parent: &PeerKey, child: &PeerId, bond: Bond) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(&parent.task) else {
            return;
        };
        let Some(giver) = task.peers.get_mut(&parent.peer) else {
            return;
        };
        giver.children.insert(child.clone(), bond);
        giver.active = now;
        let (host, has_some) = (
            giver.host.clone(),
            giver.state == State::Holding || !giver.have.is_empty(),
        );
        if let Some(taker) = task.peers.get_mut(child) {
            taker.parents.push((parent.peer.clone(), bond));
        }
        if let Some(host) = self.hosts.get_mut(&host) {
            host.uploads += 1;
            if has_some {
                host.put_to_test(now);
            }
        }
        self.index(parent);
        self.look_at_host(&host);
    }

    /// Removes the edges to a peer's parents.
    pub(super) fn leave_parents(&mut self, key: &PeerKey) {
        let ancestors = self.tasks.get(&key.task).map(|task| task.waiting_ancestors(&key.peer));
        let released = ancestors.into_iter().flatten().map(|id| key.sibling(&id));
        self.changed.released.extend(released);
        let Some(peer) = self.peer_mut(key) else {
            return;
        };
        for (parent, _) in std::mem::take(&mut peer.parents) {
            let parent = key.sibling(&parent);
            let Some(giver) = self.peer_mut(&parent) else {
                continue;
            };
            giver.lose_child(&key.peer);
            let host = giver.host.clone();
            self.free_slots(&host, 1);
            self.index(&parent);
        }
    }

    /// Removes the edges to a peer's children. Those that listen are found others; the rest notice and ask.
    fn leave_children(&mut self, key: &PeerKey) {
        let Some(task) = self.tasks.get_mut(&key.task) else {
            return;
        };
        let Some(peer) = task.peers.get_mut(&key.peer) else {
            return;
        };
        let host = peer.host.clone();
        let children = std::mem::take(&mut peer.children);
        for child in children.keys() {
            if let Some(child) = task.peers.get_mut(child) {
                child.parents.retain(|(parent, _)| *parent != key.peer);
            }
            self.changed.thin.insert(key.sibling(child));
        }
        self.free_slots(&host, children.len());
    }

    fn free_slots(&mut self, id: &HostId, count: usize) {
        if let Some(host) = self.hosts.get_mut(id).filter(|_| count > 0) {
            host.end_uploads(count);
            self.look_at_host(id);
        }
    }

    /// Brings the places of a host's peers up to date, if it takes children and did not, or the other way round.
    pub(super) fn look_at_host(&mut self, id: &HostId) {
        let (slots, now) = (self.config.limits.slots, self.now);
        let Some(host) = self.hosts.get_mut(id) else {
            return;
        };
        let closed = host.is_closed(slots, now);
        if std::mem::replace(&mut host.closed, closed) == closed {
            return;
        }
        let peers: Vec<PeerKey> = host.peers().collect();
        for peer in &peers {
            self.index(peer);
        }
        self.arm_host(id);
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
        if let Some(wait) = task.peers.get(&key.peer).and_then(|peer| peer.wait()) {
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
        let (is_root, origin) = (peer.is_root(), peer.ask.origin);
        if let State::Waiting(wait) = state {
            task.waiting.insert(wait.ticket, key.peer.clone());
            self.hungry.insert(key.task.clone());
        }
        let was_root = !is_root && task.roots.remove(&key.peer);
        let becomes_root = is_root && task.roots.insert(key.peer.clone());
        if was_root && !task.waiting.is_empty() {
            self.changed.unsettled.insert(key.task.clone());
        }
        if becomes_root {
            self.enter_origin(origin);
        } else if was_root {
            self.leave_origin(origin);
        }
        self.index(key);
        self.arm_peer(key);
        self.announce_fresh(key);
    }

    /// Brings a peer's place in the pool up to date. Waiting children look at it if it has more room than before.
    pub(super) fn index(&mut self, key: &PeerKey) {
        let fan_out = self.config.fan_out;
        let Some(task) = self.tasks.get_mut(&key.task) else {
            return;
        };
        let Some(peer) = task.peers.get_mut(&key.peer) else {
            return;
        };
        let host = self.hosts.get(&peer.host);
        let room = match host {
            Some(host) if host.closed => Room::Closed,
            _ if peer.children.len() >= fan_out => Room::Crowded,
            _ => Room::Free,
        };
        let place = peer.serves().then(|| Place {
            room,
            idc: host.map(|host| host.idc().clone()).unwrap_or_default(),
            salt: peer.salt,
        });
        if place == peer.place {
            return;
        }
        let old = std::mem::replace(&mut peer.place, place.clone());
        if let Some(old) = &old {
            task.pool.remove(old);
        }
        if let Some(place) = place {
            task.pool.insert(&place, key.peer.clone());
            if old.is_none_or(|old| place.room < old.room) {
                self.announce_fresh(key);
            }
        }
    }

    /// Has waiting children look at a peer that can be a parent, and those with slow parents alone.
    pub(super) fn announce_fresh(&mut self, key: &PeerKey) {
        let Some(task) = self.tasks.get(&key.task) else {
            return;
        };
        let place = task.peers.get(&key.peer).and_then(|peer| peer.place.as_ref());
        if !task.needy.is_empty() && place.is_some_and(|place| place.room == Room::Free) {
            self.changed.roomy.insert(key.task.clone());
        }
        if !task.waiting.is_empty() && task.peers.get(&key.peer).is_some_and(|peer| peer.serves()) {
            self.changed.fresh.insert(key.clone());
        }
    }
}
