//! A peer: one download of one task on one host, from its registration until its content is gone.

use crate::pieces::{Lack, PieceSet, Stock};
use crate::pool::Place;
use crate::{CredentialsId, OriginId, Registration, Wanted};
use dragonfly_model::{HostId, PeerId, Priority};
use std::collections::BTreeMap;
use std::time::Duration;

/// Failures of a parent, after which a child gives it up for [`GIVEN_UP`].
const STRIKES: u32 = 3;
/// Pause after a parent's first failure; doubled at the next.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How long a given-up parent is not offered again.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// What a peer does at the moment, as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// It waits for a parent or a grant.
    Waiting,
    /// It has nothing to fetch and will say that it is done.
    Announced,
    /// It fetches from parents.
    Fetching,
    /// It fetches from the origin, or may.
    BackToSource,
    /// It has all that it wanted.
    Holding,
}

impl Stage {
    /// The name of the state in Dragonfly's protocol.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Waiting | Stage::Announced => "ReceivedNormal",
            Stage::Fetching => "Running",
            Stage::BackToSource => "BackToSource",
            Stage::Holding => "Succeeded",
        }
    }
}

/// A child's place in the queue of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Its number in the queue.
    pub(crate) ticket: u64,
    /// When it began to wait.
    pub(crate) since: Duration,
    /// When something must happen even if no event helps.
    pub(crate) deadline: Duration,
    /// When a pause ends that keeps it from a parent, if earlier.
    pub(crate) look_at: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Waiting(Wait),
    Announced,
    Fetching,
    BackToSource { granted: bool, started: bool },
    Holding,
}

/// What ties a child to a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bond {
    /// The child depends on it: along these bonds nobody is his own ancestor.
    Anchor,
    /// They have different pieces at the moment, and the child has anchors beside.
    Exchange,
}

/// What a peer asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) wanted: Wanted,
    pub(crate) priority: Priority,
    pub(crate) credentials: CredentialsId,
    pub(crate) may_use_origin: bool,
    pub(crate) wants_origin: bool,
    pub(crate) origin: Option<OriginId>,
    /// Whether it takes parents that it did not ask for.
    pub(crate) listens: bool,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) host: HostId,
    pub(crate) ask: Ask,
    pub(crate) state: State,
    pub(crate) have: PieceSet,
    pub(crate) parents: Vec<(PeerId, Bond)>,
    pub(crate) children: BTreeMap<PeerId, Bond>,
    pub(crate) blocks: Blocks,
    /// Whether it said that it began to fetch from parents.
    pub(crate) began: bool,
    /// When its children last looked for others, since it is slow.
    pub(crate) left_as_slow: Option<Duration>,
    /// Whether a piece landed since the last answer.
    pub(crate) progress: bool,
    pub(crate) created: Duration,
    /// Its last sign of life, or its last use as a parent.
    pub(crate) active: Duration,
    /// Its place in the pool of possible parents.
    pub(crate) place: Option<Place>,
    pub(crate) salt: u64,
    /// When its timer fires.
    pub(crate) armed: Option<Duration>,
}

impl Peer {
    /// A peer that has just registered. `salt` spreads the peers of a pool.
    pub(crate) fn new(registration: &Registration, state: State, salt: u64, now: Duration) -> Self {
        Self {
            host: registration.host.clone(),
            ask: Ask {
                wanted: registration.wanted,
                priority: registration.priority,
                credentials: registration.credentials,
                may_use_origin: !registration.disable_back_to_source && registration.priority != Priority::Level2,
                wants_origin: registration.need_back_to_source || registration.priority == Priority::Level3,
                origin: registration.origin,
                listens: registration.listens,
            },
            ..Self::holder(registration.host.clone(), salt, now)
        }
        .in_state(state)
    }

    /// A complete copy of which nothing more is known.
    pub(crate) fn holder(host: HostId, salt: u64, now: Duration) -> Self {
        Self {
            host,
            ask: Ask {
                wanted: Wanted::All,
                priority: Priority::default(),
                credentials: CredentialsId(0),
                may_use_origin: false,
                wants_origin: false,
                origin: None,
                listens: false,
            },
            state: State::Holding,
            have: PieceSet::default(),
            parents: Vec::new(),
            children: BTreeMap::new(),
            blocks: Blocks::default(),
            began: false,
            left_as_slow: None,
            progress: false,
            created: now,
            active: now,
            place: None,
            salt,
            armed: None,
        }
    }

