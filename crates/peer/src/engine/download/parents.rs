//! The parents of one download: what they have, and when they fall silent.

use dragonfly_api::dfdaemon::dfdaemon_upload_client::DfdaemonUploadClient;
use dragonfly_api::dfdaemon::{StatLocalTaskRequest, StatLocalTaskResponse, SyncPiecesRequest, SyncPiecesResponse};
use dragonfly_api::{common, kept};
use dragonfly_model::{HostId, PeerId, PieceNumber, TaskId};
use dragonfly_service::Workers;
use dragonfly_service::grpc::{self, Timeouts};
use dragonfly_service::tls::ClientTls;
use dragonfly_source::Validator;
use dragonfly_transfer::{Control, ParentPieces};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Set in the answer to `SyncPieces` by parents whose piece service takes many requests per connection.
pub(crate) const PIECE_REUSE: &str = "dragonfly-piece-reuse";

/// Parents that one download follows; a scheduler names far fewer.
const MAX_PARENTS: usize = 64;
/// Messages of one parent that are passed on at once.
const BATCH: usize = 64;
/// Peers to which a connection is kept open, and for how long after its last use.
const MAX_CHANNELS: u64 = 1024;
const CHANNEL_IDLE: Duration = Duration::from_secs(300);
/// How long a parent may take to answer a question about a task.
const STAT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a parent may take to begin its list of pieces.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections to other peers' gRPC, shared by all downloads.
pub(in crate::engine) struct Channels {
    open: moka::sync::Cache<SocketAddr, Channel>,
    tls: Option<ClientTls>,
}

impl Channels {
    pub(in crate::engine) fn new(tls: Option<ClientTls>) -> Self {
        Self {
            open: moka::sync::Cache::builder()
                .max_capacity(MAX_CHANNELS)
                .time_to_idle(CHANNEL_IDLE)
                .build(),
            tls,
        }
    }

    /// A client that connects when it is used.
    fn client(&self, addr: SocketAddr) -> Option<DfdaemonUploadClient<Channel>> {
        let timeouts = Timeouts {
            request: None,
            ..Timeouts::default()
        };
        let channel = match self.open.get(&addr) {
            Some(channel) => channel,
            None => {
                let channel = grpc::connect_lazy(&addr.to_string(), self.tls.as_ref(), timeouts).ok()?;
                self.open.insert(addr, channel.clone());
                channel
            }
        };
        Some(DfdaemonUploadClient::new(channel))
    }

    /// What a peer knows of a task.
    pub(super) async fn stat(&self, addr: SocketAddr, task: &TaskId) -> Option<StatLocalTaskResponse> {
        stat(self.client(addr)?, task).await
    }
}

/// A candidate whose address was understood.
pub(super) struct Candidate {
    pub(super) peer: PeerId,
    pub(super) ip: IpAddr,
    pub(super) grpc: SocketAddr,
    /// As it came, to be sent back if it turns out useless.
    wire: common::Peer,
}

impl Candidate {
    /// `None` if ids or address make no sense, or if it is this host itself.
    pub(super) fn of(wire: common::Peer, own: &HostId) -> Option<Self> {
        let host = wire.host.as_ref()?;
        let ip: IpAddr = host.ip.parse().ok()?;
        let port = u16::try_from(host.port).ok().filter(|port| *port > 0)?;
        if host.id == own.as_str() {
            return None;
        }
        Some(Self {
            peer: PeerId::parse(&wire.id).ok()?,
            grpc: SocketAddr::new(ip, port),
            ip,
            wire,
        })
    }
}

/// A parent has said all that it will say.
pub(super) struct Silence {
    pub(super) peer: PeerId,
    /// Why, unless it simply has no more.
    pub(super) failed: Option<String>,
}

/// Those who are followed, and those who were.
pub(super) struct Parents {
    known: HashMap<PeerId, Parent>,
    silences: mpsc::Receiver<Silence>,
    tell: mpsc::Sender<Silence>,
    told: Arc<AtomicU64>,
}

struct Parent {
    wire: common::Peer,
    /// Dropped when it is no longer followed.
    following: Option<DropGuard>,
}

/// What all followers of one download have in common.
pub(super) struct Follow<'a> {
    pub(super) workers: &'a Workers,
    pub(super) channels: &'a Channels,
    pub(super) host: &'a HostId,
    pub(super) task: &'a TaskId,
    pub(super) control: &'a Control,
    /// Missing pieces; empty if the content's length is not known.
    pub(super) missing: &'a [PieceNumber],
    pub(super) silence: Duration,
    /// Whether it is a task that the cluster keeps.
    pub(super) is_kept: bool,
    /// The origin's headers of the version that is wanted, where no digest will tell another one from it.
    pub(super) version: Option<Vec<(String, String)>>,
}

