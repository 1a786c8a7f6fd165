//! Holding a task: the right to read its bytes and to write its missing pieces.

use crate::storage::{Shared, blocking};
use crate::task::{Task, lock};
use crate::{Arriving, BeginError, Error, PieceRecord, PieceSet, PieceWriter, TaskRecord, TaskState};
use bytes::Bytes;
use dragonfly_model::{Digest, PeerId, PieceLayout, PieceNumber, PieceSpan, Policy, TaskId, TrafficType};
use rustix::io::{Errno, ReadWriteFlags};
use std::fs::File;
use std::io::IoSliceMut;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::watch;

/// Keeps a task's bytes while it is held, though the task be removed. Clones hold too.
#[must_use]
#[derive(Clone)]
pub struct Pin {
    opened: Arc<Opened>,
}

/// A task with its open file: one for all pins of the task. The bytes of a removed task go when the file is closed.
pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) task: Arc<Task>,
    pub(crate) file: Arc<File>,
}

impl Opened {
    pub(crate) fn new(shared: &Arc<Shared>, task: &Arc<Task>, file: File) -> Arc<Self> {
        let opened = Arc::new(Self {
            shared: shared.clone(),
            task: task.clone(),
            file: Arc::new(file),
        });
        *lock(&task.opened) = Arc::downgrade(&opened);
        opened
    }

    /// The open task, opened if nobody had it open; `None` if its file is gone, or may be another task's by now.
    pub(crate) fn of(shared: &Arc<Shared>, task: &Arc<Task>) -> Result<Option<Arc<Self>>, Error> {
        let mut slot = lock(&task.opened);
        if let Some(opened) = slot.upgrade() {
            return Ok(Some(opened));
        }
        let Some(file) = shared.content.find(task.id())? else {
            return Ok(None);
        };
        // A task is marked before its name is free for a new one's file.
        if task.check_alive().is_err() {
            return Ok(None);
        }
        let opened = Arc::new(Self {
            shared: shared.clone(),
            task: task.clone(),
            file: Arc::new(file),
        });
        *slot = Arc::downgrade(&opened);
        Ok(Some(opened))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if self.task.check_alive().is_err() {
            // Closing the file frees its blocks, which takes a while for a large one: not on a runtime thread.
            let file = self.file.clone();
            drop(self.shared.runtime.spawn_blocking(move || drop(file)));
        }
    }
}

impl Pin {
    pub(crate) fn new(opened: Arc<Opened>) -> Self {
        Self { opened }
    }

    /// Which task is held.
    pub fn id(&self) -> &TaskId {
        self.task().id()
    }

    /// What is kept of the task.
    pub fn record(&self) -> TaskRecord {
        self.task().record()
    }

    /// Bytes of every piece but the last.
    pub fn piece_length(&self) -> u64 {
        self.task().piece_length()
    }

    /// Bytes of the content, once known.
    pub fn content_length(&self) -> Option<u64> {
        self.task().content_length()
    }

    /// How the content is cut, once its length is known.
    pub fn layout(&self) -> Option<PieceLayout> {
        PieceLayout::new(self.piece_length(), self.content_length()?)
    }

    /// Whether the task was removed or quarantined: it takes no more pieces.
    pub fn is_gone(&self) -> bool {
        self.task().check_alive().is_err()
    }

    /// Records the length of the content; it is then known for good. Fails if another is known or if a piece that is
    /// present would not fit.
    pub fn set_content_length(&self, length: u64) -> Result<(), Error> {
        self.change(|task| {
            let record = task.with_length(length)?;
            Ok((task.content_length() != Some(length)).then_some(record))
        })
    }

    /// Records what the origin said about the content.
    pub fn set_response_headers(&self, headers: Vec<(String, String)>) -> Result<(), Error> {
        self.change(|task| {
            let record = task.record();
            Ok((record.response_headers != headers).then_some(TaskRecord {
                response_headers: headers,
                ..record
            }))
        })
    }

    /// Records the digest of a content that had none when it was begun.
    pub fn set_digest(&self, digest: Digest) -> Result<(), Error> {
        self.change(|task| {
            let record = task.record();
            Ok((record.digest.as_ref() != Some(&digest)).then_some(TaskRecord {
                digest: Some(digest),
                ..record
            }))
        })
    }

    /// Records how long the task is kept from now on.
    pub fn set_policy(&self, policy: Policy) -> Result<(), Error> {
        self.change(|task| {
            let record = task.record();
            Ok((record.policy != policy).then_some(TaskRecord { policy, ..record }))
        })
    }

    /// The pieces that are present now.
    pub fn pieces(&self) -> PieceSet {
        self.task().pieces()
    }

    /// What is known of a piece that is present.
    pub fn piece(&self, number: PieceNumber) -> Option<PieceRecord> {
        self.task().piece(number)
    }

    /// The piece to give to somebody whom any of these would serve: the present one that was given least often, so that
    /// all pieces are soon among many. It counts as given from now on.
    pub fn give(&self, any_of: &[PieceNumber]) -> Option<PieceRecord> {
        self.task().give(any_of)
    }

    /// How far a piece is that is being written now.
    pub fn arriving(&self, number: PieceNumber) -> Option<Arriving> {
        self.task().arriving(number)
    }

