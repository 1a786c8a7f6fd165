//! The choice of parents for one child.

use crate::Candidate;
use crate::config::Config;
use crate::host::Host;
use crate::peer::{Bond, Obstacle, Peer};
use crate::pool::Room;
use crate::random::Random;
use crate::score::{Rated, rate};
use crate::task::Task;
use dragonfly_model::{HostId, PeerId};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Scores that differ by less than this are decided by chance, so that children don't all take the same parents.
const CHANCE: f64 = 0.02;
/// How many peers are looked at for an exchange, per peer that is to be compared. An exchange is a help and no need, so it
/// may be missed.
const LOOKS: usize = 4;

/// Why a peer can't be this child's parent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// It will not be for this child, as things are.
    Never(Bar),
    /// Its host uploads to as many children as it may, or it has enough children and the child has not waited long.
    Busy,
    /// It had nothing new for this child.
    Dry,
    /// It or its host failed; it may be tried again then.
    Paused(Duration),
    /// It failed this child again and again; it may be tried again then, but nobody should wait for that.
    GivenUp(Duration),
}

/// What keeps a peer from being a child's parent, as things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bar {
    /// It is gone.
    Gone,
    /// It is the child itself or runs on its host.
    SameHost,
    /// Its host does not share, or has not announced itself.
    SharesNot,
    /// It depends on the child.
    Descendant,
    /// It has not begun.
    NotBegun,
    /// It has, and will have, nothing that the child lacks.
    NoPiece,
    /// It is the child's parent already.
    Parent,
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

impl Unfit {
    /// The reason in a word.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Unfit::Never(Bar::Gone) => "gone",
            Unfit::Never(Bar::SameHost) => "same_host",
            Unfit::Never(Bar::SharesNot) => "shares_not",
            Unfit::Never(Bar::Descendant) => "descendant",
            Unfit::Never(Bar::NotBegun) => "not_begun",
            Unfit::Never(Bar::NoPiece) => "no_piece",
            Unfit::Never(Bar::Parent) => "parent",
            Unfit::Busy => "busy",
            Unfit::Dry => "dry",
            Unfit::Paused(_) => "paused",
            Unfit::GivenUp(_) => "given_up",
        }
    }

    fn hope(self) -> Option<Hope> {
        match self {
            Unfit::Never(_) | Unfit::GivenUp(_) => None,
            Unfit::Busy => Some(Hope::Slot),
            Unfit::Dry => Some(Hope::Piece),
            Unfit::Paused(_) => Some(Hope::Pause),
        }
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
    pub(crate) hosts: &'a HashMap<HostId, Host>,
    pub(crate) config: &'a Config,
    pub(crate) now: Duration,
}

/// A child, with what decides who fits it.
pub(crate) struct Child<'a> {
    id: &'a PeerId,
    peer: &'a Peer,
    /// What its next parents are to be.
    bond: Bond,
    /// Everyone that depends on it. Not needed for an exchange.
    lineage: BTreeSet<&'a PeerId>,
    /// Whether it has waited long enough to join a crowd.
    joins_crowds: bool,
}

