//! One peer's download of one task: the real piece plan, and around it what the driver of `transfer` and the engine of the
//! peer do, as far as it takes time or tells the scheduler something.

use super::network::Time;
use dragonfly_model::{PeerId, PieceLayout, PieceNumber};
use dragonfly_scheduling::PeerKey;
use dragonfly_transfer::{Plan, Streams, Wanted};
use std::collections::HashMap;
use std::ops::Range;

/// Pieces under way at the same time, as a peer does by default.
pub(super) const CONCURRENT_PIECES: u32 = 8;
/// Streams from the origin at the same time, at most.
pub(super) const ORIGIN_STREAMS: u32 = 4;
/// How often a peer looks for parents that are too slow.
pub(super) const LOOK: Time = 100_000_000;
/// How long nothing may be under way before a peer with parents asks for others.
pub(super) const PATIENCE: Time = 1_000_000_000;
/// How long parents may bring nothing before they are dropped.
pub(super) const SILENCE: Time = 10_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has not arrived yet.
    Coming,
    /// It has nothing and waits for an answer.
    Waiting,
    Fetching,
    Done,
    Gone,
}

pub(super) struct Download {
    pub(super) key: PeerKey,
    pub(super) host: u32,
    pub(super) task: u32,
    pub(super) stage: Stage,
    /// Absent before the beginning and after the end, when it would only take memory.
    pub(super) plan: Option<Plan>,
    pub(super) in_flight: u32,
    /// Whether it is going to look for laggards.
    pub(super) looks: bool,
    /// Parents that may still announce more.
    pub(super) following: Vec<u32>,
    pub(super) followers: Vec<u32>,
    /// Pieces in the order in which they came.
    pub(super) landed: Vec<u32>,
    /// How often each piece was given to somebody, by its number.
    pub(super) given: HashMap<u32, u32>,
    /// Whether the scheduler owes an answer.
    pub(super) asked: bool,
    /// It said that it began.
    pub(super) begun: bool,
    /// What each stream from the origin is still to bring, the piece that is on its way first.
    pub(super) streams: Vec<Range<u32>>,
    /// How many there should be.
    pub(super) pace: Streams,
    pub(super) at_origin: bool,
    /// Changes whenever something is under way again.
    pub(super) fed: u32,
    pub(super) hungry: bool,
    pub(super) arrived: Time,
    pub(super) finished: Option<Time>,
}

impl Download {
    pub(super) fn new(key: PeerKey, host: u32, task: u32) -> Self {
        Self {
            key,
            host,
            task,
            stage: Stage::Coming,
            plan: None,
            in_flight: 0,
            looks: false,
            following: Vec::new(),
            followers: Vec::new(),
            landed: Vec::new(),
            given: HashMap::new(),
            asked: false,
            begun: false,
            streams: Vec::new(),
            pace: Streams::new(ORIGIN_STREAMS as usize),
            at_origin: false,
            fed: 0,
            hungry: false,
            arrived: 0,
            finished: None,
        }
    }

    /// Begins, with an order of pieces of its own.
    pub(super) fn begin(&mut self, layout: PieceLayout, order: u64) {
        let mut plan = Plan::new(layout.piece_length(), order);
        plan.want(Wanted::All);
        plan.set_layout(layout);
        self.plan = Some(plan);
        self.stage = Stage::Fetching;
    }

    /// Whether it has pieces to give or will have.
    pub(super) fn is_there(&self) -> bool {
        matches!(self.stage, Stage::Fetching | Stage::Done)
    }

    /// A parent has these pieces.
    pub(super) fn learn(&mut self, parent: &PeerId, pieces: impl IntoIterator<Item = u32>) {
        if let Some(plan) = &mut self.plan {
            let numbers: Vec<PieceNumber> = pieces.into_iter().map(PieceNumber).collect();
            plan.parent_has(parent, &numbers);
        }
    }

    /// The run for the next stream from the origin, of the length that the real download takes.
    pub(super) fn claim_run(&mut self) -> Option<Range<u32>> {
        let plan = self.plan.as_mut()?;
        let share = plan.open_count().div_ceil(ORIGIN_STREAMS as usize);
        let usual = u32::try_from(share).unwrap_or(u32::MAX).clamp(1, 16);
        plan.claim_run(self.pace.run(usual))
    }
}
