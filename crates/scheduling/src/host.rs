//! A host as the judgement sees it: who shares, how busy it is, how well it delivers.

use crate::{HostFacts, PeerKey, Slots};
use dragonfly_model::{HostId, PeerId, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// After complaints from this many different hosts, without a good delivery between them, a host is shunned.
const COMPLAINTS: usize = 3;
/// So many peers of a host are kept in a list, which takes a fraction of what a tree takes for them.
const FEW: usize = 8;
/// How long a host is shunned before it may try again.
const SHUN: Duration = Duration::from_secs(15);
/// Weight of the newest piece in the goodput.
const NEWEST: f64 = 0.2;

/// A host: announced, or known only because a peer of it registered (then it is nobody's parent).
#[derive(Debug)]
pub(crate) struct Host {
    facts: Option<HostFacts>,
    idc: Arc<str>,
    /// Whether its peers stand in the pools as of a host without room.
    pub(crate) closed: bool,
    /// The first of its peers.
    few: Vec<PeerKey>,
    /// The rest, by task.
    many: BTreeMap<TaskId, BTreeSet<PeerId>>,
    /// The tasks for which it was asked as a seed peer.
    pub(crate) asked_for: BTreeSet<TaskId>,
    /// Children that fetch from it now: the number of edges into its peers.
    pub(crate) uploads: usize,
    goodput: Option<f64>,
    /// Since when children wait for the first piece that says how well it delivers.
    untested: Option<Duration>,
    complaints: BTreeSet<HostId>,
    shunned_until: Duration,
    /// Its last sign of life.
    pub(crate) seen: Duration,
    /// When its timer fires.
    pub(crate) armed: Option<Duration>,
}

impl Host {
    /// A host of which only a peer is known.
    pub(crate) fn unannounced(now: Duration) -> Self {
        Self {
            facts: None,
            idc: "".into(),
            closed: false,
            few: Vec::new(),
            many: BTreeMap::new(),
            asked_for: BTreeSet::new(),
            uploads: 0,
            goodput: None,
            untested: None,
            complaints: BTreeSet::new(),
            shunned_until: Duration::ZERO,
            seen: now,
            armed: None,
        }
    }

    /// Takes over what the host says of itself. A host that announces itself is no longer shunned.
    pub(crate) fn announce(&mut self, facts: HostFacts, now: Duration) {
        self.idc = facts.idc.to_ascii_lowercase().into();
        self.facts = Some(facts);
        self.complaints.clear();
        self.shunned_until = Duration::ZERO;
        self.seen = now;
    }

    /// Adds one of its peers.
    pub(crate) fn add_peer(&mut self, key: &PeerKey) {
        if self.few.len() < FEW {
            self.few.reserve_exact(1);
            self.few.push(key.clone());
        } else {
            self.many.entry(key.task.clone()).or_default().insert(key.peer.clone());
        }
    }

    /// Takes one of its peers away.
    pub(crate) fn remove_peer(&mut self, key: &PeerKey) {
        if let Some(place) = self.few.iter().position(|few| few == key) {
            self.few.swap_remove(place);
            self.few.shrink_to_fit();
        } else if let Some(peers) = self.many.get_mut(&key.task) {
            peers.remove(&key.peer);
            if peers.is_empty() {
                self.many.remove(&key.task);
            }
        }
    }

    /// Its peers of one task.
    pub(crate) fn peers_of<'a>(&'a self, task: &'a TaskId) -> impl Iterator<Item = PeerKey> + use<'a> {
        let few = self.few.iter().filter(move |key| key.task == *task).cloned();
        few.chain(self.many.get_key_value(task).into_iter().flat_map(keys))
    }

    /// Its peers of all tasks.
    pub(crate) fn peers(&self) -> impl Iterator<Item = PeerKey> + use<'_> {
        self.few.iter().cloned().chain(self.many.iter().flat_map(keys))
    }

    /// Whether it has any peer.
    pub(crate) fn has_peers(&self) -> bool {
        !self.few.is_empty() || !self.many.is_empty()
    }

    pub(crate) fn facts(&self) -> Option<&HostFacts> {
        self.facts.as_ref()
    }

    /// Its data centre, for comparison.
    pub(crate) fn idc(&self) -> &Arc<str> {
        &self.idc
    }

    /// Whether others may fetch from it.
    pub(crate) fn shares(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.shares)
    }

    /// Whether it is an announced seed peer that shares.
    pub(crate) fn is_seed(&self) -> bool {
        self.facts
            .as_ref()
            .is_some_and(|facts| facts.kind.is_seed() && facts.shares)
    }

    /// How many children it may have.
    pub(crate) fn slots(&self, slots: Slots) -> usize {
        if self.facts.as_ref().is_some_and(|facts| facts.kind.is_seed()) {
            slots.seed
        } else {
            slots.normal
        }
    }

    /// Whether it may have one child more.
    pub(crate) fn has_slot(&self, slots: Slots) -> bool {
        self.uploads < self.slots(slots)
    }

    /// Whether it takes no child at the moment.
    pub(crate) fn is_closed(&self, slots: Slots, now: Duration) -> bool {
        !self.has_slot(slots) || self.shunned(now).is_some()
    }

    /// A child may fetch something from it now.
    pub(crate) fn put_to_test(&mut self, now: Duration) {
        self.untested = self.untested.or(Some(now).filter(|_| self.goodput.is_none()));
    }

    /// It has so many children less.
    pub(crate) fn end_uploads(&mut self, count: usize) {
        self.uploads = self.uploads.saturating_sub(count);
        self.untested = self.untested.filter(|_| self.uploads > 0);
    }

    /// Since when children wait for its first piece, if they do.
    pub(crate) fn untested(&self) -> Option<Duration> {
        self.untested
    }

    /// Bytes per second that children measured, newest pieces first; `None` before the first.
    pub(crate) fn goodput(&self) -> Option<f64> {
        self.goodput
    }

    /// Takes note of a delivered piece. Bytes per second at which it came, if that was measured.
    pub(crate) fn delivered(&mut self, length: u64, cost: Duration, now: Duration) -> Option<f64> {
        self.complaints.clear();
        self.shunned_until = Duration::ZERO;
        self.seen = now;
        if cost.is_zero() || length == 0 {
            return None;
        }
        let speed = length as f64 / cost.as_secs_f64();
        self.untested = None;
        self.goodput = Some(match self.goodput {
            Some(old) => old + NEWEST * (speed - old),
            None => speed,
        });
        Some(speed)
    }

    /// Takes note that a child on `by` did not get a piece.
    pub(crate) fn complain(&mut self, by: &HostId, now: Duration) {
        self.complaints.insert(by.clone());
        if self.complaints.len() >= COMPLAINTS {
            self.complaints.clear();
            self.shunned_until = now + SHUN;
        }
    }

    /// Until when nobody is sent here, if that is later than `now`.
    pub(crate) fn shunned(&self, now: Duration) -> Option<Duration> {
        (self.shunned_until > now).then_some(self.shunned_until)
    }

    /// When it counts as gone; `None` for one that never announced itself.
    pub(crate) fn gone_at(&self, host_ttl: Duration) -> Option<Duration> {
        let facts = self.facts.as_ref()?;
        Some(self.seen + facts.interval.map_or(host_ttl, |interval| interval * 2))
    }

    /// When something about it changes by itself: it counts as gone, or is no longer shunned.
    pub(crate) fn due(&self, host_ttl: Duration, now: Duration) -> Option<Duration> {
        self.gone_at(host_ttl).into_iter().chain(self.shunned(now)).min()
    }
}

fn keys<'a>((task, peers): (&'a TaskId, &'a BTreeSet<PeerId>)) -> impl Iterator<Item = PeerKey> + use<'a> {
    peers.iter().map(|peer| PeerKey {
        task: task.clone(),
        peer: peer.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_knows_its_peers_by_task_however_many_they_are() {
        let key = |task: u32, peer: usize| PeerKey {
            task: format!("{task:064x}").parse().unwrap(),
            peer: format!("p{peer}").parse().unwrap(),
        };
        let mut host = Host::unannounced(Duration::ZERO);
        let peers: Vec<PeerKey> = (0..3 * FEW).map(|n| key(n as u32 % 3, n)).collect();
        peers.iter().for_each(|peer| host.add_peer(peer));
        assert_eq!(host.peers().collect::<BTreeSet<_>>(), peers.iter().cloned().collect());
        assert_eq!(host.peers_of(&peers[0].task).count(), FEW);
        for (n, peer) in peers.iter().enumerate() {
            assert!(host.has_peers());
            host.remove_peer(peer);
            host.remove_peer(peer);
            assert_eq!(host.peers().count(), peers.len() - n - 1);
        }
        assert!(!host.has_peers());
    }
}