impl<'a> Choosing<'a> {
    /// Looks at a child of the task that needs parents to depend on; it joins a crowd if it is needy or has waited for long.
    pub(crate) fn child(&self, id: &PeerId, needy: bool) -> Option<Child<'a>> {
        let (id, peer) = self.task.peers.get_key_value(id)?;
        let lineage = if peer.children.is_empty() {
            BTreeSet::new()
        } else {
            self.task.lineage(id)
        };
        Some(Child {
            id,
            peer,
            lineage,
            bond: Bond::Anchor,
            joins_crowds: needy
                || peer
                    .wait()
                    .is_some_and(|wait| wait.since + self.config.calm <= self.now),
        })
    }

    /// Looks at a child that has parents and could exchange pieces with more; with those in a crowd, too, if it is needy.
    pub(crate) fn exchanging(&self, id: &PeerId, needy: bool) -> Option<Child<'a>> {
        let (id, peer) = self.task.peers.get_key_value(id)?;
        Some(Child {
            id,
            peer,
            lineage: BTreeSet::new(),
            bond: Bond::Exchange,
            joins_crowds: needy,
        })
    }

    /// Whether `candidate` can be the child's parent now.
    pub(crate) fn fit(&self, child: &Child<'a>, candidate: &PeerId) -> Result<(&'a Peer, &'a Host), Unfit> {
        let never = |bar| Err(Unfit::Never(bar));
        let Some(peer) = self.task.peers.get(candidate) else {
            return never(Bar::Gone);
        };
        let Some(host) = self.hosts.get(&peer.host) else {
            return never(Bar::Gone);
        };
        if candidate == child.id || peer.host == child.peer.host {
            return never(Bar::SameHost);
        }
        if let Some(bar) = self.bar(child, candidate, peer, host) {
            return never(bar);
        }
        let has_piece = || child.peer.lack(self.task.content.pieces).met_now_by(peer.stock());
        match child.peer.blocks.obstacle(candidate, has_piece, self.now) {
            Some(Obstacle::GivenUp(until)) => return Err(Unfit::GivenUp(until)),
            Some(Obstacle::Paused(until)) => return Err(Unfit::Paused(until)),
            Some(Obstacle::Dry) => return Err(Unfit::Dry),
            None => {}
        }
        if let Some(until) = host.shunned(self.now) {
            return Err(Unfit::Paused(until));
        }
        match self.room(peer, host) {
            Room::Free => Ok((peer, host)),
            Room::Crowded if child.joins_crowds => Ok((peer, host)),
            Room::Crowded | Room::Closed => Err(Unfit::Busy),
        }
    }

    fn bar(&self, child: &Child<'a>, candidate: &PeerId, peer: &Peer, host: &Host) -> Option<Bar> {
        let lack = child.peer.lack(self.task.content.pieces);
        let helps = match child.bond {
            Bond::Anchor => lack.met_by(peer.stock()),
            Bond::Exchange => lack.met_now_by(peer.stock()),
        };
        if !host.shares() {
            Some(Bar::SharesNot)
        } else if child.lineage.contains(candidate) {
            Some(Bar::Descendant)
        } else if !peer.serves() {
            Some(Bar::NotBegun)
        } else if !helps {
            Some(Bar::NoPiece)
        } else if child.peer.fetches_from(candidate) {
            Some(Bar::Parent)
        } else {
            None
        }
    }

    fn room(&self, peer: &Peer, host: &Host) -> Room {
        if host.is_closed(self.config.limits.slots, self.now) {
            Room::Closed
        } else if peer.children.len() >= self.config.fan_out {
            Room::Crowded
        } else {
            Room::Free
        }
    }

    /// The best parents for a child, each on another host. Compared are a sample of the fit peers in the child's own
    /// data centre and a sample of those outside it.
    pub(crate) fn choose(&self, child: &Child<'a>, random: &mut Random) -> Result<Choice, NoParent> {
        let found = self.found(child, random.next(), usize::MAX);
        if found.is_empty() {
            return Err(self.why_none(child));
        }
        Ok(self.best(child, found, self.config.limits.candidate_parents.max(1), random))
    }

    /// At most `count` peers with which a child that fetches can exchange pieces.
    pub(crate) fn exchange(&self, child: &Child<'a>, count: usize, random: &mut Random) -> Option<Choice> {
        let looks = LOOKS * self.config.limits.filter_parents.max(1);
        let found = self.found(child, random.next(), looks);
        (!found.is_empty() && count > 0).then(|| self.best(child, found, count, random))
    }

    /// Fit peers of the best kind of which there are any. Slow ones come last: it is they who have room, since nobody
    /// stays with them.
    fn found(&self, child: &Child<'a>, start: u64, looks: usize) -> Vec<Rated<'a, &'a PeerId>> {
        let rooms = [Room::Free, Room::Crowded];
        let rooms = &rooms[..if child.joins_crowds { 2 } else { 1 }];
        let kinds = [false, true]
            .into_iter()
            .flat_map(|slow| rooms.iter().map(move |room| (*room, slow)));
        let mut samples = kinds.map(|kind| self.sample(child, kind, start, looks));
        samples.find(|sample| !sample.is_empty()).unwrap_or_default()
    }

    /// Fit peers with this much room on slow hosts or on others, each once, of at most `looks` that are looked at inside
    /// the child's data centre and outside it.
    fn sample(
        &self,
        child: &Child<'a>,
        (room, slow): (Room, bool),
        start: u64,
        looks: usize,
    ) -> Vec<Rated<'a, &'a PeerId>> {
        let idc = self.hosts.get(&child.peer.host).map_or("", |host| host.idc());
        let sample = self.config.limits.filter_parents.max(1);
        let fit = |id: &'a PeerId| {
            let (peer, host) = self.fit(child, id).ok()?;
            (self.task.is_slow(host, self.now) == slow).then_some(Rated {
                item: id,
                peer,
                host,
                score: 0.0,
            })
        };
        let pool = &self.task.pool;
        let inside = pool.within(room, idc, start).take(looks).filter_map(fit).take(sample);
        let outside = pool.outside(room, idc, start).take(looks).filter_map(fit).take(sample);
        inside.chain(outside).collect()
    }

    fn best(
        &self,
        child: &Child<'a>,
        mut found: Vec<Rated<'a, &'a PeerId>>,
        count: usize,
        random: &mut Random,
    ) -> Choice {
        let child_host = self.hosts.get(&child.peer.host);
        rate(&mut found, child_host, self.task.content.pieces, self.config);
        for parent in &mut found {
            parent.score += CHANCE * random.fraction();
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut hosts = BTreeSet::new();
        found.retain(|parent| hosts.insert(&parent.peer.host));
        found.truncate(count);
        let stocks: Vec<_> = found.iter().map(|parent| parent.peer.stock()).collect();
        Choice {
            covers: child.peer.lack(self.task.content.pieces).covered_by(&stocks),
            parents: found
                .iter()
                .map(|parent| Candidate {
                    peer: parent.item.clone(),
                    host: parent.peer.host.clone(),
                    stage: parent.peer.stage(),
                    score: parent.score,
                })
                .collect(),
        }
    }

    /// Why nobody fits: the first peer that would, if something changed, is hope enough.
    pub(crate) fn why_none(&self, child: &Child<'a>) -> NoParent {
        let tiers = [Room::Crowded, Room::Closed, Room::Free];
        let mut peers = tiers.into_iter().flat_map(|room| self.task.pool.with(room));
        NoParent {
            hope: peers.find_map(|id| self.fit(child, id).err()?.hope()),
            look_at: child.peer.blocks.next_end(self.now),
        }
    }
}
