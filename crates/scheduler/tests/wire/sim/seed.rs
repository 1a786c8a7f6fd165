//! A seed peer's upload server: it hands every `DownloadTask` to the test, which answers it.

use super::{Lab, host, soon};
use dragonfly_api::common::{self, Download, Host};
use dragonfly_api::dfdaemon::dfdaemon_upload_server::{DfdaemonUpload, DfdaemonUploadServer};
use dragonfly_api::dfdaemon::download_task_response::Response as Part;
use dragonfly_api::dfdaemon::*;
use dragonfly_service::tls::{Files, ServerTls};
use futures::stream::{BoxStream, Empty};
use futures::{FutureExt, StreamExt};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

/// A call that waits for the test's answer.
pub(crate) struct Call {
    pub(crate) download: Download,
    /// Whether it was said that this preheats.
    pub(crate) preheats: bool,
    answers: mpsc::Sender<Result<DownloadTaskResponse, Status>>,
    ended: bool,
}

impl Call {
    /// Ends the call well; `peer` names the download on the seed peer.
    pub(crate) fn done(mut self, peer: Option<&str>) {
        self.ended = true;
        if let Some(peer) = peer {
            let answer = DownloadTaskResponse {
                peer_id: peer.to_owned(),
                ..Default::default()
            };
            self.answer(Ok(answer));
        }
    }

    pub(crate) fn failed(mut self, status: Status) {
        self.ended = true;
        self.answer(Err(status));
    }

    /// Tells of the content's length, and of a piece that has come.
    pub(crate) fn began(&self, content_length: u64, piece: u64) {
        let started = DownloadTaskStartedResponse {
            content_length,
            ..Default::default()
        };
        let finished = DownloadPieceFinishedResponse {
            piece: Some(common::Piece {
                length: piece,
                ..Default::default()
            }),
        };
        for part in [
            Part::DownloadTaskStartedResponse(started),
            Part::DownloadPieceFinishedResponse(finished),
        ] {
            self.answer(Ok(DownloadTaskResponse {
                response: Some(part),
                ..Default::default()
            }));
        }
    }

    /// Waits until the scheduler has hung up.
    pub(crate) async fn given_up(&self) {
        soon("the end of a call", self.answers.closed()).await;
    }

    fn answer(&self, answer: Result<DownloadTaskResponse, Status>) {
        self.answers
            .try_send(answer)
            .expect("the scheduler waits for the call's end");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            // Who has hung up needs no word.
            self.answers.try_send(Err(Status::cancelled("the test is over"))).ok();
        }
    }
}

/// What a host holds: ids of tasks, and whether whole.
pub(crate) type Holdings = Arc<Mutex<BTreeMap<String, bool>>>;

/// A seed peer, or any other peer.
pub(crate) struct Seed {
    pub(crate) host: Host,
    pub(crate) holdings: Holdings,
    calls: mpsc::Receiver<Call>,
    kept: mpsc::Receiver<KeptCall>,
}

/// What a host is told of a kept task.
pub(crate) enum KeptCall {
    /// To fetch it. The call ends when the test drops the other half.
    Fetch(
        DownloadPersistentCacheTaskRequest,
        mpsc::Sender<Result<DownloadPersistentCacheTaskResponse, Status>>,
    ),
    /// To keep it from now on.
    Oblige(String),
    Drop(String),
}

impl Seed {
    /// Starts a server and announces its host.
    pub(crate) async fn start(lab: &Lab, name: &str) -> Self {
        Self::start_with(lab, name, None).await
    }

    /// As [`Seed::start`], with a server that has a certificate.
    pub(crate) async fn start_with(lab: &Lab, name: &str, tls: Option<&Files>) -> Self {
        Self::start_at(lab, name, [127, 0, 0, 1].into(), tls).await
    }

