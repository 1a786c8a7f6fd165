//! A manager that lists one scheduler of one cluster and writes down what it is asked.

use crate::kept::tagged;
use crate::rig::{MIB, Options, PATIENCE, TestPeer, whole};
use crate::scheduler::{Book, TestScheduler};
use dragonfly_api::common::Download;
use dragonfly_api::dfdaemon::DownloadTaskRequest;
use dragonfly_api::dfdaemon::dfdaemon_upload_client::DfdaemonUploadClient;
use dragonfly_api::ext::manager_server::{Manager as Extension, ManagerServer as ExtensionServer};
use dragonfly_api::ext::{AttendRequest, AttendResponse, WatchRequest, WatchResponse};
use dragonfly_api::manager::manager_server::{Manager, ManagerServer};
use dragonfly_api::manager::*;
use dragonfly_service::Workers;
use dragonfly_service::grpc::{Timeouts, connect};
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
use tonic::{Code, Request, Response, Status, Streaming};

/// The cluster that the manager chooses at first.
const CLUSTER: u64 = 2;

/// What the manager chooses for a peer.
#[derive(Clone)]
struct Choice {
    cluster: u64,
    scheduler: SocketAddr,
    /// What the cluster says of peers, and of seed peers.
    client_config: &'static str,
    seed_client_config: &'static str,
}

