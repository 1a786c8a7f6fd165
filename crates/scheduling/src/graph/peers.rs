//! What peers say of themselves.

use super::Graph;
use crate::peer::{Peer, Stage, State};
use crate::task::Task;
use crate::{Decision, FinishedPiece, PeerKey, Refusal, Registration, Wanted};
use dragonfly_model::{HostId, PeerId, Priority};

impl Graph {
    pub(super) fn peer_registered(&mut self, registration: Registration) {
        let key = registration.peer.clone();
        // A peer that registers again, over a new stream, starts anew.
        self.remove_peer(&key);
        if registration.priority == Priority::Level1 {
            self.decisions.push(Decision::Refuse {
                peer: key,
                reason: Refusal::Forbidden,
            });
            return;
        }
        let now = self.now;
        let task = self.tasks.entry(key.task.clone()).or_insert_with(|| Task::new(now));
        task.learn(registration.content);
        self.drop_lost_copies(&registration);
        let is_empty = registration.content.length == Some(0);
        let state = if registration.metadata_only || is_empty {
            State::Announced
        } else {
            State::Waiting(self.new_wait())
        };
        let salt = self.random.next();
        self.insert_peer(&key, Peer::new(&registration, state, salt, now));
        if registration.metadata_only {
            self.decisions.push(Decision::MetadataOnly { peer: key });
        } else if is_empty {
            self.decisions.push(Decision::Empty { peer: key });
        } else {
            self.seek_or_park(&key);
        }
    }

    pub(super) fn peer_started(&mut self, key: &PeerKey) {
        let now = self.now;
        if let Some(peer) = self.peer_mut(key) {
            peer.began = true;
            peer.active = now;
            self.index(key);
            self.announce_fresh(key);
        }
    }

    /// A peer begins at the origin: with a grant, or without one, because it thinks that it must. Both are counted.
    pub(super) fn back_to_source_started(&mut self, key: &PeerKey) {
        let granted = match self.peer(key).map(|peer| peer.state) {
            None | Some(State::Holding) => return,
            Some(State::BackToSource { granted, .. }) => granted,
            Some(_) => false,
        };
        self.leave_parents(key);
        self.set_state(key, State::BackToSource { granted, started: true });
    }

