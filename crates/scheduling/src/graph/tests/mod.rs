//! Scenes: a graph, the events that happen to it, and its decisions as text.

mod audit;
mod explain;
mod origin;
mod parents;
mod properties;
mod waiting;

use crate::*;
use dragonfly_model::{HostId, HostKind, Location, PieceNumber, Priority, TaskId};
use std::time::Duration;

/// A graph under test with a clock that only moves when told to. After each event the graph is audited.
struct Scene {
    graph: Graph,
    now: Duration,
    log: Vec<(Event, Duration, Vec<Decision>)>,
}

fn task(n: u32) -> TaskId {
    format!("{n:064x}").parse().unwrap()
}

fn host(name: &str) -> HostId {
    name.parse().unwrap()
}

/// The peer `name` of task 1, on the host of the same name unless told otherwise.
fn key(name: &str) -> PeerKey {
    PeerKey {
        task: task(1),
        peer: name.parse().unwrap(),
    }
}

/// A registration of `name` for four pieces of task 1.
fn registration(name: &str) -> Registration {
    Registration {
        peer: key(name),
        host: host(name),
        content: Content {
            length: Some(16 << 20),
            pieces: Some(4),
        },
        wanted: Wanted::All,
        priority: Priority::Level0,
        metadata_only: false,
        need_back_to_source: name.starts_with("seed"),
        disable_back_to_source: false,
        credentials: CredentialsId(0),
        origin: Some(OriginId(0)),
        listens: false,
    }
}

fn facts(name: &str) -> HostFacts {
    HostFacts {
        kind: if name.starts_with("seed") {
            HostKind::Seed
        } else {
            HostKind::Normal
        },
        idc: String::new(),
        location: Location::default(),
        shares: true,
        interval: None,
    }
}

impl Scene {
    /// A cluster of these hosts; those named `seed…` are seed peers.
    fn with(hosts: &[&str]) -> Self {
        Self::of(Config::default(), hosts)
    }

    fn of(config: Config, hosts: &[&str]) -> Self {
        let mut scene = Self {
            graph: Graph::new(config, 7),
            now: Duration::ZERO,
            log: Vec::new(),
        };
        for name in hosts {
            scene.announce(name, facts(name));
        }
        scene
    }

    fn announce(&mut self, name: &str, facts: HostFacts) -> String {
        self.apply(Event::HostAnnounced {
            host: host(name),
            facts,
        })
    }

    /// The decisions that an event brings, one a line; wishes for ticks are left out.
    fn apply(&mut self, event: Event) -> String {
        let decisions = self.decide(event);
        let lines = decisions.iter().filter(|d| !matches!(d, Decision::WakeAt(_)));
        lines
            .map(|d| d.to_string().replace("00000000/", ""))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn decide(&mut self, event: Event) -> Vec<Decision> {
        let decisions = self.graph.apply(event.clone(), self.now);
        self.graph.audit();
        self.log.push((event, self.now, decisions.clone()));
        decisions
    }

    fn register(&mut self, name: &str) -> String {
        self.apply(Event::PeerRegistered(registration(name)))
    }

    fn started(&mut self, name: &str) -> String {
        self.apply(Event::PeerStarted { peer: key(name) })
    }

    fn at_origin(&mut self, name: &str) -> String {
        self.apply(Event::BackToSourceStarted { peer: key(name) })
    }

    fn piece(&mut self, name: &str, number: u32, parent: Option<&str>) -> String {
        self.apply(Event::PieceFinished {
            peer: key(name),
            piece: FinishedPiece {
                number: PieceNumber(number),
                length: 4 << 20,
                cost: Duration::from_millis(40),
                parent: parent.map(|p| p.parse().unwrap()),
            },
        })
    }

    fn reschedule(&mut self, name: &str) -> String {
        self.apply(Event::Rescheduled { peer: key(name) })
    }

    fn finished(&mut self, name: &str) -> String {
        self.apply(Event::PeerFinished { peer: key(name) })
    }

    fn broken(&mut self, name: &str) -> String {
        self.apply(Event::StreamBroken { peer: key(name) })
    }

    fn failed_piece(&mut self, name: &str, parent: &str) -> String {
        self.apply(Event::PieceFailed {
            peer: key(name),
            parent: parent.parse().unwrap(),
        })
    }

    fn trigger_failed(&mut self, trigger: u64, origin: Option<u16>) -> String {
        self.apply(Event::SeedTriggerFailed {
            task: task(1),
            trigger: TriggerId(trigger),
            origin,
        })
    }

    fn trigger_ended(&mut self, trigger: u64, holder: Option<&str>) -> String {
        self.apply(Event::SeedTriggerEnded {
            task: task(1),
            trigger: TriggerId(trigger),
            holder: holder.map(|p| p.parse().unwrap()),
        })
    }

    /// Lets time pass, with a tick wherever the graph asked for one.
    fn pass(&mut self, time: Duration) -> String {
        let end = self.now + time;
        let mut lines = Vec::new();
        while let Some(at) = self.graph.timers.next().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            lines.push(self.apply(Event::Tick));
        }
        self.now = end;
        lines.retain(|line| !line.is_empty());
        lines.join("\n")
    }

    /// Makes `name` a holder of task 1 that fetched from the origin by itself.
    fn holder(&mut self, name: &str) {
        self.apply(Event::PeerRegistered(Registration {
            metadata_only: true,
            ..registration(name)
        }));
        self.finished(name);
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
