//! The lab: real programs and made-up content for tests, started and removed by the test that wants them.
//!
//! Rooms use it as a dev-dependency from their `tests/`, `e2e` as an ordinary one. What a test needs from Debian's
//! packages it installs itself ([`packages`]); what can't be had fails the test.

pub mod client;
pub mod collector;
pub mod containerd;
pub mod content;
pub mod helm;
mod http;
pub mod hub;
pub mod image;
pub mod lab;
pub mod manifests;
pub mod mariadb;
pub mod nginx;
mod npm;
pub mod oidc;
pub mod origin;
pub mod packages;
pub mod pki;
pub mod place;
pub mod pods;
pub mod postgres;
pub mod process;
mod python;
pub mod redis;
pub mod registry;
pub mod s3;
pub mod schemathesis;
mod server;
mod shared;
mod tokens;
pub mod up;

pub use tokens::User;
