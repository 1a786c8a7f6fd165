//! The download engine: one content, one download, however many ask for it.
//!
//! [`Engine::open`] finds a content on this host, joins the download that already brings it, or starts one. A download
//! asks the origin for the content's head, registers with the task's scheduler, fetches pieces from the parents that it
//! names or from the origin, and falls back to the origin when no scheduler answers. The proxy and the gRPC services
//! are its callers.

mod content;
mod download;
mod error;
mod freshness;
mod import;
mod reader;
mod request;
mod running;

pub use content::Content;
use content::Reads;
pub(crate) use download::{PIECE_REUSE, own_origin_text};
pub use error::{Error, ReadError};
pub(crate) use import::{Bytestream, Error as ImportError, Import, ends_at};
pub(crate) use request::Kept;
pub use request::Request;
pub(crate) use running::Running;

use crate::cluster::{Cluster, Neighbours};
use crate::identity::Identity;
use crate::metrics::{Metrics, Source};
use crate::room::{Claim, NoRoom, Room};
use dragonfly_api::Transferring;
use dragonfly_model::{Blocked, ByteRange, PeerId, Policy, Priority, Subject, TaskId};
use dragonfly_service::Workers;
use dragonfly_service::tls::ClientTls;
use dragonfly_source::{self as source, Sources};
use dragonfly_storage::{Pin, Storage};
use dragonfly_transfer::Transfer;
use freshness::Freshness;
use running::{Entry, Lease, Table};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Opens contents. Cheap to clone; all clones share their downloads.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

/// What an engine works with.
pub(crate) struct Parts {
    pub(crate) identity: Identity,
    pub(crate) storage: Storage,
    pub(crate) sources: Sources,
    pub(crate) transfer: Transfer,
    pub(crate) cluster: Cluster,
    pub(crate) neighbours: Neighbours,
    pub(crate) workers: Workers,
    pub(crate) metrics: Metrics,
    pub(crate) room: Arc<Room>,
    pub(crate) settings: Settings,
}

/// How an engine works.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Longest silence of a scheduler that owes an answer.
    pub(crate) schedule_timeout: Duration,
    /// Answers after which a download goes to the origin.
    pub(crate) max_schedule_count: u32,
    /// Longest silence of a parent about its pieces.
    pub(crate) parent_silence: Duration,
    /// Pieces of one task in flight, as told to the scheduler.
    pub(crate) concurrent_pieces: u32,
    /// How long an origin's word holds that a content is still the same, if it does not say itself.
    pub(crate) revalidate_after: Duration,
    /// Bytes read from storage at once.
    pub(crate) read_chunk: usize,
    /// For calling other peers.
    pub(crate) peer_tls: Option<ClientTls>,
}

struct Inner {
    parts: Parts,
    running: Table,
    parents: download::Channels,
    freshness: Freshness,
}

impl Inner {
    /// Room for so many more bytes of a task on this host's disk.
    async fn claim(&self, task: &TaskId, bytes: u64) -> Result<Claim, NoRoom> {
        let is_running = |task: &TaskId| self.running.get(task).is_some();
        self.parts.room.claim(task, bytes, is_running).await
    }
}

impl Engine {
    pub(crate) fn new(parts: Parts) -> Self {
        let parents = download::Channels::new(parts.settings.peer_tls.clone());
        let freshness = Freshness::new(parts.settings.revalidate_after);
        Self {
            inner: Arc::new(Inner {
                parts,
                running: Table::default(),
                parents,
                freshness,
            }),
        }
    }

    /// Finds, joins or starts; returns as soon as the content's length and headers are known, or that they can't be
    /// known before its end. What is complete on this host contacts nobody, but for the origin of a content that no
    /// digest names: that is asked whether it has another version now.
    pub async fn open(&self, request: Request) -> Result<Content, Error> {
        self.admit_request(&request)?;
        match request.timeout {
            None => self.open_in_time(request).await,
            Some(timeout) => tokio::time::timeout(timeout, self.open_in_time(request))
                .await
                .unwrap_or(Err(Error::Timeout(timeout))),
        }
    }

    fn admit_request(&self, request: &Request) -> Result<(), Error> {
        let subject = Subject {
            url: request.url.as_str(),
            tag: request.tag.as_deref(),
            application: request.application.as_deref(),
            priority: request.priority,
        };
        match request.kept {
            None => self.admit(&subject),
            Some(_) => self.admit_kept(Transferring::Download, &subject),
        }
    }

    /// Whether policy lets this be downloaded, what is on this host already included.
    pub(crate) fn admit(&self, subject: &Subject<'_>) -> Result<(), Error> {
        if subject.priority == Priority::Level1 {
            return Err(Error::Forbidden("its priority is level 1".to_owned()));
        }
        let allowed = self.inner.parts.cluster.allows(subject);
        allowed.map_err(|blocked| self.blocked(&blocked))
    }

    /// Whether policy lets this be done with a content that the cluster keeps.
    fn admit_kept(&self, what: Transferring, subject: &Subject<'_>) -> Result<(), Error> {
        let allowed = self.inner.parts.cluster.allows_kept(what, subject);
        allowed.map_err(|blocked| self.blocked(&blocked))
    }

    fn blocked(&self, blocked: &Blocked) -> Error {
        self.inner.parts.metrics.blocked();
        tracing::info!(%blocked, "refused a download");
        Error::Forbidden(blocked.to_string())
    }