    /// As [`Seed::start_with`], at an address of the loopback's network.
    pub(crate) async fn start_at(lab: &Lab, name: &str, ip: Ipv4Addr, tls: Option<&Files>) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, calls) = mpsc::channel(16);
        let (kept_sender, kept) = mpsc::channel(16);
        let holdings = Holdings::default();
        let upload = Upload {
            calls: sender,
            kept: kept_sender,
            holdings: holdings.clone(),
        };
        let mut server = tonic::transport::Server::builder();
        if let Some(files) = tls {
            server = server.tls_config(ServerTls::load(files).unwrap().tonic()).unwrap();
        }
        let server = server
            .add_service(DfdaemonUploadServer::new(upload))
            .serve_with_incoming(TcpListenerStream::new(listener));
        lab.workers.spawn("seed peer", server.map(|ended| ended.unwrap()));
        let host = Host {
            ip: ip.to_string(),
            ..host(name, port)
        };
        lab.announce(host.clone()).await;
        Self {
            host,
            holdings,
            calls,
            kept,
        }
    }

    /// The next call of the scheduler.
    pub(crate) async fn called(&mut self) -> Call {
        soon("a call to the seed peer", self.calls.recv()).await.unwrap()
    }

    /// The next that the scheduler says of a kept task.
    pub(crate) async fn told(&mut self) -> KeptCall {
        soon("a word on a kept task", self.kept.recv()).await.unwrap()
    }

    /// Whether nobody called.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }

    pub(crate) fn holds(&self, task: &str, whole: bool) {
        self.holdings.lock().unwrap().insert(task.to_owned(), whole);
    }
}

#[derive(Debug)]
struct Upload {
    calls: mpsc::Sender<Call>,
    kept: mpsc::Sender<KeptCall>,
    holdings: Holdings,
}

macro_rules! unserved {
    ($($name:ident($request:ty) -> $response:ty;)*) => {
        $(fn $name<'life0, 'async_trait>(&'life0 self, _: Request<$request>)
            -> Pin<Box<dyn Future<Output = Result<Response<$response>, Status>> + Send + 'async_trait>>
        where 'life0: 'async_trait, Self: 'async_trait {
            Box::pin(std::future::ready(Err(Status::unimplemented(stringify!($name)))))
        })*
    };
}

type Never<T> = Empty<Result<T, Status>>;

#[tonic::async_trait]
impl DfdaemonUpload for Upload {
    type DownloadTaskStream = BoxStream<'static, Result<DownloadTaskResponse, Status>>;
    type SyncPiecesStream = Never<SyncPiecesResponse>;
    type DownloadCacheTaskStream = Never<DownloadCacheTaskResponse>;
    type SyncCachePiecesStream = Never<SyncCachePiecesResponse>;
    type DownloadPersistentTaskStream = Never<DownloadPersistentTaskResponse>;
    type SyncPersistentPiecesStream = Never<SyncPersistentPiecesResponse>;
    type DownloadPersistentCacheTaskStream = BoxStream<'static, Result<DownloadPersistentCacheTaskResponse, Status>>;
    type SyncPersistentCachePiecesStream = Never<SyncPersistentCachePiecesResponse>;
    type SyncHostStream = Never<Host>;

    async fn download_task(
        &self,
        request: Request<DownloadTaskRequest>,
    ) -> Result<Response<Self::DownloadTaskStream>, Status> {
        let preheats = request.metadata().contains_key(dragonfly_api::PREHEATS);
        let (answers, responses) = mpsc::channel(16);
        let call = Call {
            download: request.into_inner().download.unwrap(),
            preheats,
            answers,
            ended: false,
        };
        self.calls.send(call).await.unwrap();
        Ok(Response::new(ReceiverStream::new(responses).boxed()))
    }