    fn in_state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.state {
            State::Waiting(_) => Stage::Waiting,
            State::Announced => Stage::Announced,
            State::Fetching => Stage::Fetching,
            State::BackToSource { .. } => Stage::BackToSource,
            State::Holding => Stage::Holding,
        }
    }

    /// It has all that it wanted: what served the download alone is forgotten.
    pub(crate) fn complete(&mut self) {
        self.blocks = Blocks::default();
        if self.ask.wanted == Wanted::All {
            self.have.only_count();
        }
    }

    /// A child does not fetch from it any more.
    pub(crate) fn lose_child(&mut self, child: &PeerId) {
        self.children.remove(child);
        if self.children.is_empty() {
            // An emptied tree would keep its root.
            self.children = BTreeMap::new();
        }
    }

    /// Whether it fetches from parents and would take more of them.
    pub(crate) fn takes_more_parents(&self) -> bool {
        self.state == State::Fetching && self.ask.listens
    }

    pub(crate) fn wait(&self) -> Option<Wait> {
        match self.state {
            State::Waiting(wait) => Some(wait),
            _ => None,
        }
    }

    /// The parents that it depends on.
    pub(crate) fn anchors(&self) -> impl Iterator<Item = &PeerId> {
        let anchors = self.parents.iter().filter(|(_, bond)| *bond == Bond::Anchor);
        anchors.map(|(id, _)| id)
    }

    /// Whether it fetches from this parent.
    pub(crate) fn fetches_from(&self, parent: &PeerId) -> bool {
        self.parents.iter().any(|(id, _)| id == parent)
    }

    /// Whether it fetches, or may fetch, from the origin.
    pub(crate) fn is_root(&self) -> bool {
        matches!(self.state, State::BackToSource { .. })
    }

    /// Whether it may be a parent at all: it is done or at work, or has pieces of an earlier round.
    pub(crate) fn serves(&self) -> bool {
        let at_work = match self.state {
            State::Holding => true,
            State::Fetching => self.began,
            State::BackToSource { started, .. } => started,
            State::Waiting(_) | State::Announced => false,
        };
        at_work || !self.have.is_empty()
    }

    /// Whether it said that it began to fetch from the origin.
    pub(crate) fn has_begun_at_origin(&self) -> bool {
        matches!(self.state, State::BackToSource { started: true, .. })
    }

    /// What it has and will have.
    pub(crate) fn stock(&self) -> Stock<'_> {
        let comes = match self.state {
            State::BackToSource { .. } => true,
            State::Fetching => self.anchors().next().is_some(),
            _ => false,
        };
        Stock {
            have: &self.have,
            complete: (self.state == State::Holding).then_some(self.ask.wanted),
            coming: comes.then_some(self.ask.wanted),
        }
    }

    /// What it still needs, in a content of `total` pieces.
    pub(crate) fn lack(&self, total: Option<u32>) -> Lack<'_> {
        Lack {
            wanted: self.ask.wanted,
            have: &self.have,
            total,
        }
    }
}

/// What stands between a child and a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// It failed a little while ago and may be tried again then.
    Paused(Duration),
    /// It failed again and again; it is left alone until then.
    GivenUp(Duration),
    /// It had nothing new when it was last offered; it may be offered when a piece has landed there.
    Dry,
}

#[derive(Debug, Clone, Copy, Default)]
struct Block {
    strikes: u32,
    until: Duration,
    dry: bool,
}

/// A child's memory of parents that did not help it. It decays: pauses end, and a delivered piece clears a parent's name.
#[derive(Debug, Default)]
pub(crate) struct Blocks(BTreeMap<PeerId, Block>);

impl Blocks {
    /// A parent failed. Failures while it is paused already count as one.
    pub(crate) fn strike(&mut self, parent: &PeerId, now: Duration) {
        self.0.retain(|_, block| block.dry || block.until + GIVEN_UP > now);
        let block = self.0.entry(parent.clone()).or_default();
        if block.until > now {
            return;
        }
        block.strikes += 1;
        let pause = if block.strikes >= STRIKES {
            GIVEN_UP
        } else {
            FIRST_PAUSE * 2u32.pow(block.strikes - 1)
        };
        block.until = now + pause;
    }

    /// A parent had nothing new.
    pub(crate) fn dry(&mut self, parent: &PeerId) {
        self.0.entry(parent.clone()).or_default().dry = true;
    }

    /// When the next pause ends.
    pub(crate) fn next_end(&self, now: Duration) -> Option<Duration> {
        let ends = self.0.values().map(|block| block.until);
        ends.filter(|until| *until > now).min()
    }

    /// A parent delivered.
    pub(crate) fn clear(&mut self, parent: &PeerId) {
        self.0.remove(parent);
    }

    /// What stands between the child and `parent`. `has_piece`: whether the parent has, at this moment, a piece that the
    /// child lacks.
    pub(crate) fn obstacle(
        &self,
        parent: &PeerId,
        has_piece: impl FnOnce() -> bool,
        now: Duration,
    ) -> Option<Obstacle> {
        let block = self.0.get(parent)?;
        if block.until > now && block.strikes >= STRIKES {
            Some(Obstacle::GivenUp(block.until))
        } else if block.until > now {
            Some(Obstacle::Paused(block.until))
        } else {
            (block.dry && !has_piece()).then_some(Obstacle::Dry)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_parent_is_paused_twice_then_given_up_then_tried_again() {
        let parent: PeerId = "p".parse().unwrap();
        let seconds = Duration::from_secs;
        let mut blocks = Blocks::default();
        let at = |blocks: &Blocks, now| blocks.obstacle(&parent, || true, now);
        blocks.strike(&parent, seconds(0));
        blocks.strike(&parent, seconds(0)); // a second piece of the same round
        assert_eq!(at(&blocks, seconds(0)), Some(Obstacle::Paused(seconds(1))));
        assert_eq!(at(&blocks, seconds(1)), None);
        blocks.strike(&parent, seconds(1));
        assert_eq!(at(&blocks, seconds(1)), Some(Obstacle::Paused(seconds(3))));
        blocks.strike(&parent, seconds(3));
        assert_eq!(at(&blocks, seconds(3)), Some(Obstacle::GivenUp(seconds(63))));
        assert_eq!(at(&blocks, seconds(63)), None);
        blocks.strike(&parent, seconds(200));
        assert_eq!(at(&blocks, seconds(200)), Some(Obstacle::Paused(seconds(201))));
        blocks.clear(&parent);
        assert_eq!(at(&blocks, seconds(200)), None);
    }
}