impl Parents {
    pub(super) fn new() -> Self {
        let (tell, silences) = mpsc::channel(MAX_PARENTS);
        Self {
            known: HashMap::new(),
            silences,
            tell,
            told: Arc::default(),
        }
    }

    /// Grows whenever a parent tells of pieces.
    pub(super) fn told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// Whether somebody may still have more.
    pub(super) fn any_live(&self) -> bool {
        self.known.values().any(|parent| parent.following.is_some())
    }

    /// The next parent that falls silent.
    pub(super) async fn next_silence(&mut self) -> Silence {
        let silence = self.silences.recv().await.expect("self holds a sender");
        if let Some(parent) = self.known.get_mut(&silence.peer) {
            parent.following = None;
        }
        silence
    }

    /// Listens to a candidate, unless that is done already. Whether it is listened to.
    pub(super) fn follow(&mut self, candidate: Candidate, follow: &Follow<'_>) -> bool {
        let known = self.known.get(&candidate.peer);
        if known.is_some_and(|parent| parent.following.is_some()) {
            return true;
        }
        if known.is_none() && self.known.len() >= MAX_PARENTS {
            return false;
        }
        let Some(client) = follow.channels.client(candidate.grpc) else {
            return false;
        };
        let cancel = CancellationToken::new();
        let follower = Follower {
            client,
            peer: candidate.peer.clone(),
            ip: candidate.ip,
            task: follow.task.clone(),
            control: follow.control.clone(),
            silence: follow.silence,
            is_kept: follow.is_kept,
            version: follow.version.clone(),
            told: self.told.clone(),
        };
        let request = SyncPiecesRequest {
            host_id: follow.host.to_string(),
            task_id: follow.task.to_string(),
            interested_piece_numbers: follow.missing.iter().map(|number| number.0).collect(),
        };
        follow
            .workers
            .spawn("parent", follower.run(request, cancel.clone(), self.tell.clone()));
        self.known.insert(
            candidate.peer,
            Parent {
                wire: candidate.wire,
                following: Some(cancel.drop_guard()),
            },
        );
        true
    }

    /// Does not listen to a candidate that is of no use.
    pub(super) fn reject(&mut self, candidate: Candidate) {
        if self.known.len() < MAX_PARENTS {
            self.known.entry(candidate.peer).or_insert(Parent {
                wire: candidate.wire,
                following: None,
            });
        }
    }

    /// Stops listening to everybody; those who were listened to.
    pub(super) fn drop_all(&mut self) -> Vec<PeerId> {
        let live = self.known.iter_mut().filter_map(|(peer, parent)| {
            parent.following.take()?;
            Some(peer.clone())
        });
        live.collect()
    }

    /// Everybody who is not listened to any more, as the scheduler named them. They are forgotten.
    pub(super) fn take_useless(&mut self) -> Vec<common::Peer> {
        let silent = self.known.extract_if(|_, parent| parent.following.is_none());
        silent.map(|(_, parent)| parent.wire).collect()
    }
}

/// What a parent says that it has.
type Pieces = BoxStream<'static, Result<SyncPiecesResponse, Status>>;

/// Listens to one parent.
struct Follower {
    client: DfdaemonUploadClient<Channel>,
    peer: PeerId,
    ip: IpAddr,
    task: TaskId,
    control: Control,
    silence: Duration,
    is_kept: bool,
    version: Option<Vec<(String, String)>>,
    told: Arc<AtomicU64>,
}

impl Follower {
    async fn run(self, request: SyncPiecesRequest, cancel: CancellationToken, tell: mpsc::Sender<Silence>) {
        let failed = tokio::select! {
            outcome = self.listen(request) => outcome.err(),
            () = cancel.cancelled() => return,
        };
        let peer = self.peer.clone();
        // A download that is over listens no more, and needs not.
        tell.send(Silence { peer, failed }).await.ok();
    }

    async fn listen(&self, request: SyncPiecesRequest) -> Result<(), String> {
        let length_unknown = request.interested_piece_numbers.is_empty();
        let opened = timeout(SYNC_TIMEOUT, self.ask(request)).await;
        let answer = opened
            .map_err(|_| "it does not answer".to_owned())?
            .map_err(|status| status.to_string())?;
        let reuse = answer.metadata().get(PIECE_REUSE).is_some_and(|value| value == "1");
        self.check_version().await?;
        self.pass_on(answer.into_inner(), reuse).await?;
        // It has finished, so it knows the length by now.
        if length_unknown
            && let Some(stat) = stat(self.client.clone(), &self.task).await
            && stat.finished_at.is_some()
            && let Some(length) = stat.content_length
        {
            self.control.content_length(length).await;
        }
        Ok(())
    }

