//! The facts that storage keeps of tasks and pieces, as its callers see them.

use dragonfly_model::{Digest, PeerId, PieceLayout, PieceSpan, Policy, TaskId, TrafficType};
use std::fmt;
use std::time::SystemTime;

/// What is known of a content when its first byte is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Where the content comes from.
    pub url: String,
    /// The caller's tag.
    pub tag: Option<String>,
    /// The caller's application.
    pub application: Option<String>,
    /// Bytes of every piece but the last.
    pub piece_length: u64,
    /// Bytes of the content, once known.
    pub content_length: Option<u64>,
    /// What the origin said about the content; replayed to later callers.
    pub response_headers: Vec<(String, String)>,
    /// Digest of the whole content, if known.
    pub digest: Option<Digest>,
    /// How long it is kept.
    pub policy: Policy,
}

/// How far a task has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// Pieces may be missing.
    Partial,
    /// The whole content is on the disk.
    Finished {
        /// Since when.
        at: SystemTime,
    },
    /// The content was found wrong and is never served again.
    Quarantined {
        /// Since when.
        at: SystemTime,
        /// What was found wrong.
        reason: String,
    },
}

/// Everything that is kept of a task but its pieces.
#[derive(Clone, PartialEq, Eq)]
pub struct TaskRecord {
    /// Which task.
    pub id: TaskId,
    /// Where the content comes from.
    pub url: String,
    /// The caller's tag.
    pub tag: Option<String>,
    /// The caller's application.
    pub application: Option<String>,
    /// Bytes of every piece but the last.
    pub piece_length: u64,
    /// Bytes of the content, once known.
    pub content_length: Option<u64>,
    /// What the origin said about the content.
    pub response_headers: Vec<(String, String)>,
    /// Digest of the whole content, if known.
    pub digest: Option<Digest>,
    /// How long it is kept.
    pub policy: Policy,
    /// How far it has come.
    pub state: TaskState,
    /// When the task was first asked for.
    pub created_at: SystemTime,
    /// When its record last changed.
    pub updated_at: SystemTime,
    /// When it was last asked for or served; after a crash as of the last flush.
    pub used_at: SystemTime,
}

impl TaskRecord {
    pub(crate) fn new(id: TaskId, task: NewTask, now: SystemTime) -> Self {
        Self {
            id,
            url: task.url,
            tag: task.tag,
            application: task.application,
            piece_length: task.piece_length,
            content_length: task.content_length,
            response_headers: task.response_headers,
            digest: task.digest,
            policy: task.policy,
            state: TaskState::Partial,
            created_at: now,
            updated_at: now,
            used_at: now,
        }
    }

    /// How the content is cut, once its length is known.
    pub fn layout(&self) -> Option<PieceLayout> {
        PieceLayout::new(self.piece_length, self.content_length?)
    }

    /// Whether the whole content is on the disk.
    pub fn is_finished(&self) -> bool {
        matches!(self.state, TaskState::Finished { .. })
    }

    /// Whether the content was found wrong.
    pub fn is_quarantined(&self) -> bool {
        matches!(self.state, TaskState::Quarantined { .. })
    }
}

/// A piece that is on the disk, its checksum held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PieceRecord {
    /// Where it lies in the content, and so in the content file.
    pub span: PieceSpan,
    /// CRC-32 (IEEE) of its bytes.
    pub crc32: u32,
    /// Where its bytes came from.
    pub traffic: TrafficType,
    /// Who sent them, if it was a peer.
    pub parent: Option<PeerId>,
    /// Which writing attempt put it here (see [`Arriving::attempt`]); 0 if it was here when the storage was opened.
    pub attempt: u64,
}

/// A piece that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arriving {
    /// Its first bytes, this many, are readable.
    pub written: u64,
    /// Where its bytes come from.
    pub traffic: TrafficType,
    /// Counts the writers of this task from 1. Who reads a piece while it arrives compares it with the
    /// [`PieceRecord::attempt`] at the end: if they differ, the bytes read were not those that passed the check.
    pub attempt: u64,
}

/// A URL without its query, which may carry a signature.
struct WithoutQuery<'a>(&'a str);

impl fmt::Debug for WithoutQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once('?') {
            Some((path, _)) => write!(f, "{path:?}?…"),
            None => write!(f, "{:?}", self.0),
        }
    }
}

impl fmt::Debug for NewTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewTask")
            .field("url", &WithoutQuery(&self.url))
            .field("piece_length", &self.piece_length)
            .field("content_length", &self.content_length)
            .field("digest", &self.digest)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TaskRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRecord")
            .field("id", &self.id)
            .field("url", &WithoutQuery(&self.url))
            .field("piece_length", &self.piece_length)
            .field("content_length", &self.content_length)
            .field("digest", &self.digest)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_query_is_not_printed() {
        let task = NewTask {
            url: "https://bucket.example/key?X-Amz-Signature=secret".to_owned(),
            tag: None,
            application: None,
            piece_length: 1,
            content_length: None,
            response_headers: vec![("x-token".to_owned(), "secret".to_owned())],
            digest: None,
            policy: Policy::Standard,
        };
        let id = TaskId::parse(&"a".repeat(64)).unwrap();
        let record = TaskRecord::new(id, task.clone(), SystemTime::UNIX_EPOCH);
        for text in [format!("{task:?}"), format!("{record:?}")] {
            assert!(text.contains("bucket.example/key"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
