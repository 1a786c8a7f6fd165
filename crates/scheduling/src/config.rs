//! What an operator may tune in the judgement.

use std::time::Duration;

/// Everything tunable; the defaults suit a cluster of thousands of hosts.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// How many peers may fetch the same piece from the origin at the same time. Seed peers and normal peers are counted apart.
    pub back_to_source_count: usize,
    /// How many downloads may fetch from one origin at the same time, whatever they fetch.
    pub origin_budget: usize,
    /// How many children a peer has before others are preferred.
    pub fan_out: usize,
    /// How many parents a child has in the end, if it takes more than it asked for.
    pub parents: usize,
    /// How long a child waits for a peer with fewer than [`fan_out`](Self::fan_out) children before it joins a crowd.
    pub calm: Duration,
    /// How long after the graph began nobody is sent to the origin for a task that nobody fetches yet, because hosts are
    /// still saying what they hold.
    pub settle: Duration,
    /// What may change while the graph runs.
    pub limits: Limits,
    /// How much each quality of a parent counts.
    pub weights: Weights,
    /// How long a child waits for a parent that does not exist yet, before it may go to the origin itself.
    pub wait: Duration,
    /// How long a child waits in all, before it is refused.
    pub patience: Duration,
    /// How long a peer that may go to the origin has to say that it began.
    pub grant_timeout: Duration,
    /// How long an asked seed peer may stay without any peer of the task.
    pub trigger_timeout: Duration,
    /// How long a seed peer that failed a task is not asked for it again, and refused credentials are remembered.
    pub failure_memory: Duration,
    /// How long a downloading peer may be silent.
    pub piece_timeout: Duration,
    /// How long a holder is remembered after its last use.
    pub peer_ttl: Duration,
    /// How long a host is remembered that announced itself without an interval.
    pub host_ttl: Duration,
    /// How long a task without peers is remembered.
    pub task_ttl: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            back_to_source_count: 1,
            origin_budget: 256,
            fan_out: 4,
            parents: 4,
            calm: Duration::from_millis(250),
            settle: Duration::ZERO,
            limits: Limits::default(),
            weights: Weights::default(),
            wait: Duration::from_secs(30),
            patience: Duration::from_secs(90),
            grant_timeout: Duration::from_secs(30),
            trigger_timeout: Duration::from_secs(60),
            failure_memory: Duration::from_secs(60),
            piece_timeout: Duration::from_secs(30 * 60),
            peer_ttl: Duration::from_secs(24 * 3600),
            host_ttl: Duration::from_secs(3600),
            task_ttl: Duration::from_secs(60),
        }
    }
}

/// What a manager may change while the graph runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many parents a child is given at once.
    pub candidate_parents: usize,
    /// How many eligible peers are compared for a child, in its own IDC and again outside it.
    pub filter_parents: usize,
    /// How many children a host may upload to at the same time.
    pub slots: Slots,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            candidate_parents: 3,
            filter_parents: 15,
            slots: Slots::default(),
        }
    }
}

/// How many children a host may upload to at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// For normal hosts.
    pub normal: usize,
    /// For seed peers.
    pub seed: usize,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            normal: 200,
            seed: 2000,
        }
    }
}

/// How much each quality of a parent counts. Every quality lies between 0 and 1; only the ratios of the weights matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Speed that children measured, relative to the best of those compared.
    pub goodput: f64,
    /// Share of free upload slots.
    pub load: f64,
    /// Share of the content that the parent has already.
    pub pieces: f64,
    /// Same IDC.
    pub idc: f64,
    /// Shared elements of the location.
    pub location: f64,
    /// A normal host: seed peers are spared for contents that nobody else has.
    pub host_kind: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            goodput: 0.3,
            load: 0.3,
            pieces: 0.1,
            idc: 0.15,
            location: 0.05,
            host_kind: 0.1,
        }
    }
}
