//! The scheduler: the gRPC door around [`dragonfly_scheduling`], which does the judging. It belongs to one cluster, keeps
//! the graph of hosts, tasks and peers in memory and the table of hosts on disk, and works without a manager.
//!
//! Facts arrive at the doors (`grpc`), are translated (`translate`) and queue up for the one owner of the graph
//! (`brain`), which carries out the decisions: answers to peers' streams, calls to seed peers (`seeds`). What a
//! whole cluster is to have, or is asked about, is carried out by `preheat`, for callers and for the manager (`attend`).
//! [`Scheduler::build`]
//! binds every socket and starts nothing; [`Scheduler::run`] serves until it is cancelled.

mod applications;
mod attend;
mod brain;
mod catalogue;
pub mod config;
mod credentials;
mod grpc;
mod hosts;
mod kept;
mod manager;
mod metrics;
mod preheat;
mod reach;
mod rules;
mod scheduler;
mod seeds;
mod translate;

pub use config::Config;
pub use dragonfly_source::Error as SourceError;
pub use grpc::Error as GrpcError;
pub use hosts::Error as HostsError;
pub use scheduler::{Addresses, BuildError, RunError, Scheduler};
