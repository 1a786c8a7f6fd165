//! A seed peer's upload server: it hands every `DownloadTask` to the test, which answers it.

use super::{Lab, host, soon};
use dragonfly_api::common::{self, Download, Host};
use dragonfly_api::dfdaemon::dfdaemon_upload_server::{DfdaemonUpload, DfdaemonUploadServer};
use dragonfly_api::dfdaemon::*;
use dragonfly_service::tls::{Files, ServerTls};
use futures::stream::{BoxStream, Empty};
use futures::{FutureExt, StreamExt};
use std::pin::Pin;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// A call that waits for the test's answer.
pub(crate) struct Call {
    pub(crate) download: Download,
    end: oneshot::Sender<Result<Option<String>, Status>>,
}

impl Call {
    /// Ends the call well; `peer` names the download on the seed peer.
    pub(crate) fn done(self, peer: Option<&str>) {
        self.end
            .send(Ok(peer.map(str::to_owned)))
            .expect("the scheduler waits for the call's end");
    }

    pub(crate) fn failed(self, status: Status) {
        self.end
            .send(Err(status))
            .expect("the scheduler waits for the call's end");
    }
}

/// A seed peer.
pub(crate) struct Seed {
    pub(crate) host: Host,
    calls: mpsc::Receiver<Call>,
}

impl Seed {
    /// Starts a server and announces its host.
    pub(crate) async fn start(lab: &Lab, name: &str) -> Self {
        Self::start_with(lab, name, None).await
    }

    /// As [`Seed::start`], with a server that has a certificate.
    pub(crate) async fn start_with(lab: &Lab, name: &str, tls: Option<&Files>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, calls) = mpsc::channel(16);
        let mut server = tonic::transport::Server::builder();
        if let Some(files) = tls {
            server = server.tls_config(ServerTls::load(files).unwrap().tonic()).unwrap();
        }
        let server = server
            .add_service(DfdaemonUploadServer::new(Upload { calls: sender }))
            .serve_with_incoming(TcpListenerStream::new(listener));
        lab.workers.spawn("seed peer", server.map(|ended| ended.unwrap()));
        let host = host(name, port);
        lab.announce(host.clone()).await;
        Self { host, calls }
    }

    /// The next call of the scheduler.
    pub(crate) async fn called(&mut self) -> Call {
        soon("a call to the seed peer", self.calls.recv()).await.unwrap()
    }

    /// Whether nobody called.
    pub(crate) fn is_idle(&mut self) -> bool {
        self.calls.try_recv().is_err()
    }
}

#[derive(Debug)]
struct Upload {
    calls: mpsc::Sender<Call>,
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
    type DownloadPersistentCacheTaskStream = Never<DownloadPersistentCacheTaskResponse>;
    type SyncPersistentCachePiecesStream = Never<SyncPersistentCachePiecesResponse>;
    type SyncHostStream = Never<Host>;

    async fn download_task(
        &self,
        request: Request<DownloadTaskRequest>,
    ) -> Result<Response<Self::DownloadTaskStream>, Status> {
        let (end, ended) = oneshot::channel();
        let download = request.into_inner().download.unwrap();
        self.calls.send(Call { download, end }).await.unwrap();
        let last = async {
            let ended = ended.await.unwrap_or(Err(Status::cancelled("the test is over")));
            let answer = |peer_id: String| {
                Ok(DownloadTaskResponse {
                    peer_id,
                    ..Default::default()
                })
            };
            match ended {
                Ok(peer) => futures::stream::iter(peer.map(answer)).left_stream(),
                Err(status) => futures::stream::iter([Err(status)]).right_stream(),
            }
        };
        Ok(Response::new(last.flatten_stream().boxed()))
    }

    unserved! {
        stat_task(StatTaskRequest) -> common::Task;
        stat_local_task(StatLocalTaskRequest) -> StatLocalTaskResponse;
        list_task_entries(ListTaskEntriesRequest) -> ListTaskEntriesResponse;
        delete_task(DeleteTaskRequest) -> ();
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
        download_persistent_cache_task(DownloadPersistentCacheTaskRequest) -> Self::DownloadPersistentCacheTaskStream;
        update_persistent_cache_task(UpdatePersistentCacheTaskRequest) -> ();
        stat_persistent_cache_task(StatPersistentCacheTaskRequest) -> common::PersistentCacheTask;
        delete_persistent_cache_task(DeletePersistentCacheTaskRequest) -> ();
        sync_persistent_cache_pieces(SyncPersistentCachePiecesRequest) -> Self::SyncPersistentCachePiecesStream;
        sync_host(SyncHostRequest) -> Self::SyncHostStream;
    }
}
