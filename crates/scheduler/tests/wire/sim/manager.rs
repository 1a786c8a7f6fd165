//! A manager that hands on what schedulers tell it, until it crashes. It has a runtime of its own, with which all its
//! connections end at once.

use super::attention::Attention;
use super::soon;
use dragonfly_api::ext::manager_server::{Manager as Extension, ManagerServer as ExtensionServer};
use dragonfly_api::ext::{AttendRequest, AttendResponse, WatchRequest, WatchResponse};
use dragonfly_api::manager::manager_server::{Manager, ManagerServer};
use dragonfly_api::manager::*;
use futures::StreamExt;
use futures::stream::BoxStream;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, WatchStream};
use tonic::{Request, Response, Status, Streaming};

/// What a scheduler told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    Listed(Box<UpdateSchedulerRequest>),
    Alive(KeepAliveRequest),
}

/// What it tells schedulers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    pub(crate) cluster: SchedulerCluster,
    pub(crate) applications: Vec<Application>,
}

/// A manager.
pub(crate) struct FakeManager {
    pub(crate) addr: SocketAddr,
    told: mpsc::Receiver<Told>,
    attention: mpsc::Receiver<Attention>,
    book: Arc<watch::Sender<Book>>,
    runtime: Option<Runtime>,
}

impl FakeManager {
    /// Listens on `addr`. The cluster that it knows has this configuration.
    pub(crate) async fn start(addr: SocketAddr, cluster: SchedulerCluster, applications: Vec<Application>) -> Self {
        let (sender, told) = mpsc::channel(64);
        let (attending, attention) = mpsc::channel(16);
        let book = Arc::new(watch::Sender::new(Book { cluster, applications }));
        let door = Door {
            told: sender,
            attending,
            book: book.clone(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (bound, address) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let listener = TcpListener::bind(addr).await.unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            let server = tonic::transport::Server::builder()
                .add_service(ExtensionServer::new(door.clone()))
                .add_service(ManagerServer::new(door));
            server
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        Self {
            addr: soon("the manager's socket", address).await.unwrap(),
            told,
            attention,
            book,
            runtime: Some(runtime),
        }
    }

    /// Changes what it tells, and says so to those who watch.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Book)) {
        self.book.send_modify(change);
    }

    /// Waits until somebody watches.
    pub(crate) async fn watched(&self) {
        soon("a watch", async {
            while self.book.receiver_count() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// The next stream over which a scheduler attends.
    pub(crate) async fn attended(&mut self) -> Attention {
        soon("a scheduler's attention", self.attention.recv()).await.unwrap()
    }

    pub(crate) async fn told(&mut self) -> Told {
        soon("a word of the scheduler", self.told.recv()).await.unwrap()
    }

    /// The next registration.
    pub(crate) async fn listed(&mut self) -> UpdateSchedulerRequest {
        loop {
            if let Told::Listed(request) = self.told().await {
                return *request;
            }
        }
    }

    /// Ends the manager in the middle of whatever it does.
    pub(crate) async fn crash(mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(|| runtime.shutdown_timeout(Duration::from_secs(10)))
            .await
            .unwrap();
    }
}

impl Drop for FakeManager {
    fn drop(&mut self) {
        // A runtime can't be waited for inside another one.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Debug, Clone)]
struct Door {
    told: mpsc::Sender<Told>,
    attending: mpsc::Sender<Attention>,
    book: Arc<watch::Sender<Book>>,
}

#[tonic::async_trait]
impl Extension for Door {
    type AttendStream = ReceiverStream<Result<AttendResponse, Status>>;
    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn attend(&self, request: Request<Streaming<AttendRequest>>) -> Result<Response<Self::AttendStream>, Status> {
        let (attention, calls) = Attention::new(request.into_inner());
        // A test that looks no more is no reason to end.
        self.attending.send(attention).await.ok();
        Ok(Response::new(ReceiverStream::new(calls)))
    }

    async fn watch(&self, _: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let changes = WatchStream::from_changes(self.book.subscribe());
        Ok(Response::new(changes.map(|_| Ok(WatchResponse {})).boxed()))
    }
}

#[tonic::async_trait]
impl Manager for Door {
    async fn update_scheduler(&self, request: Request<UpdateSchedulerRequest>) -> Result<Response<Scheduler>, Status> {
        let told = Told::Listed(Box::new(request.into_inner()));
        // A test that looks no more is no reason to end.
        self.told.send(told).await.ok();
        Ok(Response::new(Scheduler::default()))
    }

    async fn get_scheduler(&self, _: Request<GetSchedulerRequest>) -> Result<Response<Scheduler>, Status> {
        Ok(Response::new(Scheduler {
            scheduler_cluster: Some(self.book.borrow().cluster.clone()),
            ..Default::default()
        }))
    }

    async fn list_applications(
        &self,
        _: Request<ListApplicationsRequest>,
    ) -> Result<Response<ListApplicationsResponse>, Status> {
        let applications = self.book.borrow().applications.clone();
        Ok(Response::new(ListApplicationsResponse { applications }))
    }

    async fn keep_alive(&self, request: Request<Streaming<KeepAliveRequest>>) -> Result<Response<()>, Status> {
        let mut signs = request.into_inner();
        while let Some(sign) = signs.message().await? {
            self.told.send(Told::Alive(sign)).await.ok();
        }
        Ok(Response::new(()))
    }

    async fn get_seed_peer(&self, _: Request<GetSeedPeerRequest>) -> Result<Response<SeedPeer>, Status> {
        Err(Status::unimplemented("get_seed_peer"))
    }

    async fn list_seed_peers(
        &self,
        _: Request<ListSeedPeersRequest>,
    ) -> Result<Response<ListSeedPeersResponse>, Status> {
        Err(Status::unimplemented("list_seed_peers"))
    }

    async fn update_seed_peer(&self, _: Request<UpdateSeedPeerRequest>) -> Result<Response<SeedPeer>, Status> {
        Err(Status::unimplemented("update_seed_peer"))
    }

    async fn delete_seed_peer(&self, _: Request<DeleteSeedPeerRequest>) -> Result<Response<()>, Status> {
        Err(Status::unimplemented("delete_seed_peer"))
    }

    async fn list_schedulers(
        &self,
        _: Request<ListSchedulersRequest>,
    ) -> Result<Response<ListSchedulersResponse>, Status> {
        Err(Status::unimplemented("list_schedulers"))
    }
}
