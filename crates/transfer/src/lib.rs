//! Moving: pieces between peers, and the download of a task from all who have it.
//!
//! The piece protocol ([`vortex`]), its server and client, and the bandwidth limits know nothing of downloads. The
//! [`Plan`] and [`Streams`] decide and do nothing, so that they run in a simulation too.

pub mod client;
mod download;
mod limit;
mod plan;
pub mod server;
mod streams;
mod verify;
pub mod vortex;

pub use client::{ClientConfig, FetchError, Piece, PieceClient};
pub use download::{Control, Error, ParentPieces, PieceError, Report, Reports, Transfer, Wanted};
pub use limit::RateLimit;
pub use plan::{Ask, Plan, Progress};
pub use server::{Admission, PieceServer, ServerConfig, ServerStats};
pub use streams::Streams;
