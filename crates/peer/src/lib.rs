//! The peer (`dfdaemon`): moves bytes for one host, serves pieces to others and proxies container runtimes. A seed peer
//! is a peer with other configuration.
//!
//! [`Peer::build`] reserves everything a peer needs from a [`Config`]; [`Peer::run`] serves until it is cancelled. Inside,
//! [`engine`] is the middle: `grpc` and [`proxy`] ask it for contents, and it asks `cluster` for schedulers, other peers
//! for pieces, and origins.

mod access;
mod assembly;
mod cluster;
pub mod config;
mod daemon;
pub mod engine;
mod gc;
mod grpc;
mod identity;
mod metrics;
mod output;
pub mod proxy;
mod room;
mod session;
mod sockets;

pub use cluster::Error as ClusterError;
pub use config::Config;
pub use daemon::{Addresses, BuildError, Peer, RunError};
pub use identity::Identity;
