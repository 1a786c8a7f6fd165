//! The handle of the storage, and the table of tasks behind it.

use crate::files::ContentDir;
use crate::metadata::Metadata;
use crate::pin::Opened;
use crate::task::{Task, lock};
use crate::{Error, NewTask, Pin, Recovery, TaskRecord, TaskState, recovery};
use dragonfly_model::{PieceLayout, TaskId};
use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;
use tokio::runtime::Handle as Runtime;

/// Pieces that a task may have at most: 16 TiB in the smallest pieces. It bounds the bitmaps that a stranger's
/// announced length makes us hold.
pub(crate) const MAX_PIECES: u32 = 1 << 22;
/// Room that content leaves to the metadata store, in bytes: a store whose journal can't grow takes no more records.
const METADATA_RESERVE: u64 = 32 << 20;
const STRIPES: usize = 64;

/// Where and how to keep.
#[derive(Debug, Clone)]
pub struct Config {
    /// The storage directory; made if it isn't there.
    pub dir: PathBuf,
    /// Whether to begin with what the last run kept; otherwise everything is removed first.
    pub keep: bool,
    /// Bytes that a piece writer takes before it waits for the disk.
    pub write_buffer: usize,
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tasks, quarantined ones included.
    pub tasks: usize,
    /// Bytes of all pieces that are present.
    pub content_bytes: u64,
}

/// The storage of one peer. Clones are handles of the same one; it is let go with the last handle, pin and writer.
#[derive(Clone)]
pub struct Storage {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) metadata: Metadata,
    pub(crate) content: ContentDir,
    pub(crate) runtime: Runtime,
    pub(crate) write_buffer: usize,
    reserve: u64,
    tasks: RwLock<HashMap<TaskId, Arc<Task>>>,
    /// Whoever changes what is on record of a task, or its file's name, holds the task's stripe.
    stripes: [Mutex<()>; STRIPES],
    hasher: RandomState,
    closed: AtomicBool,
    /// Locked for this process; let go when it is closed.
    _lock: File,
}

impl Storage {
    /// Opens the storage, makes it if there is none, and repairs what a crash left.
    ///
    /// Must be called inside a tokio runtime, which then runs the disk work.
    pub async fn open(config: Config) -> Result<(Self, Recovery), Error> {
        let runtime = Runtime::current();
        let opening = runtime.clone();
        let (shared, recovery) = blocking(&runtime, move || recovery::open(config, opening)).await?;
        let shared = Arc::new(shared);
        Ok((Self { shared }, recovery))
    }

    /// Pins a task, so that its bytes stay; `None` if it isn't here or is quarantined, or if its file can't be opened
    /// (which is logged).
    pub fn pin(&self, id: &TaskId) -> Option<Pin> {
        match self.try_pin(id) {
            Ok(pin) => pin,
            Err(error) => {
                tracing::warn!(task.id = %id, error = &error as &dyn std::error::Error, "a task can't be pinned");
                None
            }
        }
    }

    /// Pins a task, which is begun with `task` if it isn't here or was quarantined. What is known of an existing task
    /// stays; compare the pin's piece and content length with what is wanted.
    pub fn pin_or_create(&self, id: &TaskId, task: NewTask) -> Result<Pin, Error> {
        check_layout(task.piece_length, task.content_length)?;
        loop {
            if let Some(pin) = self.try_pin(id)? {
                return Ok(pin);
            }
            let _stripe = self.shared.stripe(id)?;
            if self.shared.task(id).is_some_and(|known| !known.is_quarantined()) {
                continue;
            }
            let file = self.shared.content.create(id)?;
            let record = TaskRecord::new(id.clone(), task, SystemTime::now());
            self.shared.metadata.clear_task(id, Some(&record))?;
            let task = Arc::new(Task::new(record, Vec::new()));
            let opened = Opened::new(&self.shared, &task, file);
            self.shared.write_tasks().insert(id.clone(), task);
            return Ok(Pin::new(opened));
        }
    }

    fn try_pin(&self, id: &TaskId) -> Result<Option<Pin>, Error> {
        while let Some(task) = self.shared.task(id).filter(|task| !task.is_quarantined()) {
            match Opened::of(&self.shared, &task)? {
                Some(opened) => return Ok(Some(Pin::new(opened))),
                // It was removed meanwhile, and perhaps made anew.
                None if task.is_gone() => {}
                None => self.shared.forget(&task)?,
            }
        }
        Ok(None)
    }

    /// Every task, in no order.
    pub fn list(&self) -> Vec<TaskRecord> {
        self.shared.read_tasks().values().map(|task| task.record()).collect()
    }

    /// Removes a task: it is unlisted at once, its bytes go with the last pin. `false` if it wasn't here.
    pub async fn remove(&self, id: &TaskId) -> Result<bool, Error> {
        let (shared, id) = (self.shared.clone(), id.clone());
        blocking(&self.shared.runtime, move || shared.remove(&id)).await
    }

    /// How much is kept.
    pub fn usage(&self) -> Usage {
        let tasks = self.shared.read_tasks();
        Usage {
            tasks: tasks.len(),
            content_bytes: tasks.values().map(|task| task.bytes()).sum(),
        }
    }

    /// Bytes of a task that are present; 0 if it isn't here.
    pub fn bytes_of(&self, id: &TaskId) -> u64 {
        self.shared.task(id).map_or(0, |task| task.bytes())
    }

