//! The manager keeps intent: clusters, which peers they serve, their configuration, users. It knows which schedulers and
//! seed peers are alive and tells each peer the schedulers of its one cluster. It chooses no parents and moves no bytes.
//!
//! Two doors, one room: `grpc` for schedulers and peers, `rest` for people and scripts; behind both `clusters`,
//! `members`, `placement` with the pure `scopes`, `jobs`, `peers`, `kept`, `users` with `oauth`, and `audit`, and beside it `traces`, which others send; below them the `store`, and `wake`, by
//! which several managers on one database tell each other what changed.
//!
//! [`ca`] makes the certificates with which all of them know each other; it needs no running manager.
//!
//! [`Manager::build`] binds every socket and opens the store; [`Manager::run`] serves until it is cancelled.

mod applications;
mod audit;
pub mod ca;
mod changes;
mod clusters;
pub mod config;
mod duty;
mod error;
mod grpc;
mod jobs;
mod kept;
mod manager;
mod members;
mod metrics;
mod oauth;
mod peers;
mod placement;
mod rest;
mod retention;
mod rows;
mod scopes;
mod seal;
mod settings;
mod store;
mod traces;
mod users;
mod wake;

pub use config::Config;
pub use grpc::Error as GrpcError;
pub use manager::{Addresses, BuildError, Manager, RunError};
pub use rest::openapi;
pub use store::OpenError;
pub use traces::Error as TracesError;
