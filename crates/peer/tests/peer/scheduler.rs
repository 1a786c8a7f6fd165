//! A scheduler that does no more than the protocol asks for: it triggers a seed for what nobody has, names everybody who
//! has begun as a parent, and sends to the origin who asks for it or for whom there is nobody.

use super::ledger::Kept;
use dragonfly_api::common::{self, Host, Peer};
use dragonfly_api::dfdaemon::DownloadTaskRequest;
use dragonfly_api::dfdaemon::dfdaemon_upload_client::DfdaemonUploadClient;
use dragonfly_api::ext::scheduler_server::{Scheduler as Extension, SchedulerServer as ExtensionServer};
use dragonfly_api::ext::{HoldingsReport, PreheatReport, PreheatRequest, TraceRequest, TraceResponse};
use dragonfly_api::scheduler::announce_peer_request::Request as Word;
use dragonfly_api::scheduler::announce_peer_response::Response as Answer;
use dragonfly_api::scheduler::scheduler_server::{Scheduler, SchedulerServer};
use dragonfly_api::scheduler::*;
use dragonfly_service::Workers;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// What it knows, and what it was told.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) hosts: BTreeMap<String, Host>,
    /// Peers that have begun, by task and peer id.
    holders: BTreeMap<String, BTreeMap<String, Peer>>,
    triggered: BTreeSet<String>,
    /// Every word of every peer, as `peer host: word`.
    pub(crate) words: Vec<String>,
    /// What hosts said that they hold, as `host: task`.
    pub(crate) holdings: BTreeSet<String>,
    /// Answer every registration so many more times with "too much to do".
    pub(crate) overloaded: u32,
    /// Break every registration off.
    pub(crate) broken: bool,
    /// Tasks that the cluster keeps.
    pub(crate) kept: BTreeMap<String, Kept>,
    /// Say that children may ask for others while their parents are at work.
    pub(crate) patient: bool,
}

/// A running scheduler; dropped, it is gone at once.
pub(crate) struct TestScheduler {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
    workers: Workers,
}

pub(super) struct Shared {
    book: Mutex<Book>,
    changed: watch::Sender<u64>,
    workers: Workers,
}

impl TestScheduler {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        Self::start_on(listener)
    }

    pub(crate) fn start_on(listener: TcpListener) -> Self {
        let addr = listener.local_addr().unwrap();
        let workers = Workers::new(CancellationToken::new());
        let shared = Arc::new(Shared {
            book: Mutex::default(),
            changed: watch::Sender::new(0),
            workers: workers.clone(),
        });
        let (health, service) = tonic_health::server::health_reporter();
        drop(health);
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .add_service(SchedulerServer::from_arc(Arc::new(Service(shared.clone()))))
            .add_service(ExtensionServer::from_arc(Arc::new(Service(shared.clone()))))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let cancel = workers.cancel_token();
        workers.spawn("scheduler", async move {
            tokio::select! {
                served = server => served.unwrap(),
                () = cancel.cancelled() => {}
            }
        });
        Self { addr, shared, workers }
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&mut Book) -> T) -> T {
        read(&mut self.shared.book.lock().unwrap())
    }

    /// Waits until the book says so.
    pub(crate) async fn until(&self, what: &str, says: impl Fn(&Book) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        let waiting = async {
            while !self.read(|book| says(book)) {
                changed.changed().await.unwrap();
            }
        };
        let reached = tokio::time::timeout(super::rig::PATIENCE, waiting).await;
        reached.unwrap_or_else(|_| panic!("never: {what}; words: {:#?}", self.read(|book| book.words.clone())));
    }

    pub(crate) async fn has_hosts(&self, count: usize) {
        self.until("all hosts announced", |book| book.hosts.len() >= count)
            .await;
    }

    /// Ends it and all its conversations at once.
    pub(crate) async fn kill(self) {
        self.workers.drain(Duration::from_millis(10)).await.ok();
    }
}

impl Shared {
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        let changed = change(&mut self.book.lock().unwrap());
        self.changed.send_modify(|version| *version += 1);
        changed
    }

    /// Asks a seed to fetch, as a scheduler does.
    fn trigger(self: &Arc<Self>, seed: &Host, download: &common::Download, child: &Host) {
        let download = common::Download {
            need_back_to_source: true,
            output_path: None,
            need_piece_content: false,
            remote_ip: Some(child.ip.clone()),
            ..download.clone()
        };
        let addr = format!("http://{}:{}", seed.ip, seed.port);
        self.workers.spawn("trigger", async move {
            let mut client = DfdaemonUploadClient::connect(addr).await.unwrap();
            let request = DownloadTaskRequest {
                download: Some(download),
            };
            if let Ok(answer) = client.download_task(request).await {
                let mut messages = answer.into_inner();
                while let Ok(Some(_)) = messages.message().await {}
            }
        });
    }
}

