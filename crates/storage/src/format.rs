//! How records look on the disk: one version byte, then postcard of the structs below.
//!
//! The structs are this file's own, so that a change of the words in `model` can't silently change what is on the disk.
//! Whoever changes a struct gives it a new version and keeps reading the old one.

use crate::{Error, TaskRecord, TaskState};
use dragonfly_model::{PeerId, PieceNumber, Policy, Replica, TaskId, TrafficType};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::{Duration, SystemTime};

const TASK_VERSION: u8 = 2;
/// Before replicas: the policy had no content that anybody wrote.
const TASK_VERSION_1: u8 = 1;
const PIECE_VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
struct StoredTask<P> {
    url: String,
    tag: Option<String>,
    application: Option<String>,
    piece_length: u64,
    content_length: Option<u64>,
    response_headers: Vec<(String, String)>,
    digest: Option<String>,
    policy: P,
    state: StoredState,
    created_at: u64,
    updated_at: u64,
    used_at: u64,
}

#[derive(Serialize, Deserialize)]
enum StoredPolicy {
    Standard,
    Persistent(StoredReplica),
    PersistentCache(StoredReplica),
}

#[derive(Serialize, Deserialize)]
struct StoredReplica {
    peer: String,
    obliged: bool,
    ends_at: u64,
}

#[derive(Serialize, Deserialize)]
enum StoredPolicy1 {
    Standard,
    Persistent { replicas: u32 },
    PersistentCache { replicas: u32 },
}

#[derive(Serialize, Deserialize)]
enum StoredState {
    Partial,
    Finished { at: u64 },
    Quarantined { at: u64, reason: String },
}

#[derive(Serialize, Deserialize)]
struct StoredPiece {
    crc32: u32,
    traffic: StoredTraffic,
    parent: Option<String>,
}

#[derive(Serialize, Deserialize)]
enum StoredTraffic {
    BackToSource,
    RemotePeer,
    LocalPeer,
}

/// What is kept of a piece beside its place, which follows from the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PieceEntry {
    pub(crate) crc32: u32,
    pub(crate) traffic: TrafficType,
    pub(crate) parent: Option<PeerId>,
    /// Not on the disk; 0 for a piece that was read from there.
    pub(crate) attempt: u64,
}

/// Why a stored value can't be used.
#[derive(Debug)]
pub(crate) enum DecodeError {
    /// Another program wrote it: nothing may be dropped.
    Version(Error),
    /// It is no record: what it describes is forgotten.
    Damaged,
}

pub(crate) fn encode_task(record: &TaskRecord) -> Vec<u8> {
    let stored = StoredTask {
        url: record.url.clone(),
        tag: record.tag.clone(),
        application: record.application.clone(),
        piece_length: record.piece_length,
        content_length: record.content_length,
        response_headers: record.response_headers.clone(),
        digest: record.digest.as_ref().map(ToString::to_string),
        policy: match &record.policy {
            Policy::Standard => StoredPolicy::Standard,
            Policy::Persistent(replica) => StoredPolicy::Persistent(stored_replica(replica)),
            Policy::PersistentCache(replica) => StoredPolicy::PersistentCache(stored_replica(replica)),
        },
        state: match &record.state {
            TaskState::Partial => StoredState::Partial,
            TaskState::Finished { at } => StoredState::Finished { at: millis(*at) },
            TaskState::Quarantined { at, reason } => StoredState::Quarantined {
                at: millis(*at),
                reason: reason.clone(),
            },
        },
        created_at: millis(record.created_at),
        updated_at: millis(record.updated_at),
        used_at: millis(record.used_at),
    };
    encode(TASK_VERSION, &stored)
}

fn stored_replica(replica: &Replica) -> StoredReplica {
    StoredReplica {
        peer: replica.peer.to_string(),
        obliged: replica.obliged,
        ends_at: millis(replica.ends_at),
    }
}

fn replica(stored: StoredReplica) -> Result<Replica, DecodeError> {
    Ok(Replica {
        peer: stored.peer.parse().map_err(|_| DecodeError::Damaged)?,
        obliged: stored.obliged,
        ends_at: time(stored.ends_at),
    })
}

