//! The proxy of a real peer, without manager and scheduler, between real clients and origins on loopback.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails where it stands")]

mod blobs;
mod client;
mod doors;
mod manifests;
mod origin;
mod outage;
mod peer;
mod preheat;
mod revisions;
mod room;
mod tunnels;