/// One conversation.
struct Conversation {
    shared: Arc<Shared>,
    answers: mpsc::Sender<Result<AnnouncePeerResponse, Status>>,
    blocked: BTreeSet<String>,
    download: common::Download,
}

impl Conversation {
    async fn run(mut self, mut words: Streaming<AnnouncePeerRequest>) {
        while let Ok(Some(message)) = words.message().await {
            let word = message.request.clone().expect("a message says something");
            let name = format!("{word:?}").split('(').next().unwrap_or_default().to_owned();
            self.shared
                .change(|book| book.words.push(format!("{}: {name}", message.host_id)));
            match self.heard(&message, word).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(status) => {
                    self.answers.send(Err(status)).await.ok();
                    return;
                }
            }
        }
        // A conversation that broke off says nothing about what its peer holds.
    }

    /// Whether the conversation goes on.
    async fn heard(&mut self, message: &AnnouncePeerRequest, word: Word) -> Result<bool, Status> {
        match word {
            Word::RegisterPeerRequest(register) => {
                self.download = register.download.expect("a registration has a download");
                self.register(message).await?;
            }
            Word::ReschedulePeerRequest(again) => {
                self.blocked
                    .extend(again.candidate_parents.into_iter().map(|peer| peer.id));
                self.schedule(message).await;
            }
            Word::DownloadPeerStartedRequest(_) | Word::DownloadPeerBackToSourceStartedRequest(_) => {
                self.began(message);
            }
            Word::DownloadPieceFailedRequest(failed) => drop(self.blocked.insert(failed.parent_id)),
            Word::DownloadPeerFailedRequest(_) | Word::DownloadPeerBackToSourceFailedRequest(_) => {
                self.shared.change(|book| {
                    book.holders
                        .entry(message.task_id.clone())
                        .or_default()
                        .remove(&message.peer_id);
                });
                return Ok(false);
            }
            Word::DownloadPeerFinishedRequest(_) | Word::DownloadPeerBackToSourceFinishedRequest(_) => {
                return Ok(false);
            }
            Word::DownloadPieceFinishedRequest(_)
            | Word::DownloadPieceBackToSourceFinishedRequest(_)
            | Word::DownloadPieceBackToSourceFailedRequest(_) => {}
        }
        Ok(true)
    }

    async fn register(&mut self, message: &AnnouncePeerRequest) -> Result<(), Status> {
        let overloaded = self.shared.change(|book| {
            let overloaded = book.overloaded > 0;
            book.overloaded = book.overloaded.saturating_sub(1);
            overloaded
        });
        if overloaded {
            let mut status = Status::resource_exhausted("too much to do");
            status
                .metadata_mut()
                .insert("grpc-retry-pushback-ms", "10".parse().unwrap());
            return Err(status);
        }
        if self.shared.change(|book| book.broken) {
            return Err(Status::unavailable("broken"));
        }
        let child = self.shared.change(|book| book.hosts.get(&message.host_id).cloned());
        let child = child.ok_or_else(|| Status::not_found("host"))?;
        if self.download.metadata_only {
            self.began(message);
            self.answer(Answer::MetadataOnlyResponse(MetadataOnlyResponse {})).await;
            return Ok(());
        }
        if self.download.need_back_to_source {
            self.answer(Answer::NeedBackToSourceResponse(NeedBackToSourceResponse::default()))
                .await;
            return Ok(());
        }
        let seed = self.shared.change(|book| {
            let seed = book.hosts.values().find(|host| host.r#type == 1).cloned()?;
            book.triggered.insert(message.task_id.clone()).then_some(seed)
        });
        if let Some(seed) = seed {
            self.shared.trigger(&seed, &self.download, &child);
        }
        self.schedule(message).await;
        Ok(())
    }

    /// Names everybody on other hosts who has begun; waits for the seed if it was triggered.
    async fn schedule(&self, message: &AnnouncePeerRequest) {
        let mut changed = self.shared.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let (parents, waits) = self
                .shared
                .book
                .lock()
                .map(|book| self.parents(&book, message))
                .unwrap();
            if !parents.is_empty() {
                let normal = NormalTaskResponse {
                    candidate_parents: parents,
                };
                return self.answer(Answer::NormalTaskResponse(normal)).await;
            }
            if !waits {
                return self
                    .answer(Answer::NeedBackToSourceResponse(NeedBackToSourceResponse::default()))
                    .await;
            }
            changed.changed().await.unwrap();
        }
    }

    /// The parents there are, and whether the seed may still become one.
    fn parents(&self, book: &Book, message: &AnnouncePeerRequest) -> (Vec<Peer>, bool) {
        let holders = book.holders.get(&message.task_id);
        let is_other = |peer: &&Peer| peer.host.as_ref().is_some_and(|host| host.id != message.host_id);
        let parents: Vec<Peer> = holders
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(is_other)
            .filter(|peer| !self.blocked.contains(&peer.id))
            .cloned()
            .collect();
        let waits = self.blocked.is_empty() && book.triggered.contains(&message.task_id);
        (parents, waits)
    }

    fn began(&self, message: &AnnouncePeerRequest) {
        self.shared.change(|book| {
            let host = book.hosts.get(&message.host_id).cloned();
            let peer = Peer {
                id: message.peer_id.clone(),
                state: "Running".to_owned(),
                host,
                ..Default::default()
            };
            book.holders
                .entry(message.task_id.clone())
                .or_default()
                .insert(message.peer_id.clone(), peer);
        });
    }

    async fn answer(&self, answer: Answer) {
        let message = AnnouncePeerResponse { response: Some(answer) };
        self.answers.send(Ok(message)).await.ok();
    }
}

