//! A manager that lists one scheduler of one cluster and writes down what it is asked.

use crate::rig::{MIB, Options, PATIENCE, TestPeer};
use crate::scheduler::{Book, TestScheduler};
use dragonfly_api::ext::manager_server::{Manager as Extension, ManagerServer as ExtensionServer};
use dragonfly_api::ext::{AttendRequest, AttendResponse, WatchRequest, WatchResponse};
use dragonfly_api::manager::manager_server::{Manager, ManagerServer};
use dragonfly_api::manager::*;
use dragonfly_service::Workers;
use dragonfly_testkit::content::Content;
use dragonfly_testkit::origin::{Origin, Resource};
use futures::stream::{BoxStream, Empty};
use futures::{FutureExt, StreamExt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::wrappers::{TcpListenerStream, WatchStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

/// The cluster that the manager chooses at first.
const CLUSTER: u64 = 2;

/// The cluster that the manager chooses, and its scheduler.
type Chosen = Arc<watch::Sender<(u64, SocketAddr)>>;

/// A running manager.
struct TestManager {
    addr: SocketAddr,
    chosen: Chosen,
    asked: Arc<watch::Sender<Vec<String>>>,
    workers: Workers,
}

impl TestManager {
    /// One that tells nobody of changes.
    async fn start(scheduler: SocketAddr) -> Self {
        Self::start_with(scheduler, false).await
    }

    async fn start_with(scheduler: SocketAddr, watched: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let asked = Arc::new(watch::Sender::new(Vec::new()));
        let chosen = Arc::new(watch::Sender::new((CLUSTER, scheduler)));
        let service = Service {
            chosen: chosen.clone(),
            asked: asked.clone(),
        };
        let workers = Workers::new(CancellationToken::new());
        let cancel = workers.cancel_token();
        let server = tonic::transport::Server::builder()
            .add_optional_service(watched.then(|| ExtensionServer::new(service.clone())))
            .add_service(ManagerServer::new(service))
            .serve_with_incoming(TcpListenerStream::new(listener));
        workers.spawn("manager", async move {
            tokio::select! {
                served = server => served.unwrap(),
                () = cancel.cancelled() => {}
            }
        });
        Self {
            addr,
            chosen,
            asked,
            workers,
        }
    }

    async fn until_asked(&self, what: &str) -> Vec<String> {
        let mut asked = self.asked.subscribe();
        let waiting = asked.wait_for(|asked| asked.iter().any(|word| word.starts_with(what)));
        let asked = tokio::time::timeout(PATIENCE, waiting).await;
        asked.unwrap_or_else(|_| panic!("never asked: {what}")).unwrap().clone()
    }

    async fn kill(self) {
        self.workers.drain(Duration::from_millis(10)).await.ok();
    }
}

#[derive(Clone)]
struct Service {
    chosen: Chosen,
    asked: Arc<watch::Sender<Vec<String>>>,
}

impl Service {
    fn note(&self, word: String) {
        self.asked.send_modify(|asked| asked.push(word));
    }
}

#[tonic::async_trait]
impl Extension for Service {
    type AttendStream = Empty<Result<AttendResponse, Status>>;
    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn attend(&self, _: Request<Streaming<AttendRequest>>) -> Result<Response<Self::AttendStream>, Status> {
        Err(Status::unimplemented("not needed by these tests"))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let changes = WatchStream::from_changes(self.chosen.subscribe());
        let asked = request.into_inner();
        self.note(format!("Watch {:?} {}", asked.source_type(), asked.hostname));
        Ok(Response::new(changes.map(|_| Ok(WatchResponse {})).boxed()))
    }
}

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
impl Manager for Service {
    async fn update_seed_peer(&self, request: Request<UpdateSeedPeerRequest>) -> Result<Response<SeedPeer>, Status> {
        let asked = request.into_inner();
        self.note(format!(
            "UpdateSeedPeer {} {}",
            asked.hostname, asked.seed_peer_cluster_id
        ));
        Ok(Response::new(SeedPeer::default()))
    }

    async fn list_schedulers(
        &self,
        request: Request<ListSchedulersRequest>,
    ) -> Result<Response<ListSchedulersResponse>, Status> {
        let asked = request.into_inner();
        self.note(format!("ListSchedulers {:?} {}", asked.source_type(), asked.hostname));
        let scheduler = |id, addr: SocketAddr| Scheduler {
            ip: addr.ip().to_string(),
            port: i32::from(addr.port()),
            scheduler_cluster_id: id,
            ..Default::default()
        };
        let (cluster, addr) = *self.chosen.borrow();
        let elsewhere = SocketAddr::from(([127, 0, 0, 1], 1));
        Ok(Response::new(ListSchedulersResponse {
            schedulers: vec![scheduler(cluster, addr), scheduler(cluster + 1, elsewhere)],
        }))
    }

    async fn keep_alive(&self, request: Request<Streaming<KeepAliveRequest>>) -> Result<Response<()>, Status> {
        let mut beats = request.into_inner();
        while let Some(beat) = beats.message().await? {
            self.note(format!("KeepAlive {} {}", beat.hostname, beat.cluster_id));
        }
        Ok(Response::new(()))
    }

    not_needed! {
        get_seed_peer(GetSeedPeerRequest) -> SeedPeer;
        list_seed_peers(ListSeedPeersRequest) -> ListSeedPeersResponse;
        delete_seed_peer(DeleteSeedPeerRequest) -> ();
        get_scheduler(GetSchedulerRequest) -> Scheduler;
        update_scheduler(UpdateSchedulerRequest) -> Scheduler;
        list_applications(ListApplicationsRequest) -> ListApplicationsResponse;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_with_a_cluster_registers_before_it_asks_for_schedulers_and_keeps_its_lease() {
    let scheduler = TestScheduler::start().await;
    let manager = TestManager::start(scheduler.addr).await;
    let seed = Options {
        change: |raw| raw.seed_peer.cluster_id = Some(2),
        ..Options::seed("seed")
    };
    let seed = TestPeer::start(seed.managed_by(manager.addr)).await;
    scheduler.has_hosts(1).await;
    let asked = manager.until_asked("KeepAlive seed 2").await;
    let questions: Vec<&String> = asked.iter().filter(|word| !word.starts_with("KeepAlive")).collect();
    assert_eq!(
        questions[..2],
        ["UpdateSeedPeer seed 2", "ListSchedulers SeedPeerSource seed"]
    );
    seed.stop().await;
    manager.kill().await;
    scheduler.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_goes_on_with_the_schedulers_it_knows_while_the_manager_is_down() {
    let scheduler = TestScheduler::start().await;
    let manager = TestManager::start(scheduler.addr).await;
    let peer = TestPeer::start(Options::peer("managed").managed_by(manager.addr)).await;
    scheduler.has_hosts(1).await;
    let asked = manager.until_asked("ListSchedulers").await;
    assert_eq!(asked, ["ListSchedulers PeerSource managed"]);
    manager.kill().await;
    let origin = Origin::start().unwrap();
    let content = Content::new(1, MIB);
    let url = origin.put("/file", Resource::file(content));
    assert!(peer.get_url(&url).await.unwrap() == content.bytes(0, content.length() as usize));
    scheduler
        .until("the download was told of", |book| {
            book.words
                .contains(&"127.0.0.1-managed: RegisterPeerRequest".to_owned())
        })
        .await;
    peer.stop().await;
    scheduler.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_moved_to_another_cluster_leaves_the_old_one() {
    let [old, new] = [TestScheduler::start().await, TestScheduler::start().await];
    let manager = TestManager::start(old.addr).await;
    let peer = TestPeer::start(Options::peer("moved").managed_by(manager.addr)).await;
    old.has_hosts(1).await;
    manager.chosen.send_replace((CLUSTER + 7, new.addr));
    new.has_hosts(1).await;
    old.until("the host has left", |book| book.hosts.is_empty()).await;
    let origin = Origin::start().unwrap();
    let content = Content::new(1, MIB);
    let url = origin.put("/file", Resource::file(content));
    assert!(peer.get_url(&url).await.unwrap() == content.bytes(0, content.length() as usize));
    let told = |book: &mut Book| book.words.iter().any(|word| word.ends_with("RegisterPeerRequest"));
    assert!(
        new.read(told) && !old.read(told),
        "downloads are the new cluster's affair"
    );
    peer.stop().await;
    manager.kill().await;
    old.kill().await;
    new.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_watches_hears_at_once_that_its_cluster_is_another_though_it_asks_once_an_hour() {
    let [old, new] = [TestScheduler::start().await, TestScheduler::start().await];
    let manager = TestManager::start_with(old.addr, true).await;
    let hourly = Options {
        change: |raw| raw.dynconfig.refresh_interval = Duration::from_secs(3600),
        ..Options::peer("watching")
    };
    let peer = TestPeer::start(hourly.managed_by(manager.addr)).await;
    old.has_hosts(1).await;
    manager.until_asked("Watch PeerSource watching").await;
    manager.chosen.send_replace((CLUSTER + 7, new.addr));
    new.has_hosts(1).await;
    old.until("the host has left", |book| book.hosts.is_empty()).await;
    peer.stop().await;
    manager.kill().await;
    old.kill().await;
    new.kill().await;
}
