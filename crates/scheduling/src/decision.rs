//! What flows out of the graph. The caller carries it out; it never decides itself.

use crate::{PeerKey, Stage, TriggerId};
use dragonfly_model::{HostId, PeerId, TaskId};
use std::fmt;
use std::time::Duration;

/// A parent that is offered to a child.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The parent.
    pub peer: PeerId,
    /// Where it runs.
    pub host: HostId,
    /// What it does at the moment.
    pub stage: Stage,
    /// How good it is for the child, compared with others of the same choice.
    pub score: f64,
}

/// Why a peer may go to the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GrantReason {
    /// A seed peer that was asked, or that asks for itself.
    Seed,
    /// The peer asked for it, by its request or its priority.
    Asked,
    /// There is no seed peer that could go first.
    NoSeed,
    /// The child waited until its deadline.
    WaitedTooLong,
}

impl GrantReason {
    /// The reason as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            GrantReason::Seed => "seed",
            GrantReason::Asked => "asked",
            GrantReason::NoSeed => "no_seed",
            GrantReason::WaitedTooLong => "waited_too_long",
        }
    }
}

/// Why a peer is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// Its priority forbids the download.
    Forbidden,
    /// It may come from peers only, and no peer has it.
    NotFound,
    /// It may not go to the origin, and nobody else does.
    NoSource,
    /// It waited as long as a peer may.
    Exhausted,
    /// It was silent for too long.
    Silent,
    /// It or its host was deleted.
    Deleted,
}

impl Refusal {
    /// The reason as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::Forbidden => "forbidden",
            Refusal::NotFound => "not_found",
            Refusal::NoSource => "no_source",
            Refusal::Exhausted => "exhausted",
            Refusal::Silent => "silent",
            Refusal::Deleted => "deleted",
        }
    }
}

/// Why a child was not answered at once. It is woken by the event that helps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Parked {
    /// A seed peer was asked, or another peer may go to the origin, and has not begun yet.
    HelpIsComing,
    /// Every possible parent uploads to as many children as it may.
    AllBusy,
    /// The possible parents have no new piece yet.
    NoPiece,
    /// The possible parents failed a moment ago.
    Paused,
    /// As many peers fetch the content from the origin as may.
    OriginBudget,
    /// As many downloads fetch from this origin as may.
    OriginBusy,
    /// Nobody has the content, and this peer may not go to the origin.
    NoSource,
    /// The graph has just begun, and hosts are still saying what they hold.
    Settling,
}

impl Parked {
    /// The reason as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Parked::HelpIsComing => "help_is_coming",
            Parked::AllBusy => "all_busy",
            Parked::NoPiece => "no_piece",
            Parked::Paused => "paused",
            Parked::OriginBudget => "origin_budget",
            Parked::OriginBusy => "origin_busy",
            Parked::NoSource => "no_source",
            Parked::Settling => "settling",
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Tell a child from whom to fetch.
    Parents {
        /// The child.
        peer: PeerKey,
        /// Its parents, best first; never empty, each on another host.
        parents: Vec<Candidate>,
    },
    /// Tell a child that fetches of more parents, beside those that it has. It did not ask.
    MoreParents {
        /// The child.
        peer: PeerKey,
        /// Further parents; never empty, each on another host.
        parents: Vec<Candidate>,
    },
    /// Tell a peer to fetch from the origin.
    BackToSource {
        /// The peer.
        peer: PeerKey,
        /// Why it may.
        reason: GrantReason,
    },
    /// Tell a peer that the content has no byte.
    Empty {
        /// The peer.
        peer: PeerKey,
    },
    /// Tell a peer that its announcement of a complete content was heard.
    MetadataOnly {
        /// The peer.
        peer: PeerKey,
    },
    /// Ask a seed peer to fetch a task, and report the end of the call by
    /// [`Event::SeedTriggerEnded`](crate::Event::SeedTriggerEnded) or
    /// [`Event::SeedTriggerFailed`](crate::Event::SeedTriggerFailed).
    TriggerSeed {
        /// What to fetch.
        task: TaskId,
        /// The seed peer's host.
        seed: HostId,
        /// Number of this call.
        trigger: TriggerId,
        /// The waiting child whose request, credentials included, is passed on.
        on_behalf: PeerId,
    },
    /// Nothing yet: the peer waits. Only told so that it can be counted and logged.
    Parked {
        /// The peer.
        peer: PeerKey,
        /// Why.
        reason: Parked,
    },
    /// End a peer's stream with an error. The graph has forgotten the peer.
    Refuse {
        /// The peer.
        peer: PeerKey,
        /// Why.
        reason: Refusal,
    },
    /// End a peer's stream well.
    EndStream {
        /// The peer.
        peer: PeerKey,
    },
    /// Nothing is known of a task any more; what the caller keeps beside the graph can go.
    TaskForgotten {
        /// Which task.
        task: TaskId,
    },
    /// A host was silent for so long that it counts as gone.
    HostForgotten {
        /// Which host.
        host: HostId,
    },
    /// Apply [`Event::Tick`](crate::Event::Tick) at this time. Replaces an earlier wish.
    WakeAt(Duration),
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |f: &mut fmt::Formatter<'_>, parents: &[Candidate]| {
            parents
                .iter()
                .try_for_each(|p| write!(f, " {} ({} on {})", p.peer, p.stage.name(), p.host))
        };
        match self {
            Decision::Parents { peer, parents } => {
                write!(f, "{peer}: parents")?;
                named(f, parents)
            }
            Decision::MoreParents { peer, parents } => {
                write!(f, "{peer}: more parents")?;
                named(f, parents)
            }
            Decision::BackToSource { peer, reason } => write!(f, "{peer}: back to source ({})", reason.label()),
            Decision::Empty { peer } => write!(f, "{peer}: empty"),
            Decision::MetadataOnly { peer } => write!(f, "{peer}: metadata only"),
            Decision::TriggerSeed {
                task,
                seed,
                trigger,
                on_behalf,
            } => {
                let short: String = task.as_str().chars().take(8).collect();
                write!(f, "{short}: trigger {seed} (call {}) for {on_behalf}", trigger.0)
            }
            Decision::Parked { peer, reason } => write!(f, "{peer}: parked ({})", reason.label()),
            Decision::Refuse { peer, reason } => write!(f, "{peer}: refuse ({})", reason.label()),
            Decision::EndStream { peer } => write!(f, "{peer}: end stream"),
            Decision::TaskForgotten { task } => {
                let short: String = task.as_str().chars().take(8).collect();
                write!(f, "{short}: forgotten")
            }
            Decision::HostForgotten { host } => write!(f, "{host}: forgotten"),
            Decision::WakeAt(at) => write!(f, "wake at {at:?}"),
        }
    }
}