struct Service(Arc<Shared>);

type Stream<T> = BoxStream<'static, Result<T, Status>>;

macro_rules! not_needed {
    ($($method:ident($request:ty) -> $response:ty;)*) => {
        $(
            fn $method<'life0, 'async_trait>(
                &'life0 self,
                _: Request<$request>,
            ) -> futures::future::BoxFuture<'async_trait, Result<Response<$response>, Status>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                std::future::ready(Err(Status::unimplemented("not needed by these tests"))).boxed()
            }
        )*
    };
}

#[tonic::async_trait]
impl Scheduler for Service {
    type AnnouncePeerStream = Stream<AnnouncePeerResponse>;
    type AnnounceCachePeerStream = Stream<AnnounceCachePeerResponse>;
    type AnnouncePersistentPeerStream = Stream<AnnouncePersistentPeerResponse>;
    type AnnouncePersistentCachePeerStream = Stream<AnnouncePersistentCachePeerResponse>;

    async fn announce_peer(
        &self,
        request: Request<Streaming<AnnouncePeerRequest>>,
    ) -> Result<Response<Self::AnnouncePeerStream>, Status> {
        let (answers, stream) = mpsc::channel(16);
        let conversation = Conversation {
            shared: self.0.clone(),
            answers,
            blocked: BTreeSet::new(),
            download: common::Download::default(),
        };
        self.0
            .workers
            .spawn("conversation", conversation.run(request.into_inner()));
        let mut response = Response::new(ReceiverStream::new(stream).boxed() as Self::AnnouncePeerStream);
        if self.0.change(|book| book.patient) {
            let yes = "true".parse().unwrap();
            response.metadata_mut().insert(dragonfly_api::PATIENT, yes);
        }
        Ok(response)
    }

    async fn announce_host(&self, request: Request<AnnounceHostRequest>) -> Result<Response<()>, Status> {
        let host = request.into_inner().host.expect("an announcement has a host");
        self.0.change(|book| book.hosts.insert(host.id.clone(), host));
        Ok(Response::new(()))
    }

    async fn list_hosts(&self, _: Request<ListHostsRequest>) -> Result<Response<ListHostsResponse>, Status> {
        let hosts = self.0.change(|book| book.hosts.values().cloned().collect());
        Ok(Response::new(ListHostsResponse { hosts }))
    }

    async fn delete_host(&self, request: Request<DeleteHostRequest>) -> Result<Response<()>, Status> {
        self.0.change(|book| book.hosts.remove(&request.into_inner().host_id));
        Ok(Response::new(()))
    }

    async fn delete_task(&self, request: Request<DeleteTaskRequest>) -> Result<Response<()>, Status> {
        let DeleteTaskRequest { host_id, task_id } = request.into_inner();
        self.0.change(|book| {
            book.words.push(format!("{host_id}: DeleteTask"));
            let holders = book.holders.entry(task_id).or_default();
            holders.retain(|_, peer| peer.host.as_ref().is_none_or(|host| host.id != host_id));
        });
        Ok(Response::new(()))
    }

    async fn announce_persistent_cache_peer(
        &self,
        request: Request<Streaming<AnnouncePersistentCachePeerRequest>>,
    ) -> Result<Response<Self::AnnouncePersistentCachePeerStream>, Status> {
        let (answers, stream) = mpsc::channel(16);
        let talk = self.0.clone().keep_company(request.into_inner(), answers);
        self.0.workers.spawn("kept conversation", talk);
        Ok(Response::new(ReceiverStream::new(stream).boxed()))
    }

