//! The words of the system: ids, digests, piece layouts, ranges, policies, block lists. Every other room speaks in these types.
//!
//! Nothing here waits, reads a clock or touches a file or socket, so that all of it can be tested by example.

mod block;
mod coverage;
mod digest;
mod host;
mod id;
mod piece;
mod policy;
mod range;
mod task_id;

pub use block::{BadPattern, Blocked, Blocks, Subject};
pub use coverage::{Coverage, CoverageError};
pub use digest::{Algorithm, Digest, DigestError};
pub use host::{HostKind, Location};
pub use id::{HostId, IdError, PeerId, TaskId};
pub use piece::{PieceLayout, PieceNumber, PieceSpan, SizeScope, TrafficType};
pub use policy::{Policy, Priority, Replica};
pub use range::{ByteRange, RangeError, RangeHeader};
pub use task_id::{
    BlobTrust, CachedContent, DEFAULT_FILTERED_QUERY_PARAMS, TaskIdentity, blob_digest_of, content_digest_of,
    task_id_of_text,
};
