//! What is simulated: the cluster, its links, and what goes wrong in it.

use super::network::Time;
use std::time::Duration;

/// A cluster and what happens to it. Equal scenarios give equal outcomes.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    /// Decides everything that is left to chance.
    pub(super) seed: u64,
    /// Hosts that download; seed peers come on top.
    pub(super) peers: u32,
    pub(super) seeds: u32,
    pub(super) tasks: u32,
    /// Pieces of every task.
    pub(super) pieces: u32,
    pub(super) piece_bytes: u64,
    /// Bytes per second of every peer's link.
    pub(super) bandwidth: f64,
    /// Bytes per second of the origin's link, and of a seed peer's.
    pub(super) trunk: f64,
    /// From any node to any other and back.
    pub(super) round_trip: Duration,
    /// Over which time the peers arrive, evenly.
    pub(super) arrivals: Duration,
    pub(super) faults: Faults,
    /// Whether peers take parents that they did not ask for, as ours do.
    pub(super) listens: bool,
}

/// What goes wrong. All are shares between 0 and 1.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    /// Peers that crash at some time during the download and never come back.
    pub(super) churn: f64,
    /// Peers that upload at a tenth of the bandwidth.
    pub(super) slow: f64,
    /// Peers that promise every piece and send garbage.
    pub(super) lying: f64,
    /// Transfers of a piece that break off.
    pub(super) lost: f64,
}

impl Scenario {
    /// Everybody wants one content of 64 pieces at once.
    pub(super) fn flash_crowd(peers: u32, seed: u64) -> Self {
        Self {
            seed,
            peers,
            seeds: 1,
            tasks: 1,
            pieces: 64,
            piece_bytes: 4 << 20,
            bandwidth: 125e6,
            trunk: 125e6,
            round_trip: Duration::from_millis(1),
            arrivals: Duration::ZERO,
            faults: Faults::default(),
            listens: true,
        }
    }

    /// Hosts come one after the other over an hour, each for one of many contents. In the beginning each wants one that nobody
    /// has, which the links of the origin and the seed peers have to carry: they are ten times as fast as those of peers.
    pub(super) fn rolling(peers: u32, tasks: u32, seed: u64) -> Self {
        Self {
            seeds: 3,
            tasks,
            pieces: 8,
            trunk: 1250e6,
            arrivals: Duration::from_secs(3600),
            ..Self::flash_crowd(peers, seed)
        }
    }

    /// Bytes of one content.
    pub(super) fn content(&self) -> u64 {
        u64::from(self.pieces) * self.piece_bytes
    }

    /// The least time in which the last of all peers can have one content, if all come at once: a source with a peer's
    /// link sends the last piece in round M at the earliest, and its owners at most double from round to round (Mundinger,
    /// Weber, Weiss, 2008).
    pub(super) fn bound(&self) -> Time {
        let rounds = self.pieces + self.peers.max(1).ilog2();
        (f64::from(rounds) * self.piece_bytes as f64 / self.bandwidth * 1e9) as Time
    }

    /// How long a word takes from one node to another.
    pub(super) fn one_way(&self) -> Time {
        self.round_trip.as_nanos() as Time / 2
    }
}