    /// Bytes that the file system still takes of content, with what the metadata store needs left over.
    pub fn available(&self) -> Result<u64, Error> {
        Ok(self.shared.content.available()?.saturating_sub(self.shared.reserve))
    }

    /// Records when tasks were last used (see [`Pin::touch`]), and puts all records on the disk, so that a power failure
    /// forgets none from before. Call it now and then.
    pub async fn flush(&self) -> Result<(), Error> {
        let shared = self.shared.clone();
        blocking(&self.shared.runtime, move || shared.flush_used()).await
    }

    /// Puts everything on the disk and marks the storage clean, so that the next start trusts it. Afterwards nothing
    /// is recorded any more: writers fail, readers still read.
    pub async fn close(&self) -> Result<(), Error> {
        let shared = self.shared.clone();
        blocking(&self.shared.runtime, move || shared.close()).await
    }
}

#[cfg(test)]
impl Storage {
    /// Makes the disk look full; before anything else has a handle.
    pub(crate) fn set_reserve(&mut self, bytes: u64) {
        Arc::get_mut(&mut self.shared).expect("the only handle").reserve = bytes;
    }
}

impl Shared {
    pub(crate) fn new(config: &Config, lock: File, metadata: Metadata, content: ContentDir, runtime: Runtime) -> Self {
        Self {
            metadata,
            content,
            runtime,
            write_buffer: config.write_buffer,
            reserve: METADATA_RESERVE,
            tasks: RwLock::default(),
            stripes: [const { Mutex::new(()) }; STRIPES],
            hasher: RandomState::new(),
            closed: AtomicBool::new(false),
            _lock: lock,
        }
    }

    pub(crate) fn add(&self, task: Task) {
        self.write_tasks().insert(task.id().clone(), Arc::new(task));
    }

    /// The right to change what is on record of a task.
    pub(crate) fn stripe(&self, id: &TaskId) -> Result<MutexGuard<'_, ()>, Error> {
        let at = self.hasher.hash_one(id) as usize % STRIPES;
        let guard = lock(&self.stripes[at]);
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        Ok(guard)
    }

    /// Whether there is room for content, with what the metadata store needs left over.
    pub(crate) fn check_room(&self) -> Result<(), Error> {
        if self.content.available()? < self.reserve {
            return Err(Error::DiskFull {
                doing: "beginning a piece",
            });
        }
        Ok(())
    }

    fn task(&self, id: &TaskId) -> Option<Arc<Task>> {
        self.read_tasks().get(id).cloned()
    }

    fn remove(&self, id: &TaskId) -> Result<bool, Error> {
        let _stripe = self.stripe(id)?;
        let Some(task) = self.task(id) else {
            return Ok(false);
        };
        self.drop_task(&task)?;
        Ok(true)
    }

    /// Drops a task whose file somebody removed by hand, unless the task ended meanwhile.
    fn forget(&self, task: &Task) -> Result<(), Error> {
        let _stripe = self.stripe(task.id())?;
        if task.is_gone() {
            return Ok(());
        }
        tracing::warn!(task.id = %task.id(), "the content file is missing, forgetting the task");
        self.drop_task(task)
    }

    /// Under the task's stripe. The records go first: a file without a record is removed at the next start. That they
    /// are gone is on the disk before their file's name is free: after a power failure they would vouch for another's.
    fn drop_task(&self, task: &Task) -> Result<(), Error> {
        self.metadata.clear_task(task.id(), None)?;
        self.metadata.sync()?;
        self.write_tasks().remove(task.id());
        task.set_gone();
        self.content.unlink(task.id())
    }

    fn flush_used(&self) -> Result<(), Error> {
        let tasks: Vec<_> = self.read_tasks().values().cloned().collect();
        for task in tasks {
            let _stripe = self.stripe(task.id())?;
            if !task.is_gone() && task.take_used() {
                self.metadata.put_task(&task.record())?;
            }
        }
        self.metadata.sync()
    }

    fn close(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.flush_used()?;
        self.closed.store(true, Ordering::Release);
        // Whoever was recording has done so when its stripe was free once.
        for stripe in &self.stripes {
            drop(lock(stripe));
        }
        let tasks: Vec<_> = self.read_tasks().values().cloned().collect();
        for task in tasks {
            if task.record().state == TaskState::Partial
                && let Some(file) = self.content.find(task.id())?
            {
                file.sync_data()
                    .map_err(|e| Error::io("syncing", &self.content.path_of(task.id()), e))?;
                self.content.sync_entry(task.id())?;
            }
        }
        self.metadata.mark_clean()
    }

    fn read_tasks(&self) -> std::sync::RwLockReadGuard<'_, HashMap<TaskId, Arc<Task>>> {
        self.tasks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_tasks(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<TaskId, Arc<Task>>> {
        self.tasks.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a content may be cut like this.
pub(crate) fn check_layout(piece_length: u64, content_length: Option<u64>) -> Result<(), Error> {
    let cut = PieceLayout::new(piece_length, content_length.unwrap_or(0));
    if cut.is_some_and(|layout| layout.count() <= MAX_PIECES) {
        return Ok(());
    }
    Err(Error::Layout {
        content_length,
        piece_length,
    })
}

/// Runs disk work off the runtime's own threads.
pub(crate) async fn blocking<T: Send + 'static>(
    runtime: &Runtime,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match runtime.spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(Error::Closed),
        },
    }
}
