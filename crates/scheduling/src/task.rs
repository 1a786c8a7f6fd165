//! A task: one content, the peers that want or have it, and the call to a seed peer that is under way.

use crate::host::Host;
use crate::peer::{Bond, Peer};
use crate::pool::Pool;
use crate::{Content, CredentialsId, TriggerId, Wanted};
use dragonfly_model::{HostId, PeerId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// More refused credentials than this are not remembered per task.
const MAX_REFUSED: usize = 64;

/// Weight of the newest piece in a task's pace.
const NEWEST: f64 = 0.05;
/// A parent is slow if it delivers less than this part of what is usual.
const SLOW: f64 = 0.25;
/// A parent that delivers this part of what is usual is as good as any.
const ENOUGH: f64 = 0.5;

/// A call to a seed peer.
#[derive(Debug, Clone)]
pub(crate) struct Seeding {
    pub(crate) trigger: TriggerId,
    pub(crate) seed: HostId,
    pub(crate) credentials: CredentialsId,
    /// Whether the seed peer had a peer of the task before it was asked.
    pub(crate) had_it: bool,
    /// When the seed peer was last seen at work for the task, or asked.
    pub(crate) alive: Duration,
}

#[derive(Debug, Default)]
pub(crate) struct Task {
    pub(crate) content: Content,
    pub(crate) peers: HashMap<PeerId, Box<Peer>>,
    /// Pieces that they reported, all together.
    pub(crate) landed: u64,
    /// Peers that may be parents.
    pub(crate) pool: Pool,
    /// Peers that fetch from the origin, or may.
    pub(crate) roots: BTreeSet<PeerId>,
    /// Waiting children by ticket: first come, first served.
    pub(crate) waiting: BTreeMap<u64, PeerId>,
    /// Children that fetch from slow parents alone and would take others, when nobody had room for them.
    pub(crate) needy: BTreeSet<PeerId>,
    pub(crate) seeding: Option<Seeding>,
    /// Until when no seed peer is asked, since one that had the task already could add nothing.
    pub(crate) seeded_until: Duration,
    /// Bytes per second at which a parent usually delivers a piece; `None` before the first.
    pace: Option<f64>,
    /// Seed peers that failed, and until when they are not asked again.
    pub(crate) spent_seeds: BTreeMap<HostId, Duration>,
    /// Credentials that the origin refused, and until when that is remembered.
    refused: BTreeMap<CredentialsId, Duration>,
    pub(crate) created: Duration,
    pub(crate) updated: Duration,
    /// When its timer fires.
    pub(crate) armed: Option<Duration>,
}

impl Task {
    /// A task of which nothing is known yet.
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            created: now,
            updated: now,
            ..Self::default()
        }
    }

    /// Fills in what a peer knows of the content and nobody said before.
    pub(crate) fn learn(&mut self, content: Content) {
        self.content.length = self.content.length.or(content.length);
        self.content.pieces = self.content.pieces.or(content.pieces);
    }

    /// Which part of the content a peer has on average, between 0 and 1; `None` if nobody said how long it is. Of a holder
    /// that reported no pieces nothing is counted.
    pub(crate) fn progress(&self) -> Option<f64> {
        let total = u64::from(self.content.pieces?) * self.peers.len() as u64;
        Some(self.landed as f64 / total.max(1) as f64)
    }

    /// A parent has delivered a piece at this many bytes per second.
    pub(crate) fn delivered(&mut self, speed: f64) {
        self.pace = Some(self.pace.map_or(speed, |pace| pace + NEWEST * (speed - pace)));
    }

    /// Whether a host is slow, as things are here: it delivers much less than others, or nobody has got anything of it for
    /// so long that it can't deliver more.
    pub(crate) fn is_slow(&self, host: &Host, now: Duration) -> bool {
        match (host.goodput(), self.pace) {
            (Some(goodput), Some(pace)) => goodput < pace * SLOW,
            (None, _) => self.is_late(host, now),
            (Some(_), None) => false,
        }
    }

    /// What a host is worth as a parent, as things are here, between 0 and 1. Who was not tried yet is taken to be good.
    pub(crate) fn worth(&self, host: &Host, now: Duration) -> f64 {
        match (host.goodput(), self.pace) {
            (Some(goodput), Some(pace)) => (goodput / (pace * ENOUGH)).min(1.0),
            (None, _) if self.is_late(host, now) => 0.0,
            _ => 1.0,
        }
    }

    /// Whether a first piece of a host should have come by now.
    fn is_late(&self, host: &Host, now: Duration) -> bool {
        self.late()
            .zip(host.untested())
            .is_some_and(|(late, since)| since + late <= now)
    }

    /// How long a piece takes of a parent that is nearly slow; `None` as long as nothing was delivered.
    pub(crate) fn late(&self) -> Option<Duration> {
        let Content {
            length: Some(length),
            pieces: Some(pieces),
        } = self.content
        else {
            return None;
        };
        let seconds = length.div_ceil(u64::from(pieces.max(1))) as f64 / (self.pace? * SLOW);
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Remembers that the origin refused these credentials.
    pub(crate) fn refuse(&mut self, credentials: CredentialsId, until: Duration, now: Duration) {
        self.refused.retain(|_, until| *until > now);
        if self.refused.len() < MAX_REFUSED {
            self.refused.insert(credentials, until);
        }
    }

    pub(crate) fn is_refused(&self, credentials: CredentialsId, now: Duration) -> bool {
        self.refused.get(&credentials).is_some_and(|until| *until > now)
    }

    /// Whether some other host is about to become a parent that has something `wanted` in it: it was asked or has a grant,
    /// and has not begun.
    pub(crate) fn help_is_coming(&self, host: &HostId, wanted: Wanted) -> bool {
        let asked = self.seeding.as_ref().is_some_and(|seeding| seeding.seed != *host);
        asked
            || self
                .roots
                .iter()
                .filter_map(|id| self.peers.get(id))
                .any(|root| root.host != *host && !root.has_begun_at_origin() && root.ask.wanted.overlaps(wanted))
    }

    /// How many peers of hosts for which `counted` holds fetch, or may fetch, something `wanted` from the origin.
    pub(crate) fn roots_for(&self, wanted: Wanted, counted: impl Fn(&HostId) -> bool) -> usize {
        let roots = self.roots.iter().filter_map(|id| self.peers.get(id));
        roots
            .filter(|root| root.ask.wanted.overlaps(wanted) && counted(&root.host))
            .count()
    }

    /// Those among a peer's ancestors that wait: they have pieces, but not all.
    pub(crate) fn waiting_ancestors(&self, peer: &PeerId) -> BTreeSet<PeerId> {
        if self.waiting.is_empty() {
            return BTreeSet::new();
        }
        let parents = |id: &PeerId| self.peers.get(id).into_iter().flat_map(|peer| peer.anchors());
        let mut found = BTreeSet::new();
        let mut next: Vec<&PeerId> = parents(peer).collect();
        while let Some(id) = next.pop() {
            if found.insert(id) {
                next.extend(parents(id));
            }
        }
        let waits = |id: &&PeerId| self.peers.get(*id).is_some_and(|peer| peer.wait().is_some());
        found.into_iter().filter(waits).cloned().collect()
    }

    /// A peer and everyone that depends on it, directly or not.
    pub(crate) fn lineage(&self, peer: &PeerId) -> BTreeSet<&PeerId> {
        let anchored = |id: &PeerId| {
            let children = self.peers.get(id).into_iter().flat_map(|peer| &peer.children);
            children.filter(|(_, bond)| **bond == Bond::Anchor).map(|(id, _)| id)
        };
        let mut found = BTreeSet::new();
        let mut next: Vec<&PeerId> = self.peers.get_key_value(peer).map(|(id, _)| id).into_iter().collect();
        while let Some(id) = next.pop() {
            if found.insert(id) {
                next.extend(anchored(id));
            }
        }
        found
    }
}
