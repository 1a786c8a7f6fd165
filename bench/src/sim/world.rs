//! The simulated world: what is due when, and the loop that lets it happen. Time passes from one happening to the next;
//! nothing depends on anything but the scenario.

use super::download::{Download, Stage};
use super::network::{Network, Node, Time};
use super::outcome::Tally;
use super::scenario::Scenario;
use dragonfly_model::{HostId, HostKind, Location, PieceLayout, TaskId};
use dragonfly_scheduling::{Config, Event, Graph, HostFacts, PeerKey, Random, TriggerId};
use dragonfly_transfer::Ask;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Happening {
    /// A host wants a content.
    Arrival(u32),
    /// A word reaches the scheduler.
    Heard(Box<Event>),
    /// An answer reaches a download.
    Answered(u32, Answer),
    /// A parent has answered what it has.
    Synced { child: u32, parent: u32 },
    /// A parent's followers hear that it has a piece.
    Announced { parent: u32, piece: u32 },
    /// A parent's followers hear that it has said all.
    Complete { parent: u32 },
    /// A request for a piece has reached the parent.
    Requested {
        child: u32,
        parent: u32,
        ask: Ask,
        asked: Time,
    },
    /// A child hears which piece its parent gives.
    Chose { child: u32, ask: Ask, piece: u32 },
    /// A download looks whether it waits for somebody who is too slow.
    Look(u32),
    /// Nothing was under way for a while.
    Hungry { child: u32, fed: u32, long: bool },
    /// A host dies.
    Crash { host: u32 },
    /// The scheduler asked to be woken.
    Tick,
}

/// What the scheduler says to a download.
#[derive(Debug)]
pub(super) enum Answer {
    Parents(Vec<u32>),
    Origin,
    Refused,
}

struct Due {
    at: Time,
    order: u64,
    what: Happening,
}

/// One host.
pub(super) struct Host {
    pub(super) id: HostId,
    pub(super) node: Node,
    pub(super) alive: bool,
    pub(super) slow: bool,
    pub(super) lies: bool,
    pub(super) downloads: Vec<u32>,
}

pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) now: Time,
    queue: BinaryHeap<Reverse<Due>>,
    order: u64,
    pub(super) random: Random,
    pub(super) graph: Graph,
    pub(super) wake_at: Option<Time>,
    pub(super) network: Network,
    pub(super) origin: Node,
    pub(super) hosts: Vec<Host>,
    pub(super) downloads: Vec<Download>,
    pub(super) tasks: Vec<TaskId>,
    pub(super) layout: PieceLayout,
    /// Calls to seed peers, by the download that carries them out.
    pub(super) triggers: HashMap<u32, (TaskId, TriggerId)>,
    pub(super) tally: Tally,
    /// Downloads of peers that are still expected to end.
    pub(super) open: usize,
    /// The download whose story is told.
    pub(super) watched: Option<u32>,
}

impl World {
    /// The beginning: all hosts are announced, and everything that is known to come is in the queue.
    pub(super) fn new(scenario: Scenario, config: Config) -> Self {
        let mut network = Network::default();
        let origin = network.add(scenario.trunk, scenario.trunk);
        let layout = PieceLayout::new(scenario.piece_bytes, scenario.content()).expect("a piece is not empty");
        let mut world = Self {
            now: 0,
            queue: BinaryHeap::new(),
            order: 0,
            random: Random::new(scenario.seed),
            graph: Graph::new(config, scenario.seed),
            wake_at: None,
            network,
            origin,
            hosts: Vec::new(),
            downloads: Vec::new(),
            tasks: (0..scenario.tasks).map(task_id).collect(),
            layout,
            triggers: HashMap::new(),
            tally: Tally::default(),
            open: 0,
            watched: None,
            scenario,
        };
        for n in 0..world.scenario.seeds + world.scenario.peers {
            world.add_host(n);
        }
        for n in 0..world.scenario.peers {
            world.add_arrival(n);
        }
        world
    }

    fn add_host(&mut self, n: u32) {
        let is_seed = n < self.scenario.seeds;
        let faults = self.scenario.faults;
        let slow = !is_seed && self.random.fraction() < faults.slow;
        let lies = !is_seed && self.random.fraction() < faults.lying;
        let scenario = &self.scenario;
        let down = if is_seed { scenario.trunk } else { scenario.bandwidth };
        let up = if slow { down / 10.0 } else { down };
        let id: HostId = name("h", n).parse().expect("a letter and digits are an id");
        self.hosts.push(Host {
            id: id.clone(),
            node: self.network.add(up, down),
            alive: true,
            slow,
            lies,
            downloads: Vec::new(),
        });
        self.tell_now(Event::HostAnnounced {
            host: id,
            facts: HostFacts {
                kind: if is_seed { HostKind::Seed } else { HostKind::Normal },
                idc: String::new(),
                location: Location::default(),
                shares: true,
                interval: None,
            },
        });
    }

