//! Writing one piece: bytes go to the disk while more arrive, are checked at the end, and only then the piece is there.
//!
//! A writer hands its bytes to a blocking thread that writes and checksums whatever has gathered and ends when nothing
//! has: a slow sender's bytes are on the disk at once, a fast sender's go there in large batches.

use crate::format::PieceEntry;
use crate::pin::Opened;
use crate::storage::blocking;
use crate::task::lock;
use crate::{Error, PieceRecord, TaskRecord};
use bytes::Bytes;
use dragonfly_model::{PeerId, PieceSpan, TrafficType};
use rustix::io::Errno;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tokio::sync::Notify;

/// Writes one piece. Dropped before it was committed, the piece was never there; others can begin it as soon as the
/// bytes already handed over have been written, which [`changes`](crate::Pin::changes) tells.
#[must_use]
pub struct PieceWriter {
    job: Arc<Job>,
    traffic: TrafficType,
    parent: Option<PeerId>,
    accepted: u64,
}

/// What the writer shares with the thread that writes for it. The piece is let go with the last of the two, so that no
/// late write can hit the piece of a later writer.
struct Job {
    opened: Arc<Opened>,
    span: PieceSpan,
    attempt: u64,
    queue: Mutex<Queue>,
    /// Told whenever bytes were written or failed to be.
    moved: Notify,
}

#[derive(Default)]
struct Queue {
    chunks: Vec<Bytes>,
    /// Bytes handed over and not yet written.
    pending: usize,
    written: u64,
    crc: crc32fast::Hasher,
    /// Whether a thread is at work.
    running: bool,
    failed: Option<Errno>,
}

impl PieceWriter {
    pub(crate) fn new(
        opened: &Arc<Opened>,
        span: PieceSpan,
        attempt: u64,
        traffic: TrafficType,
        parent: Option<PeerId>,
    ) -> Self {
        let job = Job {
            opened: opened.clone(),
            span,
            attempt,
            queue: Mutex::default(),
            moved: Notify::new(),
        };
        Self {
            job: Arc::new(job),
            traffic,
            parent,
            accepted: 0,
        }
    }

    /// Where the piece lies.
    pub fn span(&self) -> PieceSpan {
        self.job.span
    }

    /// Takes the piece's next bytes; waits while more than the write buffer are on their way to the disk. Fails if the
    /// piece would become too long, if the task has ended, or if the disk failed.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.accepted += bytes.len() as u64;
        if self.accepted > self.job.span.length {
            return Err(self.wrong_length(self.job.span.length, self.accepted));
        }
        self.job.opened.task.check_alive()?;
        if bytes.is_empty() {
            return Ok(());
        }
        Job::push(&self.job, bytes);
        let limit = self.job.opened.shared.write_buffer;
        self.job.wait(|queue| queue.pending <= limit).await
    }

    /// How many bytes are on the disk.
    pub fn written(&self) -> u64 {
        lock(&self.job.queue).written
    }

    /// Ends the piece: waits for its bytes, compares their number and (if given) their CRC-32, and records the piece.
    /// Dropped while it waits, this leaves the piece either present or absent.
    pub async fn commit(self, expected_crc32: Option<u32>) -> Result<PieceRecord, Error> {
        self.job.wait(|queue| queue.pending == 0).await?;
        // The content length may have become known since the piece was begun, and with it the piece be the short last.
        let number = self.job.span.number;
        let span = self.job.opened.task.span(number).unwrap_or(self.job.span);
        if self.accepted != span.length {
            return Err(self.wrong_length(span.length, self.accepted));
        }
        let crc32 = self.crc32();
        if let Some(expected) = expected_crc32
            && expected != crc32
        {
            return Err(Error::Crc {
                number,
                expected,
                found: crc32,
            });
        }
        self.record(span, None).await
    }

    /// Ends the last piece of a content whose length was unknown: the content ends with the bytes written. If none
    /// were written, it ends with the piece before, and there is no record of this one.
    pub async fn commit_as_last(self) -> Result<Option<PieceRecord>, Error> {
        self.job.wait(|queue| queue.pending == 0).await?;
        let span = PieceSpan {
            length: self.accepted,
            ..self.job.span
        };
        let length = span.offset + span.length;
        if self.accepted == 0 {
            crate::Pin::new(self.job.opened.clone()).set_content_length(length)?;
            return Ok(None);
        }
        self.record(span, Some(length)).await.map(Some)
    }

    async fn record(self, span: PieceSpan, content_length: Option<u64>) -> Result<PieceRecord, Error> {
        let entry = PieceEntry {
            crc32: self.crc32(),
            traffic: self.traffic,
            parent: self.parent.clone(),
            attempt: self.job.attempt,
        };
        let runtime = self.job.opened.shared.runtime.clone();
        blocking(&runtime, move || self.job.opened.record(span, entry, content_length)).await
    }

    fn crc32(&self) -> u32 {
        lock(&self.job.queue).crc.clone().finalize()
    }

    fn wrong_length(&self, expected: u64, found: u64) -> Error {
        Error::Length {
            number: self.job.span.number,
            expected,
            found,
        }
    }
}

