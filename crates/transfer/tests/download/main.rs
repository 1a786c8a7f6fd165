//! Downloads with real storage, real piece servers and a real HTTP origin, all on the loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod origin;
mod peer;

mod from_origin;
mod from_parents;
mod habits;
mod integrity;
