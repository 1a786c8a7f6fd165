//! Random lives of a cluster, and what holds in all of them, each time found without the graph's own means. Beside that, the
//! graph is audited after every event (see `audit`).

use super::*;
use crate::peer::{Peer, State};
use crate::task::Task;
use dragonfly_model::PeerId;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const HOSTS: usize = 6;
const TASKS: u32 = 2;
const SLOTS: Slots = Slots { normal: 3, seed: 4 };

/// One step of a random life; numbers choose among what is there.
#[derive(Debug, Clone)]
enum Step {
    Announce {
        host: usize,
        shares: bool,
        idc: u8,
    },
    Leave(usize),
    Report {
        host: usize,
        tasks: Vec<u32>,
    },
    Register {
        host: usize,
        task: u32,
        kind: u8,
        range: Option<(u32, u32)>,
    },
    Act {
        peer: usize,
        deed: u8,
        piece: u32,
    },
    EndTrigger {
        trigger: usize,
        outcome: u8,
    },
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let range = proptest::option::weighted(0.2, (0u32..4, 1u32..3));
    let step = prop_oneof![
        2 => (0..HOSTS, any::<bool>(), 0u8..3).prop_map(|(host, shares, idc)| Step::Announce { host, shares, idc }),
        1 => (0..HOSTS).prop_map(Step::Leave),
        2 => (0..HOSTS, prop::collection::vec(0..TASKS, 0..3)).prop_map(|(host, tasks)| Step::Report { host, tasks }),
        6 => (0..HOSTS, 0..TASKS, 0u8..12, range)
            .prop_map(|(host, task, kind, range)| Step::Register { host, task, kind, range }),
        16 => (any::<prop::sample::Index>(), 0u8..12, 0u32..4)
            .prop_map(|(peer, deed, piece)| Step::Act { peer: peer.index(1 << 16), deed, piece }),
        3 => (any::<prop::sample::Index>(), 0u8..4)
            .prop_map(|(trigger, outcome)| Step::EndTrigger { trigger: trigger.index(1 << 16), outcome }),
        2 => (0u64..40).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..120)
}

fn host_name(n: usize) -> String {
    if n < 2 { format!("seed{n}") } else { format!("h{n}") }
}

/// What the world outside the graph knows.
struct World {
    scene: Scene,
    peers: Vec<PeerKey>,
    triggers: BTreeMap<TaskId, TriggerId>,
    unanswered: BTreeSet<PeerKey>,
    /// Children and the parents that the last event gave them.
    given: Vec<(PeerKey, PeerId)>,
    /// Those among all that were given who had nothing for the child.
    useless: Vec<(PeerKey, PeerId)>,
}

impl World {
    fn new() -> Self {
        let config = Config {
            limits: Limits {
                slots: SLOTS,
                ..Limits::default()
            },
            fan_out: 2,
            parents: 4,
            origin_budget: 2,
            ..Config::default()
        };
        Self {
            scene: Scene::of(config, &["seed0", "h2", "h3"]),
            peers: Vec::new(),
            triggers: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            given: Vec::new(),
            useless: Vec::new(),
        }
    }

    fn apply(&mut self, event: Event) {
        match &event {
            Event::PeerRegistered(registration) => {
                self.unanswered.insert(registration.peer.clone());
            }
            Event::Rescheduled { peer }
                if self
                    .scene
                    .graph
                    .peer_view(peer)
                    .is_some_and(|p| p.stage != Stage::Holding) =>
            {
                self.unanswered.insert(peer.clone());
            }
            Event::StreamBroken { peer } | Event::BackToSourceStarted { peer } => {
                self.unanswered.remove(peer);
            }
            _ => {}
        }
        self.given.clear();
        let decisions = self.scene.decide(event);
        let answers = decisions.iter().filter(|d| !matches!(d, Decision::WakeAt(_))).count();
        for decision in decisions {
            match decision {
                Decision::BackToSource { peer, .. } => {
                    // Of several answers in one event, a later one may make a parent for an earlier one's peer.
                    let free = self.scene.graph.free_parents(&peer);
                    assert!(
                        answers > 1 || free.is_empty(),
                        "{peer} is sent to the origin, not to {free:?}"
                    );
                    let grants = self.scene.graph.grants_beside(&peer);
                    assert!(
                        grants <= Config::default().back_to_source_count,
                        "{grants} grants with {peer}'s"
                    );
                    self.unanswered.remove(&peer);
                }
                Decision::Parents { peer, parents } => {
                    assert!(!parents.is_empty());
                    self.unanswered.remove(&peer);
                    self.gives(&peer, &parents);
                }
                Decision::Empty { peer }
                | Decision::MetadataOnly { peer }
                | Decision::Refuse { peer, .. }
                | Decision::EndStream { peer } => {
                    self.unanswered.remove(&peer);
                }
                Decision::TriggerSeed { task, trigger, .. } => {
                    self.triggers.insert(task, trigger);
                }
                Decision::MoreParents { peer, parents } => {
                    self.listens(&peer, &parents);
                    self.gives(&peer, &parents);
                }
                Decision::Parked { .. }
                | Decision::TaskForgotten { .. }
                | Decision::HostForgotten { .. }
                | Decision::WakeAt(_) => {}
            }
        }
        self.useless.extend(self.given_for_nothing());
    }

