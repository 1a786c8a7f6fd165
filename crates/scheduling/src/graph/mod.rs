//! The graph of one cluster, and what each event does to it.
//!
//! An event first changes the graph and notes what may help waiting children (`Changed`); then the graph settles: every
//! child that the change may help is looked at again, until nothing more follows.

mod edges;
mod expiry;
mod explain;
mod hosts;
mod origins;
mod peers;
mod seeds;
mod seek;
#[cfg(test)]
mod tests;
mod view;

pub use explain::{Explained, Verdict, Weighed};
pub use view::{Counts, HostView, PeerView, TaskView};

use crate::config::Config;
use crate::host::Host;
use crate::peer::Peer;
use crate::random::Random;
use crate::task::Task;
use crate::timers::Timers;
use crate::{Decision, Event, OriginId, PeerKey};
use dragonfly_model::{HostId, TaskId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// Hosts, tasks and peers of one cluster.
///
/// Its tables are looked up by id, and no decision follows from the order of a `HashMap`, which differs from run to run.
/// Every id is kept once: those of an event are exchanged for the known ones first.
#[derive(Debug)]
pub struct Graph {
    config: Config,
    now: Duration,
    hosts: HashMap<HostId, Host>,
    /// The announced seed peers that share.
    seeds: BTreeSet<HostId>,
    tasks: HashMap<TaskId, Task>,
    /// Tasks with waiting children.
    hungry: BTreeSet<TaskId>,
    origins: BTreeMap<OriginId, origins::Origin>,
    /// Peers of all tasks.
    peer_count: usize,
    /// Announced hosts.
    host_count: usize,
    timers: Timers,
    random: Random,
    next_number: u64,
    /// The last wish for a tick.
    wake_at: Option<Duration>,
    changed: Changed,
    decisions: Vec<Decision>,
}

/// What an event changed that may help waiting children.
#[derive(Debug, Default)]
struct Changed {
    /// These peers can be parents of more children than before.
    fresh: BTreeSet<PeerKey>,
    /// These waiting children lost descendants, who can be their parents now.
    released: BTreeSet<PeerKey>,
    /// The hope of these tasks' children is gone; they need another.
    unsettled: BTreeSet<TaskId>,
    /// One download less fetches from these origins.
    origins: BTreeSet<OriginId>,
    /// These children that fetch have fewer parents than they could.
    thin: BTreeSet<PeerKey>,
    /// Somebody with room has, or will have, something new in these tasks.
    roomy: BTreeSet<TaskId>,
}

impl Graph {
    /// An empty graph. Equal seeds and equal events give equal decisions.
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            now: Duration::ZERO,
            hosts: HashMap::new(),
            seeds: BTreeSet::new(),
            tasks: HashMap::new(),
            hungry: BTreeSet::new(),
            origins: BTreeMap::new(),
            peer_count: 0,
            host_count: 0,
            timers: Timers::default(),
            random: Random::new(seed),
            next_number: 0,
            wake_at: None,
            changed: Changed::default(),
            decisions: Vec::new(),
        }
    }

    /// Takes in what happened at `now`, counted from the start of the graph; a time before an earlier event's counts as
    /// that event's. Returns what is to be done, in order.
    pub fn apply(&mut self, mut event: Event, now: Duration) -> Vec<Decision> {
        self.now = self.now.max(now);
        self.exchange_ids(&mut event);
        self.take_in(event);
        self.settle();
        self.set_alarm();
        std::mem::take(&mut self.decisions)
    }

    /// Exchanges an event's ids for those that are known, so that nothing keeps a text twice.
    fn exchange_ids(&self, event: &mut Event) {
        if let Some(host) = event.host_mut()
            && let Some((known, _)) = self.hosts.get_key_value(host)
        {
            host.clone_from(known);
        }
        if let Some(key) = event.peer_mut()
            && let Some((known, task)) = self.tasks.get_key_value(&key.task)
        {
            key.task.clone_from(known);
            if let Some((known, _)) = task.peers.get_key_value(&key.peer) {
                key.peer.clone_from(known);
            }
        }
    }

    fn take_in(&mut self, event: Event) {
        match event {
            Event::HostAnnounced { host, facts } => self.host_announced(host, facts),
            Event::HoldingsReported { host, held } => self.holdings_reported(&host, held),
            Event::HostLeft { host } => self.host_left(&host),
            Event::PeerRegistered(registration) => self.peer_registered(registration),
            Event::PeerStarted { peer } => self.peer_started(&peer),
            Event::BackToSourceStarted { peer } => self.back_to_source_started(&peer),
            Event::PieceFinished { peer, piece } => self.piece_finished(&peer, &piece),
            Event::PieceFailed { peer, parent } => self.piece_failed(&peer, &parent),
            Event::Rescheduled { peer } => self.rescheduled(&peer),
            Event::PeerFinished { peer } => self.peer_finished(&peer),
            Event::PeerFailed { peer } => self.peer_failed(&peer),
            Event::StreamBroken { peer } => self.stream_broken(&peer),
            Event::SeedTriggerEnded { task, trigger, holder } => self.seed_trigger_ended(&task, trigger, holder),
            Event::SeedTriggerFailed { task, trigger, origin } => self.seed_trigger_failed(&task, trigger, origin),
            Event::TaskDeleted { host, task } => self.task_deleted(&host, &task),
            Event::PeerDeleted { peer } => self.peer_deleted(&peer),
            Event::LimitsChanged(limits) => {
                self.config.limits = limits;
                let hosts: BTreeSet<HostId> = self.hosts.keys().cloned().collect();
                hosts.iter().for_each(|host| self.look_at_host(host));
                self.changed.unsettled.extend(self.hungry.iter().cloned());
            }
            Event::Tick => self.tick(),
        }
    }

    fn settle(&mut self) {
        loop {
            if let Some(parent) = self.changed.fresh.pop_first() {
                self.wake_for(&parent);
            } else if let Some(child) = self.changed.released.pop_first() {
                self.seek(&child);
            } else if let Some(task) = self.changed.unsettled.pop_first() {
                self.wake_all(&task);
            } else if let Some(origin) = self.changed.origins.pop_first() {
                self.wake_for_origin(origin);
            } else if let Some(child) = self.changed.thin.pop_first() {
                self.thicken(&child);
            } else if let Some(task) = self.changed.roomy.pop_first() {
                self.help_needy(&task);
            } else {
                return;
            }
        }
    }

    fn set_alarm(&mut self) {
        let next = self.timers.next();
        if next != self.wake_at {
            self.wake_at = next;
            self.decisions.extend(next.map(Decision::WakeAt));
        }
    }

    fn peer(&self, key: &PeerKey) -> Option<&Peer> {
        self.tasks.get(&key.task)?.peers.get(&key.peer).map(Box::as_ref)
    }

    fn peer_mut(&mut self, key: &PeerKey) -> Option<&mut Peer> {
        self.tasks.get_mut(&key.task)?.peers.get_mut(&key.peer).map(Box::as_mut)
    }

    fn is_seed(&self, host: &HostId) -> bool {
        self.seeds.contains(host)
    }

    /// A number that was not used before.
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}
