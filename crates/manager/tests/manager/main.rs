//! The manager through its doors: the real program, its real database in a directory of its own, real sockets.

#![allow(
    clippy::unwrap_used,
    reason = "a test that finds something else than it expects shall fail"
)]

mod access;
mod attend;
mod attendant;
mod audit;
mod authority;
mod changes;
mod contract;
mod engines;
mod forger;
mod grpc;
mod halves;
mod jobs;
mod kept;
mod matching;
mod members;
mod oauth;
mod peers;
mod placement;
mod replicas;
mod rest;
mod room;
mod schemathesis;
mod secrets;
mod settings;
mod start;
mod tls;
mod traces;
mod users;
mod watch;