    fn gives(&mut self, child: &PeerKey, parents: &[Candidate]) {
        let pairs = parents.iter().map(|parent| (child.clone(), parent.peer.clone()));
        self.given.extend(pairs);
    }

    /// Nobody is told of more parents than it can use.
    fn listens(&self, child: &PeerKey, more: &[Candidate]) {
        let graph = &self.scene.graph;
        let Some(peer) = graph.peer(child) else {
            return; // It left by a later decision of the same event.
        };
        assert!(!more.is_empty() && peer.ask.listens);
        // Slow ones do not count, but are not gathered for ever; who is slow may change.
        let most = 2 * graph.config.parents;
        assert!(peer.parents.len() <= most, "{child}: {:?}", peer.parents);
    }

    fn peers(&self) -> impl Iterator<Item = (&Task, &PeerId, &Peer)> {
        let tasks = self.scene.graph.tasks.values();
        tasks.flat_map(|task| task.peers.iter().map(move |(id, peer)| (task, id, &**peer)))
    }

    /// Those who depend on themselves: who is left when everybody is taken away, again and again, who depends on nobody left.
    fn own_ancestors(&self) -> Vec<&PeerId> {
        fn in_task(task: &Task) -> Vec<&PeerId> {
            let mut left: BTreeMap<&PeerId, &Peer> = task.peers.iter().map(|(id, peer)| (id, &**peer)).collect();
            loop {
                let free = |peer: &Peer| peer.anchors().all(|parent| !left.contains_key(parent));
                let gone: Vec<&PeerId> = left.iter().filter(|(_, peer)| free(peer)).map(|(id, _)| *id).collect();
                if gone.is_empty() {
                    return left.into_keys().collect();
                }
                for id in gone {
                    left.remove(id);
                }
            }
        }
        self.scene.graph.tasks.values().flat_map(in_task).collect()
    }

    /// Parents that were just given to somebody for whom they have, and will have, nothing.
    fn given_for_nothing(&self) -> Vec<(PeerKey, PeerId)> {
        let is_useless = |(key, parent): &&(PeerKey, PeerId)| {
            let Some(task) = self.scene.graph.tasks.get(&key.task) else {
                return false;
            };
            // Who left by a later decision of the same event is no parent any more.
            let child = task.peers.get(&key.peer).filter(|child| child.fetches_from(parent));
            let Some((child, parent)) = child.zip(task.peers.get(parent)) else {
                return false;
            };
            let comes = parent.state == State::Holding || parent.is_root() || parent.anchors().next().is_some();
            let lacks = |n: &u32| wants(child, *n) && !child.have.contains(*n);
            let gives = |n: u32| parent.have.contains(n) || (comes && wants(parent, n));
            !(0..task.content.pieces.unwrap_or(8)).filter(lacks).any(gives)
        };
        self.given.iter().filter(is_useless).cloned().collect()
    }

