//! Putting a content in that the cluster shall keep: this host takes its bytes, the scheduler then sees to its replicas.
//!
//! An import has its place in the table of downloads, so that nothing else of its id goes on here meanwhile. It ends whole or
//! leaves nothing behind.

use super::running::{Entry, Lease, Outcome};
use super::{Engine, Error as EngineError, Kept, Request};
use bytes::Bytes;
use dragonfly_api::common::PersistentCacheTask;
use dragonfly_api::scheduler::UploadPersistentCacheTaskStartedRequest;
use dragonfly_api::{PeerIds, Transferring};
use dragonfly_model::{CachedContent, PieceLayout, Policy, Priority, Replica, Subject, TaskId, TrafficType};
use dragonfly_storage as storage;
use dragonfly_storage::{BeginError, NewTask, Pin};
use futures::stream::{BoxStream, StreamExt};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tonic::Status;

/// What is put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// Its id, which the bytes must make unless a text made it.
    pub(crate) task_id: TaskId,
    pub(crate) named_by_text: bool,
    pub(crate) content_length: u64,
    /// If the caller chose one.
    pub(crate) piece_length: Option<u64>,
    pub(crate) tag: Option<String>,
    pub(crate) application: Option<String>,
    /// How many hosts shall keep it, for how long.
    pub(crate) replicas: u64,
    pub(crate) ttl: Duration,
}

