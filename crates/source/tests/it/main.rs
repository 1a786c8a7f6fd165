//! Sources against real servers on the loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod forward;
mod hdfs;
mod http;
mod hubs;
mod oci;
mod redirects;
mod stores;
mod support;
mod tls;