type Chosen = Arc<watch::Sender<Choice>>;

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
        let chosen = Arc::new(watch::Sender::new(Choice {
            cluster: CLUSTER,
            scheduler,
            client_config: "",
            seed_client_config: "",
        }));
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

    /// Chooses another cluster.
    fn moves_to(&self, cluster: u64, scheduler: SocketAddr) {
        self.chosen.send_modify(|choice| {
            choice.cluster = cluster;
            choice.scheduler = scheduler;
        });
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
        let choice = self.chosen.borrow().clone();
        let scheduler = |id, addr: SocketAddr| Scheduler {
            ip: addr.ip().to_string(),
            port: i32::from(addr.port()),
            scheduler_cluster_id: id,
            scheduler_cluster: Some(SchedulerCluster {
                client_config: choice.client_config.into(),
                seed_client_config: choice.seed_client_config.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let Choice {
            cluster,
            scheduler: addr,
            ..
        } = choice;
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
    manager.moves_to(CLUSTER + 7, new.addr);
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
    manager.moves_to(CLUSTER + 7, new.addr);
    new.has_hosts(1).await;
    old.until("the host has left", |book| book.hosts.is_empty()).await;
    peer.stop().await;
    manager.kill().await;
    old.kill().await;
    new.kill().await;
}

/// The status of a GET through a peer's proxy, and who it says has failed.
async fn through_the_proxy(peer: &TestPeer, url: &str) -> (u16, Option<String>) {
    let proxy = reqwest::Proxy::http(format!("http://{}", peer.addresses.proxy)).unwrap();
    let client = reqwest::Client::builder().proxy(proxy).build().unwrap();
    let response = client
        .get(url)
        .header("x-dragonfly-use-p2p", "true")
        .send()
        .await
        .unwrap();
    let blame = response.headers().get("x-dragonfly-error-type");
    let blame = blame.map(|blame| blame.to_str().unwrap().to_owned());
    (response.status().as_u16(), blame)
}

/// May ask origins on the loopback for others, too.
fn of_the_lab(options: Options, manager: &TestManager) -> Options {
    Options {
        change: |raw| raw.security.egress.allow = vec!["127.0.0.0/8".to_owned()],
        ..options
    }
    .managed_by(manager.addr)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_block_list_names_is_refused_at_every_door_and_nothing_else_is() {
    let scheduler = TestScheduler::start().await;
    let manager = TestManager::start_with(scheduler.addr, true).await;
    let peer = TestPeer::start(of_the_lab(Options::peer("peer"), &manager)).await;
    scheduler.has_hosts(1).await;
    manager.until_asked("Watch PeerSource peer").await;
    let origin = Origin::start().unwrap();
    let content = Content::new(1, MIB);
    let [secret, held, free] =
        ["/secret/file", "/secret/held", "/free"].map(|path| origin.put(path, Resource::file(content)));
    peer.get_url(&held).await.unwrap();
    manager.chosen.send_modify(|choice| {
        choice.client_config = r#"{"block_list": {"task": {"download": {"urls": ["(", "/secret/"], "tags": null}}}}"#;
        choice.seed_client_config = r#"{"block_list": {"task": {"download": {"urls": ["/free"]}}}}"#;
    });
    // Also of what is on this host already.
    tokio::time::timeout(PATIENCE, async { while peer.get_url(&held).await.is_ok() {} })
        .await
        .unwrap();
    let status = peer.get_url(&secret).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let rule = "block list refuses URLs that match \"/secret/\"";
    assert!(status.message().contains(rule), "{status}");
    for url in [&secret, &held] {
        assert_eq!(through_the_proxy(&peer, url).await, (403, Some("proxy".to_owned())));
    }
    assert_eq!(through_the_proxy(&peer, &free).await, (200, None));
    peer.get_url(&free).await.unwrap();
    assert_eq!(origin.served("/secret/file").unwrap().bytes, 0);
    peer.stop().await;
    manager.kill().await;
    scheduler.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_block_list_names_of_kept_tasks_is_neither_put_in_nor_given_out() {
    let scheduler = TestScheduler::start().await;
    let manager = TestManager::start_with(scheduler.addr, true).await;
    let peer = TestPeer::start(of_the_lab(Options::peer("peer"), &manager)).await;
    scheduler.has_hosts(1).await;
    manager.until_asked("Watch PeerSource peer").await;
    let content = Content::new(1, MIB);
    let bytes = content.bytes(0, content.length() as usize);
    let [(old, old_id), (new, new_id), (free, free_id)] = ["old", "new", "free"].map(|tag| tagged(&bytes, tag));
    peer.import(old, &bytes).await.unwrap();
    manager.chosen.send_modify(|choice| {
        choice.client_config = r#"{"block_list": {"persistent_cache_task":
            {"download": {"tags": ["old"]}, "upload": {"tags": ["new"]}}}}"#;
    });
    // Also of what is on this host already.
    tokio::time::timeout(PATIENCE, async { while peer.export(&old_id).await.is_ok() {} })
        .await
        .unwrap();
    for status in [
        peer.export(&old_id).await.map(drop).unwrap_err(),
        peer.import(new, &bytes).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::PermissionDenied);
        assert!(status.message().contains("block list refuses tag"), "{status}");
    }
    assert!(!scheduler.read(|book| book.kept.contains_key(&new_id)));
    peer.import(free, &bytes).await.unwrap();
    assert_eq!(peer.export(&free_id).await.unwrap(), bytes);
    peer.stop().await;
    manager.kill().await;
    scheduler.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_peer_refuses_schedulers_what_its_own_list_names() {
    let scheduler = TestScheduler::start().await;
    let manager = TestManager::start_with(scheduler.addr, true).await;
    let seed = TestPeer::start(of_the_lab(Options::seed("seed"), &manager)).await;
    scheduler.has_hosts(1).await;
    manager.until_asked("Watch SeedPeerSource seed").await;
    let origin = Origin::start().unwrap();
    let url = origin.put("/file", Resource::file(Content::new(1, MIB)));
    let addr = seed.addresses.upload.to_string();
    let channel = connect(&addr, None, Timeouts::default()).await;
    let upload = DfdaemonUploadClient::new(channel.unwrap());
    let trigger = async |application: &str| {
        let download = Download {
            application: Some(application.to_owned()),
            need_back_to_source: true,
            ..whole(&url)
        };
        let request = DownloadTaskRequest {
            download: Some(download),
        };
        let mut messages = upload.clone().download_task(request).await?.into_inner();
        while messages.message().await?.is_some() {}
        Ok::<_, Status>(())
    };
    manager.chosen.send_modify(|choice| {
        choice.client_config = r#"{"block_list": {"task": {"download": {"applications": ["ml"]}}}}"#;
        choice.seed_client_config = r#"{"block_list": {"task": {"download": {"applications": ["games"]}}}}"#;
    });
    tokio::time::timeout(PATIENCE, async { while trigger("games").await.is_ok() {} })
        .await
        .unwrap();
    assert_eq!(trigger("games").await.unwrap_err().code(), Code::PermissionDenied);
    trigger("ml").await.unwrap();
    seed.stop().await;
    manager.kill().await;
    scheduler.kill().await;
}