/// Why nothing was put in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The cluster forbids it.
    #[error(transparent)]
    Refused(#[from] EngineError),
    /// The scheduler refused or does not answer.
    #[error("the scheduler did not take the task: {}", .0.message())]
    Scheduler(Status),
    /// Something is going on with this id.
    #[error("a content of this id is on its way to this host or just being put in; wait for that")]
    Busy,
    /// It can't be cut like this.
    #[error("{length} bytes can't be cut in pieces of {piece_length} bytes")]
    Layout { length: u64, piece_length: u64 },
    /// The bytes could not be read.
    #[error("can't read the file: {0}")]
    Read(#[source] io::Error),
    /// There are more or fewer bytes than were announced, or others than their id says.
    #[error("the file changed while it was read; import it again")]
    Changed,
    /// The disk.
    #[error("the local storage failed")]
    Storage(#[from] storage::Error),
    /// Nobody waits for it, or this peer ends.
    #[error("the import was broken off")]
    BrokenOff,
}

/// The bytes of a file, in order.
pub(crate) type Bytestream = BoxStream<'static, io::Result<Bytes>>;

impl Engine {
    /// Puts a content in, unless `broken_off` comes first. The task as the scheduler knows it then.
    pub(crate) async fn import(
        &self,
        import: Import,
        bytes: Bytestream,
        broken_off: impl Future<Output = ()>,
    ) -> Result<PersistentCacheTask, Error> {
        self.admit_kept(
            Transferring::Upload,
            &Subject {
                url: "",
                tag: import.tag.as_deref(),
                application: import.application.as_deref(),
                priority: Priority::default(),
            },
        )?;
        let Entry::Start(lease, _) = self.enter(&import.request()?) else {
            return Err(Error::Busy);
        };
        let ended = Ended {
            engine: self.clone(),
            lease,
        };
        let ids = PeerIds {
            host: self.inner.parts.identity.host_id.clone(),
            task: import.task_id.clone(),
            peer: ended.lease.shared.peer.clone(),
        };
        let claimed = self.inner.claim(&import.task_id, import.content_length).await;
        let _claim = claimed.map_err(EngineError::from)?;
        let cluster = &self.inner.parts.cluster;
        let started = cluster.upload_started(import.started(&ids)?).await;
        started.map_err(Error::Scheduler)?;
        let putting = async {
            let pin = self.store(&import, &ended.lease, bytes).await?;
            let task = cluster.upload_finished(&ids).await.map_err(Error::Scheduler)?;
            // The scheduler's clock says when it is over.
            if let Some(ends_at) = ends_at(&task) {
                let replica = import.replica(&ids, ends_at);
                pin.set_policy(Policy::PersistentCache(replica))?;
            }
            Ok(task)
        };
        let put = tokio::select! {
            put = putting => put,
            () = broken_off => Err(Error::BrokenOff),
        };
        if let Err(error) = &put {
            self.take_back(&ids, error).await;
        }
        put
    }

    async fn take_back(&self, ids: &PeerIds, error: &Error) {
        tracing::warn!(task.id = %ids.task, error = error as &dyn std::error::Error, "nothing was put in");
        if let Err(error) = self.inner.parts.storage.remove(&ids.task).await {
            tracing::warn!(task.id = %ids.task, %error, "what was put in of a task stays until its time is over");
        }
        let told = self.inner.parts.cluster.upload_failed(ids, error.to_string()).await;
        if let Err(status) = told {
            tracing::warn!(task.id = %ids.task, %status, "the scheduler was not told that nothing was put in");
        }
    }

    /// Writes the pieces and checks that the bytes are those of the id.
    async fn store(&self, import: &Import, lease: &Lease, bytes: Bytestream) -> Result<Pin, Error> {
        let storage = &self.inner.parts.storage;
        // What has an origin can be fetched again; what was kept before is over, or the scheduler would have refused.
        storage.remove(&import.task_id).await?;
        let layout = import.layout()?;
        let pin = storage.pin_or_create(&import.task_id, import.new_task(lease, layout))?;
        lease.shared.set_pin(pin.clone());
        let mut incoming = Incoming {
            bytes,
            left: Bytes::new(),
            content: CachedContent::default(),
        };
        for span in layout.spans() {
            let mut writer = pin.begin_piece(span, TrafficType::LocalPeer, None).map_err(begun)?;
            let mut missing = span.length;
            while missing > 0 {
                let bytes = incoming.next(missing).await?.ok_or(Error::Changed)?;
                missing -= bytes.len() as u64;
                writer.write(bytes).await?;
            }
            writer.commit(None).await?;
        }
        if incoming.next(1).await?.is_some() {
            return Err(Error::Changed);
        }
        let content = incoming.content;
        let made = || {
            content.task_id(
                import.tag.as_deref(),
                import.application.as_deref(),
                import.piece_length,
            )
        };
        if !import.named_by_text && made() != import.task_id {
            return Err(Error::Changed);
        }
        pin.set_digest(content.digest())?;
        pin.finish().await?;
        Ok(pin)
    }
}

/// When a task's time is over, as its scheduler says.
pub(crate) fn ends_at(task: &PersistentCacheTask) -> Option<SystemTime> {
    let begun = SystemTime::try_from(task.created_at?).ok()?;
    begun.checked_add(Duration::try_from(task.ttl?).ok()?)
}

impl Import {
    fn layout(&self) -> Result<PieceLayout, Error> {
        let length = self.content_length;
        let usual = || PieceLayout::for_content(length).piece_length();
        let piece_length = self.piece_length.unwrap_or_else(usual);
        PieceLayout::new(piece_length, length).ok_or(Error::Layout { length, piece_length })
    }

    /// As the table of downloads knows it.
    fn request(&self) -> Result<Request, Error> {
        let kept = Kept {
            piece_length: self.layout()?.piece_length(),
            content_length: self.content_length,
            ends_at: SystemTime::now() + self.ttl,
            obliged: true,
        };
        Ok(Request::kept(self.task_id.clone(), kept))
    }

    fn started(&self, ids: &PeerIds) -> Result<UploadPersistentCacheTaskStartedRequest, Error> {
        let layout = self.layout()?;
        Ok(UploadPersistentCacheTaskStartedRequest {
            host_id: ids.host.to_string(),
            task_id: ids.task.to_string(),
            peer_id: ids.peer.to_string(),
            persistent_replica_count: self.replicas,
            tag: self.tag.clone(),
            application: self.application.clone(),
            piece_length: layout.piece_length(),
            content_length: self.content_length,
            piece_count: layout.count(),
            ttl: Some(dragonfly_api::duration(self.ttl)),
        })
    }

    fn replica(&self, ids: &PeerIds, ends_at: SystemTime) -> Replica {
        Replica {
            peer: ids.peer.clone(),
            obliged: true,
            ends_at,
        }
    }

    fn new_task(&self, lease: &Lease, layout: PieceLayout) -> NewTask {
        NewTask {
            url: String::new(),
            tag: self.tag.clone(),
            application: self.application.clone(),
            piece_length: layout.piece_length(),
            content_length: Some(self.content_length),
            response_headers: Vec::new(),
            digest: None,
            policy: Policy::PersistentCache(Replica {
                peer: lease.shared.peer.clone(),
                obliged: true,
                ends_at: SystemTime::now() + self.ttl,
            }),
        }
    }
}

/// The file's bytes, hashed as they are taken.
struct Incoming {
    bytes: Bytestream,
    left: Bytes,
    content: CachedContent,
}

impl Incoming {
    /// The next bytes, at most so many; nothing at the end.
    async fn next(&mut self, at_most: u64) -> Result<Option<Bytes>, Error> {
        while self.left.is_empty() {
            match self.bytes.next().await {
                Some(bytes) => self.left = bytes.map_err(Error::Read)?,
                None => return Ok(None),
            }
        }
        let take = usize::try_from(at_most).unwrap_or(usize::MAX).min(self.left.len());
        let bytes = self.left.split_to(take);
        self.content.update(&bytes);
        Ok(Some(bytes))
    }
}

fn begun(error: BeginError) -> Error {
    match error {
        BeginError::Disk(error) => Error::Storage(error),
        // Nobody else writes what is imported, so somebody has taken it away.
        BeginError::Gone | BeginError::Present | BeginError::Arriving | BeginError::OutOfLayout => Error::BrokenOff,
    }
}

/// Leaves the table, however the import ends.
struct Ended {
    engine: Engine,
    lease: Arc<Lease>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let shared = &self.lease.shared;
        let storage = &self.engine.inner.parts.storage;
        let finished = storage.pin(&shared.task).is_some_and(|pin| pin.record().is_finished());
        self.engine.inner.running.remove(shared);
        shared.set_outcome(match finished {
            true => Outcome::Complete,
            false => Outcome::Failed(EngineError::Deleted),
        });
        shared.ended.cancel();
    }
}