    async fn open_in_time(&self, mut request: Request) -> Result<Content, Error> {
        loop {
            // Another version is thrown away by the download that brings the new one.
            if let Some(content) = self.here(&request)
                && self.is_current(&mut request, &content.pin().record()).await?
            {
                return Ok(content);
            }
            self.check_kind(&request)?;
            let range = request.range;
            let entry = self.enter(&request);
            let (lease, is_first) = match entry {
                Entry::Start(lease, cancel) => {
                    self.start(&lease, request.clone(), cancel);
                    (lease, true)
                }
                Entry::Join(lease) if lease.shared.is_kept != request.kept.is_some() => return Err(Error::OtherKind),
                Entry::Join(lease) => {
                    self.may_join(&request).await?;
                    (lease, false)
                }
                Entry::Ending(shared) => {
                    shared.ended.cancelled().await;
                    continue;
                }
            };
            match lease.shared.opened().await {
                Ok(pin) => return Ok(Content::arriving(pin, lease, range, self.reads())),
                // The first caller's credentials may be worse than this one's, or its wishes stricter.
                Err(error) if !is_first && (error.blames_credentials() || matches!(error, Error::NoSource)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn enter(&self, request: &Request) -> Entry {
        let new_peer = || self.inner.parts.identity.new_peer();
        self.inner.running.enter(request, new_peer)
    }

    /// A content that the cluster keeps is nobody's cache: what has an origin and the same id must not take its place.
    fn check_kind(&self, request: &Request) -> Result<(), Error> {
        let kept = |pin: Pin| pin.record().policy.replica().is_some();
        match request.kept.is_none() && self.local(&request.task_id).is_some_and(kept) {
            true => Err(Error::OtherKind),
            false => Ok(()),
        }
    }

    /// Nobody gets by another's keys what its own don't open.
    async fn may_join(&self, request: &Request) -> Result<(), Error> {
        if matches!(request.access, source::Access::Plain) || download::is_source_forbidden(request) {
            return Ok(());
        }
        match self.inner.parts.sources.stat(&request.to_source()).await {
            Err(error) if error.fault() == source::Fault::Caller => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// What a directory of an origin holds.
    pub(crate) async fn list(&self, request: &source::Request) -> Result<Vec<source::Entry>, source::Error> {
        self.inner.parts.sources.list(request).await
    }

    /// What this host holds of a task.
    pub fn local(&self, task: &TaskId) -> Option<Pin> {
        self.inner.parts.storage.pin(task)
    }

    /// Forgets a task here; a running download of it ends with [`Error::Deleted`]. Whether there was one.
    pub async fn delete(&self, task: &TaskId) -> Result<bool, Error> {
        Ok(self.inner.parts.storage.remove(task).await?)
    }

    /// The download of a task, if one runs.
    pub(crate) fn running(&self, task: &TaskId) -> Option<Running> {
        self.inner.running.get(task).map(Running::new)
    }

    /// Tells the task's scheduler that this host holds all of it.
    pub(crate) async fn announce_holding(&self, request: &Request) {
        let peer = self.inner.parts.identity.new_peer();
        download::announce_holding(&self.inner, request, peer).await;
    }

    /// This host must keep from now on what it has of a content that the cluster keeps, and tells the scheduler that it has it.
    pub(crate) async fn keep(&self, request: &Request) -> Result<(), Error> {
        if let Some(peer) = self.oblige(&request.task_id)? {
            download::announce_holding(&self.inner, request, peer).await;
        }
        Ok(())
    }

    /// This host must keep from now on what it has of a content that the cluster keeps. As whom it has it, if it has it.
    pub(crate) fn oblige(&self, task: &TaskId) -> Result<Option<PeerId>, Error> {
        let Some(pin) = self.local(task) else {
            return Ok(None);
        };
        let Policy::PersistentCache(mut replica) = pin.record().policy else {
            return Ok(None);
        };
        let peer = replica.peer.clone();
        replica.obliged = true;
        pin.set_policy(Policy::PersistentCache(replica))?;
        Ok(Some(peer))
    }

    /// The content, if everything that is asked for is on this host.
    fn here(&self, request: &Request) -> Option<Content> {
        let pin = self.local(&request.task_id)?;
        let record = pin.record();
        let fits = match &request.kept {
            Some(kept) => kept.is_of(&record) && !record.policy.has_ended(SystemTime::now()),
            None if record.policy.replica().is_some() => false,
            None => request.digest.is_none() || record.digest == request.digest,
        };
        if !fits || !is_here(&pin, request.range) {
            return None;
        }
        let held = request.range.map_or(pin.content_length(), |range| Some(range.length));
        self.inner.parts.metrics.moved(Source::LOCAL_PEER, held.unwrap_or(0));
        let peer = self.inner.parts.identity.new_peer();
        Some(Content::present(pin, peer, request.range, self.reads()))
    }

    fn start(&self, lease: &Arc<Lease>, request: Request, cancel: CancellationToken) {
        let span = download::span(&lease.shared.task, &lease.shared.peer, &request.url);
        let run = download::run(self.inner.clone(), lease.shared.clone(), request, cancel);
        self.inner.parts.workers.spawn("download", run.instrument(span));
    }

    fn reads(&self) -> Reads {
        Reads {
            chunk: self.inner.parts.settings.read_chunk,
            delivered: self.inner.parts.metrics.delivered.clone(),
        }
    }
}

/// Whether a content, or a range of it, is on this host and checked. A range that reaches the end of a content which is
/// named by its digest needs the whole of it, since only the whole can be checked.
fn is_here(pin: &Pin, range: Option<ByteRange>) -> bool {
    let record = pin.record();
    if record.is_finished() {
        return true;
    }
    let (Some(range), Some(layout)) = (range, record.layout()) else {
        return false;
    };
    let needs_all = record.digest.is_some() && range.end() >= layout.content_length();
    !needs_all && !record.is_quarantined() && pin.pieces().missing_in(layout, Some(range)).next().is_none()
}
