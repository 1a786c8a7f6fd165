//! The scheduler seen over the wire.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

mod announce_peer;
mod attend;
mod holdings;
mod hosts;
mod kept;
mod listens;
mod manager;
mod preheat;
mod sim;
mod tls;
mod trace;
