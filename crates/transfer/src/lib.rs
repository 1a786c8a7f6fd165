//! Moving: pieces between peers, and the download of a task from all who have it.
//!
//! The piece protocol ([`vortex`]), its server and client, and the bandwidth limits know nothing of downloads. The
//! [`Plan`] decides and does nothing, so that it runs in a simulation too.

pub mod client;
mod download;
mod limit;
mod plan;
pub mod server;
mod verify;
pub mod vortex;

pub use client::{ClientConfig, FetchError, Piece, PieceClient};
pub use download::{Control, Error, ParentPieces, PieceError, Report, Reports, Transfer, Wanted};
pub use limit::RateLimit;
pub use plan::{Ask, Plan};
pub use server::{Admission, PieceServer, ServerConfig, ServerStats};
