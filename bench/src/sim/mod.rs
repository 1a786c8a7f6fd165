//! Simulates whole clusters: a discrete-event simulation around the real judgement of `scheduling` and the real piece plan
//! of `transfer`. Everything that is left to chance follows from a seed, so that each line of output can be had again.
//!
//! What is real: every decision of the scheduler, and which piece each peer asks of whom. What is modelled: links (see
//! `network`), equal round trips, a scheduler that answers at once, and a peer's patience, taken from the peer. A crash is
//! seen at once by those who are connected, as it is when a process dies and its host does not.

mod control;
mod download;
mod memory;
mod network;
mod outcome;
mod pieces;
mod scenario;
mod world;

use clap::{Args, ValueEnum};
use dragonfly_scheduling::Config;
use memory::Memory;
use outcome::Outcome;
use scenario::{Faults, Scenario};
use std::time::Instant;
use world::World;

/// What to simulate.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What happens to the cluster
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kind::Flash])]
    scenario: Vec<Kind>,
    /// Hosts that download; several numbers give several clusters
    #[arg(long, value_delimiter = ',', default_values_t = [16, 256, 1000])]
    peers: Vec<u32>,
    /// Different contents, if peers come one after the other
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    tasks: u32,
    /// The first seed; a row names the one that it came from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many simulations of each cluster, each with the next seed
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Of all seeds, print only the one whose last peer took longest
    #[arg(long)]
    worst: bool,
    /// Of each row's simulation, tell what befell the peer that took longest
    #[arg(long)]
    why: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// All peers want one content at once
    Flash,
    /// The same, while a tenth of them crash, a twentieth upload slowly, some lie and some transfers break
    Faults,
    /// The same as flash, with peers that take no parents but those they ask for
    Deaf,
    /// Peers come one after the other over an hour, for many contents
    Rolling,
}

/// Simulates, and prints a row for each simulation; how long each took, and how much it left in the scheduler's memory, goes
/// to stderr, since that follows from more than the seed.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    println!("{}", Outcome::head());
    for kind in &arguments.scenario {
        for peers in &arguments.peers {
            let seeds = arguments.seed..arguments.seed.saturating_add(arguments.seeds);
            let mut outcomes = Vec::new();
            for seed in seeds {
                let start = Instant::now();
                let (outcome, memory) = simulate(*kind, *peers, arguments.tasks, seed);
                eprintln!(
                    "{} of {peers}, seed {seed}: {} happenings in {:.1} s; {memory}",
                    kind.name(),
                    outcome.tally.events,
                    start.elapsed().as_secs_f64()
                );
                if !arguments.worst {
                    println!("{outcome}");
                    arguments.tell(*kind, &outcome);
                }
                outcomes.push(outcome);
            }
            let worst = outcomes.iter().max_by(|a, b| a.last.total_cmp(&b.last));
            if let Some(worst) = worst.filter(|_| arguments.worst) {
                println!("{worst}");
                arguments.tell(*kind, worst);
            }
        }
    }
    Ok(())
}

impl Arguments {
    /// Simulates once more, and tells what befell the one that took longest.
    fn tell(&self, kind: Kind, outcome: &Outcome) {
        if self.why {
            let scenario = kind.scenario(outcome.peers, self.tasks, outcome.seed);
            let mut world = World::new(scenario, Config::default());
            world.watched = outcome.slowest;
            world.run();
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Flash => "flash",
            Kind::Faults => "faults",
            Kind::Deaf => "deaf",
            Kind::Rolling => "rolling",
        }
    }

    fn scenario(self, peers: u32, tasks: u32, seed: u64) -> Scenario {
        match self {
            Kind::Flash => Scenario::flash_crowd(peers, seed),
            Kind::Faults => Scenario {
                faults: Faults {
                    churn: 0.1,
                    slow: 0.05,
                    lying: 0.01,
                    lost: 0.001,
                },
                ..Scenario::flash_crowd(peers, seed)
            },
            Kind::Deaf => Scenario {
                listens: false,
                ..Scenario::flash_crowd(peers, seed)
            },
            Kind::Rolling => Scenario::rolling(peers, tasks, seed),
        }
    }
}

fn simulate(kind: Kind, peers: u32, tasks: u32, seed: u64) -> (Outcome, Memory) {
    let mut world = World::new(kind.scenario(peers, tasks, seed), Config::default());
    world.run();
    (Outcome::of(kind.name(), &world), Memory::of(world))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_row_again_and_another_seed_another() {
        let row = |seed| simulate(Kind::Faults, 40, 1, seed).0.to_string();
        assert_eq!(row(3), row(3));
        assert_ne!(row(3), row(4));
    }

    #[test]
    fn every_peer_of_a_crowd_gets_the_content_and_the_origin_gives_it_once() {
        for kind in [Kind::Flash, Kind::Deaf] {
            let (outcome, _) = simulate(kind, 40, 1, 1);
            assert_eq!((outcome.done, outcome.stuck), (40, 0), "{outcome}");
            assert_eq!(outcome.origin, 1.0, "{outcome}");
            assert!(outcome.makespan >= 1.0, "faster than possible: {outcome}");
        }
    }

    #[test]
    fn whoever_does_not_crash_gets_the_content_whatever_goes_wrong() {
        for seed in 1..6 {
            let (outcome, _) = simulate(Kind::Faults, 60, 1, seed);
            assert_eq!(outcome.stuck, 0, "{outcome}");
            assert!(outcome.done >= 40, "{outcome}");
        }
    }

    #[test]
    fn every_content_leaves_the_origin_once_however_late_a_peer_comes() {
        let (outcome, _) = simulate(Kind::Rolling, 60, 5, 1);
        assert_eq!((outcome.done, outcome.origin), (60, 1.0), "{outcome}");
    }
}
