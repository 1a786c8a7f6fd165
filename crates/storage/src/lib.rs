//! Keeping: the pieces of every task on the disk, and what is known of them.
//!
//! A task's bytes lie in one sparse file, each piece at its own offset; records of tasks and pieces lie in an embedded
//! store beside it. Everything on record is also held in memory, so that no question about a task touches the disk.
//!
//! What always holds:
//! - **Written, checked, then recorded.** A piece is claimed only after its bytes were handed to the kernel and their
//!   CRC-32 held. After a crash storage may have forgotten a piece; it never claims one that it lacks: what was not
//!   closed is re-read and checked when it is opened again.
//! - **Absent to present, once.** While a task lives, its pieces are only added. Removal and quarantine end whole tasks.
//! - **Holding is a value.** A [`Pin`] keeps a task's bytes, a [`PieceWriter`] keeps others from writing the same piece;
//!   dropping them lets go.
//!
//! The peer's download engine writes here, its piece server and proxy read here, its evictor removes.

mod error;
mod export;
mod files;
mod format;
mod metadata;
mod pieces;
mod pin;
mod record;
mod recovery;
mod salvage;
mod storage;
mod task;
mod writer;

pub use error::{BeginError, Error, Fault};
pub use export::Export;
pub use pieces::PieceSet;
pub use pin::Pin;
pub use record::{Arriving, NewTask, PieceRecord, TaskRecord, TaskState};
pub use recovery::{Recovery, Soundness};
pub use storage::{Config, Storage, Usage};
pub use writer::PieceWriter;
