//! Waiting children and their answers.

use super::Graph;
use crate::parents::{Choice, Choosing, Hope, NoParent, Unfit};
use crate::peer::{Bond, Peer, State, Wait};
use crate::pool::Room;
use crate::{Decision, GrantReason, Parked, PeerKey, Refusal};
use dragonfly_model::{PeerId, Priority, TaskId};

/// Who has a part of the content should have had this many times that part of all parents that it may have.
const NEEDY: f64 = 3.0;
/// How many children without a good parent are helped at once when somebody has room.
const HELPED: usize = 2;

impl From<Hope> for Parked {
    fn from(hope: Hope) -> Self {
        match hope {
            Hope::Slot => Parked::AllBusy,
            Hope::Piece => Parked::NoPiece,
            Hope::Pause => Parked::Paused,
        }
    }
}

impl Graph {
    /// Looks for an answer to a waiting child and tells the caller if there is none yet.
    pub(super) fn seek_or_park(&mut self, key: &PeerKey) {
        if let Some(reason) = self.seek(key) {
            self.decisions.push(Decision::Parked {
                peer: key.clone(),
                reason,
            });
        }
    }

    /// Looks for an answer to a waiting child: parents, a seed peer that is asked, a grant. `Some` if it waits on.
    pub(super) fn seek(&mut self, key: &PeerKey) -> Option<Parked> {
        self.peer(key)?.wait()?;
        match self.choose(key, false)? {
            Ok(choice) => {
                self.give_parents(key, choice);
                None
            }
            Err(none) => self.look_further(key, none),
        }
    }

