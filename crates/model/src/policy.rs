//! How long a task is kept and in what order it is served.

use crate::PeerId;
use std::time::SystemTime;

/// What upstream calls a task, a persistent task and a persistent cache task is one task with another policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Policy {
    /// A cache entry: evicted when it is old or room is needed, fetched again from its origin when asked for.
    #[default]
    Standard,
    /// Kept with a number of replicas, and backed by an object store.
    Persistent(Replica),
    /// Kept with a number of replicas that live only in the cluster.
    PersistentCache(Replica),
}

/// One host's copy of a task that its cluster keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// As whom this host has it, in the words of the scheduler.
    pub peer: PeerId,
    /// Whether the host must keep it until its time is over. Otherwise it is a cache of it.
    pub obliged: bool,
    /// When the task's time is over, by the scheduler's clock. It also tells a task from an earlier one of the same id.
    pub ends_at: SystemTime,
}

impl Policy {
    /// This host's copy, if the cluster keeps the task.
    pub fn replica(&self) -> Option<&Replica> {
        match self {
            Policy::Standard => None,
            Policy::Persistent(replica) | Policy::PersistentCache(replica) => Some(replica),
        }
    }

    /// Whether the task's time is over.
    pub fn has_ended(&self, now: SystemTime) -> bool {
        self.replica().is_some_and(|replica| replica.ends_at <= now)
    }
}

/// What a download may do and when, in the levels of Dragonfly's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Priority {
    /// No level was given: as level 6.
    #[default]
    Level0,
    /// The download is forbidden.
    Level1,
    /// The download may come from peers only; nobody goes to the origin for it.
    Level2,
    /// The asking peer itself goes to the origin first, not a seed peer.
    Level3,
    /// A seed peer goes first; above 5.
    Level4,
    /// A seed peer goes first; above 6.
    Level5,
    /// A seed peer goes first.
    Level6,
}

impl Priority {
    /// From the number on the wire; `None` for one that names no level.
    pub fn from_number(number: i32) -> Option<Self> {
        use Priority::*;
        [Level0, Level1, Level2, Level3, Level4, Level5, Level6]
            .get(usize::try_from(number).ok()?)
            .copied()
    }

    /// The number on the wire.
    pub fn number(self) -> i32 {
        self as i32
    }
}
