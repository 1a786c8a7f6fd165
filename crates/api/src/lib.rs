//! The wire: Dragonfly's protobuf services and the manager's REST types, and their translation to and from the words
//! of [`dragonfly_model`]. What other systems call persistent tasks, persistent cache tasks and cache tasks ends here.
//!
//! The .proto files in `proto/` agree with Dragonfly 2.5 message for message and field number for field number;
//! `tests/descriptors.rs` compares them with the published descriptors. [`ext`] is ours alone.

pub mod kept;
pub mod order;
pub mod rest;
mod rules;
mod translate;

pub use rules::{DownloadRules, Transferring};
pub use translate::{
    ApiError, BACK_TO_SOURCE, Invalid, PeerIds, backend_error, backend_error_of, byte_range, duration, piece_of,
    timestamp, timestamp_of,
};

/// Generated code of the protobuf packages.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated from the .proto files"
)]
mod generated {
    pub mod common {
        pub mod v2 {
            tonic::include_proto!("common.v2");
        }
    }
    pub mod dragonfly {
        pub mod ext {
            pub mod v1 {
                tonic::include_proto!("dragonfly.ext.v1");
            }
        }
    }
    pub mod errordetails {
        pub mod v2 {
            tonic::include_proto!("errordetails.v2");
        }
    }
    pub mod dfdaemon {
        pub mod v2 {
            tonic::include_proto!("dfdaemon.v2");
        }
    }
    pub mod manager {
        pub mod v2 {
            tonic::include_proto!("manager.v2");
        }
    }
    pub mod scheduler {
        pub mod v2 {
            tonic::include_proto!("scheduler.v2");
        }
    }
}

pub use generated::common::v2 as common;
pub use generated::dfdaemon::v2 as dfdaemon;
pub use generated::dragonfly::ext::v1 as ext;
pub use generated::errordetails::v2 as errordetails;
pub use generated::manager::v2 as manager;
pub use generated::scheduler::v2 as scheduler;

/// A peer that opens `AnnouncePeer` with this key in the call's metadata takes parents at any time, asked for or not. Others
/// take only as many answers as they ask for.
pub const LISTENS: &str = "dragonfly-takes-parents-unasked";

/// Metadata of a scheduler's answer to `AnnouncePeer`: it lets who asks for others wait until it knows some, and sends nobody
/// to the origin for having asked while parents are at work. Others do.
pub const PATIENT: &str = "dragonfly-lets-children-wait";

/// A scheduler that calls `DownloadTask` with this key in the call's metadata preheats: a peer of ours then takes the task
/// id that its own proxy would take for the URL, whatever the caller says of blob digests, and the download ends with the
/// call. Others ignore it.
pub const PREHEATS: &str = "dragonfly-preheats";

/// A peer of ours that tells what it holds of a task says with this key in the answer's metadata which pieces, as the text of
/// a `Coverage`. Of others only whole contents are known piece by piece.
pub const PIECES: &str = "dragonfly-pieces";

/// The descriptors of all services, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
