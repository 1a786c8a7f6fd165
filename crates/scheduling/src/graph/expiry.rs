//! What happens because nothing happened: deadlines, silence, old age.

use super::Graph;
use crate::peer::{Peer, State};
use crate::task::Task;
use crate::timers::Subject;
use crate::{Decision, PeerKey, Refusal};
use dragonfly_model::{HostId, TaskId};
use std::time::Duration;

/// Timers that one tick looks at; the rest follows in the next, so that no tick takes long.
const BATCH: usize = 512;

impl Graph {
    pub(super) fn tick(&mut self) {
        for _ in 0..BATCH {
            match self.timers.pop_due(self.now) {
                None => break,
                Some(Subject::Peer(key)) => self.peer_due(&key),
                Some(Subject::Task(id)) => self.task_due(&id),
                Some(Subject::Host(id)) => self.host_due(&id),
            }
        }
        // The wish for this tick is used up, even if the next timer is due at the same time.
        self.wake_at = None;
    }

    fn peer_due(&mut self, key: &PeerKey) {
        let now = self.now;
        let due = |graph: &Self| graph.peer(key).map(|peer| graph.due_of(key, peer));
        let Some(peer) = self.peer_mut(key) else {
            return;
        };
        peer.armed = None;
        let (state, is_used) = (peer.state, !peer.children.is_empty());
        if let State::Waiting(wait) = state {
            if wait.deadline <= now {
                self.deadline(key, wait);
            } else {
                self.seek(key);
            }
        } else if due(self).is_some_and(|due| due <= now) {
            match state {
                State::Waiting(_) => {}
                State::Holding if is_used => {
                    if let Some(peer) = self.peer_mut(key) {
                        peer.active = now;
                    }
                }
                State::Holding => {
                    self.remove_peer(key);
                }
                State::Announced | State::Fetching | State::BackToSource { .. } => {
                    self.remove_peer(key);
                    self.decisions.push(Decision::Refuse {
                        peer: key.clone(),
                        reason: Refusal::Silent,
                    });
                }
            }
        } else if self.peer(key).is_some_and(Peer::takes_more_parents) {
            self.changed.thin.insert(key.clone());
        }
        self.arm_peer(key);
    }

    fn task_due(&mut self, id: &TaskId) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        task.armed = None;
        if let Some(seeding) = &mut task.seeding {
            let host = self.hosts.get(&seeding.seed);
            if host.is_some_and(|host| host.peers_of(id).next().is_some()) {
                seeding.alive = now;
            }
            if seeding.alive + self.config.trigger_timeout <= now {
                let trigger = seeding.trigger;
                self.seed_trigger_failed(id, trigger, None);
            }
        } else if !task.waiting.is_empty() && task.seeded_until <= now {
            self.changed.unsettled.insert(id.clone());
        } else if task.peers.is_empty() && task.updated + self.config.task_ttl <= now {
            self.tasks.remove(id);
            self.decisions.push(Decision::TaskForgotten { task: id.clone() });
        }
        self.arm_task(id);
    }

    fn host_due(&mut self, id: &HostId) {
        let Some(host) = self.hosts.get_mut(id) else {
            return;
        };
        host.armed = None;
        if host.gone_at(self.config.host_ttl).is_some_and(|at| at <= self.now) {
            self.host_left(id);
            self.decisions.push(Decision::HostForgotten { host: id.clone() });
        }
        self.look_at_host(id);
        self.arm_host(id);
    }

    fn due_of(&self, key: &PeerKey, peer: &Peer) -> Duration {
        let silent = peer.active + self.config.piece_timeout;
        match peer.state {
            State::Waiting(wait) => {
                let calm = wait.since + self.config.calm;
                let looks = [wait.look_at, (calm > self.now).then_some(calm), Some(wait.deadline)];
                looks.into_iter().flatten().min().unwrap_or(wait.deadline)
            }
            State::BackToSource { started: false, .. } => peer.active + self.config.grant_timeout,
            State::Holding => peer.active + self.config.peer_ttl,
            State::Fetching if peer.takes_more_parents() => {
                let late = self.tasks.get(&key.task).and_then(Task::late);
                silent.min(self.next_look(peer.active, late.unwrap_or(self.config.calm)))
            }
            State::Announced | State::Fetching | State::BackToSource { .. } => silent,
        }
    }

    /// When to look again at somebody who waits `since` then: after `first`, twice that, and so on.
    fn next_look(&self, since: Duration, first: Duration) -> Duration {
        let waits = std::iter::successors(Some(first.max(Duration::from_millis(1))), |wait| wait.checked_mul(2));
        let mut looks = waits.map(|wait| since + wait);
        looks.find(|at| *at > self.now).unwrap_or(Duration::MAX)
    }

    pub(super) fn arm_peer(&mut self, key: &PeerKey) {
        let Some(due) = self.peer(key).map(|peer| self.due_of(key, peer)) else {
            return;
        };
        let peer = self
            .tasks
            .get_mut(&key.task)
            .and_then(|task| task.peers.get_mut(&key.peer));
        if let Some(peer) = peer {
            self.timers.arm(&mut peer.armed, due, Subject::Peer(key.clone()));
        }
    }

    pub(super) fn arm_task(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        let due = match &task.seeding {
            Some(seeding) => seeding.alive + self.config.trigger_timeout,
            None if task.seeded_until > self.now => task.seeded_until,
            None if task.peers.is_empty() => task.updated + self.config.task_ttl,
            None => return,
        };
        self.timers.arm(&mut task.armed, due, Subject::Task(id.clone()));
    }

    pub(super) fn arm_host(&mut self, id: &HostId) {
        let Some(host) = self.hosts.get_mut(id) else {
            return;
        };
        if let Some(due) = host.due(self.config.host_ttl, self.now) {
            self.timers.arm(&mut host.armed, due, Subject::Host(id.clone()));
        }
    }
}
