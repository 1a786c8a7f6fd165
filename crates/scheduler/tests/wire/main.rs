//! The scheduler seen over the wire.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

mod announce_peer;
mod hosts;
mod manager;
mod sim;
mod tls;