    /// Whether the parent has the version that is wanted, as far as can be told.
    async fn check_version(&self) -> Result<(), String> {
        let Some(version) = &self.version else {
            return Ok(());
        };
        let Some(theirs) = stat(self.client.clone(), &self.task).await else {
            return Ok(());
        };
        let theirs: Vec<_> = theirs.response_header.into_iter().collect();
        match is_other_version(version, &theirs) {
            true => Err("it has another version of the content".to_owned()),
            false => Ok(()),
        }
    }

    /// Asks, again and again while the parent has too much to do and says when to come again.
    async fn ask(&self, request: SyncPiecesRequest) -> Result<tonic::Response<Pieces>, Status> {
        loop {
            match self.ask_once(request.clone()).await {
                Err(status) if status.code() == Code::ResourceExhausted => {
                    let pause = grpc::retry_after(&status).ok_or(status)?;
                    sleep(pause).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn ask_once(&self, request: SyncPiecesRequest) -> Result<tonic::Response<Pieces>, Status> {
        let mut client = self.client.clone();
        if self.is_kept {
            let told = client.sync_persistent_cache_pieces(kept::pieces_asked(request)).await?;
            return Ok(told.map(|told| told.map_ok(kept::piece_heard).boxed()));
        }
        Ok(client.sync_pieces(request).await?.map(StreamExt::boxed))
    }

    async fn pass_on(&self, messages: Pieces, reuse: bool) -> Result<(), String> {
        let mut batches = messages.ready_chunks(BATCH);
        loop {
            let batch = timeout(self.silence, batches.next()).await;
            let Some(batch) = batch.map_err(|_| "it says nothing".to_owned())? else {
                return Ok(());
            };
            let mut by_addr: HashMap<SocketAddr, Vec<PieceNumber>> = HashMap::new();
            for message in batch {
                let message = message.map_err(|status| status.to_string())?;
                let addr = self.piece_addr(&message).ok_or("it serves no pieces over TCP")?;
                by_addr.entry(addr).or_default().push(PieceNumber(message.number));
            }
            for (addr, numbers) in by_addr {
                let peer = self.peer.clone();
                self.told.fetch_add(1, Ordering::AcqRel);
                self.control
                    .parent_has(ParentPieces {
                        peer,
                        addr,
                        reuse,
                        numbers,
                    })
                    .await;
            }
        }
    }

    /// Where the parent serves pieces. The address is the one that the scheduler vouches for: a parent that names
    /// another could make us connect to anybody.
    fn piece_addr(&self, message: &SyncPiecesResponse) -> Option<SocketAddr> {
        let port = u16::try_from(message.tcp_port?).ok().filter(|port| *port > 0)?;
        Some(SocketAddr::new(self.ip, port))
    }
}

/// Whether two answers of an origin are about different contents. Where its hosts disagree about a tag, the date counts.
fn is_other_version(ours: &[(String, String)], theirs: &[(String, String)]) -> bool {
    let date = |headers: &[(String, String)]| {
        let found = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("last-modified"));
        found.map(|(_, value)| value.clone())
    };
    match (Validator::of_pairs(ours), Validator::of_pairs(theirs)) {
        (Some(one), Some(other)) if one != other => date(ours).is_none() || date(ours) != date(theirs),
        _ => false,
    }
}

async fn stat(mut client: DfdaemonUploadClient<Channel>, task: &TaskId) -> Option<StatLocalTaskResponse> {
    let request = StatLocalTaskRequest {
        task_id: task.to_string(),
        remote_ip: None,
    };
    let answer = timeout(STAT_TIMEOUT, client.stat_local_task(request)).await.ok()?;
    answer.ok().map(tonic::Response::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_tag_is_another_version_unless_the_date_is_the_same() {
        let headers = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
        };
        let (one, other) = (headers(&[("etag", "\"1\"")]), headers(&[("ETag", "\"2\"")]));
        assert!(is_other_version(&one, &other));
        assert!(!is_other_version(&one, &one));
        assert!(!is_other_version(&one, &headers(&[])));
        let dated = |tag: &str, date: &str| headers(&[("etag", tag), ("last-modified", date)]);
        assert!(!is_other_version(&dated("\"1\"", "Mon"), &dated("\"2\"", "Mon")));
        assert!(is_other_version(&dated("\"1\"", "Mon"), &dated("\"2\"", "Tue")));
    }
}