impl Job {
    /// Hands bytes over, and sees to it that a thread is at work.
    fn push(job: &Arc<Self>, bytes: Bytes) {
        let mut queue = lock(&job.queue);
        queue.pending += bytes.len();
        queue.chunks.push(bytes);
        if !std::mem::replace(&mut queue.running, true) {
            let worker = job.clone();
            drop(job.opened.shared.runtime.spawn_blocking(move || worker.work()));
        }
    }

    /// Writes until nothing is left to write.
    fn work(&self) {
        loop {
            let mut queue = lock(&self.queue);
            if queue.chunks.is_empty() || queue.failed.is_some() {
                queue.running = false;
                return;
            }
            let chunks = std::mem::take(&mut queue.chunks);
            let at = queue.written;
            let mut crc = queue.crc.clone();
            drop(queue);

            let result = self.opened.write(&chunks, self.span, at);
            chunks.iter().for_each(|chunk| crc.update(chunk));
            let length: usize = chunks.iter().map(Bytes::len).sum();

            let mut queue = lock(&self.queue);
            match result {
                Ok(()) => {
                    queue.crc = crc;
                    queue.written += length as u64;
                    queue.pending -= length;
                    self.opened.task.progress(self.span.number, queue.written);
                }
                Err(errno) => queue.failed = Some(errno),
            }
            drop(queue);
            self.moved.notify_one();
        }
    }

