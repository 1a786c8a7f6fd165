//! The proxy of a real peer, without manager and scheduler, between real clients and origins on loopback.

mod blobs;
mod client;
mod doors;
mod origin;
mod outage;
mod peer;
mod tunnels;