pub(crate) fn decode_task(id: TaskId, bytes: &[u8]) -> Result<TaskRecord, DecodeError> {
    if bytes.first() == Some(&TASK_VERSION_1) {
        let stored: StoredTask<StoredPolicy1> = decode("a task record", TASK_VERSION_1, bytes)?;
        return task(id, stored, |_| Ok(Policy::Standard));
    }
    let stored: StoredTask<StoredPolicy> = decode("a task record", TASK_VERSION, bytes)?;
    task(id, stored, |policy| {
        Ok(match policy {
            StoredPolicy::Standard => Policy::Standard,
            StoredPolicy::Persistent(stored) => Policy::Persistent(replica(stored)?),
            StoredPolicy::PersistentCache(stored) => Policy::PersistentCache(replica(stored)?),
        })
    })
}

fn task<P>(
    id: TaskId,
    stored: StoredTask<P>,
    policy: impl FnOnce(P) -> Result<Policy, DecodeError>,
) -> Result<TaskRecord, DecodeError> {
    let digest = stored.digest.map(|text| text.parse()).transpose();
    Ok(TaskRecord {
        id,
        url: stored.url,
        tag: stored.tag,
        application: stored.application,
        piece_length: stored.piece_length,
        content_length: stored.content_length,
        response_headers: stored.response_headers,
        digest: digest.map_err(|_| DecodeError::Damaged)?,
        policy: policy(stored.policy)?,
        state: match stored.state {
            StoredState::Partial => TaskState::Partial,
            StoredState::Finished { at } => TaskState::Finished { at: time(at) },
            StoredState::Quarantined { at, reason } => TaskState::Quarantined { at: time(at), reason },
        },
        created_at: time(stored.created_at),
        updated_at: time(stored.updated_at),
        used_at: time(stored.used_at),
    })
}

pub(crate) fn encode_piece(piece: &PieceEntry) -> Vec<u8> {
    let stored = StoredPiece {
        crc32: piece.crc32,
        traffic: match piece.traffic {
            TrafficType::BackToSource => StoredTraffic::BackToSource,
            TrafficType::RemotePeer => StoredTraffic::RemotePeer,
            TrafficType::LocalPeer => StoredTraffic::LocalPeer,
        },
        parent: piece.parent.clone().map(String::from),
    };
    encode(PIECE_VERSION, &stored)
}

pub(crate) fn decode_piece(bytes: &[u8]) -> Result<PieceEntry, DecodeError> {
    let stored: StoredPiece = decode("a piece record", PIECE_VERSION, bytes)?;
    let parent = stored.parent.map(PeerId::try_from).transpose();
    Ok(PieceEntry {
        crc32: stored.crc32,
        traffic: match stored.traffic {
            StoredTraffic::BackToSource => TrafficType::BackToSource,
            StoredTraffic::RemotePeer => TrafficType::RemotePeer,
            StoredTraffic::LocalPeer => TrafficType::LocalPeer,
        },
        parent: parent.map_err(|_| DecodeError::Damaged)?,
        attempt: 0,
    })
}

/// Key of a piece: the task id, a byte that no id contains, the number big-endian, so that a task's pieces lie together.
pub(crate) fn piece_key(id: &TaskId, number: PieceNumber) -> Vec<u8> {
    let mut key = piece_prefix(id);
    key.extend_from_slice(&number.0.to_be_bytes());
    key
}

pub(crate) fn piece_prefix(id: &TaskId) -> Vec<u8> {
    let mut key = Vec::with_capacity(id.as_str().len() + 5);
    key.extend_from_slice(id.as_str().as_bytes());
    key.push(b'/');
    key
}

pub(crate) fn parse_task_key(key: &[u8]) -> Option<TaskId> {
    TaskId::parse(std::str::from_utf8(key).ok()?).ok()
}

pub(crate) fn parse_piece_key(key: &[u8]) -> Option<(TaskId, PieceNumber)> {
    let (rest, number) = key.split_last_chunk::<4>()?;
    let id = parse_task_key(rest.strip_suffix(b"/")?)?;
    Some((id, PieceNumber(u32::from_be_bytes(*number))))
}

