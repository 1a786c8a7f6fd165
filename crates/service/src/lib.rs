//! Living: what every daemon of Dragonfly shares and none of them is about. Configuration files, sockets, data
//! directories, logs, metrics, health, TLS, gRPC limits, workers and their end.
//!
//! This room knows none of the others. A program binds its sockets with [`net`], spawns with [`Workers`], says that it
//! serves with [`Ready`], and ends when the token of [`shutdown::signal`] is cancelled.

mod chain;
pub mod config;
pub mod exit;
pub mod fs;
pub mod grpc;
pub mod metrics;
pub mod net;
pub mod ops;
mod ready;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod web;
mod workers;

pub use chain::{Chain, chain};
pub use metrics::Metrics;
pub use ready::Ready;
pub use workers::{StillRunning, Workers};