    /// Waits until the queue is as wanted, or the disk failed.
    async fn wait(&self, wanted: impl Fn(&Queue) -> bool) -> Result<(), Error> {
        loop {
            {
                let queue = lock(&self.queue);
                if let Some(errno) = queue.failed {
                    let path = self.opened.shared.content.path_of(self.opened.task.id());
                    return Err(Error::io("writing", &path, errno));
                }
                if wanted(&queue) {
                    return Ok(());
                }
            }
            self.moved.notified().await;
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Nothing to abandon if the piece was recorded.
        self.opened.task.abandon(self.span.number);
    }
}

impl Opened {
    /// Records a piece whose bytes are written and checked; with it the content's length if the piece is the last.
    fn record(&self, span: PieceSpan, entry: PieceEntry, content_length: Option<u64>) -> Result<PieceRecord, Error> {
        let _stripe = self.shared.stripe(self.task.id())?;
        self.task.check_alive()?;
        let record = match content_length {
            Some(length) => Some(TaskRecord {
                updated_at: SystemTime::now(),
                ..self.task.with_length(length)?
            }),
            // The length may have become known since the piece's own was compared.
            None if self.task.span(span.number) != Some(span) => {
                return Err(Error::Length {
                    number: span.number,
                    expected: self.task.span(span.number).map_or(0, |span| span.length),
                    found: span.length,
                });
            }
            None => None,
        };
        let metadata = &self.shared.metadata;
        metadata.put_piece(self.task.id(), span.number, &entry, record.as_ref())?;
        self.task.arrived(span.number, entry.clone(), record);
        Ok(PieceRecord {
            span,
            crc32: entry.crc32,
            traffic: entry.traffic,
            parent: entry.parent,
            attempt: entry.attempt,
        })
    }
}

impl std::fmt::Debug for PieceWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PieceWriter")
            .field("task", self.job.opened.task.id())
            .field("span", &self.job.span)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BeginError, Config, NewTask, Pin, Storage};
    use dragonfly_model::{PieceNumber, Policy, TaskId};
    use std::path::Path;

    const SPAN: PieceSpan = PieceSpan {
        number: PieceNumber(0),
        offset: 0,
        length: 8,
    };

    async fn storage(dir: &Path) -> (Storage, TaskId) {
        let config = Config {
            dir: dir.to_owned(),
            keep: true,
            write_buffer: 4,
        };
        let (storage, _) = Storage::open(config).await.unwrap();
        (storage, TaskId::parse(&"a".repeat(64)).unwrap())
    }

    fn pin(storage: &Storage, id: &TaskId) -> Pin {
        let task = NewTask {
            url: "http://origin.example/".to_owned(),
            tag: None,
            application: None,
            piece_length: SPAN.length,
            content_length: Some(SPAN.length),
            response_headers: Vec::new(),
            digest: None,
            policy: Policy::Standard,
        };
        storage.pin_or_create(id, task).unwrap()
    }

    #[tokio::test]
    async fn a_write_that_fails_leaves_no_piece() {
        let dir = tempfile::tempdir().unwrap();
        let (storage, id) = storage(dir.path()).await;
        let pin = pin(&storage, &id);
        // The kernel refuses writes to a file that was opened for reading.
        let broken = std::fs::File::open(pin.opened().shared.content.path_of(&id)).unwrap();
        let opened = Arc::new(Opened {
            shared: pin.opened().shared.clone(),
            task: pin.opened().task.clone(),
            file: Arc::new(broken),
        });
        let attempt = opened.task.begin(SPAN, TrafficType::BackToSource).unwrap();
        let mut writer = PieceWriter::new(&opened, SPAN, attempt, TrafficType::BackToSource, None);
        // The failure may show while the bytes are handed over, and shows at the end at the latest.
        let mut failed = None;
        for half in [b"abcd", b"efgh"] {
            failed = failed.or(writer.write(Bytes::from_static(half)).await.err());
        }
        let error = match writer.commit(None).await {
            Err(error) => failed.unwrap_or(error),
            Ok(piece) => panic!("recorded without its bytes: {piece:?}"),
        };
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        assert_eq!(error.fault(), crate::Fault::Disk);
        assert!(pin.pieces().is_empty());

        // The disk works again: so does the task.
        let mut changes = pin.changes();
        while pin.arriving(SPAN.number).is_some() {
            changes.changed().await.unwrap();
        }
        let mut writer = pin.begin_piece(SPAN, TrafficType::BackToSource, None).unwrap();
        writer.write(Bytes::from_static(b"abcdefgh")).await.unwrap();
        writer.commit(None).await.unwrap();
        pin.finish().await.unwrap();
    }

    #[tokio::test]
    async fn no_piece_is_begun_in_the_room_that_the_records_need() {
        let dir = tempfile::tempdir().unwrap();
        let (mut storage, id) = storage(dir.path()).await;
        storage.set_reserve(u64::MAX);
        let pin = pin(&storage, &id);
        let begun = pin.begin_piece(SPAN, TrafficType::BackToSource, None);
        assert!(matches!(begun, Err(BeginError::Disk(Error::DiskFull { .. }))));
        assert!(pin.arriving(SPAN.number).is_none());
    }
}