fn encode(version: u8, value: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(value, vec![version]).expect("records hold nothing that postcard can't write")
}

fn decode<T: DeserializeOwned>(what: &'static str, known: u8, bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((version, rest)) if *version == known => postcard::from_bytes(rest).map_err(|_| DecodeError::Damaged),
        Some((version, _)) => Err(DecodeError::Version(Error::Version {
            what,
            found: version.to_string(),
            known: known.into(),
        })),
        None => Err(DecodeError::Damaged),
    }
}

/// Milliseconds since 1970; a time before that counts as 1970.
pub(crate) fn millis(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The time that [`millis`] stands for.
pub(crate) fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id() -> TaskId {
        TaskId::parse(&"ab".repeat(32)).unwrap()
    }

    fn sample(state: TaskState) -> TaskRecord {
        TaskRecord {
            id: id(),
            url: "https://example.com/x".to_owned(),
            tag: Some("t".to_owned()),
            application: None,
            piece_length: 4 << 20,
            content_length: Some(7),
            response_headers: vec![("etag".to_owned(), "\"1\"".to_owned())],
            digest: Some(format!("sha256:{}", "0".repeat(64)).parse().unwrap()),
            policy: Policy::PersistentCache(Replica {
                peer: "10.0.0.1-node-x".parse().unwrap(),
                obliged: true,
                ends_at: time(4),
            }),
            state,
            created_at: time(1),
            updated_at: time(2),
            used_at: time(3),
        }
    }

    #[test]
    fn records_come_back_as_they_were() {
        let states = [
            TaskState::Partial,
            TaskState::Finished { at: time(9) },
            TaskState::Quarantined {
                at: time(9),
                reason: "digest".to_owned(),
            },
        ];
        for state in states {
            let record = sample(state);
            assert_eq!(decode_task(id(), &encode_task(&record)).unwrap(), record);
        }
        let piece = PieceEntry {
            crc32: 0xdead_beef,
            traffic: TrafficType::RemotePeer,
            parent: Some("10.0.0.1-node-x".parse().unwrap()),
            attempt: 0,
        };
        assert_eq!(decode_piece(&encode_piece(&piece)).unwrap(), piece);
    }

    #[test]
    fn the_bytes_on_the_disk_do_not_change_by_accident() {
        let piece = PieceEntry {
            crc32: 300,
            traffic: TrafficType::LocalPeer,
            parent: Some("p".parse().unwrap()),
            attempt: 7,
        };
        assert_eq!(encode_piece(&piece), [1, 0xac, 2, 2, 1, 1, b'p']);
        assert_eq!(&piece_key(&id(), PieceNumber(258))[64..], [b'/', 0, 0, 1, 2]);
    }

    #[test]
    fn a_record_from_before_replicas_is_read() {
        let record = TaskRecord {
            policy: Policy::Standard,
            ..sample(TaskState::Partial)
        };
        let mut bytes = encode_task(&record);
        // The standard policy is written as it was.
        bytes[0] = TASK_VERSION_1;
        assert_eq!(decode_task(id(), &bytes).unwrap(), record);
    }

    #[test]
    fn an_unknown_version_is_named_with_the_remedy() {
        let mut bytes = encode_task(&sample(TaskState::Partial));
        bytes[0] = 9;
        let Err(DecodeError::Version(error)) = decode_task(id(), &bytes) else {
            panic!("version 9 was accepted");
        };
        let text = error.to_string();
        assert!(text.contains("format 9") && text.contains("keep=false"), "{text}");
    }

    #[test]
    fn piece_keys_parse_back() {
        let key = piece_key(&id(), PieceNumber(u32::MAX));
        assert_eq!(parse_piece_key(&key), Some((id(), PieceNumber(u32::MAX))));
        assert_eq!(parse_piece_key(&key[1..]), None);
        assert_eq!(parse_piece_key(b"abc"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let versioned = |version| [&[version], &bytes[..]].concat();
            for input in [&bytes, &versioned(1), &versioned(2)] {
                drop(decode_task(id(), input));
                drop(decode_piece(input));
                parse_piece_key(input);
            }
        }
    }
}
