//! What must hold after every event, whatever happened.

use crate::PeerKey;
use crate::graph::Graph;
use crate::peer::{Bond, Peer, State};
use crate::pool::Room;
use crate::task::Task;
use dragonfly_model::TaskId;
use std::collections::BTreeMap;

impl Graph {
    /// How many peers of the same kind of host have a grant for something that this peer wants too, itself included.
    pub(super) fn grants_beside(&self, key: &PeerKey) -> usize {
        let is_seed = |peer: &Peer| self.seeds.contains(&peer.host);
        let (task, peer) = (&self.tasks[&key.task], self.peer(key).unwrap());
        let granted = |peer: &Peer| matches!(peer.state, State::BackToSource { granted: true, .. });
        let alike = |other: &&Peer| {
            granted(other) && is_seed(other) == is_seed(peer) && other.ask.wanted.overlaps(peer.ask.wanted)
        };
        task.peers.values().map(AsRef::as_ref).filter(alike).count()
    }

    /// Panics if an invariant is broken.
    pub(super) fn audit(&self) {
        let mut uploads = BTreeMap::new();
        for (id, task) in &self.tasks {
            for (peer_id, peer) in &task.peers {
                self.audit_edges(task, peer_id, peer);
                self.audit_place(id, task, peer_id, peer);
                *uploads.entry(&peer.host).or_insert(0) += peer.children.len();
            }
            let landed: u64 = task.peers.values().map(|peer| u64::from(peer.have.len())).sum();
            assert_eq!(task.landed, landed, "{id}: pieces");
            assert_eq!(self.hungry.contains(id), !task.waiting.is_empty(), "{id}: hungry");
            let waiting = task.peers.values().filter(|peer| peer.wait().is_some()).count();
            assert_eq!(task.waiting.len(), waiting, "{id}: queue");
            let pooled = task.peers.values().filter(|peer| peer.place.is_some()).count();
            assert_eq!(task.pool.len(), pooled, "{id}: pool");
            if let Some(seeding) = &task.seeding {
                assert!(self.hosts[&seeding.seed].asked_for.contains(id), "{id}: asked for");
            }
        }
        self.audit_counts();
        for (id, host) in &self.hosts {
            assert_eq!(host.uploads, uploads.get(id).copied().unwrap_or(0), "{id}: slots taken");
            // What time alone changes is noticed at the tick that is due then.
            let is_due = host.armed.is_some_and(|at| at <= self.now);
            let closed = host.is_closed(self.config.limits.slots, self.now);
            assert!(is_due || host.closed == closed, "{id}: closed");
            assert!(
                host.uploads <= host.slots(self.config.limits.slots),
                "{id}: too many children"
            );
            assert_eq!(self.seeds.contains(id), host.is_seed(), "{id}: seed");
            assert!(host.facts().is_some() || host.has_peers(), "{id}: nothing known");
            assert!(
                host.peers()
                    .all(|key| self.peer(&key).is_some_and(|peer| peer.host == *id))
            );
        }
    }

    fn audit_counts(&self) {
        let peers = || self.tasks.values().flat_map(|task| task.peers.values());
        assert_eq!(self.peer_count, peers().count());
        let announced = self.hosts.values().filter(|host| host.facts().is_some());
        assert_eq!(self.host_count, announced.count());
        let mut roots = BTreeMap::new();
        for peer in peers().filter(|peer| peer.is_root()) {
            if let Some(origin) = peer.ask.origin {
                *roots.entry(origin).or_insert(0) += 1;
            }
        }
        for (origin, used) in &self.origins {
            assert_eq!(used.roots, roots.remove(origin).unwrap_or(0), "{origin:?}");
        }
        assert!(roots.is_empty(), "{roots:?}");
    }

    fn audit_edges(&self, task: &Task, id: &dragonfly_model::PeerId, peer: &Peer) {
        for (n, (parent, bond)) in peer.parents.iter().enumerate() {
            let other = &task.peers[parent];
            assert_eq!(other.children.get(id), Some(bond), "{id}: one-sided edge to {parent}");
            assert_ne!(other.host, peer.host, "{id}: parent {parent} on the same host");
            assert!(
                peer.parents[..n].iter().all(|(before, _)| before != parent),
                "{id}: twice {parent}"
            );
        }
        for (child, bond) in &peer.children {
            assert!(
                task.peers[child].parents.contains(&(id.clone(), *bond)),
                "{id}: one-sided edge to {child}"
            );
            assert!(
                *bond == Bond::Exchange || !task.lineage(child).contains(id),
                "{id} is its own ancestor"
            );
        }
        if !matches!(peer.state, State::Fetching) {
            assert!(peer.parents.is_empty(), "{id}: {:?} with parents", peer.state);
        }
    }

    fn audit_place(&self, task_id: &TaskId, task: &Task, id: &dragonfly_model::PeerId, peer: &Peer) {
        let key = PeerKey {
            task: task_id.clone(),
            peer: id.clone(),
        };
        let host = &self.hosts[&peer.host];
        assert!(host.peers().any(|other| other == key), "{id}: not on its host");
        assert_eq!(peer.place.is_some(), peer.serves(), "{id}: pool");
        if let Some(place) = &peer.place {
            assert_eq!(place.idc, *host.idc(), "{id}: wrong data centre");
            let crowded = peer.children.len() >= self.config.fan_out;
            let room = match (host.closed, crowded) {
                (true, _) => Room::Closed,
                (false, true) => Room::Crowded,
                (false, false) => Room::Free,
            };
            assert_eq!(place.room, room, "{id}: room");
        }
        assert_eq!(peer.is_root(), task.roots.contains(id), "{id}: root");
        assert!(peer.armed.is_some(), "{id}: nothing would end it");
        if let Some(wait) = peer.wait() {
            assert_eq!(task.waiting.get(&wait.ticket), Some(id), "{id}: queue");
            assert!(peer.armed <= Some(wait.deadline), "{id}: no deadline");
            assert!(wait.deadline <= wait.since + self.config.patience, "{id}: endless");
        }
    }
}