    /// Hosts with more children than their slots.
    fn overloaded(&self) -> BTreeSet<HostId> {
        let mut uploads: BTreeMap<&HostId, usize> = BTreeMap::new();
        for (task, _, peer) in self.peers() {
            for (parent, _) in &peer.parents {
                *uploads.entry(&task.peers[parent].host).or_default() += 1;
            }
        }
        let is_seed = |host: &HostId| host.as_str().starts_with("seed");
        let most = |host: &HostId| if is_seed(host) { SLOTS.seed } else { SLOTS.normal };
        let over = uploads.into_iter().filter(|(host, used)| *used > most(host));
        over.map(|(host, _)| host.clone()).collect()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Announce { host: n, shares, idc } => {
                let name = host_name(n);
                let facts = HostFacts {
                    shares,
                    idc: ["", "x", "y"][usize::from(idc)].to_owned(),
                    ..facts(&name)
                };
                self.apply(Event::HostAnnounced {
                    host: host(&name),
                    facts,
                });
            }
            Step::Leave(n) => self.apply(Event::HostLeft {
                host: host(&host_name(n)),
            }),
            Step::Report { host: n, tasks } => self.apply(Event::HoldingsReported {
                host: host(&host_name(n)),
                held: tasks
                    .into_iter()
                    .map(|t| Holding {
                        task: task(t),
                        content: Content::default(),
                    })
                    .collect(),
            }),
            Step::Register {
                host: n,
                task: t,
                kind,
                range,
            } => self.register(n, t, kind, range),
            Step::Act { peer, deed, piece } => self.act(peer, deed, piece),
            Step::EndTrigger { trigger, outcome } => self.end_trigger(trigger, outcome),
            Step::Pass(time) => self.pass(seconds(time)),
        }
    }

    fn register(&mut self, n: usize, t: u32, kind: u8, range: Option<(u32, u32)>) {
        let name = host_name(n);
        let peer = PeerKey {
            task: task(t),
            peer: format!("{name}-{}", self.peers.len() % 40).parse().unwrap(),
        };
        self.peers.push(peer.clone());
        self.apply(Event::PeerRegistered(Registration {
            peer,
            host: host(&name),
            wanted: range.map_or(Wanted::All, |(first, count)| Wanted::Pieces {
                first,
                end: first + count,
            }),
            content: Content {
                length: (kind != 9).then_some(16 << 20),
                pieces: (kind != 9).then_some(4),
            },
            priority: Priority::from_number(i32::from(kind.min(6))).unwrap(),
            metadata_only: kind == 7,
            need_back_to_source: n < 2,
            disable_back_to_source: kind == 8,
            credentials: CredentialsId(u64::from(kind) % 3),
            origin: (kind != 10).then_some(OriginId(0)),
            listens: kind.is_multiple_of(2),
        }));
    }

    fn act(&mut self, peer: usize, deed: u8, piece: u32) {
        if self.peers.is_empty() {
            return;
        }
        let peer = self.peers[peer % self.peers.len()].clone();
        let parent = self
            .scene
            .graph
            .peer_view(&peer)
            .and_then(|view| view.parents.first().cloned());
        self.apply(match (deed, parent) {
            (0 | 1, _) => Event::PeerStarted { peer },
            (2, _) => Event::BackToSourceStarted { peer },
            (3..=6, parent) => Event::PieceFinished {
                peer,
                piece: FinishedPiece {
                    number: PieceNumber(piece),
                    length: 4 << 20,
                    cost: Duration::from_millis(u64::from(deed) * 10),
                    parent,
                },
            },
            (7, Some(parent)) => Event::PieceFailed { peer, parent },
            (8, _) => Event::Rescheduled { peer },
            (9, _) => Event::PeerFinished { peer },
            (10, _) => Event::PeerFailed { peer },
            _ => Event::StreamBroken { peer },
        });
    }

    fn end_trigger(&mut self, trigger: usize, outcome: u8) {
        let Some((task, trigger)) = self.triggers.iter().nth(trigger % self.triggers.len().max(1)) else {
            return;
        };
        let (task, trigger) = (task.clone(), *trigger);
        self.apply(match outcome {
            0 => Event::SeedTriggerEnded {
                task,
                trigger,
                holder: None,
            },
            outcome => Event::SeedTriggerFailed {
                task,
                trigger,
                origin: [None, Some(401), Some(500)][usize::from(outcome) - 1],
            },
        });
    }

    fn pass(&mut self, time: Duration) {
        let end = self.scene.now + time;
        while let Some(at) = self.scene.graph.timers.next().filter(|at| *at <= end) {
            self.scene.now = self.scene.now.max(at);
            self.apply(Event::Tick);
        }
        self.scene.now = end;
    }
}

/// Whether a peer asked for a piece.
fn wants(peer: &Peer, number: u32) -> bool {
    match peer.ask.wanted {
        Wanted::All => true,
        Wanted::Pieces { first, end } => (first..end).contains(&number),
    }
}

impl Graph {
    /// Who could be a parent of this peer now, by the rule and not by the index.
    fn free_parents(&self, key: &PeerKey) -> Vec<String> {
        let Some(task) = self.tasks.get(&key.task) else {
            return Vec::new();
        };
        let choosing = crate::parents::Choosing {
            task,
            hosts: &self.hosts,
            config: &self.config,
            now: self.now,
        };
        let Some(child) = choosing.child(&key.peer, false) else {
            return Vec::new();
        };
        let fit = task.peers.keys().filter(|id| choosing.fit(&child, id).is_ok());
        fit.map(ToString::to_string).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_ever_his_own_ancestor(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            prop_assert!(world.own_ancestors().is_empty(), "{:?}", world.own_ancestors());
        }
    }

    #[test]
    fn nobody_is_given_a_parent_without_a_piece_that_he_lacks(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            prop_assert_eq!(&world.useless, &Vec::new());
        }
    }

    #[test]
    fn no_host_ever_has_more_children_than_slots(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            prop_assert_eq!(world.overloaded(), BTreeSet::new());
        }
    }

    #[test]
    fn every_waiting_child_is_answered_as_soon_as_somebody_can_be_its_parent_and_in_the_end_anyway(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
            for key in world.scene.graph.waiting_peers() {
                prop_assert_eq!(world.scene.graph.free_parents(&key), Vec::<String>::new(), "{} waits", key);
            }
        }
        world.pass(Config::default().patience);
        prop_assert_eq!(&world.unanswered, &BTreeSet::new());
        prop_assert_eq!(world.scene.graph.counts().waiting, 0);
    }

    #[test]
    fn the_same_events_give_the_same_decisions(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        let mut graph = Graph::new(world.scene.graph.config.clone(), 7);
        for (event, now, decisions) in &world.scene.log {
            prop_assert_eq!(&graph.apply(event.clone(), *now), decisions);
        }
    }
}

impl Graph {
    fn waiting_peers(&self) -> Vec<PeerKey> {
        let peers = self.hungry.iter().flat_map(|id| {
            self.tasks[id].waiting.values().map(|peer| PeerKey {
                task: id.clone(),
                peer: peer.clone(),
            })
        });
        peers.collect()
    }
}
