//! What came of a simulation.

use super::download::Stage;
use super::network::Time;
use super::world::World;
use dragonfly_scheduling::Decision;
use std::collections::BTreeSet;
use std::fmt;

/// What is counted while a simulation runs.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    pub(super) origin_bytes: u64,
    /// Everything that happened.
    pub(super) events: u64,
    /// Words that the scheduler heard.
    pub(super) told: u64,
    pub(super) refused: u64,
    pub(super) asked_again: u64,
    pub(super) failed_pieces: u64,
    /// Pieces that were taken from a parent because it was too slow.
    pub(super) left: u64,
    pub(super) grants: u64,
    pub(super) more_parents: u64,
}

impl Tally {
    pub(super) fn decided(&mut self, decision: &Decision) {
        match decision {
            Decision::BackToSource { .. } => self.grants += 1,
            Decision::MoreParents { .. } => self.more_parents += 1,
            _ => {}
        }
    }
}

/// One simulation's result. Times are shares of the bound, each counted from a peer's own arrival.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) scenario: &'static str,
    pub(super) seed: u64,
    pub(super) peers: u32,
    /// Peers that have the content.
    pub(super) done: u64,
    /// Peers that neither have it nor crashed.
    pub(super) stuck: u64,
    /// When the last peer had it, since the beginning.
    pub(super) makespan: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) last: f64,
    /// The download that took longest.
    pub(super) slowest: Option<u32>,
    /// Bytes that left the origin, per byte that must.
    pub(super) origin: f64,
    pub(super) tally: Tally,
}

impl Outcome {
    pub(super) fn of(scenario: &'static str, world: &World) -> Self {
        let bound = world.scenario.bound() as f64;
        let peers = || world.downloads.iter().filter(|d| d.host >= world.scenario.seeds);
        let mut times: Vec<Time> = peers()
            .filter_map(|download| Some(download.finished? - download.arrived))
            .collect();
        times.sort_unstable();
        let at = |share: f64| -> f64 {
            let place = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len().max(1)) - 1;
            times.get(place).map_or(f64::NAN, |time| *time as f64 / bound)
        };
        let slowest = (0..world.downloads.len()).max_by_key(|number| {
            let download = &world.downloads[*number];
            let is_peer = download.host >= world.scenario.seeds;
            download
                .finished
                .filter(|_| is_peer)
                .map(|finished| finished - download.arrived)
        });
        let asked: BTreeSet<u32> = peers().map(|download| download.task).collect();
        Self {
            scenario,
            seed: world.scenario.seed,
            peers: world.scenario.peers,
            done: times.len() as u64,
            stuck: peers()
                .filter(|d| !matches!(d.stage, Stage::Done | Stage::Gone))
                .count() as u64,
            makespan: peers().filter_map(|download| download.finished).max().unwrap_or(0) as f64 / bound,
            p50: at(0.5),
            p99: at(0.99),
            last: at(1.0),
            slowest: slowest.map(|number| number as u32),
            origin: world.tally.origin_bytes as f64 / (world.scenario.content() * asked.len() as u64) as f64,
            tally: world.tally.clone(),
        }
    }

    /// The head of the table whose rows outcomes are.
    pub(super) fn head() -> String {
        let columns = [
            "scenario",
            "peers",
            "seed",
            "done",
            "stuck",
            "makespan / bound",
            "p50",
            "p99",
            "last",
            "origin / F",
            "grants",
            "refused",
            "asked again",
            "failed pieces",
            "slow pieces",
            "more parents",
            "words to the scheduler",
        ];
        let line = "|---".repeat(columns.len());
        format!("| {} |\n{line}|", columns.join(" | "))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        write!(
            f,
            "| {} | {} | {} | {} | {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {} | {} | {} | {} | {} | {} | {} |",
            self.scenario,
            self.peers,
            self.seed,
            self.done,
            self.stuck,
            self.makespan,
            self.p50,
            self.p99,
            self.last,
            self.origin,
            tally.grants,
            tally.refused,
            tally.asked_again,
            tally.failed_pieces,
            tally.left,
            tally.more_parents,
            tally.told,
        )
    }
}