    async fn delete_persistent_cache_peer(
        &self,
        request: Request<DeletePersistentCachePeerRequest>,
    ) -> Result<Response<()>, Status> {
        self.0.change(|book| book.leave(request.get_ref())).map(Response::new)
    }

    async fn upload_persistent_cache_task_started(
        &self,
        request: Request<UploadPersistentCacheTaskStartedRequest>,
    ) -> Result<Response<()>, Status> {
        self.0
            .change(|book| book.begin(request.into_inner()))
            .map(Response::new)
    }

    async fn upload_persistent_cache_task_finished(
        &self,
        request: Request<UploadPersistentCacheTaskFinishedRequest>,
    ) -> Result<Response<common::PersistentCacheTask>, Status> {
        let task = &request.get_ref().task_id;
        self.0.change(|book| book.end(task, "Succeeded")).map(Response::new)
    }

    async fn upload_persistent_cache_task_failed(
        &self,
        request: Request<UploadPersistentCacheTaskFailedRequest>,
    ) -> Result<Response<()>, Status> {
        let task = &request.get_ref().task_id;
        self.0.change(|book| book.end(task, "Failed"))?;
        Ok(Response::new(()))
    }

    async fn stat_persistent_cache_task(
        &self,
        request: Request<StatPersistentCacheTaskRequest>,
    ) -> Result<Response<common::PersistentCacheTask>, Status> {
        self.0
            .change(|book| book.stat(&request.get_ref().task_id))
            .map(Response::new)
    }

    async fn delete_persistent_cache_task(
        &self,
        request: Request<DeletePersistentCacheTaskRequest>,
    ) -> Result<Response<()>, Status> {
        self.0.clone().drop_kept(&request.get_ref().task_id).await?;
        Ok(Response::new(()))
    }

    not_needed! {
        stat_peer(StatPeerRequest) -> Peer;
        delete_peer(DeletePeerRequest) -> ();
        stat_task(StatTaskRequest) -> common::Task;
        announce_cache_peer(Streaming<AnnounceCachePeerRequest>) -> Self::AnnounceCachePeerStream;
        stat_cache_peer(StatCachePeerRequest) -> common::CachePeer;
        delete_cache_peer(DeleteCachePeerRequest) -> ();
        stat_cache_task(StatCacheTaskRequest) -> common::CacheTask;
        delete_cache_task(DeleteCacheTaskRequest) -> ();
        announce_persistent_peer(Streaming<AnnouncePersistentPeerRequest>) -> Self::AnnouncePersistentPeerStream;
        stat_persistent_peer(StatPersistentPeerRequest) -> common::PersistentPeer;
        delete_persistent_peer(DeletePersistentPeerRequest) -> ();
        upload_persistent_task_started(UploadPersistentTaskStartedRequest) -> ();
        upload_persistent_task_finished(UploadPersistentTaskFinishedRequest) -> common::PersistentTask;
        upload_persistent_task_failed(UploadPersistentTaskFailedRequest) -> ();
        stat_persistent_task(StatPersistentTaskRequest) -> common::PersistentTask;
        delete_persistent_task(DeletePersistentTaskRequest) -> ();
        stat_persistent_cache_peer(StatPersistentCachePeerRequest) -> common::PersistentCachePeer;
        preheat_image(PreheatImageRequest) -> ();
        stat_image(StatImageRequest) -> StatImageResponse;
        preheat_file(PreheatFileRequest) -> ();
        stat_file(StatFileRequest) -> StatFileResponse;
    }
}

#[tonic::async_trait]
impl Extension for Service {
    type PreheatStream = Stream<PreheatReport>;

    async fn preheat(&self, _: Request<PreheatRequest>) -> Result<Response<Self::PreheatStream>, Status> {
        Err(Status::unimplemented("not needed by these tests"))
    }

    async fn trace(&self, _: Request<TraceRequest>) -> Result<Response<TraceResponse>, Status> {
        Err(Status::unimplemented("not needed by these tests"))
    }

    async fn report_holdings(&self, request: Request<Streaming<HoldingsReport>>) -> Result<Response<()>, Status> {
        let mut reports = request.into_inner();
        while let Some(HoldingsReport { host_id, holdings }) = reports.message().await? {
            if self.0.change(|book| !book.hosts.contains_key(&host_id)) {
                return Err(Status::not_found("host"));
            }
            let held = holdings.iter().map(|held| {
                assert!(held.content_length > 0 && held.piece_count > 0, "{held:?}");
                format!("{host_id}: {}", held.task_id)
            });
            self.0.change(|book| book.holdings.extend(held));
        }
        Ok(Response::new(()))
    }
}
