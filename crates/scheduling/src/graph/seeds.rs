//! Calls to seed peers: one at a time per task, the next seed peer when one fails, other credentials when the origin
//! refuses a caller's.

use super::Graph;
use crate::peer::Peer;
use crate::ring;
use crate::task::{Seeding, Task};
use crate::{CredentialsId, Decision, PeerKey, TriggerId};
use dragonfly_model::{HostId, PeerId, TaskId};

impl Graph {
    /// Asks a seed peer for a task, unless one is asked already. `false` if there is none, or no waiting child on whose
    /// behalf it could be asked.
    pub(super) fn ask_seed(&mut self, id: &TaskId) -> bool {
        let Some(task) = self.tasks.get(id) else {
            return false;
        };
        if task.seeding.is_some() || task.seeded_until > self.now {
            return true;
        }
        let Some((on_behalf, credentials)) = self.spokesman(task) else {
            return false;
        };
        let Some(seed) = self.next_seed(id, task) else {
            return false;
        };
        let trigger = TriggerId(self.number());
        self.decisions.push(Decision::TriggerSeed {
            task: id.clone(),
            seed: seed.clone(),
            trigger,
            on_behalf,
        });
        let mut had_it = false;
        if let Some(host) = self.hosts.get_mut(&seed) {
            had_it = host.peers_of(id).next().is_some();
            host.asked_for.insert(id.clone());
        }
        let alive = self.now;
        if let Some(task) = self.tasks.get_mut(id) {
            task.seeding = Some(Seeding {
                trigger,
                seed,
                credentials,
                had_it,
                alive,
            });
        }
        self.arm_task(id);
        true
    }

    /// The first waiting child whose request a seed peer may be given.
    fn spokesman(&self, task: &Task) -> Option<(PeerId, CredentialsId)> {
        let waiting = task.waiting.values().filter_map(|id| task.peers.get_key_value(id));
        let mut able = waiting.filter(|(_, peer)| {
            let ask = &peer.ask;
            !ask.wants_origin
                && ask.priority != dragonfly_model::Priority::Level2
                && !self.is_seed(&peer.host)
                && !task.is_refused(ask.credentials, self.now)
        });
        able.next().map(|(id, peer)| (id.clone(), peer.ask.credentials))
    }

    /// The seed peer that is meant for a task most, of those that did not fail it.
    fn next_seed(&self, id: &TaskId, task: &Task) -> Option<HostId> {
        let able = self.seeds.iter().filter(|seed| {
            let spent = task.spent_seeds.get(*seed).is_some_and(|until| *until > self.now);
            let shunned = self
                .hosts
                .get(*seed)
                .is_none_or(|host| host.shunned(self.now).is_some());
            !spent && !shunned
        });
        able.max_by_key(|seed| ring::weight(id, seed)).cloned()
    }

    /// A call ended well. A seed peer that did not register, because the content is small, holds it all the same.
    pub(super) fn seed_trigger_ended(&mut self, id: &TaskId, trigger: TriggerId, holder: Option<PeerId>) {
        let Some(seeding) = self.end_seeding(id, trigger) else {
            return;
        };
        let host = self.hosts.get(&seeding.seed);
        let registered = host.is_some_and(|host| host.peers_of(id).next().is_some());
        if registered && seeding.had_it {
            // Who waits all the same is not helped by asking once more for each answer.
            if let Some(task) = self.tasks.get_mut(id) {
                task.seeded_until = self.now + self.config.calm;
            }
            self.arm_task(id);
        }
        let holder = holder.or_else(|| PeerId::parse(seeding.seed.as_str()).ok());
        if let Some(holder) = holder.filter(|_| !registered) {
            let key = PeerKey {
                task: id.clone(),
                peer: holder,
            };
            if self.peer(&key).is_none() {
                let salt = self.random.next();
                self.insert_peer(&key, Peer::holder(seeding.seed, salt, self.now));
                self.announce_fresh(&key);
            }
        }
    }

    /// A call failed. If the origin refused the credentials it was made with, those of other children are tried; else the
    /// next seed peer is asked.
    pub(super) fn seed_trigger_failed(&mut self, id: &TaskId, trigger: TriggerId, origin: Option<u16>) {
        let Some(seeding) = self.end_seeding(id, trigger) else {
            return;
        };
        let now = self.now;
        let until = now + self.config.failure_memory;
        let Some(task) = self.tasks.get_mut(id) else {
            return;
        };
        if matches!(origin, Some(401 | 403)) {
            task.refuse(seeding.credentials, until, now);
        } else {
            task.spent_seeds.retain(|_, until| *until > now);
            task.spent_seeds.insert(seeding.seed, until);
        }
    }

    /// A seed peer is gone while it was asked for a task.
    pub(super) fn seed_lost(&mut self, id: &TaskId, seed: &HostId) {
        let seeding = self.tasks.get(id).and_then(|task| task.seeding.as_ref());
        if let Some(trigger) = seeding
            .filter(|seeding| seeding.seed == *seed)
            .map(|seeding| seeding.trigger)
        {
            self.seed_trigger_failed(id, trigger, None);
        }
    }

    fn end_seeding(&mut self, id: &TaskId, trigger: TriggerId) -> Option<Seeding> {
        let task = self.tasks.get_mut(id)?;
        let seeding = task.seeding.take_if(|seeding| seeding.trigger == trigger)?;
        task.updated = self.now;
        self.changed.unsettled.insert(id.clone());
        if let Some(host) = self.hosts.get_mut(&seeding.seed) {
            host.asked_for.remove(id);
        }
        self.arm_task(id);
        Some(seeding)
    }
}