    /// A counter that grows with every progress of the task: bytes or a piece written, a piece begun or abandoned, the
    /// record changed, the task finished, quarantined or removed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.task().changes()
    }

    /// Begins a piece that nobody else is writing. `traffic` and `parent` say where the bytes come from.
    pub fn begin_piece(
        &self,
        span: PieceSpan,
        traffic: TrafficType,
        parent: Option<PeerId>,
    ) -> Result<PieceWriter, BeginError> {
        self.opened.shared.check_room().map_err(BeginError::Disk)?;
        let attempt = self.task().begin(span, traffic)?;
        Ok(PieceWriter::new(&self.opened, span, attempt, traffic, parent))
    }

    /// Records that the task is finished, after its bytes were put on the disk. Fails if a piece is missing. A task that
    /// is kept outlives a power failure from then on, any other from the next [`flush`](crate::Storage::flush) on.
    pub async fn finish(&self) -> Result<(), Error> {
        let opened = self.opened.clone();
        blocking(&self.opened.shared.runtime, move || opened.finish()).await
    }

    /// Ends a content that was found wrong: it is never served again, its bytes are removed, and
    /// [`pin_or_create`](crate::Storage::pin_or_create) begins the task afresh.
    pub async fn quarantine(&self, reason: &str) -> Result<(), Error> {
        let (opened, reason) = (self.opened.clone(), reason.to_owned());
        blocking(&self.opened.shared.runtime, move || opened.quarantine(reason)).await
    }

    /// Reads at most `max_len` bytes from `offset`, as far as they are present or arriving without a gap; empty only
    /// at the end of the content. Bytes of an arriving piece are not checked yet: see [`Arriving::attempt`].
    pub async fn read(&self, offset: u64, max_len: usize) -> Result<Bytes, Error> {
        let readable = self.task().readable(offset)?;
        let length = usize::try_from(readable).map_or(max_len, |readable| readable.min(max_len));
        if length == 0 {
            return Ok(Bytes::new());
        }
        let mut buffer = vec![0; length];
        // What is in the page cache comes at once; only for what isn't another thread waits.
        let cached = rustix::io::preadv2(
            &self.opened.file,
            &mut [IoSliceMut::new(&mut buffer)],
            offset,
            ReadWriteFlags::NOWAIT,
        );
        if let Ok(read @ 1..) = cached {
            buffer.truncate(read);
            return Ok(buffer.into());
        }
        let opened = self.opened.clone();
        blocking(&self.opened.shared.runtime, move || {
            opened.read(&mut buffer, offset)?;
            Ok(buffer.into())
        })
        .await
    }

    /// The content file, in which every piece lies at its offset. Read only what [`piece`](Self::piece) or
    /// [`arriving`](Self::arriving) says is there.
    pub fn content_file(&self) -> Arc<File> {
        self.opened.file.clone()
    }

    /// Notes that the task is used now. Held in memory until [`flush`](crate::Storage::flush) or another change.
    pub fn touch(&self) {
        self.task().touch();
    }

    pub(crate) fn opened(&self) -> &Arc<Opened> {
        &self.opened
    }

    fn task(&self) -> &Task {
        &self.opened.task
    }

    /// Records what `change` makes of the task's record, if anything.
    fn change(&self, change: impl FnOnce(&Task) -> Result<Option<TaskRecord>, Error>) -> Result<(), Error> {
        let _stripe = self.opened.shared.stripe(self.id())?;
        self.task().check_alive()?;
        let Some(mut record) = change(self.task())? else {
            return Ok(());
        };
        record.updated_at = SystemTime::now();
        self.opened.shared.metadata.put_task(&record)?;
        self.task().set_record(record);
        Ok(())
    }
}

impl Opened {
    fn finish(&self) -> Result<(), Error> {
        let failed = |e: std::io::Error| Error::io("syncing", &self.shared.content.path_of(self.task.id()), e);
        self.task.check_alive()?;
        // Pieces are only added, so none can be written to once all are present.
        let layout = self.task.complete()?;
        if self.task.record().is_finished() {
            return Ok(());
        }
        // Gives back what was reserved behind the last piece of a content whose length was unknown.
        self.file.set_len(layout.content_length()).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        self.shared.content.sync_entry(self.task.id())?;
        let _stripe = self.shared.stripe(self.task.id())?;
        self.task.check_alive()?;
        let now = SystemTime::now();
        let record = TaskRecord {
            state: TaskState::Finished { at: now },
            updated_at: now,
            ..self.task.record()
        };
        self.shared.metadata.put_task(&record)?;
        if record.policy != Policy::Standard {
            self.shared.metadata.sync()?;
        }
        self.task.set_record(record);
        Ok(())
    }

    fn quarantine(&self, reason: String) -> Result<(), Error> {
        let stripe = self.shared.stripe(self.task.id());
        let now = SystemTime::now();
        let record = TaskRecord {
            state: TaskState::Quarantined { at: now, reason },
            updated_at: now,
            ..self.task.record()
        };
        // The readers are told first, and also if nothing can be recorded.
        let removed = self.task.is_gone();
        self.task.set_quarantined(record.clone());
        let _stripe = stripe?;
        if removed {
            return Ok(());
        }
        self.shared.metadata.clear_task(self.task.id(), Some(&record))?;
        // Not even a power failure brings it back.
        self.shared.metadata.sync()?;
        self.shared.content.unlink(self.task.id())
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        use std::os::unix::fs::FileExt;
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|e| Error::io("reading", &self.shared.content.path_of(self.task.id()), e))
    }

    /// Reserves the room of a piece and writes into it.
    pub(crate) fn write(&self, chunks: &[Bytes], span: PieceSpan, at: u64) -> Result<(), Errno> {
        if at == 0 {
            crate::files::preallocate(&self.file, span)?;
        }
        crate::files::write_all_at(&self.file, chunks, span.offset + at)
    }
}

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pin").field(self.id()).finish()
    }
}
