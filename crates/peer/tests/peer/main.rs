//! Real peers in one process, on loopback and on ports that the system chose, around a scheduler that does no more than
//! the protocol asks for.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall stop")]

mod api;
mod downloads;
mod kept;
mod ledger;
mod manager;
mod membership;
mod outage;
mod rig;
mod scheduler;
mod stores;