    pub(super) fn piece_finished(&mut self, key: &PeerKey, piece: &FinishedPiece) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(&key.task) else {
            return;
        };
        let Some(peer) = task.peers.get_mut(&key.peer) else {
            return;
        };
        task.landed += u64::from(peer.have.insert(piece.number));
        peer.active = now;
        peer.progress = true;
        let (host, is_parent) = (peer.host.clone(), !peer.children.is_empty());
        if let Some(parent) = &piece.parent {
            peer.blocks.clear(parent);
        }
        if let Some(host) = self.hosts.get_mut(&host) {
            host.seen = now;
            if is_parent {
                host.put_to_test(now);
            }
        }
        if let Some(parent) = piece.parent.as_ref() {
            self.parent_delivered(key, parent, piece);
        }
        self.index(key);
        self.announce_fresh(key);
        self.changed.thin.insert(key.clone());
    }

    /// All children of a parent that turns out to be slow look for others, and not only the one that has waited for its
    /// piece to the end; now and then, and not with each of its pieces, since it may have many.
    fn help_children_of_slow(&mut self, parent: &PeerKey, host: &HostId) {
        let (Some(task), Some(host)) = (self.tasks.get_mut(&parent.task), self.hosts.get(host)) else {
            return;
        };
        let (slow, now, pause) = (task.is_slow(host, self.now), self.now, self.config.calm);
        let Some(peer) = task.peers.get_mut(&parent.peer).filter(|_| slow) else {
            return;
        };
        if peer.left_as_slow.is_some_and(|last| now < last + pause) {
            return;
        }
        peer.left_as_slow = Some(now);
        let children = peer.children.keys().map(|child| parent.sibling(child));
        self.changed.thin.extend(children);
    }

    fn parent_delivered(&mut self, child: &PeerKey, parent: &PeerId, piece: &FinishedPiece) {
        let now = self.now;
        let parent = child.sibling(parent);
        let Some(peer) = self.peer_mut(&parent) else {
            return;
        };
        peer.active = now;
        let host = peer.host.clone();
        if let Some(host) = self.hosts.get_mut(&host)
            && let Some(speed) = host.delivered(piece.length, piece.cost, now)
            && let Some(task) = self.tasks.get_mut(&parent.task)
        {
            task.delivered(speed);
        }
        self.help_children_of_slow(&parent, &host);
        self.look_at_host(&host);
    }

    pub(super) fn piece_failed(&mut self, key: &PeerKey, parent: &PeerId) {
        let now = self.now;
        let Some(peer) = self.peer_mut(key) else {
            return;
        };
        peer.active = now;
        peer.blocks.strike(parent, now);
        let child_host = peer.host.clone();
        let Some(parent_host) = self.peer(&key.sibling(parent)).map(|peer| peer.host.clone()) else {
            return;
        };
        if let Some(host) = self.hosts.get_mut(&parent_host) {
            host.complain(&child_host, now);
        }
        self.changed.thin.insert(key.clone());
        self.look_at_host(&parent_host);
        // A host without a free slot is closed already, and opens again only when it is shunned no longer, too.
        self.arm_host(&parent_host);
    }

    /// A peer needs other parents. Those it had are judged: one that has what the peer lacks, in a round in which nothing
    /// landed, failed it; one that has nothing new is offered again when it has.
    pub(super) fn rescheduled(&mut self, key: &PeerKey) {
        let now = self.now;
        let Some(task) = self.tasks.get(&key.task) else {
            return;
        };
        let Some(peer) = task.peers.get(&key.peer).filter(|peer| peer.stage() != Stage::Holding) else {
            return;
        };
        let lack = peer.lack(task.content.pieces);
        let has_piece = |id: &PeerId| task.peers.get(id).is_some_and(|parent| lack.met_now_by(parent.stock()));
        let parents = peer.parents.iter().map(|(id, _)| id.clone());
        let (full, dry): (Vec<PeerId>, Vec<PeerId>) = parents.partition(has_piece);
        let Some(peer) = self.peer_mut(key) else {
            return;
        };
        dry.iter().for_each(|parent| peer.blocks.dry(parent));
        if !peer.progress {
            full.iter().for_each(|parent| peer.blocks.strike(parent, now));
        }
        peer.progress = false;
        self.leave_parents(key);
        let wait = self.new_wait();
        self.set_state(key, State::Waiting(wait));
        self.seek_or_park(key);
    }

    pub(super) fn peer_finished(&mut self, key: &PeerKey) {
        self.decisions.push(Decision::EndStream { peer: key.clone() });
        self.leave_parents(key);
        self.set_state(key, State::Holding);
        if let Some(peer) = self.peer_mut(key) {
            peer.complete();
        }
        self.drop_older_copies(key);
    }

    /// A host that asks for what it had does not have it any more: what a host has, it does not ask for.
    fn drop_lost_copies(&mut self, registration: &Registration) {
        if !registration.metadata_only {
            let lost = self.copies_on(&registration.host, &registration.peer, |copy| {
                copy.ask.wanted.overlaps(registration.wanted)
            });
            for copy in &lost {
                self.remove_peer(copy);
            }
        }
    }

    /// A host needs one record of a complete copy, not one per download.
    fn drop_older_copies(&mut self, key: &PeerKey) {
        let Some(new) = self.peer(key).filter(|peer| peer.ask.wanted == Wanted::All) else {
            return;
        };
        for copy in &self.copies_on(&new.host, key, |copy| copy.children.is_empty()) {
            self.remove_peer(copy);
        }
    }

    /// The copies on a host of the task of `but`, without `but` itself.
    fn copies_on(&self, host: &HostId, but: &PeerKey, which: impl Fn(&Peer) -> bool) -> Vec<PeerKey> {
        let peers = self
            .hosts
            .get(host)
            .into_iter()
            .flat_map(|host| host.peers_of(&but.task));
        let is_copy = |other: &PeerKey| {
            self.peer(other)
                .is_some_and(|peer| peer.state == State::Holding && which(peer))
        };
        peers.filter(|other| other != but && is_copy(other)).collect()
    }

    pub(super) fn peer_failed(&mut self, key: &PeerKey) {
        self.decisions.push(Decision::EndStream { peer: key.clone() });
        self.stream_broken(key);
    }

    pub(super) fn stream_broken(&mut self, key: &PeerKey) {
        if self.peer(key).is_some_and(|peer| peer.stage() != Stage::Holding) {
            self.remove_peer(key);
        }
    }
}
