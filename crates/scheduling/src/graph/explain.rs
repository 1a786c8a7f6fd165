//! Why a child has the parents that it has, and not others: the judgement of this moment, told. It is made when somebody
//! asks, so that nothing has to be kept for it.

use super::Graph;
use crate::parents::{Child, Choosing, Unfit};
use crate::peer::{Bond, Peer};
use crate::pool::Room;
use crate::score::{Rated, rate};
use crate::task::Task;
use crate::{Parked, PeerKey, PeerView};
use dragonfly_model::{PeerId, TaskId};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a peer is to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The child depends on it.
    Anchor,
    /// The child fetches from it, and depends on others.
    Exchange,
    /// It could be its parent.
    Fit,
    /// It can't be, for the reason that this label names.
    Unfit(&'static str),
}

impl Verdict {
    /// The verdict in a word.
    pub fn label(self) -> &'static str {
        match self {
            Verdict::Anchor => "parent",
            Verdict::Exchange => "exchange",
            Verdict::Fit => "fit",
            Verdict::Unfit(reason) => reason,
        }
    }
}

/// A peer as it is weighed for a child.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighed {
    /// The peer.
    pub peer: PeerId,
    /// As it is now.
    pub view: PeerView,
    /// How good it is for the child, compared with all that were weighed; chance adds a little when parents are chosen.
    pub score: f64,
    /// Whether it delivers much less than others, and so is taken only where nobody else is.
    pub slow: bool,
    /// Bytes per second that children measured.
    pub goodput: Option<f64>,
    /// What it is to the child.
    pub verdict: Verdict,
    /// When that may change by itself, counted from the start of the graph.
    pub until: Option<Duration>,
}

/// Why a child has its parents.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The child.
    pub view: PeerView,
    /// For what it waits, if it waits; `None` within, if nobody has or will have what it lacks.
    pub waits: Option<Option<Parked>>,
    /// Its parents and whoever else was weighed: parents first, then by score.
    pub weighed: Vec<Weighed>,
    /// Peers of the task that were not weighed.
    pub left_out: usize,
}

impl Graph {
    /// Why a child has its parents, of at most `most` peers that are weighed.
    pub fn explain(&self, key: &PeerKey, most: usize) -> Option<Explained> {
        let choosing = self.choosing(&key.task)?;
        let peer = self.peer(key)?;
        let child = match peer.anchors().next() {
            Some(_) => choosing.exchanging(&key.peer, false)?,
            None => choosing.child(&key.peer, false)?,
        };
        let mut seen = BTreeSet::from([&key.peer]);
        let parents = peer.parents.iter().map(|(id, _)| id);
        let others = parents.chain(in_order(choosing.task)).filter(|id| seen.insert(id));
        let mut rated: Vec<Rated<'_, &PeerId>> = others
            .filter_map(|id| self.rated(choosing.task, id))
            .take(most)
            .collect();
        rate(
            &mut rated,
            self.hosts.get(&peer.host),
            choosing.task.content.pieces,
            &self.config,
        );
        let mut weighed: Vec<Weighed> = rated
            .iter()
            .map(|rated| weigh(&choosing, &child, peer, rated))
            .collect();
        let is_parent = |weighed: &Weighed| matches!(weighed.verdict, Verdict::Anchor | Verdict::Exchange);
        weighed.sort_by(|a, b| {
            let parents = is_parent(b).cmp(&is_parent(a));
            parents.then_with(|| b.score.total_cmp(&a.score))
        });
        Some(Explained {
            view: PeerView::of(peer),
            waits: peer.wait().map(|_| {
                let hope = choosing.why_none(&child).hope.map(Parked::from);
                let coming = choosing.task.help_is_coming(&peer.host, peer.ask.wanted);
                hope.or(coming.then_some(Parked::HelpIsComing))
            }),
            left_out: choosing.task.peers.len() - 1 - weighed.len(),
            weighed,
        })
    }

    /// At most `most` peers of a task: those that wait, in their order, before those that may be parents.
    pub fn peers_of(&self, task: &TaskId, most: usize) -> Vec<(PeerId, PeerView)> {
        let Some(task) = self.tasks.get(task) else {
            return Vec::new();
        };
        let mut seen = BTreeSet::new();
        let ids = in_order(task).filter(|id| seen.insert(*id)).take(most);
        ids.filter_map(|id| Some((id.clone(), PeerView::of(task.peers.get(id)?))))
            .collect()
    }

    fn rated<'a>(&'a self, task: &'a Task, id: &'a PeerId) -> Option<Rated<'a, &'a PeerId>> {
        let peer = task.peers.get(id)?;
        Some(Rated {
            item: id,
            peer,
            host: self.hosts.get(&peer.host)?,
            score: 0.0,
        })
    }
}

/// Those who wait, those at the origin, those who may be parents, of whom the first have most room, and who has begun with
/// none of them yet. Some come twice.
fn in_order(task: &Task) -> impl Iterator<Item = &PeerId> {
    let pool = || {
        let rooms = [Room::Free, Room::Crowded, Room::Closed].into_iter();
        rooms.flat_map(|room| task.pool.with(room))
    };
    let parents = pool().filter_map(|id| task.peers.get(id));
    let children = parents.flat_map(|parent| parent.children.keys());
    task.waiting.values().chain(&task.roots).chain(pool()).chain(children)
}

fn weigh(choosing: &Choosing<'_>, child: &Child<'_>, peer: &Peer, rated: &Rated<'_, &PeerId>) -> Weighed {
    let bond = peer
        .parents
        .iter()
        .find(|(id, _)| id == rated.item)
        .map(|(_, bond)| *bond);
    let (verdict, until) = match (bond, choosing.fit(child, rated.item)) {
        (Some(Bond::Anchor), _) => (Verdict::Anchor, None),
        (Some(Bond::Exchange), _) => (Verdict::Exchange, None),
        (None, Ok(_)) => (Verdict::Fit, None),
        (None, Err(unfit)) => {
            let until = match unfit {
                Unfit::Paused(until) | Unfit::GivenUp(until) => Some(until),
                Unfit::Never(_) | Unfit::Busy | Unfit::Dry => None,
            };
            (Verdict::Unfit(unfit.label()), until)
        }
    };
    Weighed {
        peer: rated.item.clone(),
        view: PeerView::of(rated.peer),
        score: rated.score,
        slow: choosing.task.is_slow(rated.host, choosing.now),
        goodput: rated.host.goodput(),
        verdict,
        until,
    }
}