    async fn stat_local_task(
        &self,
        request: Request<StatLocalTaskRequest>,
    ) -> Result<Response<StatLocalTaskResponse>, Status> {
        let task = request.into_inner().task_id;
        let holdings = self.holdings.lock().unwrap();
        let whole = *holdings.get(&task).ok_or_else(|| Status::not_found(task.clone()))?;
        // Pieces of 5, 5 and 2 bytes; of what is not whole, the second.
        let mut response = Response::new(StatLocalTaskResponse {
            task_id: task,
            piece_length: Some(5),
            content_length: Some(12),
            finished_at: whole.then(|| dragonfly_api::timestamp(std::time::SystemTime::now())),
            ..Default::default()
        });
        if !whole {
            response
                .metadata_mut()
                .insert(dragonfly_api::PIECES, "0,1,0".parse().unwrap());
        }
        Ok(response)
    }

    async fn list_task_entries(
        &self,
        request: Request<ListTaskEntriesRequest>,
    ) -> Result<Response<ListTaskEntriesResponse>, Status> {
        let url = request.into_inner().url;
        let entry = |name: &str, is_dir| Entry {
            url: format!("{url}{name}"),
            content_length: 7,
            is_dir,
        };
        Ok(Response::new(ListTaskEntriesResponse {
            entries: vec![entry("one", false), entry("inner/", true), entry("two", false)],
            ..Default::default()
        }))
    }

    async fn delete_task(&self, request: Request<DeleteTaskRequest>) -> Result<Response<()>, Status> {
        let task = request.into_inner().task_id;
        match self.holdings.lock().unwrap().remove(&task) {
            Some(_) => Ok(Response::new(())),
            None => Err(Status::not_found(task)),
        }
    }

    async fn download_persistent_cache_task(
        &self,
        request: Request<DownloadPersistentCacheTaskRequest>,
    ) -> Result<Response<Self::DownloadPersistentCacheTaskStream>, Status> {
        let (answers, responses) = mpsc::channel(1);
        self.kept
            .send(KeptCall::Fetch(request.into_inner(), answers))
            .await
            .unwrap();
        Ok(Response::new(ReceiverStream::new(responses).boxed()))
    }

    async fn update_persistent_cache_task(
        &self,
        request: Request<UpdatePersistentCacheTaskRequest>,
    ) -> Result<Response<()>, Status> {
        let request = request.into_inner();
        assert!(request.persistent);
        self.kept.send(KeptCall::Oblige(request.task_id)).await.unwrap();
        Ok(Response::new(()))
    }

    async fn delete_persistent_cache_task(
        &self,
        request: Request<DeletePersistentCacheTaskRequest>,
    ) -> Result<Response<()>, Status> {
        self.kept
            .send(KeptCall::Drop(request.into_inner().task_id))
            .await
            .unwrap();
        Ok(Response::new(()))
    }

    unserved! {
        stat_task(StatTaskRequest) -> common::Task;
        sync_pieces(SyncPiecesRequest) -> Self::SyncPiecesStream;
        download_cache_task(DownloadCacheTaskRequest) -> Self::DownloadCacheTaskStream;
        stat_cache_task(StatCacheTaskRequest) -> common::CacheTask;
        delete_cache_task(DeleteCacheTaskRequest) -> ();
        sync_cache_pieces(SyncCachePiecesRequest) -> Self::SyncCachePiecesStream;
        download_cache_piece(DownloadCachePieceRequest) -> DownloadCachePieceResponse;
        download_persistent_task(DownloadPersistentTaskRequest) -> Self::DownloadPersistentTaskStream;
        sync_persistent_pieces(SyncPersistentPiecesRequest) -> Self::SyncPersistentPiecesStream;
        update_persistent_task(UpdatePersistentTaskRequest) -> ();
        stat_persistent_task(StatPersistentTaskRequest) -> common::PersistentTask;
        delete_persistent_task(DeletePersistentTaskRequest) -> ();
        stat_persistent_cache_task(StatPersistentCacheTaskRequest) -> common::PersistentCacheTask;
        sync_persistent_cache_pieces(SyncPersistentCachePiecesRequest) -> Self::SyncPersistentCachePiecesStream;
        sync_host(SyncHostRequest) -> Self::SyncHostStream;
    }
}
