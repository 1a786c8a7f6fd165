//! The choice of parents for one child.

use crate::Candidate;
use crate::config::Config;
use crate::host::Host;
use crate::peer::{Obstacle, Peer};
use crate::random::Random;
use crate::score::{Rated, rate};
use crate::task::Task;
use dragonfly_model::{HostId, PeerId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Scores that differ by less than this are decided by chance, so that children don't all take the same parents.
const CHANCE: f64 = 0.02;

/// Why a peer can't be this child's parent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It will not be for this child, as things are.
    Never,
    /// Its host uploads to as many children as it may.
    Busy,
    /// It had nothing new for this child.
    Dry,
    /// It or its host failed; it may be tried again then.
    Paused(Duration),
    /// It failed this child again and again; it may be tried again then, but nobody should wait for that.
    GivenUp(Duration),
}

/// What a child without a parent may hope for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hope {
    /// A slot gets free.
    Slot,
    /// A piece lands at a peer that was offered already.
    Piece,
    /// A pause ends.
    Pause,
}

/// No peer can be the child's parent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NoParent {
    /// What would change that; `None` if nobody has, or will have, what the child lacks.
    pub(crate) hope: Option<Hope>,
    /// When a pause ends.
    pub(crate) look_at: Option<Duration>,
}

impl NoParent {
    fn add(&mut self, unfit: Unfit) {
        let (hope, look_at) = match unfit {
            Unfit::Never => return,
            Unfit::Busy => (Some(Hope::Slot), None),
            Unfit::Dry => (Some(Hope::Piece), None),
            Unfit::Paused(until) => (Some(Hope::Pause), Some(until)),
            Unfit::GivenUp(until) => (None, Some(until)),
        };
        self.hope = self.hope.or(hope);
        self.look_at = self.look_at.into_iter().chain(look_at).min();
    }
}

/// The parents for a child.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Best first; never empty.
    pub(crate) parents: Vec<Candidate>,
    /// Whether they have or will have all that the child lacks.
    pub(crate) covers: bool,
}

/// One task, seen when parents are chosen.
#[derive(Clone, Copy)]
pub(crate) struct Choosing<'a> {
    pub(crate) task: &'a Task,
    pub(crate) hosts: &'a BTreeMap<HostId, Host>,
    pub(crate) config: &'a Config,
    pub(crate) now: Duration,
}

/// A child, with everyone that fetches from it.
pub(crate) struct Child<'a> {
    id: &'a PeerId,
    peer: &'a Peer,
    lineage: BTreeSet<&'a PeerId>,
}

impl<'a> Choosing<'a> {
    /// Looks at a child of the task.
    pub(crate) fn child(&self, id: &PeerId) -> Option<Child<'a>> {
        let (id, peer) = self.task.peers.get_key_value(id)?;
        let lineage = if peer.children.is_empty() {
            BTreeSet::new()
        } else {
            self.task.lineage(id)
        };
        Some(Child { id, peer, lineage })
    }

    /// Whether `candidate` can be the child's parent now.
    pub(crate) fn fit(&self, child: &Child<'a>, candidate: &PeerId) -> Result<(&'a Peer, &'a Host), Unfit> {
        let peer = self.task.peers.get(candidate).ok_or(Unfit::Never)?;
        let host = self.hosts.get(&peer.host).ok_or(Unfit::Never)?;
        let lack = child.peer.lack(self.task.content.pieces);
        let excluded = candidate == child.id
            || peer.host == child.peer.host
            || !host.shares()
            || child.lineage.contains(candidate)
            || !peer.serves()
            || !lack.met_by(peer.stock());
        if excluded {
            return Err(Unfit::Never);
        }
        let has_piece = || lack.met_now_by(peer.stock());
        match child.peer.blocks.obstacle(candidate, has_piece, self.now) {
            Some(Obstacle::GivenUp(until)) => return Err(Unfit::GivenUp(until)),
            Some(Obstacle::Paused(until)) => return Err(Unfit::Paused(until)),
            Some(Obstacle::Dry) => return Err(Unfit::Dry),
            None => {}
        }
        if let Some(until) = host.shunned(self.now) {
            return Err(Unfit::Paused(until));
        }
        if !host.has_slot(self.config.limits.slots) {
            return Err(Unfit::Busy);
        }
        Ok((peer, host))
    }

    /// The best parents for a child, each on another host. Compared are a sample of the fit peers in the child's own
    /// data centre and a sample of those outside it.
    pub(crate) fn choose(&self, child: &Child<'a>, random: &mut Random) -> Result<Choice, NoParent> {
        let start = random.next();
        let child_host = self.hosts.get(&child.peer.host);
        let idc = child_host.map_or("", |host| host.idc());
        let mut none = NoParent::default();
        let mut fit = |id: &'a PeerId| match self.fit(child, id) {
            Ok((peer, host)) => Some(Rated {
                item: id,
                peer,
                host,
                score: 0.0,
            }),
            Err(unfit) => {
                none.add(unfit);
                None
            }
        };
        let sample = self.config.limits.filter_parents.max(1);
        let pool = &self.task.pool;
        let mut found: Vec<Rated<'a, &'a PeerId>> = pool.within(idc, start).filter_map(&mut fit).take(sample).collect();
        found.extend(pool.outside(idc, start).filter_map(&mut fit).take(sample));
        if found.is_empty() {
            return Err(none);
        }
        rate(&mut found, child_host, self.task.content.pieces, self.config);
        for parent in &mut found {
            parent.score += CHANCE * random.fraction();
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut hosts = BTreeSet::new();
        found.retain(|parent| hosts.insert(&parent.peer.host));
        found.truncate(self.config.limits.candidate_parents.max(1));
        Ok(self.choice(child, &found))
    }

    fn choice(&self, child: &Child<'a>, best: &[Rated<'a, &'a PeerId>]) -> Choice {
        let stocks: Vec<_> = best.iter().map(|parent| parent.peer.stock()).collect();
        Choice {
            covers: child.peer.lack(self.task.content.pieces).covered_by(&stocks),
            parents: best
                .iter()
                .map(|parent| Candidate {
                    peer: parent.item.clone(),
                    host: parent.peer.host.clone(),
                    stage: parent.peer.stage(),
                })
                .collect(),
        }
    }
}
