//! Facts that flow into the graph. Plain data: a recorded list of them can be replayed.

use crate::{Limits, Wanted};
use dragonfly_model::{HostId, HostKind, Location, PeerId, PieceNumber, Priority, TaskId};
use std::fmt;
use std::time::Duration;

/// One download: a peer within its task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey {
    /// What is downloaded.
    pub task: TaskId,
    /// The download.
    pub peer: PeerId,
}

/// Stands for a caller's credentials towards an origin: equal credentials have equal ids. The credentials themselves
/// never come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialsId(pub u64);

/// Stands for an origin: its scheme, name and port. Equal origins have equal ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginId(pub u64);

/// Numbers the calls to seed peers, so that a late answer is not taken for the answer to a newer call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TriggerId(pub u64);

/// What a host says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// Normal or seed.
    pub kind: HostKind,
    /// Its data centre; empty if unknown.
    pub idc: String,
    /// Its place.
    pub location: Location,
    /// Whether other hosts may fetch from it.
    pub shares: bool,
    /// How often it announces itself.
    pub interval: Option<Duration>,
}

/// What is known of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Content {
    /// Bytes, if known.
    pub length: Option<u64>,
    /// Pieces, if known.
    pub pieces: Option<u32>,
}

/// A complete content on a host's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Which content.
    pub task: TaskId,
    /// What the host knows of it.
    pub content: Content,
}

/// A peer that asks for a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Who asks, for what.
    pub peer: PeerKey,
    /// Where it runs.
    pub host: HostId,
    /// What it knows of the content.
    pub content: Content,
    /// The pieces it wants.
    pub wanted: Wanted,
    /// In which order it is served.
    pub priority: Priority,
    /// It has the content already and only says so.
    pub metadata_only: bool,
    /// It asks to fetch from the origin itself, as seed peers do.
    pub need_back_to_source: bool,
    /// It must never be sent to the origin.
    pub disable_back_to_source: bool,
    /// With what it would ask the origin.
    pub credentials: CredentialsId,
    /// Where the content comes from, if that is known.
    pub origin: Option<OriginId>,
    /// Whether it takes parents that it did not ask for.
    pub listens: bool,
}

/// A piece that a peer has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedPiece {
    /// Which piece.
    pub number: PieceNumber,
    /// Its bytes.
    pub length: u64,
    /// How long it took.
    pub cost: Duration,
    /// Who sent it; `None` for the origin and for the peer's own storage.
    pub parent: Option<PeerId>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A host is there, for the first time or again.
    HostAnnounced {
        /// Which host.
        host: HostId,
        /// What it says of itself.
        facts: HostFacts,
    },
    /// A host said which complete contents it holds.
    HoldingsReported {
        /// Which host.
        host: HostId,
        /// What it holds, or some of it.
        held: Vec<Holding>,
    },
    /// A host said that it leaves.
    HostLeft {
        /// Which host.
        host: HostId,
    },
    /// A peer asks for a task.
    PeerRegistered(Registration),
    /// A peer began to fetch from its parents, or to write an empty content.
    PeerStarted {
        /// Which peer.
        peer: PeerKey,
    },
    /// A peer began to fetch from the origin.
    BackToSourceStarted {
        /// Which peer.
        peer: PeerKey,
    },
    /// A peer has one more piece.
    PieceFinished {
        /// Which peer.
        peer: PeerKey,
        /// Which piece.
        piece: FinishedPiece,
    },
    /// A parent did not deliver a piece.
    PieceFailed {
        /// The child.
        peer: PeerKey,
        /// The parent.
        parent: PeerId,
    },
    /// A peer needs other parents than it has.
    Rescheduled {
        /// Which peer.
        peer: PeerKey,
    },
    /// A peer has all that it wanted, from whomever.
    PeerFinished {
        /// Which peer.
        peer: PeerKey,
    },
    /// A peer gave up.
    PeerFailed {
        /// Which peer.
        peer: PeerKey,
    },
    /// The stream of a peer ended without a last word.
    StreamBroken {
        /// Which peer.
        peer: PeerKey,
    },
    /// The call to a seed peer ended well.
    SeedTriggerEnded {
        /// For which task.
        task: TaskId,
        /// Which call.
        trigger: TriggerId,
        /// The download on the seed peer, if it named one.
        holder: Option<PeerId>,
    },
    /// The call to a seed peer failed.
    SeedTriggerFailed {
        /// For which task.
        task: TaskId,
        /// Which call.
        trigger: TriggerId,
        /// The origin's status code, if the origin was the reason.
        origin: Option<u16>,
    },
    /// A host dropped its copy of a task.
    TaskDeleted {
        /// Which host.
        host: HostId,
        /// Which task.
        task: TaskId,
    },
    /// A peer is to be forgotten.
    PeerDeleted {
        /// Which peer.
        peer: PeerKey,
    },
    /// The manager changed limits.
    LimitsChanged(Limits),
    /// The time that was asked for by [`crate::Decision::WakeAt`] has come.
    Tick,
}

impl Event {
    /// The host that it speaks of.
    pub(crate) fn host_mut(&mut self) -> Option<&mut HostId> {
        match self {
            Event::HostAnnounced { host, .. }
            | Event::HoldingsReported { host, .. }
            | Event::HostLeft { host }
            | Event::TaskDeleted { host, .. } => Some(host),
            Event::PeerRegistered(registration) => Some(&mut registration.host),
            _ => None,
        }
    }

    /// The peer that it speaks of.
    pub(crate) fn peer_mut(&mut self) -> Option<&mut PeerKey> {
        match self {
            Event::PeerRegistered(registration) => Some(&mut registration.peer),
            Event::PeerStarted { peer }
            | Event::BackToSourceStarted { peer }
            | Event::PieceFinished { peer, .. }
            | Event::PieceFailed { peer, .. }
            | Event::Rescheduled { peer }
            | Event::PeerFinished { peer }
            | Event::PeerFailed { peer }
            | Event::StreamBroken { peer }
            | Event::PeerDeleted { peer } => Some(peer),
            _ => None,
        }
    }
}

impl PeerKey {
    /// Another peer of the same task.
    pub(crate) fn sibling(&self, peer: &PeerId) -> PeerKey {
        PeerKey {
            task: self.task.clone(),
            peer: peer.clone(),
        }
    }
}

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: String = self.task.as_str().chars().take(8).collect();
        write!(f, "{short}/{}", self.peer)
    }
}