    fn add_arrival(&mut self, n: u32) {
        let host = self.scenario.seeds + n;
        let task = (self.random.next() % u64::from(self.scenario.tasks)) as u32;
        let span = self.scenario.arrivals.as_nanos() as f64;
        let at = (self.random.fraction() * span) as Time;
        let download = self.add_download(host, task);
        self.at(at, Happening::Arrival(download));
        self.open += 1;
        if self.random.fraction() < self.scenario.faults.churn {
            let crash = at + (self.random.fraction() * self.scenario.bound() as f64) as Time;
            self.at(crash, Happening::Crash { host });
        }
    }

    /// A download that has not begun.
    pub(super) fn add_download(&mut self, host: u32, task: u32) -> u32 {
        let number = self.downloads.len() as u32;
        let key = download_key(task, number);
        self.downloads.push(Download::new(key, host, task));
        self.hosts[host as usize].downloads.push(number);
        number
    }

    /// Something is going to happen then.
    pub(super) fn at(&mut self, at: Time, what: Happening) {
        self.order += 1;
        self.queue.push(Reverse(Due {
            at,
            order: self.order,
            what,
        }));
    }

    /// Something is going to happen when a word has got from one node to another.
    pub(super) fn soon(&mut self, what: Happening) {
        self.at(self.now + self.scenario.one_way(), what);
    }

    /// A word goes to the scheduler.
    pub(super) fn tell(&mut self, event: Event) {
        self.soon(Happening::Heard(Box::new(event)));
    }

    /// Lets everything happen until every download has ended, or nothing is left that could happen.
    pub(super) fn run(&mut self) {
        while self.open > 0 {
            let queued = self.queue.peek().map(|Reverse(due)| due.at);
            let flows = self.network.next();
            match (queued, flows) {
                (None, None) => return,
                (queued, Some(at)) if queued.is_none_or(|queued| at < queued) => {
                    self.now = at;
                    while let Some(cargo) = self.network.finish(at) {
                        self.tally.events += 1;
                        self.arrived(cargo);
                    }
                }
                _ => {
                    let Some(Reverse(due)) = self.queue.pop() else {
                        return;
                    };
                    self.now = due.at;
                    self.tally.events += 1;
                    self.happen(due.what);
                }
            }
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrival(download) => self.register(download),
            Happening::Heard(event) => self.tell_now(*event),
            Happening::Answered(download, answer) => self.answered(download, answer),
            Happening::Synced { child, parent } => self.synced(child, parent),
            Happening::Announced { parent, piece } => self.announced(parent, piece),
            Happening::Complete { parent } => self.said_all(parent),
            Happening::Requested {
                child,
                parent,
                ask,
                asked,
            } => self.requested(child, parent, ask, asked),
            Happening::Chose { child, ask, piece } => self.chose(child, &ask, piece),
            Happening::Look(child) => self.look(child),
            Happening::Hungry { child, fed, long } => self.hungry(child, fed, long),
            Happening::Crash { host } => self.crash(host),
            Happening::Tick => self.tick(),
        }
    }

    /// The time as the graph counts it.
    pub(super) fn clock(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// Tells something of the watched download.
    pub(super) fn tell_of(&self, download: u32, what: impl FnOnce() -> String) {
        if self.watched == Some(download) {
            eprintln!("{:9.3} s  {}", self.clock().as_secs_f64(), what());
        }
    }

    /// A download as stories name it, with what is wrong with its host.
    pub(super) fn named(&self, download: u32) -> String {
        let host = &self.hosts[self.downloads[download as usize].host as usize];
        let wrongs = [(host.slow, " (slow)"), (host.lies, " (lies)"), (!host.alive, " (dead)")];
        let wrongs: String = wrongs
            .iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, word)| *word)
            .collect();
        format!("{download}{wrongs}")
    }

    /// Whether a download still takes part.
    pub(super) fn takes_part(&self, download: u32) -> bool {
        self.downloads[download as usize].stage != Stage::Gone
    }
}

fn name(letter: &str, n: u32) -> String {
    format!("{letter}{n:08}")
}

/// The name of a download.
pub(super) fn download_key(task: u32, number: u32) -> PeerKey {
    PeerKey {
        task: task_id(task),
        peer: name("p", number).parse().expect("a letter and digits are an id"),
    }
}

fn task_id(n: u32) -> TaskId {
    format!("{n:064x}").parse().expect("64 hex digits are a task id")
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