    pub(super) fn choosing(&self, task: &TaskId) -> Option<Choosing<'_>> {
        Some(Choosing {
            task: self.tasks.get(task)?,
            hosts: &self.hosts,
            config: &self.config,
            now: self.now,
        })
    }

    fn choose(&mut self, key: &PeerKey, needy: bool) -> Option<Result<Choice, NoParent>> {
        let mut random = self.random.clone();
        let choosing = self.choosing(&key.task)?;
        let choice = choosing.choose(&choosing.child(&key.peer, needy)?, &mut random);
        self.random = random;
        Some(choice)
    }

    fn give_parents(&mut self, key: &PeerKey, choice: Choice) {
        if !choice.covers {
            // These parents are a beginning; a seed peer may fetch the rest meanwhile.
            self.ask_seed(&key.task);
        }
        self.link_all(key, &choice, Bond::Anchor);
        if let Some(peer) = self.peer_mut(key) {
            peer.progress = false;
        }
        self.set_state(key, State::Fetching);
        self.decisions.push(Decision::Parents {
            peer: key.clone(),
            parents: choice.parents,
        });
    }

    fn link_all(&mut self, child: &PeerKey, choice: &Choice, bond: Bond) {
        for parent in &choice.parents {
            self.link(&child.sibling(&parent.peer), &child.peer, bond);
        }
    }

    /// Finds more parents for a child that fetches and takes some that it did not ask for: others to depend on if it has
    /// none any more, else peers to exchange pieces with.
    pub(super) fn thicken(&mut self, key: &PeerKey) {
        let Some(peer) = self.peer(key).filter(|peer| peer.takes_more_parents()) else {
            return;
        };
        let good = self.good_parents(key);
        let all = self.config.parents * 2;
        let missing = self
            .config
            .parents
            .saturating_sub(good)
            .min(all.saturating_sub(peer.parents.len()));
        let is_loose = peer.anchors().next().is_none();
        if missing == 0 {
            return;
        }
        let needy = self.is_needy(key, good);
        let (choice, bond) = if is_loose {
            (self.choose(key, needy).and_then(Result::ok), Bond::Anchor)
        } else {
            (self.exchange(key, missing, needy), Bond::Exchange)
        };
        let found = choice.as_ref().map_or(0, |choice| choice.parents.len());
        if let Some(task) = self.tasks.get_mut(&key.task) {
            if good + found == 0 {
                task.needy.insert(key.peer.clone());
            } else {
                task.needy.remove(&key.peer);
            }
        }
        if let Some(choice) = choice {
            self.link_all(key, &choice, bond);
            // What it depends on, it will have: it may be a parent to others again.
            self.announce_fresh(key);
            self.decisions.push(Decision::MoreParents {
                peer: key.clone(),
                parents: choice.parents,
            });
        }
    }

    /// Whether a child with so many good parents may join a crowd. Without any it may: that costs each of the others
    /// little, and would cost the child everything. Else the more there is of the content, with it or with the others on
    /// average, the more good parents it should have had on the way; to let everybody join when only a little is there would
    /// crowd the first holders.
    fn is_needy(&self, key: &PeerKey, good: usize) -> bool {
        let task = self.tasks.get(&key.task);
        let Some((total, average)) = task.and_then(|task| task.content.pieces.zip(task.progress())) else {
            return good == 0;
        };
        let has = self.peer(key).map_or(0, |peer| peer.have.len());
        let progress = (f64::from(has) / f64::from(total)).max(average);
        progress * NEEDY >= good as f64 / self.config.parents as f64
    }

    /// How many good parents a child has. Those that are slow count for less, and those that failed it a moment ago for
    /// nothing.
    fn good_parents(&self, key: &PeerKey) -> usize {
        let Some((task, peer)) = self
            .tasks
            .get(&key.task)
            .and_then(|task| Some((task, task.peers.get(&key.peer)?)))
        else {
            return 0;
        };
        let worth = |parent: &PeerId| {
            let host = task.peers.get(parent).and_then(|parent| self.hosts.get(&parent.host));
            let failed = peer.blocks.obstacle(parent, || true, self.now).is_some();
            host.filter(|_| !failed).map_or(0.0, |host| task.worth(host, self.now))
        };
        let worth: f64 = peer.parents.iter().map(|(parent, _)| worth(parent)).sum();
        worth.round() as usize
    }

    /// Finds parents for some of those who have no good one, now that somebody has room.
    pub(super) fn help_needy(&mut self, task: &TaskId) {
        let needy = self
            .tasks
            .get(task)
            .map(|task| task.needy.iter().take(HELPED).cloned().collect());
        let needy: Vec<PeerId> = needy.unwrap_or_default();
        for peer in needy {
            let key = PeerKey {
                task: task.clone(),
                peer,
            };
            if let Some(task) = self.tasks.get_mut(task) {
                task.needy.remove(&key.peer);
            }
            self.thicken(&key);
        }
    }

    fn exchange(&mut self, key: &PeerKey, count: usize, needy: bool) -> Option<Choice> {
        let mut random = self.random.clone();
        let choosing = self.choosing(&key.task)?;
        let choice = choosing.exchange(&choosing.exchanging(&key.peer, needy)?, count, &mut random);
        self.random = random;
        choice
    }

    /// Nobody can be the child's parent now: is there hope, can a seed peer be asked, may the child go itself?
    fn look_further(&mut self, key: &PeerKey, none: NoParent) -> Option<Parked> {
        let look_at = none.look_at;
        self.change_wait(key, |wait| wait.look_at = look_at);
        if let Some(hope) = none.hope {
            return Some(hope.into());
        }
        let peer = self.peer(key)?;
        let (host, ask) = (&peer.host, peer.ask);
        if self.tasks.get(&key.task)?.help_is_coming(host, ask.wanted) {
            return Some(Parked::HelpIsComing);
        }
        let settled = self.config.settle;
        if self.now < settled {
            self.change_wait(key, |wait| {
                wait.look_at = Some(wait.look_at.map_or(settled, |at| at.min(settled)))
            });
            return Some(Parked::Settling);
        }
        if ask.priority == Priority::Level2 {
            self.refuse(key, Refusal::NotFound);
            return None;
        }
        if self.is_seed(host) {
            return self.grant(key, GrantReason::Seed);
        }
        if ask.wants_origin {
            return self.grant(key, GrantReason::Asked);
        }
        if self.ask_seed(&key.task) {
            return Some(Parked::HelpIsComing);
        }
        self.grant(key, GrantReason::NoSeed)
    }

    /// Lets a waiting child go to the origin, if it may and fewer than the budget are there. `Some` if it waits on.
    fn grant(&mut self, key: &PeerKey, reason: GrantReason) -> Option<Parked> {
        let peer = self.peer(key)?;
        if !peer.ask.may_use_origin {
            return Some(Parked::NoSource);
        }
        let is_seed = self.is_seed(&peer.host);
        let task = self.tasks.get(&key.task)?;
        let roots = task.roots_for(peer.ask.wanted, |host| self.is_seed(host) == is_seed);
        if roots >= self.config.back_to_source_count {
            return Some(Parked::OriginBudget);
        }
        let origin = peer.ask.origin;
        if !self.origin_has_room(key, origin) {
            return Some(Parked::OriginBusy);
        }
        let state = State::BackToSource {
            granted: true,
            started: false,
        };
        self.set_state(key, state);
        self.decisions.push(Decision::BackToSource {
            peer: key.clone(),
            reason,
        });
        None
    }

    fn refuse(&mut self, key: &PeerKey, reason: Refusal) {
        self.remove_peer(key);
        self.decisions.push(Decision::Refuse {
            peer: key.clone(),
            reason,
        });
    }

    /// A child's deadline has come: it goes to the origin, or waits for what it may still hope for, or is refused.
    pub(super) fn deadline(&mut self, key: &PeerKey, wait: Wait) {
        let none = match self.choose(key, false) {
            None => return,
            Some(Ok(choice)) => return self.give_parents(key, choice),
            Some(Err(none)) => none,
        };
        let last = wait.since + self.config.patience;
        let is_over = self.now >= last;
        if none.hope.is_none() || is_over {
            let Some(parked) = self.grant(key, GrantReason::WaitedTooLong) else {
                return;
            };
            let helpless = parked == Parked::NoSource && !self.is_helped(key);
            if is_over || helpless {
                let reason = if helpless {
                    Refusal::NoSource
                } else {
                    Refusal::Exhausted
                };
                return self.refuse(key, reason);
            }
        }
        let deadline = (self.now + self.config.wait).min(last);
        self.change_wait(key, |wait| {
            wait.deadline = deadline;
            wait.look_at = none.look_at;
        });
    }

    fn is_helped(&self, key: &PeerKey) -> bool {
        let peer = self.peer(key);
        let task = self.tasks.get(&key.task);
        task.zip(peer)
            .is_some_and(|(task, peer)| task.help_is_coming(&peer.host, peer.ask.wanted))
    }

    fn change_wait(&mut self, key: &PeerKey, change: impl FnOnce(&mut Wait)) {
        if let Some(State::Waiting(wait)) = self.peer_mut(key).map(|peer| &mut peer.state) {
            change(wait);
            self.arm_peer(key);
        }
    }

    /// Lets waiting children look at one peer that can be a parent, in their order and while it has room.
    pub(super) fn wake_for(&mut self, parent: &PeerKey) {
        let mut ticket = 0;
        while let Some(room) = self.room_of(parent)
            && let Some((next, child)) = self.waiting_from(&parent.task, ticket)
        {
            ticket = next + 1;
            if room == Room::Crowded && !self.joins_crowds(&child) {
                // Nobody behind it has waited longer.
                return;
            }
            let fit = self.choosing(&parent.task).and_then(|choosing| {
                let child = choosing.child(&child.peer, false)?;
                Some(choosing.fit(&child, &parent.peer).map(|_| ()))
            });
            match fit {
                Some(Ok(())) => {
                    self.seek(&child);
                }
                Some(Err(Unfit::Paused(until) | Unfit::GivenUp(until))) => self.change_wait(&child, |wait| {
                    wait.look_at = wait.look_at.into_iter().chain([until]).min();
                }),
                Some(Err(Unfit::Never(_) | Unfit::Busy | Unfit::Dry)) | None => {}
            }
        }
    }

    /// How much room a possible parent has, if any.
    fn room_of(&self, parent: &PeerKey) -> Option<Room> {
        let place = self.peer(parent)?.place.as_ref()?;
        (place.room != Room::Closed).then_some(place.room)
    }

    fn joins_crowds(&self, child: &PeerKey) -> bool {
        let wait = self.peer(child).and_then(Peer::wait);
        wait.is_some_and(|wait| wait.since + self.config.calm <= self.now)
    }

    /// The first waiting child of a task with this ticket or a later one.
    fn waiting_from(&self, task: &TaskId, ticket: u64) -> Option<(u64, PeerKey)> {
        let (ticket, peer) = self.tasks.get(task)?.waiting.range(ticket..).next()?;
        let child = PeerKey {
            task: task.clone(),
            peer: peer.clone(),
        };
        Some((*ticket, child))
    }

    /// Looks for another answer to every waiting child of a task: for parents first, and only when nobody finds any, for
    /// a way to the origin, since who found a parent may be one to the next.
    pub(super) fn wake_all(&mut self, task: &TaskId) {
        let children = self.waiting(task);
        let mut found = false;
        for child in &children {
            if let Some(Ok(choice)) = self.choose(child, false) {
                self.give_parents(child, choice);
                found = true;
            }
        }
        if found {
            self.changed.unsettled.insert(task.clone());
            return;
        }
        for child in &children {
            self.seek(child);
        }
    }

    fn waiting(&self, task: &TaskId) -> Vec<PeerKey> {
        let queue = self.tasks.get(task).map(|task| task.waiting.values());
        queue
            .into_iter()
            .flatten()
            .map(|peer| PeerKey {
                task: task.clone(),
                peer: peer.clone(),
            })
            .collect()
    }
}
