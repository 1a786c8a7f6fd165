//! Wire <-> model. A message that breaks a rule becomes [`Invalid`], which names the field and the value.

use crate::{common, errordetails};
use dragonfly_model::{
    ByteRange, Digest, DigestError, HostId, IdError, PeerId, PieceNumber, PieceSpan, Priority, SizeScope, TaskId,
    TrafficType,
};
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tonic::{Code, Status};

/// Traffic type of pieces that came from the origin, as it goes over the wire.
pub const BACK_TO_SOURCE: i32 = common::TrafficType::BackToSource as i32;

/// A field that a request lacks or fills with something impossible. The caller's fault; retrying does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A required message or oneof is absent.
    #[error("the request lacks {0}")]
    Missing(&'static str),
    /// An id is malformed.
    #[error(transparent)]
    Id(#[from] IdError),
    /// A digest is malformed.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Any other impossible value.
    #[error("{field} can't be {value:?}")]
    Value {
        /// Name of the field.
        field: &'static str,
        /// What it holds.
        value: String,
    },
}

impl From<Invalid> for Status {
    fn from(invalid: Invalid) -> Status {
        Status::invalid_argument(invalid.to_string())
    }
}

/// What a remote error tells about the origin, if it carries an [`errordetails::Backend`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the origin answered {}: {message}", status.map_or("nothing".to_owned(), |s| s.to_string()))]
pub struct ApiError {
    /// The origin's status code, if it answered at all.
    pub status: Option<u16>,
    /// What happened.
    pub message: String,
    /// The origin's response headers.
    pub headers: HashMap<String, String>,
}

/// A status with the origin's answer in its details, as JSON, which is how Dragonfly 2.5 carries it.
pub fn backend_error(error: &ApiError) -> Status {
    let detail = serde_json::json!({
        "message": error.message,
        "header": error.headers,
        "status_code": error.status,
    });
    let details = serde_json::to_vec(&detail).expect("maps of strings are JSON");
    Status::with_details(Code::Internal, error.message.clone(), details.into())
}

/// The origin's answer in a status' details, if there is one.
pub fn backend_error_of(status: &Status) -> Option<ApiError> {
    #[derive(serde::Deserialize)]
    struct Detail {
        #[serde(default)]
        message: String,
        #[serde(default)]
        header: HashMap<String, String>,
        status_code: Option<i32>,
    }
    let detail: Detail = serde_json::from_slice(status.details()).ok()?;
    Some(ApiError {
        status: detail.status_code.and_then(|code| u16::try_from(code).ok()),
        message: detail.message,
        headers: detail.header,
    })
}

impl From<ApiError> for errordetails::Backend {
    fn from(error: ApiError) -> Self {
        Self {
            message: error.message,
            header: error.headers,
            status_code: error.status.map(i32::from),
        }
    }
}

/// A range from the wire.
pub fn byte_range(range: common::Range) -> ByteRange {
    ByteRange {
        start: range.start,
        length: range.length,
    }
}

impl From<ByteRange> for common::Range {
    fn from(range: ByteRange) -> Self {
        Self {
            start: range.start,
            length: range.length,
        }
    }
}

impl From<TrafficType> for common::TrafficType {
    fn from(traffic: TrafficType) -> Self {
        match traffic {
            TrafficType::BackToSource => Self::BackToSource,
            TrafficType::RemotePeer => Self::RemotePeer,
            TrafficType::LocalPeer => Self::LocalPeer,
        }
    }
}

impl From<common::TrafficType> for TrafficType {
    fn from(traffic: common::TrafficType) -> Self {
        match traffic {
            common::TrafficType::BackToSource => Self::BackToSource,
            common::TrafficType::RemotePeer => Self::RemotePeer,
            common::TrafficType::LocalPeer => Self::LocalPeer,
        }
    }
}

impl From<SizeScope> for common::SizeScope {
    fn from(scope: SizeScope) -> Self {
        match scope {
            SizeScope::Empty => Self::Empty,
            SizeScope::Tiny => Self::Tiny,
            SizeScope::Small => Self::Small,
            SizeScope::Normal => Self::Normal,
        }
    }
}

/// A piece as reported over the wire. `crc32` is the checksum of its bytes; `cost` the time its transfer took.
pub fn piece_of(
    span: PieceSpan,
    crc32: u32,
    parent: Option<&PeerId>,
    traffic: TrafficType,
    cost: Duration,
) -> common::Piece {
    common::Piece {
        number: span.number.0,
        parent_id: parent.map(PeerId::to_string),
        offset: span.offset,
        length: span.length,
        digest: format!("crc32:{crc32}"),
        content: None,
        traffic_type: Some(common::TrafficType::from(traffic) as i32),
        cost: Some(duration(cost)),
        created_at: Some(timestamp(SystemTime::now())),
    }
}

impl common::Piece {
    /// Where the piece lies.
    pub fn span(&self) -> PieceSpan {
        PieceSpan {
            number: PieceNumber(self.number),
            offset: self.offset,
            length: self.length,
        }
    }
}

impl common::Download {
    /// The priority asked for.
    pub fn level(&self) -> Result<Priority, Invalid> {
        Priority::from_number(self.priority).ok_or_else(|| Invalid::Value {
            field: "download.priority",
            value: self.priority.to_string(),
        })
    }

    /// The content digest that the caller expects.
    pub fn expected_digest(&self) -> Result<Option<Digest>, Invalid> {
        self.digest
            .as_deref()
            .filter(|text| !text.is_empty())
            .map(str::parse)
            .transpose()
            .map_err(Invalid::from)
    }

    /// The download without what only the fetching seed may see: headers, object store keys and client certificates.
    pub fn without_secrets(&self) -> Self {
        let mut download = self.clone();
        download.request_header.clear();
        download.object_storage = None;
        download.hdfs = None;
        download.hugging_face = None;
        download.model_scope = None;
        download.open_csg = None;
        download
    }
}

/// The three ids that every message of a peer carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerIds {
    /// The host that downloads.
    pub host: HostId,
    /// What it downloads.
    pub task: TaskId,
    /// The download.
    pub peer: PeerId,
}

impl PeerIds {
    /// Checks the ids of a message.
    pub fn parse(host: &str, task: &str, peer: &str) -> Result<Self, Invalid> {
        Ok(Self {
            host: HostId::parse(host)?,
            task: TaskId::parse(task)?,
            peer: PeerId::parse(peer)?,
        })
    }
}

/// A duration for the wire; saturates at what protobuf can hold.
pub fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// A point in time for the wire.
pub fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    prost_types::Timestamp::from(time)
}

/// A point in time from the wire; one that this machine can't represent becomes the Unix epoch.
pub fn timestamp_of(timestamp: &prost_types::Timestamp) -> SystemTime {
    SystemTime::try_from(*timestamp).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origins_answer_survives_the_wire() {
        let error = ApiError {
            status: Some(404),
            message: "not found".to_owned(),
            headers: HashMap::from([("content-type".to_owned(), "text/plain".to_owned())]),
        };
        assert_eq!(backend_error_of(&backend_error(&error)), Some(error));
        assert_eq!(backend_error_of(&Status::internal("other")), None);
    }

    #[test]
    fn a_download_without_secrets_has_no_headers() {
        let download = common::Download {
            url: "http://origin/x".to_owned(),
            request_header: HashMap::from([("authorization".to_owned(), "Bearer s3cret".to_owned())]),
            object_storage: Some(common::ObjectStorage::default()),
            ..Default::default()
        };
        let shown = format!("{:?}", download.without_secrets());
        assert!(!shown.contains("s3cret") && shown.contains("http://origin/x"));
    }
}
