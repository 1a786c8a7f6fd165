//! Pieces between two peers over real sockets.
#![allow(clippy::unwrap_used, reason = "a test that can go no further fails")]

mod fetched;
mod served;
mod support;
