//! The storage as its callers see it.
#![allow(clippy::unwrap_used, reason = "a test that can go no further fails")]

mod kill;
mod lifecycle;
mod model;
mod pieces;
mod powercut;
mod support;
