//! Judgement: who fetches what from whom, and who may go to the origin.
//!
//! [`Graph`] holds the hosts, tasks and peers of one cluster. Facts go in as [`Event`]s together with the time since the
//! graph began, decisions come out as [`Decision`]s; there is no socket, no clock and no randomness but a seed inside
//! the graph. So a recorded list of events always gives the same decisions, and every hard bug is a list of events.
//!
//! What always holds:
//! - every child that fetches has parents that do not depend on it: along them nobody is his own ancestor, so that the
//!   content reaches everybody. Beside them, children exchange pieces with others that fetch (see [`Config::parents`]);
//! - nobody is the child of a peer on its own host;
//! - a host never uploads to more children than its limit;
//! - a waiting child is parked on its task, is woken by the event that helps it, and has a deadline;
//! - at most one seed peer is asked for a task at a time;
//! - at most [`Config::origin_budget`] peers are sent to the same origin at the same time;
//! - at most [`Config::back_to_source_count`] peers are sent to the origin for the same piece at the same time, and none
//!   while another peer has a free slot and has or will have what the child lacks.

mod config;
mod decision;
mod event;
mod graph;
mod host;
mod parents;
mod peer;
mod pieces;
mod pool;
mod random;
mod ring;
mod score;
mod task;
mod timers;

pub use config::{Config, Limits, Slots, Weights};
pub use decision::{Candidate, Decision, GrantReason, Parked, Refusal};
pub use event::{
    Content, CredentialsId, Event, FinishedPiece, Holding, HostFacts, OriginId, PeerKey, Registration, TriggerId,
};
pub use graph::{Counts, Explained, Graph, HostView, PeerView, TaskView, Verdict, Weighed};
pub use peer::Stage;
pub use pieces::Wanted;
pub use random::Random;
pub use ring::weight as seed_weight;
